//! What must hold of every run, judged from its records alone, with no help from the scheduler.

use crate::down::Down;
use caxplan_model::{
    ActionStep, Answer, AttemptNo, Graph, InDoubtPolicy, NodeIndex, NodeKind, OnFailure, Outcome, Record,
    RunEnd, Undo, UndoEnd, WaitReason,
};
use std::collections::BTreeMap;

/// What the records said of one node.
#[derive(Clone, Default)]
struct Fact {
    open: Option<AttemptNo>,
    attempts: u32,
    end: Option<End>,
    /// The number of the record of its last start or end.
    order: u64,
    begun: bool,
    may_have_acted: bool,
    /// The last attempt may have acted, and nothing has decided that the step may run again.
    unsettled: bool,
    /// The attempt of which a probe has said that its effect is not there.
    cleared: Option<AttemptNo>,
    /// The run was resumed after this failure: it no longer holds others up.
    stale: bool,
    /// May run once more although it ended well.
    again: bool,
    /// A person was asked and has not answered.
    asked: bool,
    undo_open: Option<AttemptNo>,
    undo_failed: bool,
    undos: u32,
    timer: bool,
    breaches: u32,
    /// An attempt was going on when an engine died, and nothing was said of it since.
    doubt: bool,
    /// Of a group: its time is over.
    over: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Good,
    Bad,
    Skipped,
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq)]
enum Standing {
    Open,
    Well,
    Failed {
        /// A policy on the way up has spoken: nothing tolerates or rescues it any more.
        decided: bool,
        /// It happened since the run was resumed.
        fresh: bool,
    },
}

impl Standing {
    /// Both together; neither is open.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed { decided: a, fresh: b }, Self::Failed { decided: c, fresh: d }) => Self::Failed {
                decided: a || c,
                fresh: b || d,
            },
            (Self::Failed { .. }, _) => self,
            (_, other) => other,
        }
    }
}

pub(crate) struct Judge {
    graph: Graph,
    facts: Vec<Fact>,
    /// Loops that were expanded: by which record, what they were before, and all elements that they have had.
    loops: BTreeMap<NodeIndex, (u64, NodeKind, Vec<NodeIndex>)>,
    records: u64,
    down: Down,
    policy: InDoubtPolicy,
    paused: bool,
    cancel: bool,
    abort: bool,
    keep: Option<u64>,
    ended: Option<RunEnd>,
    waiting: bool,
}

type Verdict = Result<(), String>;

impl Judge {
    pub(crate) fn new(graph: &Graph) -> Self {
        Self {
            facts: vec![Fact::default(); graph.nodes.len()],
            graph: graph.clone(),
            loops: BTreeMap::new(),
            records: 0,
            down: Down::default(),
            policy: InDoubtPolicy::Ask,
            paused: false,
            cancel: false,
            abort: false,
            keep: None,
            ended: None,
            waiting: false,
        }
    }

    /// A probe, seen by the driver, said that the effect of the attempt is not there.
    pub(crate) fn probed_not_done(&mut self, node: NodeIndex, attempt: AttemptNo) {
        let fact = &mut self.facts[node.index()];
        fact.unsettled = false;
        fact.cleared = Some(attempt);
    }

    /// Whether a rollback that has ended must have undone this step.
    pub(crate) fn must_be_undone(&self, node: NodeIndex) -> bool {
        let keep = self.keep.unwrap_or(0);
        let undoes = self.undone_by(node);
        let needs = undoes != node || self.action(node).is_some_and(is_undoable);
        needs && self.changes(node) && self.facts[node.index()].order > keep
    }

    /// What undoes a step: itself, or the outermost group around it that is undone as a whole and of which nothing is kept.
    fn undone_by(&self, node: NodeIndex) -> NodeIndex {
        let keep = self.keep.unwrap_or(0);
        let is_kept = |at: NodeIndex| {
            let fact = &self.facts[at.index()];
            self.changes(at) && fact.may_have_acted && fact.order <= keep
        };
        let mut undoes = node;
        let mut at = Some(node);
        while let Some(current) = at {
            let whole = !self.graph.node(current).undo.is_empty();
            if whole && !self.inside(current).into_iter().any(is_kept) {
                undoes = current;
            }
            at = self.graph.node(current).parent;
        }
        undoes
    }

