//! What came of one simulated run.

use super::fault::{FaultKind, Truth};
use crate::schedule::State;
use caxplan_model::{Duration, NodeIndex, NodeKind, Record, RunEnd, StepId, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What came of one simulated run.
#[derive(Clone, Debug)]
pub struct Story {
    /// Where everything stands.
    pub state: State,
    /// The journal; times are milliseconds since the start.
    pub records: Vec<Record>,
    /// How the run left its last engine.
    pub end: Option<RunEnd>,
    /// What the model could not go on from: a fault of caxplan itself.
    pub fault: Option<String>,
    /// The targets that are down.
    pub down: BTreeSet<String>,
    /// The most targets that were down at once.
    pub worst_down: BTreeSet<String>,
    /// Steps that had acted, ran again and are not idempotent.
    pub doubled: BTreeSet<NodeIndex>,
    /// Where something could have gone wrong, in order.
    pub(super) chances: Vec<Chance>,
    /// By fault of the script: at which chance it struck.
    pub(super) struck: BTreeMap<usize, usize>,
    /// What was taken to be so, because only a run knows.
    pub assumptions: BTreeSet<Assumption>,
    /// Steps that ran without a time limit.
    pub(super) without_limit: BTreeSet<StepId>,
}

/// A place where something can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chance {
    pub(super) node: NodeIndex,
    pub(super) opening: Opening,
}

/// What goes on where something can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Opening {
    /// An attempt of a step, the first in its engine.
    Attempt,
    /// The undo of a step.
    Undo,
    Watch,
    Approval,
    /// A condition of which only the run knows the value.
    When,
}

impl Opening {
    /// Where a fault strikes.
    pub(super) fn of(kind: FaultKind) -> Self {
        match kind {
            FaultKind::Fails
            | FaultKind::FailsMidway
            | FaultKind::TimesOut
            | FaultKind::InDoubt(_)
            | FaultKind::Interrupted => Self::Attempt,
            FaultKind::Breaches => Self::Watch,
            FaultKind::Rejected => Self::Approval,
            FaultKind::UndoFails => Self::Undo,
            FaultKind::NotTaken => Self::When,
        }
    }
}

/// What was taken to be so, because only a run knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "assumed", rename_all = "kebab-case")]
pub enum Assumption {
    /// A condition is true, unless the scenario says otherwise.
    Taken {
        /// The node whose condition it is.
        id: StepId,
        /// What is not known.
        what: String,
    },
    /// A list has this many items.
    Items {
        /// The loop.
        id: StepId,
        /// What is not known.
        what: String,
        /// How many.
        items: u32,
    },
    /// A wait takes no time.
    NoTime {
        /// The wait, watch or loop.
        id: StepId,
        /// What is not known.
        what: String,
    },
}

impl Story {
    /// How long it took.
    pub fn duration(&self) -> Duration {
        let last = self.records.last().map_or(Timestamp(0), Record::at);
        last.since(Timestamp(0))
    }

    /// What can go wrong at a chance.
    pub(super) fn faults_at(&self, chance: &Chance) -> Vec<FaultKind> {
        match chance.opening {
            Opening::Undo => vec![FaultKind::UndoFails],
            Opening::Watch => vec![FaultKind::Breaches, FaultKind::Interrupted],
            Opening::Approval => vec![FaultKind::Rejected],
            Opening::When => vec![FaultKind::NotTaken],
            Opening::Attempt => match &self.state.graph().node(chance.node).kind {
                NodeKind::Action(action) if action.read_only => vec![
                    FaultKind::Fails,
                    FaultKind::InDoubt(Truth::NotDone),
                    FaultKind::Interrupted,
                ],
                NodeKind::Action(action) => {
                    let mut kinds = vec![FaultKind::Fails, FaultKind::FailsMidway, FaultKind::TimesOut];
                    if action.probes || action.probe.is_some() {
                        kinds.extend([
                            FaultKind::InDoubt(Truth::Done),
                            FaultKind::InDoubt(Truth::NotDone),
                        ]);
                    }
                    kinds.extend([FaultKind::InDoubt(Truth::Unknown), FaultKind::Interrupted]);
                    kinds
                }
                _ => Vec::new(),
            },
        }
    }
}
