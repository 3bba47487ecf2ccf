//! A step as it is written.

use super::call::{self, Call, arguments};
use super::keys::{LOOP, ON_FAILURE, STEP, WATCH};
use super::monitors::MonitorSpec;
use super::parts::Made;
use super::read::{
    Fields, count, duration_text, list, mapping, note_examples, text, texts, unknown_key, unknown_key_or,
    wrong,
};
use super::report::Report;
use super::retry;
use super::yaml::{Entry, Kind, Spanned, Yaml};
use caxplan_model::{Duration, OnFailure, Retry, ShortText, Span};
use std::sync::LazyLock;

pub(super) const ON_FAILURES: &[OnFailure] = &[
    OnFailure::Stop,
    OnFailure::Rollback,
    OnFailure::Continue,
    OnFailure::Pause,
];

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

/// A loop.
#[derive(Clone, Debug)]
pub(super) struct Foreach {
    /// Whether it is `foreach_node`, whose elements act on the node.
    pub(super) over_nodes: bool,
    pub(super) options: LoopOptions,
    pub(super) steps: Vec<Step>,
}

/// What is said of a loop.
#[derive(Clone, Debug, Default)]
pub(super) struct LoopOptions {
    pub(super) items: Option<Yaml>,
    pub(super) var: Option<Spanned<ShortText>>,
    pub(super) when: Option<Spanned<ShortText>>,
    pub(super) batch_size: Option<Spanned<ShortText>>,
    pub(super) batch_delay: Option<Spanned<ShortText>>,
    pub(super) max_failures: Option<Spanned<ShortText>>,
    pub(super) max_unavailable: Option<Spanned<ShortText>>,
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

/// What is said of a step beside what it does: of most steps of a large plan, nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Options(Option<Box<Said>>);

impl std::ops::Deref for Options {
    type Target = Said;

    fn deref(&self) -> &Said {
        static NOTHING: LazyLock<Said> = LazyLock::new(Said::default);
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl std::ops::DerefMut for Options {
    fn deref_mut(&mut self) -> &mut Said {
        self.0.get_or_insert_default()
    }
}

impl From<Said> for Options {
    fn from(said: Said) -> Self {
        Self((said != Said::default()).then(|| Box::new(said)))
    }
}

/// What can be said of a step beside what it does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) target: Option<Spanned<ShortText>>,
    pub(super) needs: Vec<Spanned<ShortText>>,
    pub(super) when: Option<Spanned<ShortText>>,
    pub(super) retry: Option<Box<Retry>>,
    pub(super) timeout: Option<Duration>,
    pub(super) expect: Vec<Spanned<ShortText>>,
    pub(super) probe: Option<Box<Call>>,
    pub(super) rollback: Option<Vec<Call>>,
    pub(super) availability: Option<i8>,
    pub(super) checkpoint: Option<Spanned<ShortText>>,
    pub(super) on_failure: Option<OnFailure>,
}

impl Options {
    /// The keys that say something.
    pub(super) fn said(&self) -> Vec<&'static str> {
        [
            ("target", self.target.is_some()),
            ("needs", !self.needs.is_empty()),
            ("when", self.when.is_some()),
            ("retry", self.retry.is_some()),
            ("timeout", self.timeout.is_some()),
            ("expect", !self.expect.is_empty()),
            ("probe", self.probe.is_some()),
            ("rollback", self.rollback.is_some()),
            ("availability", self.availability.is_some()),
            ("checkpoint", self.checkpoint.is_some()),
            ("on_failure", self.on_failure.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, is_said)| is_said.then_some(key))
        .collect()
    }

    /// What `self` says, and where it says nothing, what `base` says.
    pub(super) fn over(self, base: &Self) -> Self {
        let (Some(own), Some(base)) = (&self.0, &base.0) else {
            return if self.0.is_some() { self } else { base.clone() };
        };
        let (own, base) = (Said::clone(own), Said::clone(base));
        let or = |own: Vec<Spanned<ShortText>>, base| if own.is_empty() { base } else { own };
        Said {
            target: own.target.or(base.target),
            needs: or(own.needs, base.needs),
            when: own.when.or(base.when),
            retry: own.retry.or(base.retry),
            timeout: own.timeout.or(base.timeout),
            expect: or(own.expect, base.expect),
            probe: own.probe.or(base.probe),
            rollback: own.rollback.or(base.rollback),
            availability: own.availability.or(base.availability),
            checkpoint: own.checkpoint.or(base.checkpoint),
            on_failure: own.on_failure.or(base.on_failure),
        }
        .into()
    }