    fn changes(&self, node: NodeIndex) -> bool {
        self.action(node).is_some_and(|action| !action.read_only)
    }

    /// Takes in the next record, which must not break an invariant.
    pub(crate) fn record(&mut self, record: &Record) -> Verdict {
        self.records += 1;
        self.down.take_in(&self.graph, record)?;
        self.revive_groups(record);
        self.take_in(record)?;
        // A group whose time is over has failed when the last of it has ended.
        for at in 0..self.facts.len() {
            let node = NodeIndex(u32::try_from(at).expect("few"));
            let open = |at: NodeIndex| self.facts[at.index()].open.is_some() || self.facts[at.index()].doubt;
            if self.facts[at].over && self.facts[at].end.is_none() && !self.inside(node).into_iter().any(open)
            {
                self.end(node, End::Bad);
            }
        }
        Ok(())
    }

    fn take_in(&mut self, record: &Record) -> Verdict {
        let order = self.records;
        match record {
            Record::RunCreated { .. } => {}
            Record::Resumed { in_doubt, from, .. } => self.resumed(*in_doubt, from.as_ref()),
            Record::StepStarted { node, attempt, .. } => {
                self.check_start(*node, *attempt)?;
                let fact = &mut self.facts[node.index()];
                (fact.open, fact.attempts, fact.order) = (Some(*attempt), attempt.0, order);
                (fact.end, fact.stale, fact.again, fact.begun) = (None, false, false, true);
                fact.doubt = false;
                self.check_limits()?;
            }
            Record::StepEnded {
                node,
                attempt,
                outcome,
                retry_at,
                ..
            } => {
                let acts = self.action(*node).is_some_and(|action| !action.read_only);
                let fact = &mut self.facts[node.index()];
                if fact.open.is_some_and(|open| open != *attempt) {
                    return Err(format!("node {} ended an attempt that is not going on", node.0));
                }
                (fact.open, fact.doubt) = (None, false);
                fact.attempts = fact.attempts.max(attempt.0);
                (fact.order, fact.begun, fact.stale, fact.asked) = (order, true, false, false);
                fact.may_have_acted |= acts && outcome.may_have_acted();
                // An end that only says that a lost attempt runs again settles nothing by itself.
                let lost = retry_at.is_some() && matches!(outcome, Outcome::Unknown { .. });
                if outcome.is_success() {
                    fact.unsettled = false;
                } else if !lost && fact.cleared != Some(*attempt) {
                    fact.unsettled |= acts && outcome.may_have_acted();
                }
                fact.end = match (outcome.is_success(), retry_at) {
                    (true, _) => Some(End::Good),
                    (false, Some(_)) => None,
                    (false, None) => Some(End::Bad),
                };
            }
            Record::Skipped { node, .. } => self.end(*node, End::Skipped),
            Record::Expanded { node, items, .. } => {
                let kind = self.graph.node(*node).kind.clone();
                let mut made = self.loops.remove(node).map_or_else(Vec::new, |(_, _, made)| made);
                caxplan_core::expand::instantiate_again(&mut self.graph, *node, items, &made)?;
                if let NodeKind::Rolling(rolling) = &self.graph.node(*node).kind {
                    let new = rolling
                        .batches
                        .iter()
                        .flatten()
                        .filter(|at| at.index() >= self.facts.len());
                    made.extend(new);
                }
                self.loops.insert(*node, (order, kind, made));
                self.facts.resize(self.graph.nodes.len(), Fact::default());
                let fact = &mut self.facts[node.index()];
                (fact.begun, fact.order) = (true, order);
            }
            Record::TimerSet { node, .. } => {
                self.check_path(*node)?;
                let fact = &mut self.facts[node.index()];
                (fact.timer, fact.begun, fact.end, fact.order) = (true, true, None, order);
                fact.breaches = 0;
            }
            Record::TimerFired { node, .. } => {
                if !std::mem::take(&mut self.facts[node.index()].timer) {
                    return Err(format!("the timer of node {} fired without being set", node.0));
                }
                if self.graph.node(*node).timeout.is_some() {
                    self.time_over(*node);
                }
                if matches!(
                    self.graph.node(*node).kind,
                    NodeKind::Wait { .. } | NodeKind::Watch(_)
                ) {
                    self.end(*node, End::Good);
                }
            }
            Record::Breached { node, .. } => {
                self.facts[node.index()].breaches += 1;
                if let NodeKind::Watch(watch) = &self.graph.node(*node).kind
                    && self.facts[node.index()].breaches > watch.max_breaches
                {
                    self.end(*node, End::Bad);
                    let fact = &mut self.facts[node.index()];
                    (fact.timer, fact.breaches) = (false, 0);
                }
            }
            // Plans of the simulation have no invariants, whose checks they are.
            Record::CheckedAnew { .. } => {}
            Record::Waiting { reason, .. } => match reason {
                WaitReason::Approval { node, .. } => {
                    self.check_path(*node)?;
                    let fact = &mut self.facts[node.index()];
                    (fact.begun, fact.end, fact.asked) = (true, None, true);
                    fact.order = order;
                }
                WaitReason::InDoubt { node, .. } => self.facts[node.index()].asked = true,
                WaitReason::Paused { .. } => self.waiting = true,
            },
            Record::Answered { node, answer, .. } => {
                self.facts[node.index()].asked = false;
                match answer {
                    Answer::Approved => self.end(*node, End::Good),
                    Answer::Rejected { .. } => self.end(*node, End::Bad),
                    Answer::Rerun => self.facts[node.index()].unsettled = false,
                    Answer::AssumeDone | Answer::Fail => {}
                }
            }
            Record::Paused { paused, .. } => self.paused = *paused,
            Record::CancelRequested { abort, .. } => {
                self.cancel = true;
                self.abort |= abort;
            }
            Record::RollbackStarted { to, .. } => {
                self.keep = Some(to.as_ref().map_or(0, |to| self.checkpoint_order(to.as_str())));
            }
            Record::UndoStarted { node, attempt, .. } => {
                self.check_undo(*node)?;
                if *attempt != AttemptNo(self.facts[node.index()].undos + 1) {
                    return Err(format!("the undo of node {} skipped an attempt", node.0));
                }
                self.facts[node.index()].undos += 1;
                self.facts[node.index()].undo_open = Some(*attempt);
            }
            Record::UndoEnded { node, end, .. } => {
                let fact = &mut self.facts[node.index()];
                if fact.undo_open.take().is_none() {
                    return Err(format!("the undo of node {} ended without a start", node.0));
                }
                fact.undo_failed = *end != UndoEnd::Undone;
                if *end == UndoEnd::Undone {
                    for at in self.inside(*node) {
                        self.facts[at.index()].may_have_acted = false;
                    }
                }
            }
            Record::RunEnded { end, .. } => {
                self.check_run_end(*end)?;
                self.ended = Some(*end);
            }
            Record::PlanReplaced { .. } => {
                return Err("the scheduler replaces no plan: that is its user's decision".to_owned());
            }
            Record::Notified { .. } => {
                return Err("the scheduler tells nobody: that is the driver's work".to_owned());
            }
        }
        Ok(())
    }

