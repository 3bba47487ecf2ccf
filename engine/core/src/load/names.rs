//! Checks what templates and conditions refer to, when the plan loads.

use super::foreign;
use super::plan::Plan;
use super::report::Report;
use super::suggest::did_you_mean;
use super::yaml::{Kind, Spanned, Yaml};
use crate::condition;
use crate::template::{FILTERS, is_template, references, unknown_function};
use caxplan_model::{ShortText, Span};
use std::collections::{BTreeMap, BTreeSet};

/// What a plan declares.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Parameters, and whether each is secret.
    pub(super) params: BTreeMap<String, bool>,
    pub(super) vars: BTreeSet<String>,
    pub(super) env: BTreeSet<String>,
    pub(super) secrets: BTreeSet<String>,
    /// All steps that can be referred to.
    pub(super) steps: BTreeMap<ShortText, StepName>,
    /// The steps that have ended when the place that is looked at is reached.
    pub(super) ended: Ended,
    /// Of steps that run another plan: the names of its outputs.
    pub(super) outputs: BTreeMap<String, Vec<String>>,
    /// Parameters and variables that only the run knows: `params.count`.
    pub(super) late: BTreeSet<String>,
    /// References to steps that had not been seen yet.
    pub(super) pending: Vec<Spanned<ShortText>>,
    /// References to what steps have put out.
    outputs_read: Vec<Spanned<ShortText>>,
}

/// What is known of the steps of one name.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepName {
    /// Whether they stand within a loop.
    pub(super) in_loop: bool,
    /// What they are, if none of them puts anything out.
    pub(super) silent: Option<&'static str>,
}

/// What can be seen at one place of a plan.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Variables that loops bound.
    pub(super) vars: Vec<String>,
    /// Whether `target` is bound.
    pub(super) target: bool,
    /// Whether the run has ended: its end is known then, and its steps are not looked at.
    pub(super) at_end: bool,
}

/// What users look for in the output of an action.
const RESULTS: [&str; 6] = ["stdout", "stderr", "exit_code", "result", "body", "content"];

/// What `run` has while the run goes on.
const RUN: [&str; 4] = ["id", "name", "plan", "plan_dir"];

/// What `run` has beside that when the run has ended.
const RUN_AT_END: [&str; 10] = [
    "end",
    "exit_code",
    "message",
    "step",
    "by",
    "started",
    "ended",
    "duration",
    "counts",
    "next",
];

/// What kind of text is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// An argument of an action: sees everything.
    Argument,
    /// An argument that every user of the machine can see while the action runs: no secrets.
    PublicArgument,
    /// Anything else that the run evaluates: no secrets.
    Run,
    /// What the loader evaluates: parameters, variables and targets only.
    Load,
    /// Conditions on what a step put out: also `output` and `before`.
    Output,
    /// Conditions on an observation, whose fields only the run knows.
    Observation,
}

/// Names of steps that have ended, as a stack: what a group adds can be taken back.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended {
    counts: BTreeMap<ShortText, u32>,
    stack: Vec<ShortText>,
}

impl Ended {
    pub(super) fn push(&mut self, name: ShortText) {
        *self.counts.entry(name.clone()).or_default() += 1;
        self.stack.push(name);
    }

    /// The height of the stack, for [`Ended::back_to`].
    pub(super) fn mark(&self) -> usize {
        self.stack.len()
    }

    /// Takes back what was added since the mark, and answers it.
    pub(super) fn back_to(&mut self, mark: usize) -> Vec<ShortText> {
        let taken = self.stack.split_off(mark.min(self.stack.len()));
        for name in &taken {
            if let Some(count) = self.counts.get_mut(name) {
                *count -= 1;
            }
        }
        taken
    }

    fn has(&self, name: &str) -> bool {
        self.counts.get(name).is_some_and(|count| *count > 0)
    }
}

impl Names {
    /// What a plan says by itself.
    pub(super) fn of(plan: &Plan) -> Self {
        let (params, secrets) = (plan.params.iter(), plan.secrets.iter());
        Self {
            params: params
                .map(|param| (param.name.value.to_string(), param.secret))
                .collect(),
            env: plan.env.iter().map(|name| name.value.to_string()).collect(),
            secrets: secrets.map(|entry| entry.key.value.to_string()).collect(),
            ..Self::default()
        }
    }

