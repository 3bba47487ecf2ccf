//! The plans within one file: a calendar, a policy, monitors and alert rules hold several.

use super::monitors::MonitorSpec;
use super::options::Options;
use super::phase::{Phase, PhaseOptions};
use super::plan::Plan;
use super::report::Report;
use super::request::Label;
use super::step::{Body, Step};
use super::suggest::did_you_mean;
use super::yaml::{Spanned, Yaml};
use crate::expand::slug;
use caxplan_model::{Duration, OnFailure, Schedule, ShortText, Value};

/// One plan of a file that holds several.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// What stands behind `#`.
    pub(super) name: Spanned<ShortText>,
    pub(super) description: String,
    pub(super) schedule: Option<Schedule>,
    pub(super) on_failure: Option<OnFailure>,
    pub(super) phases: Vec<Phase>,
    /// Of a monitor and of an alert rule: what is looked at.
    pub(super) monitor: Option<MonitorSpec>,
    /// Of an alert rule.
    pub(super) rule: Option<RuleSpec>,
}

/// When an alert fires, beside its condition.
#[derive(Clone, Debug)]
pub(super) struct RuleSpec {
    pub(super) severity: &'static str,
    pub(super) duration: Duration,
}

/// What is said of a step that the kind of the document makes, and not its author.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// What its templates can see beside everything else.
    pub(super) bindings: Vec<(&'static str, Bound)>,
    /// Why it is there, for the case that nothing binds its name.
    pub(super) why: String,
}

/// A value that is bound for a step.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    /// As it is.
    Plain(Value),
    /// As the file has it: with templates that must be settled when the plan loads.
    Written(Yaml),
}

impl Part {
    /// A part with one phase of its own name.
    pub(super) fn of_steps(name: Spanned<ShortText>, steps: Vec<Step>) -> Self {
        let phase = Phase {
            span: name.span,
            name: name.clone(),
            description: String::new(),
            steps,
            options: PhaseOptions::default(),
        };
        Self {
            name,
            description: String::new(),
            schedule: None,
            on_failure: None,
            phases: vec![phase],
            monitor: None,
            rule: None,
        }
    }
}

impl Step {
    /// A step of which nothing is said but what it does.
    pub(super) fn bare(name: Spanned<ShortText>, made: Option<Made>) -> Self {
        Self {
            span: name.span,
            id: None,
            options: Options::default(),
            body: Body::Call(super::call::Call {
                action: name,
                with: Vec::new(),
                done_when: None,
            }),
            made: made.map(Box::new),
        }
    }
}

/// Reports names that cannot stand behind `#`, and those that stand twice.
pub(super) fn check_names(parts: &[Part], report: &mut Report) {
    for (at, part) in parts.iter().enumerate() {
        let name = &part.name.value;
        if name.is_empty() || slug(name) != *name {
            let message = format!("`{name}` is no name: letters, digits, `_`, `-` and `.` make one");
            report.error("wrong-name", part.name.span, message);
        }
        if let Some(first) = parts[..at].iter().find(|other| other.name.value == *name) {
            let message = format!("`{name}` stands here a second time");
            let error = report.error("duplicate-id", part.name.span, message);
            error.others.push(Label::first_here(first.name.span));
        }
    }
}

impl Plan {
    /// The plan that one of its parts is.
    pub(super) fn part(&self, part: &Part, file: &str) -> Self {
        let name = self.name.clone().unwrap_or_else(|| super::load::stem(file));
        let own = |text: &String| (!text.is_empty()).then(|| text.clone());
        Self {
            head: part.name.span,
            name: Some(format!("{name}/{}", part.name.value)),
            description: own(&part.description).unwrap_or_else(|| self.description.clone()),
            schedule: part.schedule.clone(),
            on_failure: part.on_failure.or(self.on_failure),
            phases: part.phases.clone(),
            entry: Some(part.name.value.to_string()),
            parts: Vec::new(),
            ..self.clone()
        }
    }

    /// The plan that a user means who names `entry` of `file`, or no entry.
    pub(super) fn choose(self, entry: Option<&str>, file: &str, report: &mut Report) -> Option<Self> {
        let names: Vec<&str> = self.parts.iter().map(|part| part.name.value.as_str()).collect();
        match entry {
            None if !self.holds_parts => Some(self),
            // What is wrong has been said, and hides how many there are.
            None if report.has_errors() => None,
            None => {
                let message = match names.len() {
                    1 => format!("this file holds {}, which must be named", self.count(1)),
                    number => format!("this file holds {}, and one must be named", self.count(number)),
                };
                let all: Vec<String> = names.iter().map(|name| format!("`#{name}`")).collect();
                let all = all.join(", ");
                let help = match self.watches() {
                    true => format!("`caxplan check {file}` looks at all of them; one is named by {all}"),
                    false => format!(
                        "name it behind the file, as `{file}#{}`: there is {all}",
                        names.first().unwrap_or(&"NAME")
                    ),
                };
                report.error("which-entry", self.head, message).help = Some(help);
                None
            }
            Some(entry) if !self.holds_parts => {
                let message = format!("this file is one plan, which has no part `{entry}`");
                report.error("unknown-entry", self.head, message).help =
                    Some(format!("leave out what stands behind the file: `{file}`"));
                None
            }
            Some(entry) => match self.parts.iter().find(|part| part.name.value == entry) {
                Some(part) => Some(self.part(part, file)),
                None => {
                    let message = format!("this file holds no `{entry}`");
                    let help = did_you_mean(entry, names.iter().copied())
                        .unwrap_or_else(|| format!("it holds {}", names.join(", ")));
                    report.error("unknown-entry", self.head, message).help = Some(help);
                    None
                }
            },
        }
    }

    /// Whether its parts are to be checked rather than run.
    fn watches(&self) -> bool {
        self.parts.iter().any(|part| part.monitor.is_some())
    }

    fn count(&self, number: usize) -> String {
        let what = match self.parts.first() {
            Some(part) if part.rule.is_some() => "alert rule",
            Some(part) if part.monitor.is_some() => "monitor",
            Some(_) | None => "plan",
        };
        match number {
            1 => format!("one {what}"),
            number => format!("{number} {what}s"),
        }
    }
}