    /// A group that failed by itself before the run was resumed has got over it once something in it has a record.
    fn revive_groups(&mut self, record: &Record) {
        let (Record::StepStarted { node, .. }
        | Record::StepEnded { node, .. }
        | Record::Skipped { node, .. }
        | Record::Expanded { node, .. }
        | Record::TimerSet { node, .. }
        | Record::TimerFired { node, .. }
        | Record::Breached { node, .. }
        | Record::Waiting {
            reason: WaitReason::Approval { node, .. },
            ..
        }) = record
        else {
            return;
        };
        let mut child = *node;
        let mut at = Some(child);
        while let Some(node) = at {
            let fact = &mut self.facts[node.index()];
            if fact.stale && fact.end == Some(End::Bad) {
                (fact.end, fact.stale, fact.over) = (None, false, false);
            }
            // A block whose body is tried anew cleans up anew.
            if let NodeKind::Block { body, rescue, always } = self.graph.node(node).kind
                && body == child
            {
                for part in rescue.into_iter().chain(always) {
                    self.forget(part);
                }
            }
            child = node;
            at = self.graph.node(node).parent;
        }
    }

    fn forget(&mut self, part: NodeIndex) {
        for at in self.inside(part) {
            let fact = &mut self.facts[at.index()];
            (fact.end, fact.begun, fact.timer, fact.over) = (None, false, false, false);
        }
    }