    /// Checks every text of a value.
    pub(super) fn check_value(&mut self, yaml: &Yaml, use_: Use, view: &View, report: &mut Report) {
        match &yaml.kind {
            Kind::Scalar { text, .. } => self.check_text(text, yaml.span, use_, view, report),
            Kind::List(items) => {
                for item in items {
                    self.check_value(item, use_, view, report);
                }
            }
            Kind::Map(entries) => {
                for entry in entries {
                    self.check_value(&entry.value, use_, view, report);
                }
            }
        }
    }

    /// Checks a variable, which may depend on parameters and variables that only the run knows.
    pub(super) fn check_var(&mut self, yaml: &Yaml, report: &mut Report) {
        let late = std::mem::take(&mut self.late);
        self.check_value(yaml, Use::Load, &View::default(), report);
        self.late = late;
    }

    /// Checks the templates in a text.
    pub(super) fn check_text(&mut self, text: &str, span: Span, use_: Use, view: &View, report: &mut Report) {
        match references(text) {
            Ok(paths) => {
                if let Some((name, range)) = unknown_function(text) {
                    let at = within(text, span, Some(range), report);
                    let message = format!("templates have no filter or test `{name}`");
                    report.error("unknown-filter", at, message).help =
                        did_you_mean(name, FILTERS.iter().copied())
                            .or_else(|| Some(format!("the filters are {}", FILTERS.join(", "))));
                }
                for path in paths {
                    let at = within(text, span, text.find(&path).map(|at| at..at + path.len()), report);
                    let segments: Vec<&str> = path.split('.').collect();
                    self.check_reference(&segments, at, use_, view, report);
                }
            }
            Err(error) => {
                let at = within(text, span, error.range, report);
                let is_open = text.matches("{{").count() > text.matches("}}").count();
                let message = format!("this is no template: {}", error.message);
                report.error("template-syntax", at, message).help =
                    is_open.then(|| "what begins with `{{` ends with `}}`".to_owned());
            }
        }
    }

    /// Checks a condition, or a template in its place.
    pub(super) fn check_condition(
        &mut self,
        text: &Spanned<ShortText>,
        use_: Use,
        view: &View,
        report: &mut Report,
    ) {
        if is_template(&text.value) {
            let trimmed = text.value.trim();
            // Two of them with a word between make a text, which would be always true elsewhere.
            let is_one =
                trimmed.starts_with("{{") && trimmed.ends_with("}}") && trimmed.matches("{{").count() == 1;
            if !is_one {
                report
                    .error("template-in-condition", text.span, "a condition holds no templates")
                    .help = Some(
                    "write the path alone (`error_rate < params.limit`), or the whole condition as one `{{ … }}`"
                        .to_owned(),
                );
            }
            self.check_text(&text.value, text.span, use_, view, report);
            return;
        }
        match condition::parse(&text.value) {
            Ok(condition) => condition.for_each_path(&mut |path| {
                let at = within(&text.value, text.span, Some(path.range.clone()), report);
                let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
                let before = report.errors();
                self.check_reference(&segments, at, use_, view, report);
                if report.errors() > before && segments.len() == 1 {
                    report.more_help(
                        "known here",
                        &format!("a text stands in quotes: `'{}'`", segments[0]),
                    );
                }
            }),
            Err(error) => {
                let part = text.value.get(error.range.clone()).unwrap_or_default();
                let help = match part {
                    "“" | "”" | "„" | "‘" | "’" | "«" | "»" => {
                        Some("write straight quotes: `'…'`")
                    }
                    "$" => Some("a name stands alone: `params.version`"),
                    _ if text
                        .value
                        .get(error.range.start..)
                        .is_some_and(|rest| rest.starts_with("is ")) =>
                    {
                        Some("tests need a template: write the whole condition as `{{ … }}`")
                    }
                    _ => None,
                };
                let at = within(&text.value, text.span, Some(error.range), report);
                let message = format!("this is no condition: {}", error.message);
                report.error("condition-syntax", at, message).help = help.map(str::to_owned);
            }
        }
    }

