//! `caxplan schedule conflicts`.

use super::from_time::FromTime;
use super::next::ui_name;
use super::sources::{Reader, Scheduled, Sources, With};
use crate::composition::registry;
use crate::failure::{Answer, FAILED, Failure, INVALID};
use crate::plan::{Checked, PlanArguments};
use crate::ui::{self, Listing};
use caxplan_core::calendar::{Becomes, Conflict, Over, Planned, conflicts};
use caxplan_core::preview::{Foresight, build, target_name};
use caxplan_model::{Duration, Graph, Map, NodeIndex, NodeKind, Overlap, Timestamp};
use caxplan_run::{Registry, StateDir, history};
use clap::Args;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::ExitCode;

/// How many starts of one plan are looked at.
const STARTS_MAX: usize = 10_000;

/// List the runs that would come into each other's way, with what would become of them
///
/// Two runs do if they hold the same lock or act on the same target at the same time, or if both are of one plan. How long
/// a run takes is taken from earlier ones (90% of them took no longer), else from the plan's time limits, else assumed.
/// Exit code 1 if there is a conflict.
#[derive(Debug, Args)]
pub(crate) struct Conflicts {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    with: With,
    #[command(flatten)]
    from: FromTime,
    /// How far to look ahead
    #[arg(long, value_name = "DURATION", default_value = "7d")]
    within: Duration,
    /// How long a run takes of which nothing is known
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    assume: Duration,
    /// How to list them
    #[arg(long, value_enum, default_value_t)]
    output: Listing,
}

/// A plan that could be loaded.
struct Known {
    scheduled: Scheduled,
    planned: Planned,
    /// Where the time that it takes was had from.
    basis: &'static str,
    /// Whether it acts on targets that only the run knows.
    is_vague: bool,
    /// Whether it has more starts than are looked at.
    is_cut: bool,
}

impl Conflicts {
    pub(crate) fn execute(self) -> Answer {
        let from = self.from.time()?;
        let dir = StateDir::locate()?;
        let registry = registry(&dir);
        let found = Reader::default().read(&self.sources)?;
        for bad in &found.bad {
            ui::say(&bad.all);
        }
        if found.scheduled.is_empty() && found.bad.is_empty() {
            return Err(
                Failure::invalid("there is no schedule").hint("give a plan one: `schedule: \"0 2 * * *\"`")
            );
        }
        let mut is_invalid = !found.bad.is_empty();
        let mut known = Vec::new();
        for scheduled in found.scheduled {
            match self.look(scheduled, from, &dir, &registry)? {
                Some(one) => known.push(one),
                None => is_invalid = true,
            }
        }
        for one in &known {
            let name = ui_name(&one.scheduled);
            if one.is_vague {
                ui::say(&format!(
                    "note: {name} acts on targets that only the run knows: they are not compared\n"
                ));
            }
            if one.is_cut {
                ui::say(&format!(
                    "note: of {name} the first {STARTS_MAX} starts are looked at\n"
                ));
            }
        }
        let plans: Vec<Planned> = known.iter().map(|one| one.planned.clone()).collect();
        let conflicts = conflicts(&plans);
        let list: Vec<_> = conflicts.iter().map(|of| as_json(of, &known)).collect();
        self.output.print(&list, || self.text(&conflicts, &known));
        Ok(match (is_invalid, conflicts.is_empty()) {
            (true, _) => ExitCode::from(INVALID),
            (false, true) => ExitCode::SUCCESS,
            (false, false) => ExitCode::from(FAILED),
        })
    }

    /// Loads a plan; `None` if it is invalid, which has been said.
    fn look(
        &self,
        scheduled: Scheduled,
        from: Timestamp,
        dir: &StateDir,
        registry: &Registry,
    ) -> Answer<Option<Known>> {
        let plan = PlanArguments {
            plan: Some(scheduled.path()),
            libraries: self.with.libraries.clone(),
            inventory: self.with.inventory.clone(),
            ..PlanArguments::default()
        };
        let graph = match plan.load_with(registry, &scheduled.schedule.params)? {
            Checked::Valid(loaded) => loaded.graph,
            Checked::Invalid(_) => return Ok(None),
        };
        let mut preview = build(&graph, &Foresight::of(&graph, &Map::new()), &BTreeMap::new());
        preview.remember(&history(dir, &scheduled.key.plan)?);
        let (takes, basis) = match &preview.expected {
            Some(usual) => (usual.p90, "as earlier runs took"),
            None if preview.worst.is_bounded() => (preview.worst.at_most, "by its time limits"),
            None => (preview.worst.at_most.max(self.assume), "assumed"),
        };
        let until = from.after(self.within);
        let mut starts = Vec::new();
        let mut at = from;
        while let Some(next) = scheduled.calendar.after(at).filter(|next| next.start < until) {
            starts.push(next.start);
            at = next.due;
            if starts.len() == STARTS_MAX {
                break;
            }
        }
        let (targets, is_vague) = targets(&graph);
        Ok(Some(Known {
            is_cut: starts.len() == STARTS_MAX,
            planned: Planned {
                starts,
                takes,
                overlap: scheduled.schedule.overlap,
                locks: graph.header.locks.clone(),
                policy: graph.header.lock_policy,
                targets,
            },
            scheduled,
            basis,
            is_vague,
        }))
    }