    /// What waits in a group has failed when the group's time is over.
    fn time_over(&mut self, group: NodeIndex) {
        for node in self.inside(group) {
            let fact = &self.facts[node.index()];
            let leaf = self.graph.node(node).kind.is_leaf();
            if leaf && fact.begun && fact.end.is_none() && fact.open.is_none() && !fact.doubt {
                self.end(node, End::Bad);
                let fact = &mut self.facts[node.index()];
                (fact.timer, fact.asked, fact.breaches) = (false, false, 0);
            }
        }
        self.facts[group.index()].over = true;
    }

    fn end(&mut self, node: NodeIndex, end: End) {
        let order = self.records;
        let fact = &mut self.facts[node.index()];
        (fact.end, fact.order, fact.begun, fact.stale) = (Some(end), order, true, false);
    }

    fn resumed(&mut self, policy: InDoubtPolicy, from: Option<&caxplan_model::CheckpointName>) {
        let cancelled = self.cancel;
        let fresh = self.ended.take().is_some() || cancelled;
        (self.policy, self.paused, self.cancel, self.abort, self.waiting) =
            (policy, false, false, false, false);
        let kept = from.map(|name| self.checkpoint_order(name.as_str()));
        for at in 0..self.facts.len() {
            let node = NodeIndex(u32::try_from(at).expect("few"));
            let cleans = self.is_clean_up(node);
            let changes = self.action(node).is_some_and(|action| !action.read_only);
            let fact = &mut self.facts[at];
            if fact.open.take().is_some() {
                fact.may_have_acted |= changes;
                (fact.unsettled, fact.doubt) = (true, true);
            }
            fact.undo_open = None;
            if fresh && fact.end == Some(End::Bad) {
                fact.stale = true;
                // A person saw the failure and said to go on.
                fact.unsettled = false;
            }
            let from_here = kept.is_some_and(|kept| kept > 0 && fact.order > kept);
            fact.again = cleans || from_here;
            if policy == InDoubtPolicy::Rerun {
                fact.unsettled = false;
            }
            if from_here {
                (fact.unsettled, fact.asked, fact.timer, fact.begun) = (false, false, false, false);
                fact.end = None;
                fact.breaches = 0;
                (fact.doubt, fact.over) = (false, false);
            }
        }
        if let Some(kept) = kept.filter(|kept| *kept > 0) {
            // What a loop runs over may be another list now.
            for (at, (_, kind, _)) in self.loops.iter().filter(|(_, (order, ..))| *order > kept) {
                self.graph.nodes[at.index()].kind = kind.clone();
            }
        }
        // A group is as far as what is in it.
        let from = kept.is_some_and(|kept| kept > 0);
        for at in 0..self.facts.len() {
            let node = NodeIndex(u32::try_from(at).expect("few"));
            if from || (cancelled && self.graph.node(node).timeout.is_some()) {
                let done = |at: NodeIndex| {
                    let fact = &self.facts[at.index()];
                    fact.end.is_some() || (fact.begun && self.graph.node(at).kind.is_leaf())
                };
                if !self.graph.node(node).kind.is_leaf() && !self.inside(node).into_iter().any(done) {
                    self.facts[at].begun = false;
                }
            }
        }
    }

    fn check_start(&self, node: NodeIndex, attempt: AttemptNo) -> Verdict {
        let name = node.0;
        let action = self.action(node).ok_or("only actions start")?;
        let fact = &self.facts[node.index()];
        if self.keep.is_some() {
            return Err(format!("node {name} started in a rollback"));
        }
        if fact.open.is_some() {
            return Err(format!("node {name} started twice"));
        }
        if attempt.0 != fact.attempts + 1 {
            return Err(format!("node {name} skipped an attempt"));
        }
        if matches!(fact.end, Some(End::Good | End::Skipped)) && !fact.again {
            return Err(format!("node {name} had ended and ran again"));
        }
        if fact.unsettled && !action.idempotent && !action.read_only {
            return Err(format!("node {name} may have acted and was blindly repeated"));
        }
        self.check_path(node)
    }