    fn check_reference(&mut self, path: &[&str], at: Span, use_: Use, view: &View, report: &mut Report) {
        let [root, rest @ ..] = path else {
            return;
        };
        if view.vars.iter().any(|var| var == root) {
            return self.needs_run(root, at, use_, report);
        }
        match *root {
            "params" => {
                let Some(name) = rest.first() else {
                    if !self.late.is_empty() {
                        self.needs_run("params", at, use_, report);
                    }
                    return;
                };
                match self.params.get(*name) {
                    Some(true) if use_ != Use::Argument => {
                        secret_here(&format!("params.{name}"), at, use_, report);
                    }
                    Some(_) if self.late.contains(&format!("params.{name}")) => {
                        self.needs_run(&format!("params.{name}"), at, use_, report);
                    }
                    Some(_) => {}
                    None => unknown(
                        "unknown-param",
                        "the plan has no parameter",
                        name,
                        self.params.keys(),
                        at,
                        report,
                    ),
                }
            }
            "vars" => {
                if let Some(name) = rest.first()
                    && self.late.contains(&format!("vars.{name}"))
                {
                    self.needs_run(&format!("vars.{name}"), at, use_, report);
                } else if let Some(name) = rest.first()
                    && !self.vars.contains(*name)
                {
                    unknown(
                        "unknown-var",
                        "there is no variable",
                        name,
                        self.vars.iter(),
                        at,
                        report,
                    );
                }
            }
            "env" => {
                self.needs_run(root, at, use_, report);
                if let Some(name) = rest.first()
                    && !self.env.contains(*name)
                {
                    let message = format!("the plan's `env` does not list `{name}`");
                    report.error("unknown-env", at, message).help =
                        Some(format!("add it to the header: `env: [{name}]`"));
                }
            }
            "secrets" => {
                if use_ != Use::Argument {
                    secret_here(root, at, use_, report);
                } else if let Some(name) = rest.first()
                    && !self.secrets.contains(*name)
                {
                    unknown(
                        "unknown-secret",
                        "the plan has no secret",
                        name,
                        self.secrets.iter(),
                        at,
                        report,
                    );
                }
            }
            "steps" if view.at_end => {
                report
                    .error("unknown-name", at, "a notification does not see steps")
                    .help = Some(format!(
                    "it sees `run`, which has {} and {}",
                    RUN.join(", "),
                    RUN_AT_END.join(", ")
                ));
            }
            "steps" => {
                self.needs_run(root, at, use_, report);
                if let Some(name) = rest.first()
                    && !self.ended.has(name)
                {
                    self.pending.push(Spanned {
                        value: (*name).into(),
                        span: at,
                    });
                }
                if let [name, "output" | "before", ..] = rest {
                    self.outputs_read.push(Spanned {
                        value: (*name).into(),
                        span: at,
                    });
                }
                if let [name, "output", output, ..] = rest
                    && let Some(outputs) = self.outputs.get(*name)
                    && !outputs.iter().any(|of| of == output)
                {
                    let what = format!("the plan that `{name}` runs has no output");
                    unknown("unknown-output", &what, output, outputs.iter(), at, report);
                }
                if let Some(what) = rest.get(1)
                    && !["output", "before", "status"].contains(what)
                {
                    let message = format!("a step has no `{what}`; it has `output`, `before` and `status`");
                    let below = rest[1..].join(".");
                    report.error("unknown-name", at, message).help =
                        did_you_mean(what, ["output", "before", "status"])
                            .or_else(|| Some(format!("did you mean `steps.{}.output.{below}`?", rest[0])));
                }
            }
            "target" if view.target => self.needs_run(root, at, use_, report),
            "target" => {
                report.error("unknown-name", at, "there is no `target` here").help = Some(
                    "`target` is known within a `foreach_node` and in a step that has a `target`".to_owned(),
                );
            }
            "targets" => {}
            "run" => {
                self.needs_run(root, at, use_, report);
                let fields = RUN
                    .iter()
                    .chain(view.at_end.then_some(&RUN_AT_END).into_iter().flatten());
                if let Some(name) = rest.first()
                    && !fields.clone().any(|field| field == name)
                {
                    let known: Vec<&str> = fields.copied().collect();
                    let help = did_you_mean(name, known.iter().copied())
                        .unwrap_or_else(|| format!("it has {}", known.join(", ")));
                    report
                        .error("unknown-name", at, format!("a run has no `{name}` here"))
                        .help = Some(help);
                }
            }
            "output" | "before" if use_ == Use::Output => {}
            _ if use_ == Use::Observation => {}
            _ => {
                let mut known = vec!["params", "vars", "steps", "targets", "run", "env", "secrets"];
                known.extend(view.vars.iter().map(String::as_str));
                if use_ == Use::Output {
                    known.extend(["output", "before"]);
                }
                let own = (use_ == Use::Output && RESULTS.contains(root))
                    .then(|| format!("did you mean `output.{}`?", path.join(".")));
                let help = own
                    .or_else(|| self.declared(path))
                    .or_else(|| foreign::name(root).map(str::to_owned))
                    .or_else(|| did_you_mean(root, known.iter().copied()))
                    .unwrap_or_else(|| format!("known here: {}", known.join(", ")));
                report
                    .error("unknown-name", at, format!("`{root}` is not known here"))
                    .help = Some(help);
            }
        }
    }

