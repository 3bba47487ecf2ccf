//! A step as it is written.

use super::call::{self, Call, arguments};
use super::keys::{STEP, WATCH};
use super::loops::{Foreach, LoopOptions, foreach, sibling};
use super::monitors::MonitorSpec;
use super::options::Options;
use super::parts::Made;
use super::read::{
    Fields, count, duration_text, list, mapping, note_examples, text, texts, unknown_key, unknown_key_or,
    wrong,
};
use super::report::Report;
use super::yaml::{Entry, Kind, Spanned, Yaml};
use caxplan_model::{ShortText, Span};

/// A step.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Where to point at: its name, its first key.
    pub(super) span: Span,
    pub(super) id: Option<Spanned<ShortText>>,
    pub(super) options: Options,
    pub(super) body: Body,
    /// Of a step that the kind of the document makes.
    pub(super) made: Option<Box<Made>>,
}

/// What a step does.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// An action of an adapter, or a name that a library binds.
    Call(Call),
    Parallel {
        steps: Vec<Step>,
        max: Option<u32>,
    },
    Block {
        body: Vec<Step>,
        rescue: Vec<Step>,
        always: Vec<Step>,
    },
    Foreach(Box<Foreach>),
    Approve(Spanned<ShortText>),
    Checklist(Vec<Spanned<ShortText>>),
    Wait(Spanned<ShortText>),
    Watch(Box<WatchSpec>),
    /// Another plan.
    Run(RunSpec),
    /// What a monitor or an alert rule looks at.
    Monitor(Box<MonitorSpec>),
    /// What was wrong and has been reported.
    Broken,
}

/// Another plan, as a child run.
#[derive(Clone, Debug)]
pub(super) struct RunSpec {
    /// `FILE` or `FILE#ENTRY`, from the folder of the file that says so.
    pub(super) plan: Spanned<ShortText>,
    pub(super) params: Vec<Entry>,
}

/// A watch.
#[derive(Clone, Debug)]
pub(super) struct WatchSpec {
    pub(super) duration: Spanned<ShortText>,
    pub(super) every: Option<Spanned<ShortText>>,
    pub(super) observe: Option<Call>,
    pub(super) checks: Vec<Spanned<ShortText>>,
    pub(super) max_breaches: u32,
}

/// The forms of a step: its key, and the options that it takes beside `id`, `description`, `when`, `needs`,
/// `checkpoint` and `on_failure`.
const FORMS: &[(&str, &[&str])] = &[
    (
        "action",
        &[
            "with",
            "target",
            "retry",
            "timeout",
            "expect",
            "probe",
            "rollback",
            "availability",
        ],
    ),
    ("parallel", &["max_parallel"]),
    ("block", &["rescue", "always"]),
    (
        "foreach_node",
        &[
            "in",
            "var",
            "batch_size",
            "batch_delay",
            "max_failures",
            "max_unavailable",
        ],
    ),
    (
        "foreach",
        &[
            "steps",
            "in",
            "var",
            "batch_size",
            "batch_delay",
            "max_failures",
            "max_unavailable",
        ],
    ),
    ("approve", &[]),
    ("checklist", &[]),
    ("wait", &[]),
    ("watch", &["target"]),
    ("run", &["params", "timeout", "rollback"]),
];
const COMMON: &[&str] = &["id", "description", "when", "needs", "checkpoint", "on_failure"];
/// Reads a list of steps.
pub(super) fn read_all(yaml: &Yaml, report: &mut Report) -> Vec<Step> {
    let Some(items) = list(yaml, "steps", report) else {
        return Vec::new();
    };
    let mut steps: Vec<Step> = Vec::with_capacity(items.len());
    for item in items {
        if let Some(option) = sibling(item) {
            let over = LoopOptions::read(
                &Fields {
                    entries: std::slice::from_ref(option),
                    head: option.key.span,
                },
                report,
            );
            match steps.last_mut().map(|step| &mut step.body) {
                Some(Body::Foreach(foreach)) => {
                    foreach.options = over.over(std::mem::take(&mut foreach.options));
                }
                Some(Body::Broken) => {}
                Some(_) | None => {
                    let message = format!("`{}` stands below no `foreach_node`", option.key.value);
                    report.error("lost-option", option.key.span, message);
                }
            }
            continue;
        }
        steps.extend(read(item, report));
    }
    steps
}

/// Reads one step.
pub(super) fn read(yaml: &Yaml, report: &mut Report) -> Option<Step> {
    match &yaml.kind {
        Kind::Scalar { text: written, .. } if yaml.is_null() || written.is_empty() => {
            report.error("no-body", yaml.span, "this step does nothing").help =
                Some("a step is the name of an action, or a mapping".to_owned());
            None
        }
        Kind::Scalar { .. } => {
            let name = text(yaml, report)?;
            Some(Step::bare(name, None))
        }
        Kind::List(_) => wrong(yaml, "a step: a name, or a mapping", report),
        Kind::Map(entries) => Some(read_mapping(yaml, entries, report)),
    }
}