    /// Whether everything that a node depends on has ended well.
    fn check_path(&self, node: NodeIndex) -> Verdict {
        if self.paused || self.abort || (self.cancel && !self.is_clean_up(node)) {
            return Err(format!("node {} began in a run that was to stop", node.0));
        }
        let mut child = node;
        while let Some(parent) = self.graph.node(child).parent {
            if self.facts[parent.index()].over {
                return Err(format!(
                    "node {} began when the time of {} was over",
                    node.0, parent.0
                ));
            }
            self.check_place(parent, child)
                .map_err(|why| format!("node {} began too early: {why}", node.0))?;
            child = parent;
        }
        Ok(())
    }

    fn check_place(&self, parent: NodeIndex, child: NodeIndex) -> Verdict {
        let fail = |what: &str| Err(format!("{what} (group {}, child {})", parent.0, child.0));
        let held_up = |children: &[NodeIndex]| {
            let fresh =
                |other: &NodeIndex| matches!(self.standing(*other), Standing::Failed { fresh: true, .. });
            !self.begun(child) && children.iter().any(fresh)
        };
        match &self.graph.node(parent).kind {
            NodeKind::Sequence { children } => {
                let earlier = children.iter().take_while(|other| **other != child);
                if earlier.copied().all(|other| self.well(other)) {
                    Ok(())
                } else {
                    fail("a step before it has not ended well")
                }
            }
            NodeKind::Parallel { children, .. } if held_up(children) => fail("a sibling has failed"),
            NodeKind::Parallel { .. } => Ok(()),
            NodeKind::Dag { children, .. } => {
                let needs = &self.graph.node(child).needs;
                if !needs.iter().all(|need| self.well(*need)) {
                    fail("a need has not ended well")
                } else if held_up(children) {
                    fail("a sibling has failed")
                } else {
                    Ok(())
                }
            }
            NodeKind::Rolling(rolling) => {
                let earlier: Vec<NodeIndex> = rolling
                    .batches
                    .iter()
                    .take_while(|batch| !batch.contains(&child))
                    .flatten()
                    .copied()
                    .collect();
                let failed = earlier.iter().filter(|other| self.has_failed(**other)).count();
                if earlier
                    .iter()
                    .any(|other| self.standing(*other) == Standing::Open)
                {
                    fail("a batch before it goes on")
                } else if failed > rolling.max_failures as usize && !self.begun(child) {
                    fail("too many have failed")
                } else {
                    Ok(())
                }
            }
            NodeKind::Block { body, rescue, always } => {
                let body_stands = self.standing(*body);
                let rescuable = matches!(body_stands, Standing::Failed { decided: false, .. });
                if *rescue == Some(child) && !rescuable {
                    fail("there is nothing to rescue")
                } else if *always == Some(child)
                    && (!self.is_quiet(*body) || (body_stands == Standing::Open && !self.cancel))
                {
                    fail("the body goes on")
                } else {
                    Ok(())
                }
            }
            _ => fail("not a group"),
        }
    }

    fn check_limits(&self) -> Verdict {
        let open = self.facts.iter().filter(|fact| fact.open.is_some()).count();
        let max = match self.graph.header.max_parallel {
            0 => caxplan_core::schedule::MAX_PARALLEL,
            max => max,
        };
        if open > max as usize {
            return Err(format!("{open} steps run at once, {max} may"));
        }
        for node in &self.graph.nodes {
            let (children, max): (Vec<NodeIndex>, u32) = match &node.kind {
                NodeKind::Parallel { children, max } | NodeKind::Dag { children, max } => {
                    (children.clone(), *max)
                }
                NodeKind::Rolling(rolling) => (
                    rolling.batches.iter().flatten().copied().collect(),
                    rolling.max_unavailable.unwrap_or(0),
                ),
                _ => continue,
            };
            let running = children.iter().filter(|child| !self.is_quiet(**child)).count();
            if max > 0 && running > max as usize {
                return Err(format!(
                    "{running} children of {} run at once, {max} may",
                    node.id
                ));
            }
        }
        Ok(())
    }

