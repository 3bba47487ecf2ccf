//! The state of a run: the fold of its records over its graph.

use super::shape::{Shapes, indices};
use super::standing::{Cancel, Expansion, NodeState, Part, Rollback, Run, Step, kept};
use super::status::{Failure, NodeStatus, UndoStatus};
use crate::guard::checks_of;
use caxplan_model::{
    Answer, AttemptNo, CheckpointName, Graph, NodeIndex, NodeKind, OnFailure, Outcome, Record, RunEnd,
    Timestamp, Value, WaitReason, Wording,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The state of a run. [`State::apply`] is the only thing that changes it.
#[derive(Clone, Debug)]
pub struct State {
    pub(super) graph: Graph,
    pub(super) shapes: Shapes,
    pub(super) nodes: Vec<NodeState>,
    /// Loops that were expanded while the run was going on.
    pub(super) loops: BTreeMap<NodeIndex, Expansion>,
    /// Groups whose time is over.
    pub(super) over: BTreeSet<NodeIndex>,
    /// What persons were asked, where the plan alone does not say it.
    asked: BTreeMap<NodeIndex, Vec<String>>,
    pub(super) run: Run,
}

/// A record that cannot follow those before it. The state is unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IllegalRecord {
    /// The number that the record would have had, from 1.
    pub seq: u64,
    /// The node that it speaks of, if any.
    pub node: Option<String>,
    /// Why it is illegal.
    pub reason: String,
}

