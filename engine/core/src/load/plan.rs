//! A plan as it is written.

use super::calendar;
use super::call::{self, Call};
use super::foreign;
use super::invariant::{self, Invariants};
use super::keys::{AGE, AGE_IDENTITY, BODIES, DEFAULTS, ON_FAILURE, Object, PLAN, SECRET, STRATEGY};
use super::lock::{self, Locks};
use super::monitors;
use super::notify::{self, Notify};
use super::options::ON_FAILURES;
use super::param::{self, Param};
use super::parts::{self, Part};
use super::phase::{self, Phase};
use super::policy;
use super::read::{Fields, mapping, text, texts};
use super::report::Report;
use super::retry;
use super::schedule;
use super::yaml::{Entry, Kind, Spanned, Yaml, to_map};
use caxplan_model::{Duration, Map, OnFailure, Retry, Schedule, ShortText, Span};

/// The version of the language that this engine reads.
const LANGUAGE: u32 = 1;

/// A plan.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Where to point at for what concerns the whole plan.
    pub(super) head: Span,
    pub(super) name: Option<String>,
    pub(super) description: String,
    pub(super) params: Vec<Param>,
    pub(super) vars: Vec<Entry>,
    pub(super) libraries: Vec<Spanned<ShortText>>,
    pub(super) inventory: Option<Yaml>,
    pub(super) secrets: Vec<Entry>,
    pub(super) env: Vec<Spanned<ShortText>>,
    pub(super) locks: Locks,
    pub(super) defaults: Defaults,
    pub(super) on_failure: Option<OnFailure>,
    pub(super) max_parallel: u32,
    pub(super) overrides: Vec<Entry>,
    pub(super) schedule: Option<Schedule>,
    pub(super) notify: Vec<Notify>,
    pub(super) invariants: Invariants,
    pub(super) phases: Vec<Phase>,
    /// What a plan sees that runs this one as a child.
    pub(super) outputs: Vec<Entry>,
    /// Where it says something that has no effect in a child plan, and what.
    pub(super) alone: Vec<(&'static str, Span)>,
    /// What stands behind `#`, of a plan that is one of several in its file.
    pub(super) entry: Option<String>,
    /// Whether the file holds several plans: then it has no phases of its own.
    pub(super) holds_parts: bool,
    pub(super) parts: Vec<Part>,
}

/// What actions get that say nothing of their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    pub(super) retry: Option<Retry>,
    pub(super) timeout: Option<Duration>,
    /// By adapter.
    pub(super) arguments: Vec<(String, Vec<Entry>)>,
    pub(super) observe: Option<Call>,
}

impl Defaults {
    pub(super) fn read(yaml: &Yaml, report: &mut Report) -> Self {
        let Some(fields) = Fields::open(yaml, &DEFAULTS, report) else {
            return Self::default();
        };
        let mut arguments = Vec::new();
        if let Some(yaml) = fields.get("arguments") {
            for Entry { key, value } in mapping(yaml, "arguments by adapter", report).unwrap_or_default() {
                let by_name = mapping(value, "arguments by name", report).unwrap_or_default();
                arguments.push((key.value.to_string(), by_name.to_vec()));
            }
        }
        Self {
            retry: fields.get("retry").and_then(|yaml| retry::read(yaml, report)),
            timeout: fields.duration("timeout", report),
            arguments,
            observe: fields.get("observe").and_then(|yaml| call::read(yaml, report)),
        }
    }
}