    fn check_undo(&self, node: NodeIndex) -> Verdict {
        if self.keep.is_none() {
            return Err("an undo without a rollback".to_owned());
        }
        if self
            .facts
            .iter()
            .any(|fact| fact.open.is_some() || fact.undo_open.is_some())
        {
            return Err(format!("node {} is undone while something goes on", node.0));
        }
        let left = self.left_to_undo();
        let Some(order) = left.get(&node) else {
            return Err(format!("node {} is undone without a reason", node.0));
        };
        match left.iter().find(|(_, other)| *other > order) {
            Some((later, _)) => Err(format!("node {} is undone before node {}", node.0, later.0)),
            None => Ok(()),
        }
    }

    /// What is left to undo, each with the number of its last end or start.
    fn left_to_undo(&self) -> BTreeMap<NodeIndex, u64> {
        let mut left: BTreeMap<NodeIndex, u64> = BTreeMap::new();
        for (node, fact) in (0..).map(NodeIndex).zip(&self.facts) {
            if fact.may_have_acted && self.must_be_undone(node) {
                let order = left.entry(self.undone_by(node)).or_default();
                *order = fact.order.max(*order);
            }
        }
        left
    }

    fn check_run_end(&self, end: RunEnd) -> Verdict {
        if self
            .facts
            .iter()
            .any(|fact| fact.open.is_some() || fact.undo_open.is_some())
        {
            return Err("the run ended while something goes on".to_owned());
        }
        let holds = match end {
            RunEnd::Succeeded => self.keep.is_none() && self.well(NodeIndex::ROOT),
            RunEnd::Failed => self.keep.is_none() && self.has_failed(NodeIndex::ROOT),
            RunEnd::RolledBack => self.keep.is_some() && self.left_to_undo().is_empty(),
            RunEnd::Stuck => self
                .left_to_undo()
                .keys()
                .any(|node| self.facts[node.index()].undo_failed),
            RunEnd::Waiting => self.waiting || self.facts.iter().any(|fact| fact.asked),
            RunEnd::Cancelled => self.cancel,
        };
        if holds {
            Ok(())
        } else {
            Err(format!("the run ended {end:?}, which is not how it stands"))
        }
    }

    /// Where a node stands, told anew from the leaves each time.
    fn standing(&self, node: NodeIndex) -> Standing {
        let policy = self.graph.node(node).on_failure;
        match self.own_standing(node) {
            Standing::Failed { decided: false, .. } if self.is_tolerated(node) => Standing::Well,
            Standing::Failed { decided, fresh } => Standing::Failed {
                decided: decided || policy.is_some(),
                fresh,
            },
            Standing::Open => Standing::Open,
            Standing::Well => Standing::Well,
        }
    }

    /// As `standing`, before the node's own `on_failure` has its say.
    fn own_standing(&self, node: NodeIndex) -> Standing {
        let fact = &self.facts[node.index()];
        match fact.end {
            Some(End::Good | End::Skipped) => return Standing::Well,
            // It has its time anew, and may have nothing left to do.
            Some(End::Bad) if fact.over && fact.stale && self.standing_of_parts(node) == Standing::Well => {
                return Standing::Well;
            }
            Some(End::Bad) => {
                return Standing::Failed {
                    decided: false,
                    fresh: !fact.stale,
                };
            }
            None if fact.over => return Standing::Open,
            None => {}
        }
        self.standing_of_parts(node)
    }

    fn standing_of_parts(&self, node: NodeIndex) -> Standing {
        match &self.graph.node(node).kind {
            NodeKind::Sequence { children } => children
                .iter()
                .map(|child| self.standing(*child))
                .find(|standing| *standing != Standing::Well)
                .unwrap_or(if children.is_empty() {
                    Standing::Open
                } else {
                    Standing::Well
                }),
            NodeKind::Parallel { children, .. } | NodeKind::Dag { children, .. } => {
                self.standing_of(children, 0)
            }
            NodeKind::Rolling(rolling) => {
                let children: Vec<NodeIndex> = rolling.batches.iter().flatten().copied().collect();
                self.standing_of(&children, rolling.max_failures as usize)
            }
            NodeKind::Block { body, rescue, always } => {
                let inner = match (self.standing(*body), rescue) {
                    (Standing::Failed { decided: false, .. }, Some(rescue)) => self.standing(*rescue),
                    (standing, _) => standing,
                };
                match (inner, always.map(|always| self.standing(always))) {
                    (Standing::Open, _) | (_, Some(Standing::Open)) => Standing::Open,
                    (one, Some(other)) => one.and(other),
                    (one, None) => one,
                }
            }
            _ => Standing::Open,
        }
    }

