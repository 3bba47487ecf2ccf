//! How many steps of a run stand where.

use crate::schedule::{NodeStatus, State};
use caxplan_model::{NodeIndex, NodeKind};
use serde::Serialize;
use std::fmt;

/// How many actions of a run stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StepCounts {
    /// Ended well, and changed something.
    pub changed: u32,
    /// Ended well, and changed nothing.
    pub unchanged: u32,
    /// Failed, and nothing else went on in their place.
    pub failed: u32,
    /// Failed within a group that ended well all the same: by its `rescue`, or since it may lose some.
    pub handled: u32,
    /// Nobody knows whether they acted.
    pub in_doubt: u32,
    /// Skipped, because a condition was false.
    pub skipped: u32,
    /// Not come to.
    pub not_run: u32,
}

impl StepCounts {
    /// Counts them.
    pub fn of(state: &State) -> Self {
        let mut counts = Self::default();
        for (at, node) in (0..).map(NodeIndex).zip(&state.graph().nodes) {
            if !matches!(node.kind, NodeKind::Action(_)) {
                continue;
            }
            *match state.status(at) {
                NodeStatus::Succeeded { changed: true } => &mut counts.changed,
                NodeStatus::Succeeded { changed: false } => &mut counts.unchanged,
                NodeStatus::Failed(_) if is_handled(state, at) => &mut counts.handled,
                NodeStatus::Failed(_) => &mut counts.failed,
                NodeStatus::InDoubt(_) | NodeStatus::Running(_) => &mut counts.in_doubt,
                NodeStatus::Skipped => &mut counts.skipped,
                NodeStatus::Pending
                | NodeStatus::Active
                | NodeStatus::Retrying { .. }
                | NodeStatus::Asking => &mut counts.not_run,
            } += 1;
        }
        counts
    }
}

/// Whether a group around a step has ended well.
fn is_handled(state: &State, step: NodeIndex) -> bool {
    std::iter::successors(state.parent(step), |group| state.parent(*group))
        .any(|group| matches!(state.status(group), NodeStatus::Succeeded { .. }))
}

impl fmt::Display for StepCounts {
    /// `steps: 3 changed something, 1 failed`, in the order in which people ask.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = [
            ("changed something", self.changed),
            ("changed nothing", self.unchanged),
            ("failed", self.failed),
            ("failed and were handled", self.handled),
            ("in doubt", self.in_doubt),
            ("skipped", self.skipped),
            ("not run", self.not_run),
        ]
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
        if parts.is_empty() {
            f.write_str("no steps")
        } else {
            write!(f, "steps: {}", parts.join(", "))
        }
    }
}
