//! Where a simulated run ended, and what it left behind.

use super::knowledge::{Knowledge, id_of, target_name};
use super::script::Script;
use super::story::Story;
use crate::schedule::{NodeStatus, indices};
use caxplan_model::{Duration, NodeIndex, NodeKind, RunEnd, StepId};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// How a simulated run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// All steps ended well.
    Succeeded,
    /// Everything that may have acted was undone, as far as it can be.
    RolledBack,
    /// A step failed; the run can be resumed.
    Failed,
    /// A step failed and the run waits, by `on_failure: pause`.
    Paused,
    /// A person interrupted it.
    Cancelled,
    /// It waits for an answer that the scenario does not give.
    Waiting,
    /// A person must say what became of a step.
    InDoubt,
    /// An undo failed.
    Stuck,
    /// The engine could not go on: a fault of caxplan itself.
    Faulty,
}

impl End {
    /// Its name for a person.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed, resumable",
            Self::Paused => "paused, resumable",
            Self::Cancelled => "cancelled, resumable",
            Self::Waiting => "waiting for an answer",
            Self::InDoubt => "waiting in doubt",
            Self::Stuck => "stuck",
            Self::Faulty => "FAULT OF CAXPLAN",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where a simulated run ended, and what it left behind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ending {
    /// How.
    pub end: End,
    /// Steps whose effect is there as a whole.
    pub changed: BTreeSet<StepId>,
    /// Steps that may have acted and did not end well, so that their effect may be there in part.
    pub half_applied: BTreeSet<StepId>,
    /// Steps that were undone.
    pub undone: BTreeSet<StepId>,
    /// Steps that may have acted and that a rollback cannot or could not undo. Empty unless there was a rollback.
    pub not_undone: BTreeSet<StepId>,
    /// Steps that a person must say something about.
    pub in_doubt: BTreeSet<StepId>,
    /// Targets with a step in `changed` or `half_applied`.
    pub targets_changed: BTreeSet<String>,
    /// Targets with a step in `half_applied`.
    pub targets_half_applied: BTreeSet<String>,
    /// Targets that are down.
    pub down: BTreeSet<String>,
    /// The most targets that were down at once.
    pub worst_down: BTreeSet<String>,
    /// Steps that had acted, ran again and are not idempotent.
    pub doubled: BTreeSet<StepId>,
    /// How long it took, if every attempt takes its time limit.
    pub duration: Duration,
    /// The fault of caxplan itself, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Ending {
    /// Where a story ends.
    pub fn of(story: &Story, script: &Script) -> Self {
        let state = &story.state;
        let knowledge = Knowledge::of(state, script, &BTreeSet::new());
        let mut this = Self {
            end: end_of(story),
            changed: BTreeSet::new(),
            half_applied: BTreeSet::new(),
            undone: BTreeSet::new(),
            not_undone: BTreeSet::new(),
            in_doubt: BTreeSet::new(),
            targets_changed: BTreeSet::new(),
            targets_half_applied: BTreeSet::new(),
            down: story.down.clone(),
            worst_down: story.worst_down.clone(),
            doubled: story
                .doubled
                .iter()
                .map(|node| id_of(state, *node).clone())
                .collect(),
            duration: story.duration(),
            fault: story.fault.clone(),
        };
        for node in indices(state.graph()) {
            let NodeKind::Action(action) = &state.graph().node(node).kind else {
                continue;
            };
            let id = id_of(state, node);
            if state.undo_status(node) == crate::schedule::UndoStatus::Undone {
                this.undone.insert(id.clone());
            }
            let status = state.status(node);
            if matches!(status, NodeStatus::InDoubt(_)) {
                this.in_doubt.insert(id.clone());
            }
            if action.read_only || !state.may_have_acted(node) {
                continue;
            }
            let target = target_name(&knowledge, state, node, action.target.as_deref(), script);
            let whole = matches!(status, NodeStatus::Succeeded { .. });
            let (steps, targets) = if whole {
                (&mut this.changed, None)
            } else {
                (&mut this.half_applied, Some(&mut this.targets_half_applied))
            };
            steps.insert(id.clone());
            if let Some(target) = target {
                if let Some(targets) = targets {
                    targets.insert(target.clone());
                }
                this.targets_changed.insert(target);
            }
        }
        if state.is_rolling_back() {
            this.not_undone = left_by_rollback(story);
        }
        this
    }
}

/// What a rollback leaves: what cannot be undone, and what was not undone yet.
fn left_by_rollback(story: &Story) -> BTreeSet<StepId> {
    let state = &story.state;
    let id = |node: NodeIndex| id_of(state, node).clone();
    state
        .cannot_undo()
        .into_iter()
        .chain(state.to_undo())
        .map(id)
        .collect()
}

fn end_of(story: &Story) -> End {
    if story.fault.is_some() {
        return End::Faulty;
    }
    let state = &story.state;
    let is = |wanted: fn(&NodeStatus) -> bool| indices(state.graph()).any(|node| wanted(state.status(node)));
    match story.end {
        Some(RunEnd::Succeeded) => End::Succeeded,
        Some(RunEnd::Failed) => End::Failed,
        Some(RunEnd::RolledBack) => End::RolledBack,
        Some(RunEnd::Stuck) => End::Stuck,
        Some(RunEnd::Cancelled) => End::Cancelled,
        Some(RunEnd::Waiting) if is(|status| matches!(status, NodeStatus::InDoubt(_))) => End::InDoubt,
        Some(RunEnd::Waiting) if is(|status| *status == NodeStatus::Asking) => End::Waiting,
        Some(RunEnd::Waiting) => End::Paused,
        None => End::Faulty,
    }
}
