//! Groups that may go on for some time only: phases and child plans with a `timeout`.
//!
//! The due time is a record like that of any timer, so that it stands across restarts. When it is over, nothing in the
//! group starts any more: what waits in it has failed with that record, what runs is aborted, and when the last of it
//! has ended, so has the group, as a failure.

use super::event::Command;
use super::live::Activity;
use super::scheduler::{Scheduler, Turn};
use super::state::State;
use super::status::{Failure, NodeStatus};
use caxplan_model::{Cause, FailureKind, NodeIndex, Outcome, Record};

impl State {
    /// Whether the time of a node, or of a group around it, is over.
    pub fn is_over(&self, node: NodeIndex) -> bool {
        self.over_around(node).is_some()
    }

    /// The nearest group whose time is over, beginning with the node itself.
    fn over_around(&self, node: NodeIndex) -> Option<NodeIndex> {
        if self.over.is_empty() {
            return None;
        }
        let mut at = Some(node);
        while let Some(current) = at {
            if self.over.contains(&current) {
                return at;
            }
            at = self.parent(current);
        }
        None
    }

    /// The nearest group around a node whose time is over and that has ended.
    pub(super) fn ended_over_around(&self, node: NodeIndex) -> Option<NodeIndex> {
        let over = self.over_around(node)?;
        if self.status(over).is_ended() {
            return Some(over);
        }
        self.ended_over_around(self.parent(over)?)
    }

    /// The time of a group is over: what waits in it has failed.
    pub(super) fn time_over(&mut self, group: NodeIndex) {
        self.over.insert(group);
        for at in self.inside(group) {
            let waits = match self.status(at) {
                NodeStatus::Active => self.graph.node(at).kind.is_leaf(),
                NodeStatus::Asking | NodeStatus::Retrying { .. } => true,
                NodeStatus::Pending
                | NodeStatus::Running(_)
                | NodeStatus::InDoubt(_)
                | NodeStatus::Succeeded { .. }
                | NodeStatus::Failed(_)
                | NodeStatus::Skipped => false,
            };
            if waits {
                self.nodes[at.index()].timer = None;
                // Its own `on_failure` does not speak: it is the group that failed.
                let (origin, policy) = (group, None);
                self.end(at, NodeStatus::Failed(Failure { origin, policy }));
            }
        }
        self.settle_over(group);
    }

    /// Ends the groups around a node whose time is over and in which nothing runs any more.
    pub(super) fn settle_over(&mut self, node: NodeIndex) {
        let mut at = self.over_around(node);
        while let Some(group) = at {
            if !self.status(group).is_ended() && !self.runs_inside(group) {
                let policy = self.graph.node(group).on_failure;
                let failure = Failure {
                    origin: group,
                    policy,
                };
                self.end(group, NodeStatus::Failed(failure));
            }
            at = self.parent(group).and_then(|parent| self.over_around(parent));
        }
    }

    fn runs_inside(&self, group: NodeIndex) -> bool {
        self.inside(group)
            .iter()
            .any(|at| matches!(self.status(*at), NodeStatus::Running(_) | NodeStatus::InDoubt(_)))
    }
}

impl Scheduler {
    /// Sees to the time limit of a group that is opened. Answers whether there is time left.
    pub(super) fn keep_time(&mut self, group: NodeIndex, turn: &mut Turn<'_>) -> bool {
        let Some(timeout) = self.state.graph.node(group).timeout else {
            return true;
        };
        if self.state.run.cancel.is_some() {
            return true;
        }
        if self.state.timer(group).is_none() {
            self.set_timer(group, timeout, turn);
        }
        match self.state.timer(group) {
            Some(due) if due <= turn.now => {
                self.end_time(group, turn);
                false
            }
            Some(due) => {
                turn.out.push(Command::ArmTimer { node: group, due });
                true
            }
            None => true,
        }
    }

    /// The timer of an open group went off. While the run is stopped it means nothing: it is looked at again when the run
    /// goes on.
    pub(super) fn look_at_the_clock(&mut self, group: NodeIndex, turn: &mut Turn<'_>) {
        if self.state.graph.node(group).timeout.is_none() || self.is_stopped() || self.state.is_over(group) {
            return;
        }
        self.keep_time(group, turn);
    }

    fn end_time(&mut self, group: NodeIndex, turn: &mut Turn<'_>) {
        let at = turn.now;
        self.append(Record::TimerFired { at, node: group }, turn);
        for node in self.state.inside(group) {
            match self.live.activity(node) {
                Activity::Idle | Activity::Asked(_) => {}
                Activity::Open | Activity::Queued | Activity::Sleeping | Activity::Waiting => {
                    self.live.set(node, Activity::Idle);
                }
                Activity::Preparing
                | Activity::Running
                | Activity::Probing
                | Activity::Observing
                | Activity::Undoing => turn.out.push(Command::Abort { node }),
            }
        }
        if self.state.status(group).is_ended() {
            self.ended(group);
        } else {
            self.give_up_what_is_in_doubt(group, turn);
        }
    }

    /// In a group whose time is over nobody finds out what became of a lost attempt: it counts as having acted perhaps,
    /// and is in doubt again when the run is resumed after its end.
    pub(super) fn give_up_what_is_in_doubt(&mut self, group: NodeIndex, turn: &mut Turn<'_>) {
        for node in self.state.inside(group) {
            if let NodeStatus::InDoubt(attempt) = *self.state.status(node)
                && self.live.activity(node) == Activity::Idle
            {
                let outcome = self.lost_when_over(node);
                self.finish_attempt(node, attempt, outcome, None, turn);
            }
        }
    }

    /// The outcome of an attempt of which nothing is known when the time is over.
    pub(super) fn lost_when_over(&self, node: NodeIndex) -> Outcome {
        let message = format!(
            "{}; what became of the attempt is not known",
            self.over_message(node)
        );
        Outcome::Unknown {
            cause: Cause::new(FailureKind::Timeout, message),
        }
    }

    /// The outcome of an attempt that was aborted because the time was over. One that failed by itself keeps its cause.
    pub(super) fn timed_out(&self, node: NodeIndex, outcome: Outcome) -> Outcome {
        let message = self.over_message(node);
        let because = |cause: Cause| match cause.kind {
            FailureKind::Cancelled => Cause::new(FailureKind::Timeout, message).with_detail(cause.detail),
            _ => cause,
        };
        match outcome {
            Outcome::Failed { cause, effect } => Outcome::Failed {
                cause: because(cause),
                effect,
            },
            Outcome::Unknown { cause } => Outcome::Unknown {
                cause: because(cause),
            },
            Outcome::Changed { .. } | Outcome::Unchanged { .. } => outcome,
        }
    }

    fn over_message(&self, node: NodeIndex) -> String {
        let group = self.state.over_around(node).unwrap_or(node);
        let group = self.state.graph.node(group);
        match group.timeout {
            Some(timeout) => format!("the time of `{}` was over ({timeout})", group.id),
            None => format!("the time of `{}` was over", group.id),
        }
    }
}
