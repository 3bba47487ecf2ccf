//! What it means that an engine takes a run up: the record `Resumed`.
//!
//! Where the last engine died, everything stands where it stood, and attempts that were going on are in doubt. Where
//! the run had *ended* (failed, cancelled, waiting, stuck), what failed gets a fresh set of attempts as well.

use super::group::Seen;
use super::shape::indices;
use super::standing::Part;
use super::state::State;
use super::status::{NodeStatus, UndoStatus};
use caxplan_model::{
    AttemptNo, CheckpointName, FailureEffect, FailureKind, InDoubtPolicy, NodeIndex, NodeKind, Outcome,
    RunEnd,
};

impl State {
    /// Whether a run that has succeeded can go on all the same: from a checkpoint that it has reached.
    pub(super) fn is_repeatable(&self, from: Option<&CheckpointName>) -> bool {
        self.run.final_end() == Some(RunEnd::Succeeded) && from.is_some_and(|from| self.is_reached(from))
    }

    pub(super) fn resumed(&mut self, in_doubt: InDoubtPolicy, from: Option<&CheckpointName>) {
        let ended = self.run.ended.take().is_some();
        let cancelled = self.run.cancel.take().is_some();
        self.run.live = true;
        self.run.paused = false;
        self.run.in_doubt = in_doubt;
        self.doubt_what_was_running();
        if self.run.rollback.is_some() {
            return;
        }
        if let Some(kept) = from.and_then(|name| self.checkpoint_order(name)) {
            self.reset_after(kept);
        }
        if ended || cancelled {
            self.reset_failures(cancelled);
        }
        self.rebuild();
    }

    fn doubt_what_was_running(&mut self) {
        for at in indices(&self.graph) {
            let acts = matches!(&self.graph.node(at).kind, NodeKind::Action(action) if !action.read_only);
            let state = &mut self.nodes[at.index()];
            match state.undoing.status {
                UndoStatus::Running(_) | UndoStatus::Retrying { .. } | UndoStatus::Failed => {
                    state.undoing.status = UndoStatus::NotTried;
                    state.undoing.round = 0;
                }
                UndoStatus::NotTried | UndoStatus::Undone => {}
            }
            let Part::Step(step) = &mut state.part else {
                continue;
            };
            if let NodeStatus::Running(attempt) = state.status {
                state.status = NodeStatus::InDoubt(attempt);
                step.may_have_acted |= acts;
                // An attempt that was lost does not count against the limit.
                step.round = step.round.saturating_sub(1);
            }
        }
    }

    /// `from: CHECKPOINT`: what started or ended after that record is as if it had not begun, attempts in doubt
    /// included: the person who says so decides that they run again.
    fn reset_after(&mut self, kept: u64) {
        for at in indices(&self.graph) {
            if self.nodes[at.index()].order > kept {
                self.forget(at);
            }
        }
        // What a loop runs over may be another list now. What its elements have done is remembered for a rollback.
        for (at, expansion) in self.loops.iter().filter(|(_, expansion)| expansion.order > kept) {
            self.graph.nodes[at.index()].kind = NodeKind::Foreach(expansion.foreach.clone());
            self.shapes.empty(*at);
        }
        // A group is as far as what is in it.
        let mut begun = vec![false; self.nodes.len()];
        for at in indices(&self.graph).rev() {
            let state = &self.nodes[at.index()];
            let group = !self.graph.node(at).kind.is_leaf();
            begun[at.index()] |= (!group && state.begun) || state.status.is_ended();
            if group && !begun[at.index()] {
                self.forget(at);
            }
            if let Some(parent) = self.parent(at) {
                begun[parent.index()] |= begun[at.index()];
            }
        }
    }

    /// Walks from the root to what failed, along what the run has not got past.
    fn reset_failures(&mut self, cancelled: bool) {
        let mut open = vec![NodeIndex::ROOT];
        while let Some(at) = open.pop() {
            let failed = matches!(self.status(at), NodeStatus::Failed(_));
            if failed {
                self.retry(at);
            } else if cancelled && self.graph.node(at).timeout.is_some() {
                // Whoever takes a cancelled run up again gives it its time anew.
                self.nodes[at.index()].timer = None;
            }
            match self.graph.node(at).kind {
                NodeKind::Block { body, rescue, always } => {
                    self.reset_block((body, rescue, always), failed || cancelled, &mut open);
                }
                NodeKind::Sequence { .. }
                | NodeKind::Parallel { .. }
                | NodeKind::Dag { .. }
                | NodeKind::Rolling(_) => {
                    // Failures that a rolling group tolerates stay what they are.
                    let retries = self.is_failing(at);
                    for child in &self.shapes.get(at).children()[self.gone_past(at)..] {
                        match self.seen(*child) {
                            Seen::Open if self.nodes[child.index()].begun => open.push(*child),
                            Seen::Failed(_) if retries => open.push(*child),
                            Seen::Open | Seen::Failed(_) | Seen::Well => {}
                        }
                    }
                }
                NodeKind::Foreach(_)
                | NodeKind::Action(_)
                | NodeKind::Wait { .. }
                | NodeKind::Watch(_)
                | NodeKind::Approve { .. }
                | NodeKind::Checklist(_) => {}
            }
        }
    }