    fn text(&self, conflicts: &[Conflict], known: &[Known]) -> String {
        let mut text = String::new();
        for of in conflicts {
            let (one, other) = (&known[of.plan], &known[of.with]);
            let at = |at: Timestamp| one.scheduled.local(at);
            let (since, until) = of.other;
            let _ = writeln!(text, "{} {}", at(of.at), ui_name(&one.scheduled));
            let going_on = match of.plan == of.with {
                true => "the run before".to_owned(),
                false => ui_name(&other.scheduled),
            };
            let _ = writeln!(
                text,
                "  {going_on} is going on: {} to {} ({}, {})",
                one.scheduled.civil(since),
                one.scheduled.civil(until),
                other.planned.takes,
                other.basis,
            );
            let _ = writeln!(text, "  {}: {}", over(&of.over), becomes(of, one));
            if of.count > 1 {
                let more = of.count - 1;
                let _ = writeln!(text, "  {more} more times, the last {}", at(of.last));
            }
        }
        let count: u32 = conflicts.iter().map(|of| of.count).sum();
        let starts: usize = known.iter().map(|one| one.planned.starts.len()).sum();
        let _ = writeln!(
            text,
            "{starts} starts of {} plans within {}: {}",
            known.len(),
            self.within,
            match count {
                0 => "no conflict".to_owned(),
                1 => "1 conflict".to_owned(),
                count => format!("{count} conflicts"),
            }
        );
        text
    }
}

/// The targets that a plan's steps may change, and whether there are others that only the run knows.
fn targets(graph: &Graph) -> (BTreeSet<String>, bool) {
    let mut targets = BTreeSet::new();
    let mut is_vague = false;
    for (at, node) in (0..).map(NodeIndex).zip(&graph.nodes) {
        match &node.kind {
            NodeKind::Action(action) if !action.read_only => match target_name(graph, at) {
                Some(name) => {
                    targets.insert(name);
                }
                None => is_vague |= action.target.is_some(),
            },
            NodeKind::Foreach(foreach) => {
                let acts = |node: &caxplan_model::Node| matches!(&node.kind, NodeKind::Action(action) if !action.read_only && action.target.is_some());
                is_vague |= foreach.body.iter().any(acts);
            }
            _ => {}
        }
    }
    (targets, is_vague)
}

fn over(over: &Over) -> String {
    let list = |what: &str, names: &[String]| match names {
        [one] => format!("both {what} `{one}`"),
        [first, rest @ ..] => format!("both {what} `{first}` and {} more", rest.len()),
        [] => String::new(),
    };
    match over {
        Over::Plan => "both are runs of one plan".to_owned(),
        Over::Locks(locks) => {
            let names: Vec<String> = locks.iter().map(ToString::to_string).collect();
            list("hold the lock", &names)
        }
        Over::Targets(targets) => list("act on", targets),
    }
}

/// What becomes of a run, and what says so.
fn becomes(of: &Conflict, one: &Known) -> String {
    let overlap = match one.planned.overlap {
        Overlap::Forbid => "forbid",
        Overlap::Queue => "queue",
        Overlap::Allow => "allow",
    };
    let by = match of.over {
        Over::Plan => format!("`overlap: {overlap}`"),
        Over::Locks(_) => match one.planned.policy.if_held {
            caxplan_model::IfHeld::Refuse => "`if_held: refuse`".to_owned(),
            caxplan_model::IfHeld::Queue => "`if_held: queue`".to_owned(),
            caxplan_model::IfHeld::Skip => "`if_held: skip`".to_owned(),
        },
        Over::Targets(_) => "no lock keeps them apart".to_owned(),
    };
    match of.becomes {
        Becomes::LeftOut => format!("it is left out ({by})"),
        Becomes::Waits { until } => {
            let waits = until.since(of.at);
            format!("it waits {waits}, until {} ({by})", one.scheduled.civil(until))
        }
        Becomes::GivesUp { at } => format!(
            "it waits until {} and is refused then, exit code 6 (`wait_max`)",
            one.scheduled.civil(at)
        ),
        Becomes::Refused => format!("it is refused, exit code 6 ({by})"),
        Becomes::Beside => format!("both run beside each other ({by})"),
    }
}

fn as_json(of: &Conflict, known: &[Known]) -> serde_json::Value {
    let plan = |at: usize| {
        let one = &known[at];
        json!({
            "plan": one.scheduled.key.plan,
            "entry": one.scheduled.key.entry,
            "takes": one.planned.takes,
            "basis": one.basis,
        })
    };
    let utc = caxplan_run::utc;
    let (becomes, until) = match of.becomes {
        Becomes::LeftOut => ("left-out", None),
        Becomes::Waits { until } => ("waits", Some(until)),
        Becomes::GivesUp { at } => ("gives-up", Some(at)),
        Becomes::Refused => ("refused", None),
        Becomes::Beside => ("beside", None),
    };
    let (locks, targets) = match &of.over {
        Over::Plan => (json!([]), json!([])),
        Over::Locks(locks) => (json!(locks), json!([])),
        Over::Targets(targets) => (json!([]), json!(targets)),
    };
    json!({
        "run": plan(of.plan),
        "with": plan(of.with),
        "at": utc(of.at),
        "local": known[of.plan].scheduled.local(of.at),
        "other_from": utc(of.other.0),
        "other_until": utc(of.other.1),
        "locks": locks,
        "targets": targets,
        "becomes": becomes,
        "until": until.map(utc),
        "count": of.count,
        "last": utc(of.last),
    })
}