fn read_mapping(yaml: &Yaml, entries: &[Entry], report: &mut Report) -> Step {
    note_examples(entries, &STEP, report);
    let fields = Fields {
        entries,
        head: yaml.head(),
    };
    let forms: Vec<&Entry> = entries
        .iter()
        .filter(|entry| FORMS.iter().any(|(form, _)| *form == entry.key.value))
        .collect();
    let others: Vec<&Entry> = entries
        .iter()
        .filter(|entry| !STEP.has(&entry.key.value))
        .collect();
    let mut step = Step {
        span: yaml.head(),
        id: fields.text("id", report),
        options: Options::default(),
        body: Body::Broken,
        made: None,
    };
    // Beside what does not belong there, a name with a dot is still an action.
    let call = match others.as_slice() {
        [only] if is_call(only, entries) => Some(*only),
        _ => others.iter().copied().find(|entry| entry.key.value.contains('.')),
    };
    let (form, form_span) = match (forms.as_slice(), call) {
        ([form], _) => (form.key.value.as_str(), form.key.span),
        ([first, second, ..], _) => {
            let message = format!(
                "a step does one thing, and this one has both `{}` and `{}`",
                first.key.value, second.key.value
            );
            report.error("two-bodies", second.key.span, message).help =
                Some("make two steps of it: each begins with `-`".to_owned());
            return step;
        }
        ([], Some(call)) => {
            step.span = call.key.span;
            ("action", call.key.span)
        }
        ([], None) if others.is_empty() => {
            report.error("no-body", step.span, "this step does nothing").help = Some(
                "give it an `action`, or one of `parallel`, `block`, `foreach`, `approve`, `checklist`, `wait`, `watch`"
                    .to_owned(),
            );
            return step;
        }
        ([], None) => {
            for other in &others {
                unknown_key(&other.key, &STEP, report);
            }
            return step;
        }
    };
    let call = call.filter(|_| forms.is_empty());
    let allowed = FORMS
        .iter()
        .find(|(of, _)| *of == form)
        .map_or(&[][..], |(_, keys)| keys);
    for other in others
        .iter()
        .filter(|other| Some(other.key.span) != call.map(|call| call.key.span))
    {
        unknown_option(&other.key, form, call, allowed, report);
    }
    if others.len() > 1 && call.is_some_and(|call| call.value.is_null()) {
        // What it lacks is what stands beside it.
        return step;
    }
    for entry in entries {
        let key = entry.key.value.as_str();
        if key != form && STEP.has(key) && !allowed.contains(&key) && !COMMON.contains(&key) {
            let message = format!("`{key}` has no effect on `{form}`");
            let error = report.error("misplaced-key", entry.key.span, message);
            error.help = FORMS
                .iter()
                .find(|(_, keys)| keys.contains(&key))
                .map(|(of, _)| format!("`{key}` belongs to a step with `{of}`"));
        }
    }
    step.options = Options::read(&fields, report);
    if let Some(call) = call {
        if let Some(with) = arguments(&call.value, &call.key.value, report) {
            step.body = Body::Call(Call {
                action: call.key.clone(),
                with,
                done_when: None,
            });
        }
    } else {
        step.body = body(form, &fields, form_span, report).unwrap_or(Body::Broken);
        if let Body::Call(call) = &step.body {
            step.span = call.action.span;
        }
    }
    if let Body::Foreach(_) = step.body
        && step.options.when.is_some()
    {
        // It is the elements' condition, which sees the variable.
        step.options.when = None;
    }
    step
}

/// Reports a key beside a step's form that no step has.
fn unknown_option(
    key: &Spanned<ShortText>,
    form: &str,
    call: Option<&Entry>,
    allowed: &[&str],
    report: &mut Report,
) {
    if key.value.contains('.')
        && let Some(call) = call
    {
        let message = format!(
            "a step does one thing, and this one has both `{}` and `{}`",
            call.key.value, key.value
        );
        report.error("two-bodies", key.span, message).help =
            Some("make two steps of it: each begins with `-`".to_owned());
        return;
    }
    // What looks like an argument is one, whatever another tool calls so.
    let is_argument = ["script", "argv", "env", "cwd", "stdin"].contains(&key.value.as_str());
    if is_argument && call.is_none_or(|call| call.value.is_null()) && form == "action" {
        let message = format!("{} has no key `{}`", STEP.name, key.value);
        report.error("unknown-key", key.span, message).help = Some(match call {
            Some(call) => format!(
                "if `{}` is an argument of `{}`, indent it deeper than that",
                key.value, call.key.value
            ),
            None => format!("an argument stands below `with`: `with: {{{}: …}}`", key.value),
        });
        return;
    }
    let names: Vec<&str> = COMMON.iter().chain(allowed).copied().collect();
    let names = names.join(", ");
    let otherwise = match call {
        Some(call) if call.value.is_null() => format!(
            "if `{}` is an argument of `{}`, indent it deeper than that",
            key.value, call.key.value
        ),
        Some(_) => format!("beside an action with its arguments stand {names}"),
        None if form == "action" => {
            format!("an argument stands below `with`; beside an action stand {names}")
        }
        None => format!("beside `{form}` stand {names}"),
    };
    unknown_key_or(key, &STEP, otherwise, report);
}

