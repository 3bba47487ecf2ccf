//! How the end of a step becomes the end of the groups around it.
//!
//! A group has no records of its own end: it follows from those of its children. Counters make that constant work per
//! step, and climbing is a loop, so that neither length nor depth of a plan costs more than its size.

use super::shape::indices;
use super::standing::Part;
use super::state::State;
use super::status::{Failure, NodeStatus};
use caxplan_model::{NodeIndex, NodeKind, OnFailure};

/// What a group knows of its children.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// Children with records.
    pub(super) begun: u32,
    /// Children that ended well, were skipped, or whose failure `on_failure: continue` tolerates.
    pub(super) well: u32,
    /// Children that failed.
    pub(super) failed: u32,
    /// The failure that the group would fail with: the first one, or the first that a policy goes with.
    pub(super) failure: Option<Failure>,
    /// Whether a child changed something.
    pub(super) changed: bool,
    /// The batch that is going on or comes next.
    pub(super) batch: u32,
    /// Whether the group failed by itself: its condition, list or delay could not be evaluated.
    pub(super) broken: bool,
    /// Whether it was expanded in this round: that alone makes it begun.
    pub(super) expanded: bool,
}

/// How a parent sees a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Open,
    Well,
    Failed(Failure),
}

/// What a block does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockNext {
    Run(NodeIndex),
    Well,
    Failed(Failure),
}

impl State {
    /// Notes that a node has a record, and so have all groups around it.
    pub(super) fn begin(&mut self, node: NodeIndex) {
        let mut at = node;
        loop {
            let state = &mut self.nodes[at.index()];
            if state.begun {
                return;
            }
            state.begun = true;
            if state.status == NodeStatus::Pending && !matches!(state.part, Part::Step(_) | Part::Ask) {
                state.status = NodeStatus::Active;
            }
            let Some(parent) = self.parent(at) else { return };
            self.group_mut(parent).begun += 1;
            at = parent;
        }
    }

    /// Ends a node, and every group that ends with it.
    pub(super) fn end(&mut self, node: NodeIndex, status: NodeStatus) {
        self.begin(node);
        let order = self.run.records;
        let mut at = node;
        let mut status = status;
        loop {
            let state = &mut self.nodes[at.index()];
            state.status = status;
            state.order = order;
            let Some(parent) = self.parent(at) else { return };
            self.count(parent, at);
            match self.verdict(parent) {
                Some(verdict) => (at, status) = (parent, verdict),
                None => return,
            }
        }
    }

    /// How a node's parent sees it: `on_failure: continue` makes a failure a good end, unless something nearer to its
    /// origin said otherwise.
    pub(super) fn seen(&self, node: NodeIndex) -> Seen {
        match *self.status(node) {
            NodeStatus::Succeeded { .. } | NodeStatus::Skipped => Seen::Well,
            NodeStatus::Failed(failure) => match failure.policy {
                Some(OnFailure::Continue) => Seen::Well,
                Some(OnFailure::Stop | OnFailure::Rollback | OnFailure::Pause) => Seen::Failed(failure),
                // The header speaks for the phases.
                None if self.parent(node) == Some(NodeIndex::ROOT)
                    && self.graph.header.on_failure == OnFailure::Continue =>
                {
                    Seen::Well
                }
                None => Seen::Failed(failure),
            },
            NodeStatus::Pending
            | NodeStatus::Active
            | NodeStatus::Running(_)
            | NodeStatus::Retrying { .. }
            | NodeStatus::InDoubt(_)
            | NodeStatus::Asking => Seen::Open,
        }
    }

    /// Whether a group will fail, and starts nothing that has not begun.
    pub(super) fn is_failing(&self, node: NodeIndex) -> bool {
        if self.over.contains(&node) {
            return true;
        }
        let group = self.group(node);
        match &self.graph.node(node).kind {
            NodeKind::Rolling(rolling) => {
                group.failed > rolling.max_failures
                    || group.failure.is_some_and(|failure| failure.policy.is_some())
            }
            // A block's own rules say what a failure means.
            NodeKind::Block { .. } => false,
            _ => group.failed > 0,
        }
    }

