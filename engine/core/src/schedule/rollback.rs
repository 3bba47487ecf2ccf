//! Undoing: strictly one after the other, in reverse order of completion.

use super::backoff;
use super::event::Command;
use super::live::Activity;
use super::scheduler::{Scheduler, Turn};
use super::shape::indices;
use super::state::State;
use super::status::UndoStatus;
use caxplan_model::{AttemptNo, CheckpointName, NodeIndex, NodeKind, Record, RunEnd, Undo, UndoEnd};

impl State {
    /// What a rollback that is going on has still to undo, in the order in which it undoes: everything that may have
    /// acted after the checkpoint, by its last end (or start, if it never ended), the last first.
    pub fn to_undo(&self) -> Vec<NodeIndex> {
        let keep = self.run.rollback.map_or(0, |rollback| rollback.keep);
        let mut nodes: Vec<NodeIndex> = self
            .acted_after(keep)
            .filter(|at| self.is_undoable(*at))
            .collect();
        nodes.sort_by_key(|at| std::cmp::Reverse(self.nodes[at.index()].order));
        nodes
    }

    /// What may have acted and stays, because there is no way to undo it.
    pub fn cannot_undo(&self) -> Vec<NodeIndex> {
        let keep = self.run.rollback.map_or(0, |rollback| rollback.keep);
        self.acted_after(keep)
            .filter(|at| !self.is_undoable(*at))
            .collect()
    }

    fn acted_after(&self, keep: u64) -> impl Iterator<Item = NodeIndex> + '_ {
        indices(&self.graph).filter(move |at| {
            let needed = match &self.graph.node(*at).kind {
                NodeKind::Action(action) => !action.read_only && action.undo != Undo::NotNeeded,
                _ => false,
            };
            needed && self.may_have_acted(*at) && self.nodes[at.index()].order > keep
        })
    }

    fn is_undoable(&self, node: NodeIndex) -> bool {
        match &self.graph.node(node).kind {
            NodeKind::Action(action) => match &action.undo {
                Undo::Native | Undo::Calls(_) => true,
                Undo::NotNeeded | Undo::Impossible => false,
            },
            _ => false,
        }
    }
}

impl Scheduler {
    /// A person asked for it. A checkpoint that was not reached is refused: nothing happens.
    pub(super) fn request_rollback(
        &mut self,
        to: Option<CheckpointName>,
        reason: String,
        turn: &mut Turn<'_>,
    ) {
        let record = Record::RollbackStarted {
            at: turn.now,
            reason,
            to,
        };
        if self.state.check(&record).is_ok() {
            self.append(record, turn);
        }
    }

    /// Goes on with a rollback when nothing else goes on. Answers whether there is new work.
    pub(super) fn undo_next(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.to_undo.is_none() {
            self.live.reset();
            let mut nodes = self.state.to_undo();
            nodes.reverse();
            self.to_undo = Some(nodes);
        }
        if self.live.sleeping > 0 {
            return false;
        }
        let next = self.to_undo.as_ref().and_then(|nodes| nodes.last().copied());
        let Some(node) = next else {
            return self.finish(RunEnd::RolledBack, turn);
        };
        match self.state.undo_status(node) {
            UndoStatus::Retrying { due } if due > turn.now => self.sleep(node, due, turn),
            UndoStatus::NotTried | UndoStatus::Retrying { .. } => {
                let attempt = self.next_undo(node);
                let at = turn.now;
                self.append(Record::UndoStarted { at, node, attempt }, turn);
                self.live.set(node, Activity::Undoing);
                turn.out.push(Command::Undo { node, attempt });
            }
            UndoStatus::Failed => return self.finish(RunEnd::Stuck, turn),
            UndoStatus::Running(_) | UndoStatus::Undone => {}
        }
        false
    }

    pub(super) fn undone(&mut self, node: NodeIndex, attempt: AttemptNo, end: UndoEnd, turn: &mut Turn<'_>) {
        if self.live.activity(node) != Activity::Undoing
            || self.state.undo_status(node) != UndoStatus::Running(attempt)
        {
            return;
        }
        self.live.set(node, Activity::Idle);
        let tries = self.state.step(node).map_or(0, |step| step.undo_round);
        let retry_at = match &end {
            UndoEnd::Undone => None,
            UndoEnd::Failed { .. } => (tries < backoff::UNDO_ATTEMPTS_MAX).then(|| {
                let retry = backoff::undo_retry();
                turn.now
                    .after(backoff::pause(&retry, tries, self.state.run.seed, node, attempt))
            }),
        };
        if end == UndoEnd::Undone
            && let Some(nodes) = &mut self.to_undo
        {
            nodes.pop();
        }
        let record = Record::UndoEnded {
            at: turn.now,
            node,
            attempt,
            end,
            retry_at,
        };
        self.append(record, turn);
    }

    fn next_undo(&self, node: NodeIndex) -> AttemptNo {
        let attempts = self.state.step(node).map_or(0, |step| step.undo_attempts);
        AttemptNo(attempts).next()
    }
}
