//! Which records may follow which: a journal that breaks these rules is refused, not guessed at.

use super::standing::Part;
use super::state::{IllegalRecord, State};
use super::status::{NodeStatus, UndoStatus};
use crate::guard::checks_of;
use caxplan_model::{Answer, AttemptNo, NodeIndex, NodeKind, Outcome, Record, WaitReason};

type Check = Result<(), &'static str>;

const OVER: &str = "the time of the group around it is over";

fn must(condition: bool, else_reason: &'static str) -> Check {
    if condition { Ok(()) } else { Err(else_reason) }
}

impl State {
    pub(super) fn check(&self, record: &Record) -> Result<(), IllegalRecord> {
        let node = node_of(record);
        if let Some(node) = node
            && node.index() >= self.nodes.len()
        {
            return Err(self.illegal(None, format!("there is no node {}", node.0)));
        }
        self.check_run(record)
            .and_then(|()| self.check_node(record))
            .map_err(|reason| self.illegal(node, reason.to_owned()))?;
        match record {
            Record::PlanReplaced { graph, .. } => self
                .check_replacement(graph)
                .map_err(|reason| self.illegal(None, reason)),
            _ => Ok(()),
        }
    }

    pub(super) fn illegal(&self, node: Option<NodeIndex>, reason: String) -> IllegalRecord {
        IllegalRecord {
            seq: self.run.records + 1,
            node: node.map(|node| self.graph.node(node).id.to_string()),
            reason,
        }
    }

    /// What the record asks of the run.
    fn check_run(&self, record: &Record) -> Check {
        match record {
            Record::RunCreated { .. } => must(self.run.records == 0, "a run is created once"),
            Record::Resumed { from, .. } => {
                must(self.run.records > 0, "the run was not created")?;
                let over = self.run.final_end().is_some() && !self.is_repeatable(from.as_ref());
                must(!over, "the run has ended for good")
            }
            // A person may answer, cancel or ask for a rollback while no engine has the run.
            Record::Answered { .. } | Record::CancelRequested { .. } => {
                must(self.run.records > 0, "the run was not created")
            }
            Record::PlanReplaced { .. } => {
                must(self.run.records > 0, "the run was not created")?;
                must(self.run.final_end().is_none(), "the run has ended for good")?;
                must(self.run.rollback.is_none(), "the run only undoes")
            }
            Record::RollbackStarted { to, .. } => {
                must(self.run.records > 0, "the run was not created")?;
                must(self.run.rollback.is_none(), "it is rolled back already")?;
                must(
                    to.as_ref().is_none_or(|to| self.is_reached(to)),
                    "the checkpoint was not reached",
                )
            }
            Record::UndoStarted { .. } | Record::UndoEnded { .. } => {
                must(self.run.live, "no engine has the run")?;
                must(self.run.rollback.is_some(), "no rollback is going on")
            }
            Record::StepStarted { .. } => {
                must(self.run.live, "no engine has the run")?;
                must(
                    self.run.rollback.is_none(),
                    "nothing starts once the rollback has begun",
                )
            }
            Record::StepEnded { .. }
            | Record::Skipped { .. }
            | Record::Expanded { .. }
            | Record::TimerSet { .. }
            | Record::TimerFired { .. }
            | Record::Breached { .. }
            | Record::CheckedAnew { .. }
            | Record::Waiting { .. }
            | Record::Paused { .. }
            | Record::RunEnded { .. } => must(self.run.live, "no engine has the run"),
            Record::Notified { notification, .. } => must(
                self.to_notify().contains(notification),
                "the plan has no such notification of this end, or it was tried before",
            ),
        }
    }

