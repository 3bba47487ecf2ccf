//! Undoing: strictly one after the other, in reverse order of completion.

use super::backoff;
use super::event::Command;
use super::live::Activity;
use super::scheduler::{Scheduler, Turn};
use super::shape::indices;
use super::state::State;
use super::status::UndoStatus;
use caxplan_model::{AttemptNo, CheckpointName, NodeIndex, NodeKind, Record, RunEnd, Undo, UndoEnd};
use std::collections::{BTreeMap, BTreeSet};

impl State {
    /// What a rollback that is going on has still to undo, in the order in which it undoes: everything that may have
    /// acted after the checkpoint, by its last end (or start, if it never ended), the last first.
    pub fn to_undo(&self) -> Vec<NodeIndex> {
        let mut orders: BTreeMap<NodeIndex, u64> = BTreeMap::new();
        for (at, undoes) in self.with_what_undoes_it() {
            if undoes != at || self.is_undoable(at) {
                let order = orders.entry(undoes).or_default();
                *order = self.nodes[at.index()].order.max(*order);
            }
        }
        let mut nodes: Vec<NodeIndex> = orders.keys().copied().collect();
        nodes.sort_by_key(|at| std::cmp::Reverse(orders[at]));
        nodes
    }

    /// What may have acted and stays, because there is no way to undo it.
    pub fn cannot_undo(&self) -> Vec<NodeIndex> {
        self.with_what_undoes_it()
            .into_iter()
            .filter(|(at, undoes)| undoes == at && self.undo_of(*at) == Some(&Undo::Impossible))
            .map(|(at, _)| at)
            .collect()
    }

    /// Whether an undo of this node would have something to do.
    pub(super) fn is_to_be_undone(&self, node: NodeIndex) -> bool {
        if self.graph.node(node).undo.is_empty() {
            return self.may_have_acted(node);
        }
        self.inside(node).iter().any(|at| self.may_have_acted(*at))
    }

    /// Every step that may have acted and is not kept, with what undoes it: itself, or the outermost group around it
    /// that is undone as a whole. A group of which a part is kept is not undone as a whole.
    fn with_what_undoes_it(&self) -> Vec<(NodeIndex, NodeIndex)> {
        let keep = self.run.rollback.map_or(0, |rollback| rollback.keep);
        let acted =
            || indices(&self.graph).filter(|at| self.undo_of(*at).is_some() && self.may_have_acted(*at));
        let is_kept = |at: NodeIndex| self.nodes[at.index()].order <= keep;
        let wholes: BTreeSet<NodeIndex> = indices(&self.graph)
            .filter(|at| !self.graph.node(*at).undo.is_empty())
            .collect();
        let around = |at: NodeIndex| {
            let mut all = Vec::new();
            let mut current = Some(at);
            while let Some(node) = current.filter(|_| !wholes.is_empty()) {
                if wholes.contains(&node) {
                    all.push(node);
                }
                current = self.parent(node);
            }
            all
        };
        let partly_kept: BTreeSet<NodeIndex> = acted().filter(|at| is_kept(*at)).flat_map(around).collect();
        acted()
            .filter(|at| !is_kept(*at))
            .map(|at| {
                let whole = around(at).into_iter().rfind(|group| !partly_kept.contains(group));
                (at, whole.unwrap_or(at))
            })
            .collect()
    }

    /// What a step that may change something says of its undo.
    fn undo_of(&self, node: NodeIndex) -> Option<&Undo> {
        match &self.graph.node(node).kind {
            NodeKind::Action(action) if !action.read_only => Some(&action.undo),
            _ => None,
        }
    }

    fn is_undoable(&self, node: NodeIndex) -> bool {
        matches!(self.undo_of(node), Some(Undo::Native | Undo::Calls(_)))
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
        let tries = self.state.nodes[node.index()].undoing.round;
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
        AttemptNo(self.state.nodes[node.index()].undoing.attempts).next()
    }
}