impl fmt::Display for IllegalRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} of the journal is illegal", self.seq)?;
        if let Some(node) = &self.node {
            write!(f, " for `{node}`")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for IllegalRecord {}

impl State {
    /// The state before the first record.
    pub fn new(graph: Graph) -> Self {
        let mut this = Self {
            shapes: Shapes::of(&graph),
            nodes: graph.nodes.iter().map(NodeState::new).collect(),
            loops: BTreeMap::new(),
            over: BTreeSet::new(),
            asked: BTreeMap::new(),
            run: Run::default(),
            graph,
        };
        this.rebuild();
        this
    }

    /// Takes in the next record.
    ///
    /// # Errors
    /// If the record cannot follow those before it; the state is unchanged then.
    pub fn apply(&mut self, record: &Record) -> Result<(), IllegalRecord> {
        self.check(record)?;
        // Ends are numbered by the record that brought them about.
        self.run.records += 1;
        match record {
            Record::RunCreated { seed, .. } => self.run.seed = *seed,
            Record::Resumed { in_doubt, from, .. } => self.resumed(*in_doubt, from.as_ref()),
            Record::StepStarted {
                node,
                attempt,
                before,
                ..
            } => self.step_started(*node, *attempt, before),
            Record::StepEnded {
                node,
                attempt,
                outcome,
                retry_at,
                ..
            } => self.step_ended(*node, *attempt, outcome, *retry_at),
            Record::Skipped { node, .. } => self.end(*node, NodeStatus::Skipped),
            Record::Expanded { node, items, .. } => self.expanded(*node, items)?,
            Record::TimerSet { node, due, .. } => {
                self.begin(*node);
                let state = &mut self.nodes[node.index()];
                state.status = NodeStatus::Active;
                state.order = self.run.records;
                state.timer = Some(*due);
            }
            Record::TimerFired { node, .. } => self.timer_fired(*node),
            Record::Breached { node, .. } => self.breached(*node),
            Record::CheckedAnew { node, .. } => self.checked_anew(*node),
            Record::Waiting { reason, .. } => self.waiting(reason),
            Record::Answered { node, answer, .. } => self.answered(*node, answer),
            Record::Paused { paused, .. } => self.run.paused = *paused,
            Record::CancelRequested { abort, .. } => {
                self.run.cancel = Some(if *abort { Cancel::Abort } else { Cancel::Drain });
            }
            Record::RollbackStarted { to, .. } => {
                let keep = to.as_ref().and_then(|to| self.checkpoint_order(to)).unwrap_or(0);
                self.run.rollback = Some(Rollback { keep });
            }
            Record::UndoStarted { node, attempt, .. } => {
                let undoing = &mut self.nodes[node.index()].undoing;
                undoing.attempts = attempt.0;
                undoing.round += 1;
                undoing.status = UndoStatus::Running(*attempt);
            }
            Record::UndoEnded {
                node, end, retry_at, ..
            } => self.undo_ended(*node, end, *retry_at),
            Record::RunEnded { end, .. } => {
                self.run.live = false;
                self.run.ended = Some(*end);
                self.run.notified.clear();
            }
            Record::PlanReplaced { graph, .. } => self.replaced(graph),
            Record::Notified { notification, .. } => self.run.notified.push(*notification),
        }
        Ok(())
    }

    /// The graph, with what was expanded so far.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Where a node stands.
    pub fn status(&self, node: NodeIndex) -> &NodeStatus {
        &self.nodes[node.index()].status
    }

    /// How the run left its last engine; `None` if it is going on, or if its engine died.
    pub fn run_end(&self) -> Option<RunEnd> {
        self.run.ended
    }

    /// How many records were applied: the number of the last one.
    pub fn records(&self) -> u64 {
        self.run.records
    }

    /// Whether the run only undoes from here on.
    pub fn is_rolling_back(&self) -> bool {
        self.run.rollback.is_some()
    }

    /// Whether a person has paused the run.
    pub fn is_paused(&self) -> bool {
        self.run.paused
    }

    /// The number of the last attempt of a step; `None` if it has none.
    pub fn last_attempt(&self, node: NodeIndex) -> Option<AttemptNo> {
        let attempts = self.step(node)?.attempts;
        (attempts > 0).then_some(AttemptNo(attempts))
    }

    /// How the last attempt of a step ended.
    pub fn outcome(&self, node: NodeIndex) -> Option<&Outcome> {
        self.step(node)?.outcome.as_deref()
    }

    /// What the adapter saw before the first attempt that may have acted: what an undo restores.
    pub fn before(&self, node: NodeIndex) -> Option<&Value> {
        self.step(node)?.before.as_deref()
    }

    /// What the adapter saw before the last attempt: what a probe of it compares with.
    pub fn before_last(&self, node: NodeIndex) -> Option<&Value> {
        self.step(node)?.before_last.as_deref()
    }

    /// Whether a step may have changed something that was not undone.
    pub fn may_have_acted(&self, node: NodeIndex) -> bool {
        self.step(node).is_some_and(|step| step.may_have_acted)
    }

    /// Where the undoing of a step stands, or of a group that is undone as a whole.
    pub fn undo_status(&self, node: NodeIndex) -> UndoStatus {
        self.nodes[node.index()].undoing.status
    }

    /// When the timer of a wait, a watch, a rolling group or a group with a time limit is due, if it was set.
    pub fn timer(&self, node: NodeIndex) -> Option<Timestamp> {
        self.nodes[node.index()].timer
    }

    /// How many breaches a watch has seen.
    pub fn breaches(&self, node: NodeIndex) -> u32 {
        match &self.nodes[node.index()].part {
            Part::Watch { breaches } => *breaches,
            Part::Group(_) | Part::Step(_) | Part::Wait | Part::Ask => 0,
        }
    }

    /// Whether this checkpoint was reached: `resume --from` and `rollback --to` can name it.
    pub fn is_reached(&self, checkpoint: &CheckpointName) -> bool {
        self.checkpoint_order(checkpoint).is_some()
    }

    /// The checkpoint that was reached last.
    pub fn last_checkpoint(&self) -> Option<&CheckpointName> {
        indices(&self.graph)
            .filter(|at| matches!(self.status(*at), NodeStatus::Succeeded { .. }))
            .filter(|at| self.graph.node(*at).checkpoint.is_some())
            .max_by_key(|at| self.nodes[at.index()].order)
            .and_then(|at| self.graph.node(at).checkpoint.as_deref())
    }

    /// The group that a node belongs to.
    pub fn parent(&self, node: NodeIndex) -> Option<NodeIndex> {
        self.shapes.get(node).parent
    }

    /// What belongs to a group, in order.
    pub fn children(&self, node: NodeIndex) -> &[NodeIndex] {
        self.shapes.get(node).children()
    }

    /// The number of the record by which the checkpoint was reached last.
    pub(super) fn checkpoint_order(&self, name: &CheckpointName) -> Option<u64> {
        indices(&self.graph)
            .filter(|at| self.graph.node(*at).checkpoint.as_deref() == Some(name))
            .filter(|at| matches!(self.status(*at), NodeStatus::Succeeded { .. }))
            .map(|at| self.nodes[at.index()].order)
            .max()
    }

    /// What a node asks a person, line by line: as it was asked, else as the plan has it. Nothing if it asks nobody.
    pub fn asked(&self, node: NodeIndex) -> Vec<&str> {
        if let Some(asked) = self.asked.get(&node) {
            return asked.iter().map(String::as_str).collect();
        }
        let wordings = self.graph.node(node).kind.wordings();
        wordings.iter().map(Wording::as_str).collect()
    }

    /// Whether a step waits for its next attempt.
    pub(super) fn is_retrying(&self, node: NodeIndex) -> bool {
        matches!(self.status(node), NodeStatus::Retrying { .. })
    }

    pub(super) fn step(&self, node: NodeIndex) -> Option<&Step> {
        match &self.nodes[node.index()].part {
            Part::Step(step) => Some(step),
            Part::Group(_) | Part::Watch { .. } | Part::Wait | Part::Ask => None,
        }
    }

    /// The step at `node`, which `check` has found to be one.
    pub(super) fn step_mut(&mut self, node: NodeIndex) -> &mut Step {
        match &mut self.nodes[node.index()].part {
            Part::Step(step) => step,
            Part::Group(_) | Part::Watch { .. } | Part::Wait | Part::Ask => {
                panic!("check() lets only records of actions come here")
            }
        }
    }

    fn step_started(&mut self, node: NodeIndex, attempt: AttemptNo, before: &Value) {
        self.begin(node);
        let order = self.run.records;
        let state = &mut self.nodes[node.index()];
        state.status = NodeStatus::Running(attempt);
        state.order = order;
        let step = self.step_mut(node);
        step.touched = order;
        step.open = true;
        step.attempts = attempt.0;
        step.round += 1;
        step.answer = None;
        step.asked = false;
        step.before_last = (!before.is_null()).then(|| Box::new(before.clone()));
        // A later attempt sees what an earlier one left half done; the undo wants what was there before both.
        if !step.may_have_acted {
            step.before.clone_from(&step.before_last);
        }
    }

    fn step_ended(
        &mut self,
        node: NodeIndex,
        attempt: AttemptNo,
        outcome: &Outcome,
        retry_at: Option<Timestamp>,
    ) {
        let policy = self.graph.node(node).on_failure;
        let failure = Failure { origin: node, policy };
        let NodeKind::Action(action) = &self.graph.node(node).kind else {
            if let Part::Group(group) = &mut self.nodes[node.index()].part {
                group.broken = true;
            }
            return self.end(node, NodeStatus::Failed(failure));
        };
        let acts = !action.read_only;
        let order = self.run.records;
        let step = self.step_mut(node);
        if step.attempts < attempt.0 {
            // It failed before it could start; that counts as a try all the same.
            step.attempts = attempt.0;
            step.round += 1;
        } else if std::mem::take(&mut step.open) {
            step.touched = order;
        }
        if outcome.is_success() {
            step.succeeded = order;
        }
        step.may_have_acted |= acts && outcome.may_have_acted();
        step.answer = None;
        step.asked = false;
        step.outcome = Some(kept(outcome));
        let acted = step.may_have_acted && outcome.may_have_acted();
        if acted {
            self.nodes[node.index()].undoing.status = UndoStatus::NotTried;
        }
        match (outcome.is_success(), retry_at) {
            (true, _) => {
                let changed = matches!(outcome, Outcome::Changed { .. });
                self.end(node, NodeStatus::Succeeded { changed });
            }
            (false, Some(due)) => {
                self.begin(node);
                let order = self.run.records;
                let state = &mut self.nodes[node.index()];
                state.status = NodeStatus::Retrying { due };
                state.order = order;
            }
            (false, None) => self.end(node, NodeStatus::Failed(failure)),
        }
        if self.status(node).is_ended() {
            self.leave_checks(node);
        }
        self.settle_over(node);
    }

    /// A check that was going on before a step that has ended all the same goes on no more.
    fn leave_checks(&mut self, step: NodeIndex) {
        for check in checks_of(&self.graph, step) {
            let state = &mut self.nodes[check.index()];
            if !state.status.is_ended() {
                state.status = NodeStatus::Pending;
                state.timer = None;
            }
        }
    }

    fn expanded(&mut self, node: NodeIndex, items: &[Value]) -> Result<(), IllegalRecord> {
        let old = self.graph.nodes.len();
        let NodeKind::Foreach(foreach) = &self.graph.node(node).kind else {
            panic!("check() lets only loops come here")
        };
        let foreach = foreach.clone();
        let mut made = self
            .loops
            .remove(&node)
            .map_or_else(Vec::new, |before| before.made);
        if let Err(reason) = crate::expand::instantiate_again(&mut self.graph, node, items, &made) {
            self.run.records -= 1;
            return Err(self.illegal(Some(node), reason));
        }
        self.nodes
            .extend(self.graph.nodes[old..].iter().map(NodeState::new));
        for at in old..self.graph.nodes.len() {
            self.nodes[at].needs_left = u32::try_from(self.graph.nodes[at].needs.len()).unwrap_or(u32::MAX);
        }
        self.shapes.grow(&self.graph, node);
        let new = self
            .children(node)
            .iter()
            .filter(|element| element.index() >= old);
        made.extend(new);
        let order = self.run.records;
        let expansion = Expansion { foreach, order, made };
        self.loops.insert(node, expansion);
        self.group_mut(node).expanded = true;
        self.nodes[node.index()].order = self.run.records;
        self.begin(node);
        Ok(())
    }

    fn timer_fired(&mut self, node: NodeIndex) {
        self.nodes[node.index()].timer = None;
        let rolls = matches!(self.graph.node(node).kind, NodeKind::Rolling(_));
        match &mut self.nodes[node.index()].part {
            Part::Group(group) if rolls => group.batch += 1,
            Part::Group(_) => self.time_over(node),
            Part::Watch { .. } | Part::Wait => self.end(node, NodeStatus::Succeeded { changed: false }),
            Part::Step(_) | Part::Ask => {}
        }
    }

    fn breached(&mut self, node: NodeIndex) {
        let max = match &self.graph.node(node).kind {
            NodeKind::Watch(watch) => watch.max_breaches,
            _ => 0,
        };
        let Part::Watch { breaches } = &mut self.nodes[node.index()].part else {
            return;
        };
        *breaches += 1;
        if *breaches > max {
            self.nodes[node.index()].timer = None;
            self.fail(node);
        }
    }

    /// The checks before a step, all of which were made, have not been made.
    fn checked_anew(&mut self, step: NodeIndex) {
        for check in checks_of(&self.graph, step) {
            let state = &mut self.nodes[check.index()];
            state.status = NodeStatus::Pending;
            state.part = Part::Watch { breaches: 0 };
            if let Some(guard) = self.parent(check) {
                self.group_mut(guard).well -= 1;
            }
        }
    }

    fn waiting(&mut self, reason: &WaitReason) {
        match reason {
            WaitReason::Approval { node, asked } => {
                self.begin(*node);
                if !asked.is_empty() {
                    self.asked.insert(*node, asked.clone());
                }
                let state = &mut self.nodes[node.index()];
                state.status = NodeStatus::Asking;
                state.order = self.run.records;
            }
            WaitReason::InDoubt { node, .. } => self.step_mut(*node).asked = true,
            WaitReason::Paused { .. } => {}
        }
    }

    fn answered(&mut self, node: NodeIndex, answer: &Answer) {
        match answer {
            Answer::Approved => self.end(node, NodeStatus::Succeeded { changed: false }),
            Answer::Rejected { .. } => {
                self.fail(node);
                // A person who says no after the engine has left means this very question: it is not asked anew when
                // the run is resumed to take the answer in.
                self.run.ended = None;
            }
            Answer::AssumeDone | Answer::Rerun | Answer::Fail => {
                self.step_mut(node).answer = Some(Box::new(answer.clone()));
            }
        }
    }

    fn undo_ended(&mut self, node: NodeIndex, end: &caxplan_model::UndoEnd, retry_at: Option<Timestamp>) {
        self.nodes[node.index()].undoing.status = match (end, retry_at) {
            (caxplan_model::UndoEnd::Undone, _) => return self.is_undone(node),
            (caxplan_model::UndoEnd::Failed { .. }, Some(due)) => UndoStatus::Retrying { due },
            (caxplan_model::UndoEnd::Failed { .. }, None) => UndoStatus::Failed,
        };
    }

    /// A step, or a group with all that is in it, has no effect any more.
    fn is_undone(&mut self, node: NodeIndex) {
        for at in self.inside(node) {
            let acted = match &mut self.nodes[at.index()].part {
                Part::Step(step) if step.may_have_acted => std::mem::take(&mut step.may_have_acted),
                Part::Group(_) | Part::Step(_) | Part::Watch { .. } | Part::Wait | Part::Ask => false,
            };
            if acted || at == node {
                self.nodes[at.index()].undoing.status = UndoStatus::Undone;
            }
        }
    }

    fn fail(&mut self, node: NodeIndex) {
        let policy = self.graph.node(node).on_failure;
        self.end(node, NodeStatus::Failed(Failure { origin: node, policy }));
    }

    /// The policy that decides what the run does about a failure that reached the root.
    pub(super) fn final_policy(&self, failure: Failure) -> OnFailure {
        failure.policy.unwrap_or(self.graph.header.on_failure)
    }
}