    /// Where a name is declared that was written without that.
    fn declared(&self, path: &[&str]) -> Option<String> {
        let name = *path.first()?;
        let full = if self.params.contains_key(name) {
            format!("params.{}", path.join("."))
        } else if self.vars.contains(name) {
            format!("vars.{}", path.join("."))
        } else if self.env.contains(name) {
            format!("env.{name}")
        } else if self.secrets.contains(name) {
            format!("secrets.{name}")
        } else if self.steps.contains_key(name) || self.ended.has(name) {
            let rest: String = path[1..].iter().map(|part| format!(".{part}")).collect();
            format!("steps.{name}.output{rest}")
        } else {
            return None;
        };
        Some(format!("did you mean `{full}`?"))
    }

    fn needs_run(&self, root: &str, at: Span, use_: Use, report: &mut Report) {
        if use_ == Use::Load {
            let message =
                format!("`{root}` is known only when the plan runs, and this must be known when it loads");
            report.error("known-too-late", at, message).help =
                Some("only `params`, `vars` and `targets()` can stand here".to_owned());
        }
    }

    /// Reports references to steps that do not exist, do not come before, or put nothing out. To be called once all steps are
    /// known.
    pub(super) fn settle_steps(&mut self, report: &mut Report) {
        for Spanned { value: name, span } in std::mem::take(&mut self.outputs_read) {
            if let Some(what) = self.steps.get(&name).and_then(|known| known.silent) {
                let message = format!("`{name}` is {what}, which puts nothing out");
                report.error("no-output", span, message).help = Some(format!(
                    "`steps.{name}.status` says how it ended; only actions put something out"
                ));
            }
        }
        for Spanned { value: name, span } in std::mem::take(&mut self.pending) {
            match self.steps.get(&name) {
                None => unknown(
                    "unknown-step",
                    "there is no step",
                    &name,
                    self.steps.keys(),
                    span,
                    report,
                ),
                Some(StepName { in_loop: true, .. }) => {
                    let message = format!(
                        "`{name}` stands within a loop and has a result for each item: there is no single one"
                    );
                    report.error("step-in-loop", span, message);
                }
                Some(_) => {
                    let message = format!("`{name}` has not ended when this step starts");
                    report.error("later-step", span, message).help =
                        Some("a step sees the results of steps that come before it".to_owned());
                }
            }
        }
    }
}

fn secret_here(name: &str, at: Span, use_: Use, report: &mut Report) {
    let (message, help) = if use_ == Use::PublicArgument {
        (
            format!(
                "`{name}` is secret, and every user of the machine could read it here while the step runs"
            ),
            "the arguments of programs are public (`ps`): hand it over by `env` or `stdin`",
        )
    } else {
        (
            format!("`{name}` is secret and cannot be used here"),
            "secrets can stand in the arguments of actions only",
        )
    };
    report.error("secret-here", at, message).help = Some(help.to_owned());
}

fn unknown<'a, T: AsRef<str> + 'a>(
    code: &'static str,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a T>,
    at: Span,
    report: &mut Report,
) {
    let known: Vec<&str> = known.map(T::as_ref).collect();
    let help = did_you_mean(name, known.iter().copied()).or_else(|| match known.len() {
        0 => declare(code),
        1..=12 => Some(format!("there is {}", known.join(", "))),
        _ => None,
    });
    report.error(code, at, format!("{what} `{name}`")).help = help;
}

/// Where something is declared, for a plan that declares nothing of the kind.
fn declare(code: &str) -> Option<String> {
    let form = match code {
        "unknown-param" => "`params: {NAME: {type: string}}`",
        "unknown-var" => "`vars: {NAME: value}`",
        "unknown-secret" => "`secrets: {NAME: {env: VARIABLE}}`",
        _ => return None,
    };
    Some(format!("there is none at all; declare it: {form}"))
}

/// The place of a part of a text, if the source writes the text as it is; else the place of the text.
fn within(text: &str, span: Span, part: Option<std::ops::Range<usize>>, report: &Report) -> Span {
    let Some(part) = part else {
        return span;
    };
    let source = report.slice(span);
    let found = match source.find(text) {
        Some(at) => Some((at + part.start, at + part.end)),
        // A folded or indented text: look for the part itself.
        None => text
            .get(part)
            .filter(|part| part.len() > 1)
            .and_then(|part| source.find(part).map(|at| (at, at + part.len()))),
    };
    let Some((start, end)) = found else {
        return span;
    };
    let to_u32 = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span {
        file: span.file,
        start: span.start + to_u32(start),
        end: span.start + to_u32(end),
    }
}