    /// What the record asks of its node.
    fn check_node(&self, record: &Record) -> Check {
        match record {
            Record::RunCreated { .. }
            | Record::Resumed { .. }
            | Record::Paused { .. }
            | Record::CancelRequested { .. }
            | Record::RollbackStarted { .. }
            | Record::RunEnded { .. }
            | Record::PlanReplaced { .. }
            | Record::Notified { .. }
            | Record::Waiting {
                reason: WaitReason::Paused { .. },
                ..
            } => Ok(()),
            Record::StepStarted { node, attempt, .. } => {
                must(!self.is_over(*node), OVER)?;
                must(self.is_idle(*node), "the step cannot start from where it stands")?;
                self.check_next(*node, *attempt)
            }
            Record::StepEnded {
                node,
                attempt,
                outcome,
                ..
            } => self.check_end(*node, *attempt, outcome),
            Record::Skipped { node, .. } => must(
                matches!(self.status(*node), NodeStatus::Pending | NodeStatus::Active),
                "only what was not started can be skipped",
            ),
            Record::Expanded { node, .. } => must(
                !self.is_over(*node) && matches!(self.graph.node(*node).kind, NodeKind::Foreach(_)),
                "only a foreach is expanded, and once",
            ),
            Record::TimerSet { node, .. } => {
                let timed = match self.graph.node(*node).kind {
                    NodeKind::Wait { .. } | NodeKind::Watch(_) | NodeKind::Rolling(_) => true,
                    NodeKind::Sequence { .. } | NodeKind::Dag { .. } => {
                        self.graph.node(*node).timeout.is_some()
                    }
                    _ => false,
                };
                must(!self.is_over(*node), OVER)?;
                must(
                    timed && !self.status(*node).is_ended() && self.timer(*node).is_none(),
                    "no timer can be set here",
                )
            }
            Record::TimerFired { node, .. } => {
                must(!self.is_over(*node), OVER)?;
                must(self.timer(*node).is_some(), "no timer was set")
            }
            Record::Breached { node, .. } => must(
                *self.status(*node) == NodeStatus::Active
                    && matches!(self.nodes[node.index()].part, Part::Watch { .. }),
                "no watch is going on here",
            ),
            Record::CheckedAnew { node, .. } => {
                let checks = checks_of(&self.graph, *node);
                let made = |check: &NodeIndex| matches!(self.status(*check), NodeStatus::Succeeded { .. });
                must(
                    !checks.is_empty() && checks.iter().all(made),
                    "there is nothing to check again",
                )?;
                must(!self.is_over(*node), OVER)?;
                must(self.is_idle(*node), "the step cannot start from where it stands")
            }
            Record::Waiting {
                reason: WaitReason::Approval { node, .. },
                ..
            } => must(
                *self.status(*node) == NodeStatus::Pending
                    && !self.is_over(*node)
                    && matches!(self.nodes[node.index()].part, Part::Ask),
                "there is nothing to approve",
            ),
            Record::Waiting {
                reason: WaitReason::InDoubt { node, .. },
                ..
            } => must(self.is_in_doubt(*node), "the step is not in doubt"),
            Record::Answered { node, answer, .. } => {
                must(self.accepts(*node, answer), "nobody asked for this answer")
            }
            Record::UndoStarted { node, attempt, .. } => {
                let undoing = self.nodes[node.index()].undoing;
                must(self.is_to_be_undone(*node), "there is nothing to undo")?;
                must(
                    matches!(undoing.status, UndoStatus::NotTried | UndoStatus::Retrying { .. })
                        && attempt.0 == undoing.attempts + 1,
                    "this is not the next attempt at undoing it",
                )
            }
            Record::UndoEnded { node, attempt, .. } => must(
                self.undo_status(*node) == UndoStatus::Running(*attempt),
                "this attempt at undoing it is not going on",
            ),
        }
    }

    fn check_end(&self, node: NodeIndex, attempt: AttemptNo, outcome: &Outcome) -> Check {
        match *self.status(node) {
            NodeStatus::Running(current) | NodeStatus::InDoubt(current) => {
                must(current == attempt, "this attempt is not going on")
            }
            NodeStatus::Pending | NodeStatus::Active | NodeStatus::Retrying { .. } => {
                // It failed before it could start: its condition, arguments or list could not be had.
                must(
                    !outcome.is_success() && !outcome.may_have_acted(),
                    "what did not start cannot have acted",
                )?;
                match self.step(node) {
                    Some(_) => self.check_next(node, attempt),
                    None => Ok(()),
                }
            }
            NodeStatus::Asking
            | NodeStatus::Succeeded { .. }
            | NodeStatus::Failed(_)
            | NodeStatus::Skipped => Err("the step is not going on"),
        }
    }

    fn check_next(&self, node: NodeIndex, attempt: AttemptNo) -> Check {
        let step = self.step(node).ok_or("only actions have attempts")?;
        must(attempt.0 == step.attempts + 1, "this is not the next attempt")
    }

    fn is_idle(&self, node: NodeIndex) -> bool {
        matches!(
            self.status(node),
            NodeStatus::Pending | NodeStatus::Retrying { .. }
        )
    }

    fn is_in_doubt(&self, node: NodeIndex) -> bool {
        matches!(self.status(node), NodeStatus::InDoubt(_))
    }

    /// Whether a person may answer so at this point: events that do not fit are ignored, records are illegal.
    pub(super) fn accepts(&self, node: NodeIndex, answer: &Answer) -> bool {
        match answer {
            Answer::Approved | Answer::Rejected { .. } => *self.status(node) == NodeStatus::Asking,
            Answer::AssumeDone | Answer::Rerun | Answer::Fail => self.is_in_doubt(node),
        }
    }
}

fn node_of(record: &Record) -> Option<NodeIndex> {
    match record {
        Record::StepStarted { node, .. }
        | Record::StepEnded { node, .. }
        | Record::Skipped { node, .. }
        | Record::Expanded { node, .. }
        | Record::TimerSet { node, .. }
        | Record::TimerFired { node, .. }
        | Record::Breached { node, .. }
        | Record::CheckedAnew { node, .. }
        | Record::Answered { node, .. }
        | Record::UndoStarted { node, .. }
        | Record::UndoEnded { node, .. } => Some(*node),
        Record::Waiting { reason, .. } => match reason {
            WaitReason::Approval { node, .. } | WaitReason::InDoubt { node, .. } => Some(*node),
            WaitReason::Paused { .. } => None,
        },
        Record::RunCreated { .. }
        | Record::Resumed { .. }
        | Record::Paused { .. }
        | Record::CancelRequested { .. }
        | Record::RollbackStarted { .. }
        | Record::RunEnded { .. }
        | Record::PlanReplaced { .. }
        | Record::Notified { .. } => None,
    }
}