/// Whether the only key that is no key of a step can be the name of an action: if it looks like one, or stands alone
/// with arguments.
fn is_call(entry: &Entry, entries: &[Entry]) -> bool {
    let has_arguments = entry.value.is_null() || matches!(entry.value.kind, Kind::Map(_));
    entry.key.value.contains('.') || (entries.len() == 1 && has_arguments)
}

/// The keys that say what a step does.
pub(super) fn form_names<'a>() -> impl Iterator<Item = &'a str> {
    FORMS.iter().map(|(form, _)| -> &'a str { form })
}

fn body(form: &str, fields: &Fields<'_>, span: Span, report: &mut Report) -> Option<Body> {
    let Some(yaml) = fields.get(form) else {
        let error = report.error("wrong-type", span, format!("`{form}` has no value"));
        error.help =
            Some("a `#` behind a blank begins a comment: a text that holds one stands in quotes".to_owned());
        return None;
    };
    Some(match form {
        "action" => {
            let action = text(yaml, report)?;
            let with = match fields.get("with") {
                Some(with) => arguments(with, "with", report)?,
                None => Vec::new(),
            };
            Body::Call(Call {
                action,
                with,
                done_when: None,
            })
        }
        "parallel" => Body::Parallel {
            steps: steps(yaml, report),
            max: fields.count("max_parallel", report),
        },
        "block" => {
            let part = |key: &str, report: &mut Report| {
                fields
                    .get(key)
                    .map_or_else(Vec::new, |yaml| read_all(yaml, report))
            };
            Body::Block {
                body: steps(yaml, report),
                rescue: part("rescue", report),
                always: part("always", report),
            }
        }
        "foreach_node" => Body::Foreach(Box::new(Foreach {
            over_nodes: true,
            options: LoopOptions::read(fields, report),
            steps: steps(yaml, report),
        })),
        "foreach" => foreach(yaml, fields, span, report)?,
        "approve" => Body::Approve(text(yaml, report)?),
        "checklist" => Body::Checklist(texts(yaml, report)),
        "wait" => Body::Wait(duration_text(yaml, report)?),
        "watch" => Body::Watch(Box::new(watch(yaml, report)?)),
        _ => Body::Run(RunSpec {
            plan: text(yaml, report)?,
            params: fields
                .get("params")
                .and_then(|yaml| mapping(yaml, "parameters by name", report))
                .unwrap_or_default()
                .to_vec(),
        }),
    })
}

/// The steps of a group, of which there must be some.
pub(super) fn steps(yaml: &Yaml, report: &mut Report) -> Vec<Step> {
    let steps = read_all(yaml, report);
    if let Kind::List(items) = &yaml.kind
        && items.is_empty()
    {
        report.error("no-steps", yaml.span, "there are no steps here");
    }
    steps
}

fn watch(yaml: &Yaml, report: &mut Report) -> Option<WatchSpec> {
    let fields = Fields::open(yaml, &WATCH, report)?;
    let duration = fields.get("for").and_then(|yaml| duration_text(yaml, report));
    let checks = fields
        .get("checks")
        .map_or_else(Vec::new, |yaml| texts(yaml, report));
    let every = fields.get("every").and_then(|yaml| duration_text(yaml, report));
    let observe = fields.get("observe").and_then(|yaml| call::read(yaml, report));
    let max_breaches = fields.count("max_breaches", report).unwrap_or(0);
    Some(WatchSpec {
        duration: duration?,
        every,
        observe,
        checks,
        max_breaches,
    })
}

/// Reads the options of a watch that an override may replace.
pub(super) fn override_watch(watch: &mut WatchSpec, fields: &Fields<'_>, report: &mut Report) {
    if let Some(duration) = fields.get("for").and_then(|yaml| duration_text(yaml, report)) {
        watch.duration = duration;
    }
    if let Some(every) = fields.get("every").and_then(|yaml| duration_text(yaml, report)) {
        watch.every = Some(every);
    }
    if let Some(checks) = fields.get("checks") {
        watch.checks = texts(checks, report);
    }
    if let Some(number) = fields.get("max_breaches").and_then(|yaml| count(yaml, report)) {
        watch.max_breaches = number;
    }
}
