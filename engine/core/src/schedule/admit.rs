//! Which children of a group run next.

use super::group::BlockNext;
use super::live::{Activity, Question};
use super::scheduler::{Scheduler, Turn};
use caxplan_model::{NodeIndex, NodeKind, Record};
use std::ops::Range;

impl Scheduler {
    /// Opens a group: its children that have begun go on, then others start as the group lets them.
    pub(super) fn open(&mut self, group: NodeIndex, turn: &mut Turn<'_>) {
        let count = self.state.children(group).len();
        if count == 0 {
            let reason = "there is nothing to do".to_owned();
            let at = turn.now;
            self.append(
                Record::Skipped {
                    at,
                    node: group,
                    reason,
                },
                turn,
            );
            return self.ended(group);
        }
        if !self.keep_time(group, turn) {
            return;
        }
        self.live.set(group, Activity::Open);
        match &self.state.graph.node(group).kind {
            NodeKind::Parallel { max, .. } => {
                let max = at_once(*max);
                self.readmit(group, 0..count, max);
            }
            NodeKind::Rolling(rolling) => {
                let max = at_once(rolling.max_unavailable.unwrap_or(0));
                self.readmit(group, self.batch_range(group), max);
            }
            NodeKind::Dag { max, .. } => {
                let max = at_once(*max);
                self.readmit(group, 0..count, max);
                let ready = self.state.children(group).iter().copied().filter(|child| {
                    let node = &self.state.nodes[child.index()];
                    !node.status.is_ended() && node.needs_left == 0 && !self.live.get(*child).admitted
                });
                let ready = ready.collect();
                self.ready.insert(group, ready);
            }
            NodeKind::Sequence { .. }
            | NodeKind::Block { .. }
            | NodeKind::Foreach(_)
            | NodeKind::Action(_)
            | NodeKind::Wait { .. }
            | NodeKind::Watch(_)
            | NodeKind::Approve { .. }
            | NodeKind::Checklist(_) => {}
        }
        self.admit(group, turn);
    }

    /// Lets children of an open group go as far as it allows.
    pub(super) fn admit(&mut self, group: NodeIndex, turn: &mut Turn<'_>) {
        match &self.state.graph.node(group).kind {
            NodeKind::Sequence { children } => {
                let position = self.state.group(group).well as usize;
                self.todo.extend(children.get(position));
            }
            NodeKind::Parallel { children, max } => {
                let (all, max) = (0..children.len(), at_once(*max));
                self.admit_some(group, all, max);
            }
            NodeKind::Dag { max, .. } => {
                let max = at_once(*max);
                self.admit_ready(group, max);
            }
            NodeKind::Rolling(rolling) => {
                let max = at_once(rolling.max_unavailable.unwrap_or(0));
                self.admit_batch(group, max, turn);
            }
            NodeKind::Block { .. } => match self.state.block_next(group) {
                BlockNext::Run(child) => self.todo.push_back(child),
                BlockNext::Well | BlockNext::Failed(_) => {}
            },
            NodeKind::Foreach(_)
            | NodeKind::Action(_)
            | NodeKind::Wait { .. }
            | NodeKind::Watch(_)
            | NodeKind::Approve { .. }
            | NodeKind::Checklist(_) => {}
        }
    }

    /// Notes that a child is no longer open in its group.
    pub(super) fn let_out(&mut self, group: NodeIndex, child: NodeIndex) {
        if std::mem::take(&mut self.live.get_mut(child).admitted) {
            self.live.get_mut(group).open -= 1;
        }
        if let Some(ready) = self.ready.get_mut(&group) {
            let dependents = self.state.shapes.get(child).dependents();
            let free = |node: &&NodeIndex| {
                let state = &self.state.nodes[node.index()];
                state.needs_left == 0 && !state.begun
            };
            ready.extend(dependents.iter().filter(free));
        }
    }

    /// Children that the driver is busy with go on, and those that have begun come before others.
    fn readmit(&mut self, group: NodeIndex, range: Range<usize>, max: u32) {
        for first in [true, false] {
            for at in range.clone() {
                let child = self.state.children(group)[at];
                let node = &self.state.nodes[child.index()];
                let busy = !matches!(self.live.activity(child), Activity::Idle | Activity::Open);
                let goes_on = busy || (!first && node.begun && self.live.get(group).open < max);
                if goes_on && !node.status.is_ended() {
                    self.let_in(group, child);
                }
            }
        }
    }

    fn admit_some(&mut self, group: NodeIndex, range: Range<usize>, max: u32) {
        let failing = self.state.is_failing(group);
        let mut next = (self.live.get(group).next as usize).max(range.start);
        while next < range.end && self.live.get(group).open < max {
            let child = self.state.children(group)[next];
            next += 1;
            let node = &self.state.nodes[child.index()];
            if !node.status.is_ended() && (node.begun || !failing) {
                self.let_in(group, child);
            }
        }
        self.live.get_mut(group).next = u32::try_from(next).unwrap_or(u32::MAX);
    }

    fn admit_ready(&mut self, group: NodeIndex, max: u32) {
        let failing = self.state.is_failing(group);
        while self.live.get(group).open < max {
            let Some(child) = self.ready.get_mut(&group).and_then(|ready| ready.pop_front()) else {
                return;
            };
            if self.state.nodes[child.index()].begun || !failing {
                self.let_in(group, child);
            }
        }
    }

    /// A batch starts when those before it have ended and the pause between them is over.
    fn admit_batch(&mut self, group: NodeIndex, max: u32, turn: &mut Turn<'_>) {
        let batch = self.state.group(group).batch;
        if batch < self.state.batches_ended(group) {
            return self.pause_between_batches(group, turn);
        }
        self.admit_some(group, self.batch_range(group), max);
    }

    /// Which children belong to the batch that is going on or comes next.
    fn batch_range(&self, group: NodeIndex) -> Range<usize> {
        let batch = self.state.group(group).batch;
        let ends = self.state.shapes.get(group).batch_ends();
        let end = |batch: u32| ends.get(batch as usize).map_or(0, |end| *end as usize);
        batch.checked_sub(1).map_or(0, end)..end(batch)
    }

    fn pause_between_batches(&mut self, group: NodeIndex, turn: &mut Turn<'_>) {
        if self.state.is_failing(group) {
            return;
        }
        match self.state.timer(group) {
            Some(due) if due <= turn.now => self.end_pause(group, turn),
            Some(due) => self.sleep(group, due, turn),
            None => {
                let NodeKind::Rolling(rolling) = &self.state.graph.node(group).kind else {
                    return;
                };
                let pauses = !self.state.was_skipped_last(group);
                let delay = rolling
                    .delay
                    .clone()
                    .filter(|_| pauses)
                    .unwrap_or_else(|| "0".to_owned());
                if let Some(delay) = self.duration(group, Question::Delay, delay, turn) {
                    self.set_timer(group, delay, turn);
                    self.pause_between_batches(group, turn);
                }
            }
        }
    }

    pub(super) fn end_pause(&mut self, group: NodeIndex, turn: &mut Turn<'_>) {
        let at = turn.now;
        self.append(Record::TimerFired { at, node: group }, turn);
        self.live.set(group, Activity::Open);
        self.todo.push_back(group);
    }

    fn let_in(&mut self, group: NodeIndex, child: NodeIndex) {
        let live = self.live.get_mut(child);
        if !live.admitted {
            live.admitted = true;
            self.live.get_mut(group).open += 1;
            self.todo.push_back(child);
        }
    }
}

/// How many children may be open at once; 0 is no limit.
fn at_once(max: u32) -> u32 {
    if max == 0 { u32::MAX } else { max }
}