/// Reads a plan. `None` if the document is none, which has been reported then.
pub(super) fn read(yaml: &Yaml, report: &mut Report) -> Option<Plan> {
    let Some(entries) = mapping(yaml, "a plan", report) else {
        if let Kind::List(_) = yaml.kind {
            report.help(foreign::PLAYBOOK.to_owned());
        }
        return None;
    };
    let has = |key: &str| entries.iter().find(|entry| entry.key.value == key);
    let bodies: Vec<(&Entry, &Object)> = BODIES
        .iter()
        .filter_map(|(key, object)| has(key).map(|entry| (entry, *object)))
        .collect();
    if bodies.is_empty() {
        for (key, kind, use_) in [
            (
                "actions",
                "an action library",
                "name it in a plan's `use`, or give it with `--use`",
            ),
            (
                "inventory",
                "an inventory",
                "name it in a plan's `inventory`, or give it with `--inventory`",
            ),
        ] {
            if let Some(entry) = has(key)
                && (key == "actions" || has("phases").is_none())
            {
                let message = format!("`{key}` makes this file {kind}, which is nothing to run");
                report.error("no-plan", entry.key.span, message).help = Some(use_.to_owned());
                return None;
            }
        }
    }
    if let Some((second, _)) = bodies.get(1) {
        let message = format!("a plan has one body, and this one has `{}` too", second.key.value);
        report.error("two-bodies", second.key.span, message);
    }
    let object = bodies.first().map_or(&PLAN, |(_, object)| *object);
    let fields = Fields::open(yaml, object, report)?;
    let Some((body, _)) = bodies.first() else {
        report
            .error("no-body", yaml.head(), "this plan has nothing to run")
            .help =
            Some("give it `phases`, or `upgrade_strategy` or `strategy` with `phases` in it".to_owned());
        return None;
    };
    check_language(&fields, report);
    let times = fields.get("schedule");
    let (phases, parts) = match body.key.value.as_str() {
        "phases" => (Some(&body.value), None),
        "maintenance" => (None, Some(calendar::read(&body.value, times, report))),
        "backup" => (
            None,
            Some(policy::read(&body.value, body.key.span, times, report)),
        ),
        "health_checks" => (None, Some(monitors::read(&body.value, report))),
        "alerts" => (None, Some(monitors::read_alerts(&body.value, report))),
        _ => {
            let strategy = Fields::open(&body.value, &STRATEGY, report)?;
            strategy.word("type", &["rolling", "sequential"], &[(), ()], report);
            (strategy.get("phases"), None)
        }
    };
    parts::check_names(parts.as_deref().unwrap_or_default(), report);
    let entries_of = |key: &str, what: &str, report: &mut Report| {
        fields
            .get(key)
            .and_then(|yaml| mapping(yaml, what, report))
            .unwrap_or_default()
            .to_vec()
    };
    let texts_of =
        |key: &str, report: &mut Report| fields.get(key).map_or_else(Vec::new, |yaml| texts(yaml, report));
    Some(Plan {
        head: body.key.span,
        name: fields
            .text("name", report)
            .map(|name| name.value)
            .map(String::from),
        description: fields
            .text("description", report)
            .map_or_else(String::new, |text| text.value.to_string()),
        params: fields
            .get("params")
            .map_or_else(Vec::new, |yaml| param::read(yaml, report)),
        vars: entries_of("vars", "variables by name", report),
        libraries: texts_of("use", report),
        inventory: fields.get("inventory").cloned(),
        secrets: secrets(&fields, report),
        env: texts_of("env", report),
        locks: fields
            .get("lock")
            .map_or_else(Locks::default, |yaml| lock::read(yaml, report)),
        defaults: fields
            .get("defaults")
            .map_or_else(Defaults::default, |yaml| Defaults::read(yaml, report)),
        on_failure: fields.word("on_failure", ON_FAILURE, ON_FAILURES, report),
        max_parallel: fields.count("max_parallel", report).unwrap_or(0),
        overrides: entries_of("overrides", "options by path", report),
        schedule: times
            .filter(|_| parts.is_none())
            .and_then(|yaml| schedule::read(yaml, report)),
        notify: fields
            .get("notify")
            .map_or_else(Vec::new, |yaml| notify::read(yaml, report)),
        invariants: match (fields.get("invariants"), fields.key("invariants")) {
            (Some(yaml), Some(key)) => invariant::read(yaml, key, report),
            _ => Invariants::default(),
        },
        outputs: entries_of("outputs", "templates by name", report),
        alone: ["schedule", "notify", "max_parallel"]
            .into_iter()
            .filter_map(|key| Some((key, fields.key(key)?)))
            .collect(),
        phases: phases.map_or_else(Vec::new, |yaml| phase::read_all(yaml, report)),
        entry: None,
        holds_parts: parts.is_some(),
        parts: parts.unwrap_or_default(),
    })
}

/// Refuses a file that is written for another version of the language.
pub(super) fn check_language(fields: &Fields<'_>, report: &mut Report) {
    if let Some(version) = fields.count("caxplan", report)
        && version != LANGUAGE
    {
        let span = fields.get("caxplan").map_or(fields.head, |yaml| yaml.span);
        let message = format!(
            "this file is written for version {version} of the language; this engine reads {LANGUAGE}"
        );
        report.error("wrong-version", span, message);
    }
}

fn secrets(fields: &Fields<'_>, report: &mut Report) -> Vec<Entry> {
    let Some(yaml) = fields.get("secrets") else {
        return Vec::new();
    };
    let entries = mapping(yaml, "secrets by name", report).unwrap_or_default();
    for Entry { key, value } in entries {
        if let Kind::Scalar { .. } = value.kind {
            let message = format!(
                "expected where the secret comes from as a mapping, found {}",
                value.describe()
            );
            report.error("wrong-type", value.head(), message).help = Some(format!(
                "a secret stands in no plan: write `{}: {{file: PATH}}`, `{{env: NAME}}` or `{{command: [program]}}`",
                key.value
            ));
            continue;
        }
        let Some(secret) = Fields::open(value, &SECRET, report) else {
            continue;
        };
        if secret.entries.len() != 1 {
            let message = format!(
                "the secret `{}` needs one of `env`, `file`, `command` or `age`",
                key.value
            );
            report.error("wrong-secret", key.span, message);
        }
        secret.text("env", report);
        secret.text("file", report);
        if let Some(age) = secret
            .get("age")
            .and_then(|yaml| Fields::open(yaml, &AGE, report))
        {
            age.text("file", report);
            age.text("key", report);
            match age.get("identity").map(|yaml| (yaml, &yaml.kind)) {
                Some((yaml, Kind::Map(_))) => {
                    if let Some(identity) = Fields::open(yaml, &AGE_IDENTITY, report) {
                        identity.text("env", report);
                    }
                }
                Some((yaml, _)) => {
                    text(yaml, report);
                }
                None => {}
            }
        }
        if let Some(command) = secret.get("command") {
            match &command.kind {
                Kind::List(items) if !items.is_empty() => {
                    for item in items {
                        text(item, report);
                    }
                }
                Kind::List(_) | Kind::Scalar { .. } | Kind::Map(_) => {
                    let message = "expected a list: the program and its arguments";
                    report.error("wrong-type", command.head(), message);
                }
            }
        }
    }
    entries.to_vec()
}

impl Plan {
    /// Where secrets come from, as data.
    pub(super) fn secret_sources(&self) -> Map {
        to_map(&self.secrets)
    }
}
