//! Everything that one file holds, loaded at once.

use super::entries::{self, Entry};
use super::load::{Read, lower, open};
use super::parts::{Part, RuleSpec};
use super::plan::{self, Plan};
use super::report::Report;
use super::request::{Diagnostics, LoadRequest, Loaded};
use crate::expand::slug;
use caxplan_model::{Duration, Graph, Map, NodeIndex, NodeKind};

/// All plans that a file holds.
#[derive(Clone, Debug)]
pub struct All {
    /// Each with what it is loaded from, in the order of the file.
    pub plans: Vec<(Entry, Loaded)>,
    /// Warnings about any of them; their own are empty.
    pub warnings: Diagnostics,
}

/// All that a file of monitors or alert rules looks at.
#[derive(Clone, Debug)]
pub struct Monitors {
    /// In the order of the file.
    pub monitors: Vec<Monitor>,
    /// Warnings about any of them.
    pub warnings: Diagnostics,
}

/// What is looked at again and again: a monitor, or the condition of an alert rule.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// Its name.
    pub name: String,
    /// How often to look.
    pub every: Duration,
    /// What must be so; of an alert rule the one condition that must not.
    pub checks: Vec<Check>,
    /// The nodes that look. All of them only read.
    pub loaded: Loaded,
    /// Of an alert rule: when it fires, and what happens then.
    pub rule: Option<Rule>,
}

/// One check of a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// As it is written.
    pub text: String,
    /// An action, whose success is the check, or a watch, over whose observation it is a condition.
    pub node: NodeIndex,
}

/// When an alert fires, and what happens then.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `critical`, `warning` or `info`.
    pub severity: &'static str,
    /// How long the condition must hold.
    pub duration: Duration,
    /// The plan of its action. Its steps see `alert`.
    pub action: Loaded,
}

/// Loads every plan of a file, whether it holds one or several; `request.entry` is not looked at. Of monitors and alert
/// rules, what they look at is checked too.
///
/// # Errors
/// Everything that is wrong with any of them, all at once.
pub fn load_all(request: &LoadRequest<'_>, read: Read<'_>) -> Result<All, Diagnostics> {
    let mut report = Report::default();
    let Some(whole) =
        open(request.plan, None, read, &mut report).and_then(|yaml| plan::read(&yaml, &mut report))
    else {
        return Err(report.finish());
    };
    let entries = entries::of(&whole);
    let mut plans = Vec::with_capacity(entries.len());
    if whole.holds_parts {
        for (part, entry) in whole.parts.iter().zip(entries) {
            if part.rule.is_some() {
                lower(request, looking(&whole, part, request.plan), read, &mut report);
            }
            let graph = lower(request, whole.part(part, request.plan), read, &mut report);
            plans.extend(graph.map(|graph| (entry, loaded(graph))));
        }
    } else {
        let graph = lower(request, whole, read, &mut report);
        plans.extend(
            graph
                .map(loaded)
                .into_iter()
                .zip(entries)
                .map(|(graph, entry)| (entry, graph)),
        );
    }
    match report.has_errors() {
        true => Err(report.finish()),
        false => Ok(All {
            plans,
            warnings: report.finish(),
        }),
    }
}

/// Loads what a file of monitors or alert rules looks at; `request.entry` is not looked at.
///
/// # Errors
/// As [`load_all`]. It is one, too, if the file holds neither monitors nor alert rules.
pub fn monitors(request: &LoadRequest<'_>, read: Read<'_>) -> Result<Monitors, Diagnostics> {
    let mut report = Report::default();
    let Some(whole) =
        open(request.plan, None, read, &mut report).and_then(|yaml| plan::read(&yaml, &mut report))
    else {
        return Err(report.finish());
    };
    if whole.parts.iter().all(|part| part.monitor.is_none()) && !report.has_errors() {
        let message = "this file holds nothing to check";
        report.error("no-monitors", whole.head, message).help =
            Some("`health_checks` and `alerts` are checked; a plan is run, by `caxplan run`".to_owned());
    }
    let monitors = whole
        .parts
        .iter()
        .filter_map(|part| monitor(request, &whole, part, read, &mut report))
        .collect();
    match report.has_errors() {
        true => Err(report.finish()),
        false => Ok(Monitors {
            monitors,
            warnings: report.finish(),
        }),
    }
}

fn monitor(
    request: &LoadRequest<'_>,
    whole: &Plan,
    part: &Part,
    read: Read<'_>,
    report: &mut Report,
) -> Option<Monitor> {
    let spec = part.monitor.as_ref()?;
    let looking = lower(request, looking(whole, part, request.plan), read, report);
    let rule = match &part.rule {
        None => None,
        Some(RuleSpec { severity, duration }) => Some(Rule {
            severity,
            duration: *duration,
            action: loaded(lower(request, whole.part(part, request.plan), read, report)?),
        }),
    };
    let looking = loaded(looking?);
    let checks = spec.checks.iter().filter_map(|check| {
        Some(Check {
            text: check.value.to_string(),
            node: node_of(&looking.graph, &check.value)?,
        })
    });
    Some(Monitor {
        name: spec.name.value.to_string(),
        every: spec.every,
        checks: checks.collect(),
        loaded: looking,
        rule,
    })
}

/// The plan that looks at what a part watches, once.
fn looking(whole: &Plan, part: &Part, file: &str) -> Plan {
    let mut plan = whole.part(part, file);
    if let (Some(monitor), Some(phase)) = (&part.monitor, plan.phases.first_mut()) {
        phase.steps = vec![monitor.step()];
    }
    plan
}

/// The node that answers a check: the action of its name, else the one watch.
fn node_of(graph: &Graph, check: &str) -> Option<NodeIndex> {
    let name = slug(check);
    let position = |wanted: &dyn Fn(&NodeKind, &str) -> bool| {
        let at = graph
            .nodes
            .iter()
            .position(|node| wanted(&node.kind, &node.name))?;
        Some(NodeIndex(u32::try_from(at).ok()?))
    };
    position(&|kind, of| matches!(kind, NodeKind::Action(_)) && of == name)
        .or_else(|| position(&|kind, _| matches!(kind, NodeKind::Watch(_))))
}

fn loaded((graph, secret_params): (Graph, Map)) -> Loaded {
    Loaded {
        graph,
        secret_params,
        warnings: Diagnostics::default(),
    }
}