    pub(super) fn block_next(&self, node: NodeIndex) -> BlockNext {
        let NodeKind::Block { body, rescue, always } = self.graph.node(node).kind else {
            panic!("only blocks are asked");
        };
        let inner = match self.seen(body) {
            Seen::Open => return BlockNext::Run(body),
            Seen::Well => None,
            Seen::Failed(failure) => match (rescue, failure.policy) {
                // A step that says `rollback`, `stop` or `pause` itself is not rescued.
                (Some(rescue), None) => match self.seen(rescue) {
                    Seen::Open => return BlockNext::Run(rescue),
                    Seen::Well => None,
                    Seen::Failed(failure) => Some(failure),
                },
                (Some(_), Some(_)) | (None, _) => Some(failure),
            },
        };
        let last = match always.map(|always| (always, self.seen(always))) {
            Some((always, Seen::Open)) => return BlockNext::Run(always),
            Some((_, Seen::Failed(failure))) => Some(failure),
            Some((_, Seen::Well)) | None => None,
        };
        // The first failure counts, unless only the other one comes with a policy.
        match (inner, last) {
            (Some(first), Some(second)) if first.policy.is_none() && second.policy.is_some() => {
                BlockNext::Failed(second)
            }
            (Some(failure), _) | (None, Some(failure)) => BlockNext::Failed(failure),
            (None, None) => BlockNext::Well,
        }
    }

    /// How many batches of a rolling group have ended altogether.
    pub(super) fn batches_ended(&self, node: NodeIndex) -> u32 {
        let group = self.group(node);
        let ends = self.shapes.get(node).batch_ends();
        let ended = group.well + group.failed;
        u32::try_from(ends.partition_point(|end| *end <= ended)).unwrap_or(u32::MAX)
    }

    /// Whether every child of the batch that a rolling group is at was skipped: nothing came of it to wait for.
    pub(super) fn was_skipped_last(&self, node: NodeIndex) -> bool {
        let NodeKind::Rolling(rolling) = &self.graph.node(node).kind else {
            return false;
        };
        rolling
            .batches
            .get(self.group(node).batch as usize)
            .is_some_and(|batch| {
                batch
                    .iter()
                    .all(|child| *self.status(*child) == NodeStatus::Skipped)
            })
    }

    pub(super) fn group(&self, node: NodeIndex) -> &Group {
        match &self.nodes[node.index()].part {
            Part::Group(group) => group,
            Part::Step(_) | Part::Watch { .. } | Part::Wait | Part::Ask => {
                panic!("only groups have children")
            }
        }
    }

    pub(super) fn group_mut(&mut self, node: NodeIndex) -> &mut Group {
        match &mut self.nodes[node.index()].part {
            Part::Group(group) => group,
            Part::Step(_) | Part::Watch { .. } | Part::Wait | Part::Ask => {
                panic!("only groups have children")
            }
        }
    }

    /// Counts everything anew, from the steps up: after the graph was taken in, and after steps were reset.
    pub(super) fn rebuild(&mut self) {
        for at in indices(&self.graph) {
            let needs = self.graph.node(at).needs.len();
            let state = &mut self.nodes[at.index()];
            state.needs_left = u32::try_from(needs).unwrap_or(u32::MAX);
            if let Part::Group(group) = &mut state.part {
                **group = Group {
                    batch: group.batch,
                    broken: group.broken,
                    expanded: group.expanded,
                    ..Group::default()
                };
                let own = group.broken || state.status == NodeStatus::Skipped || self.over.contains(&at);
                if !own {
                    state.begun = state.timer.is_some() || group.expanded;
                    state.status = NodeStatus::Pending;
                }
            }
        }
        let mut last_ends = vec![0; self.nodes.len()];
        // Children stand behind their parents.
        for at in indices(&self.graph).rev() {
            if let Some(status) = self.recounted(at) {
                let state = &mut self.nodes[at.index()];
                state.status = status;
                if status.is_ended() {
                    // It ended with the last of its children.
                    state.order = last_ends[at.index()];
                }
            }
            let state = &self.nodes[at.index()];
            let (begun, ended) = (state.begun, state.status.is_ended());
            let Some(parent) = self.parent(at) else { continue };
            if begun {
                self.group_mut(parent).begun += 1;
                self.nodes[parent.index()].begun = true;
            }
            if ended {
                let order = self.nodes[at.index()].order;
                let last = &mut last_ends[parent.index()];
                *last = order.max(*last);
                self.count(parent, at);
            }
        }
    }

