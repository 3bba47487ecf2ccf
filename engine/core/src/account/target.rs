//! Where every target stands.

use super::build::{Trace, target};
use super::{TargetAccount, TargetState};
use crate::schedule::{NodeStatus, State, UndoStatus};
use caxplan_model::{NodeIndex, NodeKind, Outcome, StepId, Timestamp};
use std::collections::BTreeMap;

/// All targets that steps of the plan change, those first that were touched first. `reachable` are the nodes that are
/// not left out.
pub(super) fn targets(state: &State, traces: &[Trace], reachable: &[NodeIndex]) -> Vec<TargetAccount> {
    let mut changing: Vec<(Timestamp, NodeIndex)> = reachable
        .iter()
        .filter(
            |node| matches!(&state.graph().node(**node).kind, NodeKind::Action(action) if !action.read_only),
        )
        .map(|node| (traces[node.index()].first.unwrap_or(Timestamp(u64::MAX)), *node))
        .collect();
    changing.sort();
    let mut positions: BTreeMap<String, usize> = BTreeMap::new();
    let mut targets: Vec<TargetAccount> = Vec::new();
    for (_, node) in changing {
        let Some(name) = target(state, node) else { continue };
        let position = *positions.entry(name.clone()).or_insert_with(|| {
            targets.push(TargetAccount {
                name,
                state: TargetState::Unchanged,
                changed: Vec::new(),
                uncertain: Vec::new(),
                undone: Vec::new(),
                not_reached: 0,
            });
            targets.len() - 1
        });
        note(&mut targets[position], state, node);
    }
    targets
}

/// Takes in what one step did to its target.
fn note(target: &mut TargetAccount, state: &State, node: NodeIndex) {
    let id: StepId = state.graph().node(node).id.clone();
    let status = state.status(node);
    if state.undo_status(node) == UndoStatus::Undone {
        target.undone.push(id);
    } else if state.may_have_acted(node) {
        let half_undone = matches!(
            state.undo_status(node),
            UndoStatus::Failed | UndoStatus::Retrying { .. } | UndoStatus::Running(_)
        );
        let certain = matches!(state.outcome(node), Some(Outcome::Changed { .. })) && status.is_ended();
        if certain && !half_undone {
            target.changed.push(id);
        } else {
            let lost = matches!(status, NodeStatus::InDoubt(_) | NodeStatus::Running(_))
                || matches!(state.outcome(node), Some(Outcome::Unknown { .. }));
            let worst = if lost {
                TargetState::Unknown
            } else {
                TargetState::HalfApplied
            };
            target.state = target.state.max(worst);
            target.uncertain.push(id);
        }
    } else if !status.is_ended() {
        target.not_reached += 1;
    }
    let partly = !target.changed.is_empty() && (target.not_reached > 0 || !target.undone.is_empty());
    let so_far = if partly {
        TargetState::HalfApplied
    } else if !target.changed.is_empty() {
        TargetState::Changed
    } else if !target.undone.is_empty() {
        TargetState::Undone
    } else {
        TargetState::Unchanged
    };
    target.state = target.state.max(so_far);
}

/// The most steps that a line names.
const NAMED_MAX: usize = 2;

impl TargetState {
    /// For a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Undone => "undone",
            Self::Changed => "changed",
            Self::HalfApplied => "half applied",
            Self::Unknown => "unknown",
        }
    }
}

impl TargetAccount {
    /// One line for a person: the state, and by what.
    pub fn summary(&self) -> String {
        let count = |steps: &[StepId], what: &str| match steps {
            [] => None,
            steps if steps.len() <= NAMED_MAX => {
                let names: Vec<&str> = steps.iter().map(StepId::as_str).collect();
                Some(format!("{what} {}", names.join(" and ")))
            }
            steps => Some(format!("{what} {} steps", steps.len())),
        };
        let left = match self.not_reached {
            0 => None,
            1 => Some("1 step not reached".to_owned()),
            steps => Some(format!("{steps} steps not reached")),
        };
        let parts: Vec<String> = [
            count(&self.uncertain, "perhaps changed by"),
            count(
                &self.changed,
                // The state has said the rest.
                if self.state == TargetState::Changed {
                    "by"
                } else {
                    "changed by"
                },
            ),
            count(&self.undone, "restored from"),
            left,
        ]
        .into_iter()
        .flatten()
        .collect();
        if parts.is_empty() {
            "no step changed it".to_owned()
        } else {
            parts.join(", ")
        }
    }
}
