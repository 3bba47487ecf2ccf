//! Monitors and alert rules as they are written.

use super::call::{self, Call};
use super::keys::{MONITOR, RULE, SEVERITIES};
use super::options::Options;
use super::parts::{Bound, Made, Part, RuleSpec};
use super::read::{Fields, list, mapping, texts};
use super::report::Report;
use super::step::{self, Body, Step};
use super::yaml::{Entry, Kind, Spanned, Yaml};
use caxplan_model::{Duration, Map, ShortText, Value};

/// How often is looked if nothing is said.
const EVERY: Duration = Duration::from_secs(30);

/// What is looked at.
#[derive(Clone, Debug)]
pub(super) struct MonitorSpec {
    /// What a library may bind to the observation.
    pub(super) name: Spanned<ShortText>,
    /// For messages: `the monitor`.
    pub(super) what: &'static str,
    pub(super) every: Duration,
    pub(super) observe: Option<Call>,
    pub(super) checks: Vec<Spanned<ShortText>>,
}

impl MonitorSpec {
    /// The step that looks at all of it once.
    pub(super) fn step(&self) -> Step {
        Step {
            span: self.name.span,
            id: Some(Spanned {
                value: "checks".to_owned().into(),
                span: self.name.span,
            }),
            options: Options::default(),
            body: Body::Monitor(Box::new(self.clone())),
            made: None,
        }
    }
}

/// Reads `health_checks`: monitors by name.
pub(super) fn read(yaml: &Yaml, report: &mut Report) -> Vec<Part> {
    let entries = mapping(yaml, "monitors by name", report).unwrap_or_default();
    if let (Kind::Map(_), true) = (&yaml.kind, entries.is_empty()) {
        report.error("no-steps", yaml.span, "there are no monitors here");
    }
    entries
        .iter()
        .filter_map(|Entry { key, value }| {
            let fields = Fields::open(value, &MONITOR, report)?;
            let checks = fields
                .get("checks")
                .map_or_else(Vec::new, |yaml| texts(yaml, report));
            if let (true, Some(Kind::List(_))) =
                (checks.is_empty(), fields.get("checks").map(|yaml| &yaml.kind))
            {
                report.error("no-steps", key.span, "there are no checks here");
            }
            let monitor = MonitorSpec {
                name: key.clone(),
                what: "the monitor",
                every: every(&fields, "interval", report),
                observe: fields.get("observe").and_then(|yaml| call::read(yaml, report)),
                checks,
            };
            let mut part = Part::of_steps(key.clone(), vec![monitor.step()]);
            part.description = description(&fields, report);
            part.monitor = Some(monitor);
            Some(part)
        })
        .collect()
}

/// Reads `alerts`: rules by severity. The plan that each becomes is its action.
pub(super) fn read_alerts(yaml: &Yaml, report: &mut Report) -> Vec<Part> {
    let Some(fields) = Fields::open(yaml, &SEVERITIES, report) else {
        return Vec::new();
    };
    let errors = report.errors();
    let mut parts = Vec::new();
    for severity in ["critical", "warning", "info"] {
        let Some(yaml) = fields.get(severity) else {
            continue;
        };
        for item in list(yaml, "alert rules", report).unwrap_or_default() {
            parts.extend(rule(severity, item, report));
        }
    }
    if parts.is_empty() && report.errors() == errors {
        report.error("no-steps", yaml.head(), "there are no alert rules here");
    }
    parts
}

fn rule(severity: &'static str, yaml: &Yaml, report: &mut Report) -> Option<Part> {
    let fields = Fields::open(yaml, &RULE, report)?;
    let name = fields.text("name", report);
    let condition = fields.text("condition", report);
    let mut action = fields.get("action").and_then(|yaml| step::read(yaml, report));
    let duration = fields.duration("duration", report).unwrap_or(Duration::ZERO);
    let every = every(&fields, "every", report);
    let observe = fields.get("observe").and_then(|yaml| call::read(yaml, report));
    let description = description(&fields, report);
    let (name, condition, mut action) = (name?, condition?, action.take()?);
    let alert = [
        ("name", Value::String(name.value.to_string())),
        ("severity", severity.into()),
        ("condition", condition.value.as_str().into()),
        ("description", description.clone().into()),
        // What was seen, and when, only a check can say.
        ("seen", "nothing: it was started by hand".into()),
        ("since", Value::Null),
    ];
    let alert: Map = alert
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    action.made = Some(Box::new(Made {
        bindings: vec![("alert", Bound::Plain(Value::Object(alert)))],
        why: format!("the alert `{}` fires it", name.value),
    }));
    let mut part = Part::of_steps(name.clone(), vec![action]);
    part.description = description;
    part.monitor = Some(MonitorSpec {
        name,
        what: "the alert rule",
        every,
        observe,
        checks: vec![condition],
    });
    part.rule = Some(RuleSpec { severity, duration });
    Some(part)
}

fn description(fields: &Fields<'_>, report: &mut Report) -> String {
    fields
        .text("description", report)
        .map_or_else(String::new, |text| text.value.to_string())
}

/// How often is looked: a busy loop is none.
fn every(fields: &Fields<'_>, key: &str, report: &mut Report) -> Duration {
    let every = fields.duration(key, report).unwrap_or(EVERY);
    if every == Duration::ZERO {
        let span = fields.get(key).map_or(fields.head, |yaml| yaml.span);
        report.error(
            "wrong-value",
            span,
            format!("`{key}` must be longer than nothing"),
        );
    }
    every
}