    /// The status of a group whose children have all been counted.
    fn recounted(&mut self, node: NodeIndex) -> Option<NodeStatus> {
        let Part::Group(_) = self.nodes[node.index()].part else {
            return None;
        };
        let ended = self.batches_ended(node);
        let group = self.group_mut(node);
        group.batch = group.batch.min(ended);
        let broken = group.broken;
        let state = &self.nodes[node.index()];
        let own = broken || state.status == NodeStatus::Skipped || self.over.contains(&node);
        if own || !state.begun {
            return None;
        }
        // One without children ends by being skipped, which is a record.
        let verdict = if self.children(node).is_empty() {
            None
        } else {
            self.verdict(node)
        };
        Some(verdict.unwrap_or(NodeStatus::Active))
    }

    fn count(&mut self, parent: NodeIndex, child: NodeIndex) {
        let changed = matches!(self.status(child), NodeStatus::Succeeded { changed: true });
        let seen = self.seen(child);
        let group = self.group_mut(parent);
        group.changed |= changed;
        match seen {
            Seen::Open => {}
            Seen::Well => {
                group.well += 1;
                let (shapes, nodes) = (&self.shapes, &mut self.nodes);
                for dependent in shapes.get(child).dependents() {
                    let left = &mut nodes[dependent.index()].needs_left;
                    *left = left.saturating_sub(1);
                }
            }
            Seen::Failed(failure) => {
                group.failed += 1;
                let decides = |known: Failure| known.policy.is_none() && failure.policy.is_some();
                if group.failure.is_none_or(decides) {
                    group.failure = Some(failure);
                }
            }
        }
    }

    /// How a group has ended, if it has.
    fn verdict(&mut self, node: NodeIndex) -> Option<NodeStatus> {
        if self.over.contains(&node) {
            // It ends when nothing in it runs, whatever became of its parts.
            return None;
        }
        let count = u32::try_from(self.children(node).len()).unwrap_or(u32::MAX);
        let group = self.group(node);
        let (begun, well, failed, changed) = (group.begun, group.well, group.failed, group.changed);
        let failure = group.failure;
        let good = NodeStatus::Succeeded { changed };
        let bad = |failure: Failure| NodeStatus::Failed(self.passed_up(node, failure));
        match &self.graph.node(node).kind {
            NodeKind::Sequence { .. } => match failure {
                Some(failure) => Some(bad(failure)),
                None => (well == count).then_some(good),
            },
            NodeKind::Parallel { .. } | NodeKind::Dag { .. } => match failure {
                // Siblings that have begun end first.
                Some(failure) => (begun == well + failed).then(|| bad(failure)),
                None => (well == count).then_some(good),
            },
            NodeKind::Rolling(rolling) => {
                let pauses = rolling.delay.is_some();
                match failure {
                    Some(failure) if self.is_failing(node) => (begun == well + failed).then(|| bad(failure)),
                    Some(_) | None if well + failed == count => Some(good),
                    Some(_) | None => {
                        if !pauses {
                            let ended = self.batches_ended(node);
                            self.group_mut(node).batch = ended;
                        }
                        None
                    }
                }
            }
            NodeKind::Block { .. } => match self.block_next(node) {
                BlockNext::Run(_) => None,
                BlockNext::Well => Some(good),
                BlockNext::Failed(failure) => Some(bad(failure)),
            },
            NodeKind::Foreach(_)
            | NodeKind::Action(_)
            | NodeKind::Wait { .. }
            | NodeKind::Watch(_)
            | NodeKind::Approve { .. }
            | NodeKind::Checklist(_) => None,
        }
    }

    /// A failure as the group passes it up: its own policy speaks if nothing nearer has.
    fn passed_up(&self, node: NodeIndex, failure: Failure) -> Failure {
        Failure {
            origin: failure.origin,
            policy: failure.policy.or(self.graph.node(node).on_failure),
        }
    }
}