    /// How many children of a group the run has got past, whatever became of them: those of earlier batches.
    fn gone_past(&self, group: NodeIndex) -> usize {
        let before = self.group(group).batch.checked_sub(1);
        let ends = self.shapes.get(group).batch_ends();
        before
            .and_then(|batch| ends.get(batch as usize))
            .map_or(0, |end| *end as usize)
    }

    /// A block whose body is tried anew cleans up anew: its `rescue` and `always` are as if they had not begun.
    fn reset_block(
        &mut self,
        (body, rescue, always): (NodeIndex, Option<NodeIndex>, Option<NodeIndex>),
        anew: bool,
        open: &mut Vec<NodeIndex>,
    ) {
        let seen = |node: Option<NodeIndex>| node.map(|node| self.seen(node));
        let begun = |node: Option<NodeIndex>| node.is_some_and(|node| self.nodes[node.index()].begun);
        let settled = match self.seen(body) {
            Seen::Open => false,
            Seen::Well => true,
            Seen::Failed(failure) => failure.policy.is_none() && seen(rescue) == Some(Seen::Well),
        };
        let failed = matches!(self.seen(body), Seen::Failed(_));
        let rescuing = failed && begun(rescue) && seen(rescue) == Some(Seen::Open);
        let cleaning = failed && begun(always);
        if settled || (cleaning && !anew && !rescuing) {
            open.extend(always);
            return;
        }
        if rescuing {
            open.extend(rescue);
        } else {
            open.push(body);
            if let Some(rescue) = rescue {
                self.forget_all(rescue);
            }
        }
        if let Some(always) = always {
            self.forget_all(always);
        }
    }

    /// A step or group that failed may be tried again; what it is known to have done stays known.
    fn retry(&mut self, node: NodeIndex) {
        self.over.remove(&node);
        let state = &mut self.nodes[node.index()];
        state.status = NodeStatus::Pending;
        state.timer = None;
        match &mut state.part {
            Part::Group(group) => {
                group.broken = false;
                state.status = NodeStatus::Active;
            }
            Part::Step(step) => {
                step.round = 0;
                if step.outcome.as_deref().is_some_and(leaves_in_doubt) {
                    state.status = NodeStatus::InDoubt(AttemptNo(step.attempts));
                }
            }
            Part::Watch { breaches } => *breaches = 0,
            Part::Wait | Part::Ask => {}
        }
    }

    /// A part of the tree is as if it had not begun. What is in doubt is settled when its turn comes again.
    fn forget_all(&mut self, node: NodeIndex) {
        let mut open = vec![node];
        while let Some(at) = open.pop() {
            if matches!(self.status(at), NodeStatus::InDoubt(_)) {
                self.nodes[at.index()].begun = false;
            } else {
                self.forget(at);
            }
            open.extend_from_slice(self.shapes.get(at).children());
        }
    }

    fn forget(&mut self, node: NodeIndex) {
        self.over.remove(&node);
        let state = &mut self.nodes[node.index()];
        state.status = NodeStatus::Pending;
        state.begun = false;
        state.timer = None;
        match &mut state.part {
            Part::Group(group) => {
                // The batch follows from the children.
                group.broken = false;
                group.expanded = false;
            }
            Part::Step(step) => {
                step.round = 0;
                step.answer = None;
                step.asked = false;
            }
            Part::Watch { breaches } => *breaches = 0,
            Part::Wait | Part::Ask => {}
        }
    }
}

/// Whether nobody can tell what became of an attempt that has an end: the connection was lost, or a person aborted it.
fn leaves_in_doubt(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Unknown { .. } => true,
        Outcome::Failed { cause, effect } => {
            *effect == FailureEffect::Possible
                && matches!(cause.kind, FailureKind::Cancelled | FailureKind::Lost)
        }
        Outcome::Changed { .. } | Outcome::Unchanged { .. } => false,
    }
}