    pub(super) fn read(fields: &Fields<'_>, report: &mut Report) -> Self {
        fields.text("description", report);
        Said {
            target: fields.text("target", report),
            needs: fields
                .get("needs")
                .map_or_else(Vec::new, |yaml| texts(yaml, report)),
            when: fields.text("when", report),
            retry: fields
                .get("retry")
                .and_then(|yaml| retry::read(yaml, report))
                .map(Box::new),
            timeout: fields.duration("timeout", report),
            expect: fields
                .get("expect")
                .map_or_else(Vec::new, |yaml| texts(yaml, report)),
            probe: fields
                .get("probe")
                .and_then(|yaml| call::read(yaml, report))
                .map(Box::new),
            rollback: fields.get("rollback").map(|yaml| call::read_all(yaml, report)),
            availability: fields.word("availability", AVAILABILITIES, &[-1, 0, 1], report),
            checkpoint: fields.text("checkpoint", report),
            on_failure: fields.word("on_failure", ON_FAILURE, ON_FAILURES, report),
        }
        .into()
    }
}

impl LoopOptions {
    pub(super) fn over(self, base: Self) -> Self {
        Self {
            items: self.items.or(base.items),
            var: self.var.or(base.var),
            when: self.when.or(base.when),
            batch_size: self.batch_size.or(base.batch_size),
            batch_delay: self.batch_delay.or(base.batch_delay),
            max_failures: self.max_failures.or(base.max_failures),
            max_unavailable: self.max_unavailable.or(base.max_unavailable),
        }
    }

    pub(super) fn read(fields: &Fields<'_>, report: &mut Report) -> Self {
        Self {
            items: fields.get("in").cloned(),
            var: fields.text("var", report),
            when: fields.text("when", report),
            batch_size: fields.text("batch_size", report),
            batch_delay: fields
                .get("batch_delay")
                .and_then(|yaml| duration_text(yaml, report)),
            max_failures: fields.text("max_failures", report),
            max_unavailable: fields.text("max_unavailable", report),
        }
    }
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
/// What a step may say of its effect on the availability of its target.
const AVAILABILITIES: &[&str] = &["-1", "0", "1"];
const COMMON: &[&str] = &["id", "description", "when", "needs", "checkpoint", "on_failure"];
/// Options of a `foreach_node` that may stand below it in the list, as in the seed of the language.
const SIBLINGS: &[&str] = &[
    "in",
    "var",
    "batch_size",
    "batch_delay",
    "max_failures",
    "max_unavailable",
];

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

/// The option of a loop that is written as an item of its own.
fn sibling(item: &Yaml) -> Option<&Entry> {
    match &item.kind {
        Kind::Map(entries) => match entries.as_slice() {
            [only] if SIBLINGS.contains(&only.key.value.as_str()) => Some(only),
            _ => None,
        },
        Kind::Scalar { .. } | Kind::List(_) => None,
    }
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
fn steps(yaml: &Yaml, report: &mut Report) -> Vec<Step> {
    let steps = read_all(yaml, report);
    if let Kind::List(items) = &yaml.kind
        && items.is_empty()
    {
        report.error("no-steps", yaml.span, "there are no steps here");
    }
    steps
}

fn foreach(yaml: &Yaml, fields: &Fields<'_>, span: Span, report: &mut Report) -> Option<Body> {
    let beside = LoopOptions::read(fields, report);
    let options = match &yaml.kind {
        Kind::Map(_) => {
            let inner = Fields::open(yaml, &LOOP, report)?;
            beside.over(LoopOptions::read(&inner, report))
        }
        Kind::List(_) | Kind::Scalar { .. } => LoopOptions {
            items: Some(yaml.clone()),
            ..beside
        },
    };
    if options.items.is_none() {
        report.error(
            "missing-key",
            yaml.head(),
            "a foreach needs `in`: a list, or a template that yields one",
        );
    }
    let Some(inner) = fields.get("steps") else {
        report.error("missing-key", span, "a foreach needs `steps` beside it");
        return None;
    };
    Some(Body::Foreach(Box::new(Foreach {
        over_nodes: false,
        options,
        steps: steps(inner, report),
    })))
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