    /// Where a group stands whose children run beside each other.
    fn standing_of(&self, children: &[NodeIndex], tolerated: usize) -> Standing {
        let mut failed = 0;
        let mut open_begun = false;
        let mut stale = false;
        let mut open = children.is_empty();
        let mut all = Standing::Well;
        for child in children {
            match self.standing(*child) {
                Standing::Open => {
                    open = true;
                    open_begun |= self.begun(*child);
                }
                Standing::Well => {}
                failure @ Standing::Failed { fresh, .. } => {
                    failed += 1;
                    stale |= !fresh;
                    all = all.and(failure);
                }
            }
        }
        match all {
            Standing::Failed { decided, fresh } if decided || failed > tolerated => {
                if open_begun {
                    Standing::Open
                } else {
                    // One that failed before the run was resumed may be at its next attempt: then the group goes on.
                    let fresh = fresh && !stale;
                    Standing::Failed { decided, fresh }
                }
            }
            _ if open => Standing::Open,
            _ => Standing::Well,
        }
    }

    fn well(&self, node: NodeIndex) -> bool {
        self.standing(node) == Standing::Well
    }

    fn has_failed(&self, node: NodeIndex) -> bool {
        matches!(self.standing(node), Standing::Failed { .. })
    }

    fn is_quiet(&self, node: NodeIndex) -> bool {
        self.inside(node)
            .into_iter()
            .all(|at| self.facts[at.index()].open.is_none())
    }

    fn begun(&self, node: NodeIndex) -> bool {
        self.inside(node)
            .into_iter()
            .any(|at| self.facts[at.index()].begun)
    }

    fn is_tolerated(&self, node: NodeIndex) -> bool {
        let node = self.graph.node(node);
        node.on_failure == Some(OnFailure::Continue)
            || (node.on_failure.is_none()
                && node.parent == Some(NodeIndex::ROOT)
                && self.graph.header.on_failure == OnFailure::Continue)
    }

    /// Whether a node is in the `rescue` or `always` of a block.
    fn is_clean_up(&self, node: NodeIndex) -> bool {
        let mut child = node;
        while let Some(parent) = self.graph.node(child).parent {
            if let NodeKind::Block { body, .. } = self.graph.node(parent).kind
                && body != child
            {
                return true;
            }
            child = parent;
        }
        false
    }

    /// The node and all below it.
    pub(crate) fn inside(&self, node: NodeIndex) -> Vec<NodeIndex> {
        (node.0..u32::try_from(self.facts.len()).expect("few"))
            .map(NodeIndex)
            .filter(move |at| {
                let mut at = Some(*at);
                while at.is_some_and(|at| at > node) {
                    at = at.and_then(|at| self.graph.node(at).parent);
                }
                at == Some(node)
            })
            .collect()
    }

    fn checkpoint_order(&self, name: &str) -> u64 {
        let node = (0..)
            .map(NodeIndex)
            .zip(&self.graph.nodes)
            .find(|(_, node)| node.checkpoint.as_ref().is_some_and(|own| own.as_str() == name));
        let Some((node, _)) = node else { return 0 };
        self.inside(node)
            .into_iter()
            .map(|at| &self.facts[at.index()])
            .filter(|fact| fact.end.is_some())
            .map(|fact| fact.order)
            .max()
            .unwrap_or(0)
    }

    fn action(&self, node: NodeIndex) -> Option<&ActionStep> {
        match &self.graph.node(node).kind {
            NodeKind::Action(action) => Some(action),
            _ => None,
        }
    }
}

fn is_undoable(action: &ActionStep) -> bool {
    !action.read_only && matches!(action.undo, Undo::Native | Undo::Calls(_))
}
