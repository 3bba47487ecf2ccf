//! The hub: takes one event, looks at the nodes that it concerns, and decides whether the run is over.

use super::event::{Command, Event, Interrupt};
use super::invariant::Availability;
use super::live::{Activity, Live, Question};
use super::standing::Cancel;
use super::state::State;
use super::status::{Failure, NodeStatus};
use caxplan_model::{
    CheckpointName, Duration, InDoubtPolicy, NodeIndex, NodeKind, OnFailure, Outcome, Record, RunEnd,
    Timestamp, WaitReason,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many steps run at once if the plan says nothing: enough for a rack, few enough for one engine's sockets and
/// processes.
pub const MAX_PARALLEL: u32 = 64;

/// Decides what a run does next. Pure: it is told the time, and what happened.
///
/// The driver creates the run (the record [`Record::RunCreated`] is its own), applies all records to a [`State`],
/// makes a scheduler of it and sends [`Event::Resume`]. An answer, a request to cancel or to roll back that came while
/// no engine had the run is sent before that.
#[derive(Clone, Debug)]
pub struct Scheduler {
    pub(super) state: State,
    pub(super) live: Live,
    /// Nodes to look at.
    pub(super) todo: VecDeque<NodeIndex>,
    /// Steps that wait until fewer run.
    pub(super) queue: VecDeque<NodeIndex>,
    /// What is down, and steps that wait until less is.
    pub(super) availability: Availability,
    /// Children of a graph of needs whose needs have ended well, by their group.
    pub(super) ready: BTreeMap<NodeIndex, VecDeque<NodeIndex>>,
    /// Uncertain failures that are not recorded before a probe has answered.
    pub(super) held: BTreeMap<NodeIndex, Outcome>,
    /// The pauses between two observations.
    pub(super) intervals: BTreeMap<NodeIndex, Duration>,
    /// The first lines of what a person will be asked, while the next one is evaluated.
    pub(super) worded: BTreeMap<NodeIndex, Vec<String>>,
    /// The sequences of checks and a step in which the checks were made just now.
    pub(super) checked: BTreeSet<NodeIndex>,
    /// What is still to be undone, the next one last.
    pub(super) to_undo: Option<Vec<NodeIndex>>,
    /// The `always` that is run although the run was cancelled.
    pub(super) cleaning: Option<NodeIndex>,
    /// Blocks from here on have been cleaned up.
    clean_from: u32,
    /// Whether this engine has the run.
    taken_up: bool,
}

/// What one call of [`Scheduler::handle`] works with.
pub(super) struct Turn<'a> {
    pub(super) now: Timestamp,
    pub(super) out: &'a mut Vec<Command>,
}

impl Scheduler {
    /// A scheduler for a run whose records have been applied.
    pub fn new(state: State) -> Self {
        Self {
            live: Live::new(state.graph.nodes.len()),
            state,
            todo: VecDeque::new(),
            queue: VecDeque::new(),
            availability: Availability::default(),
            ready: BTreeMap::new(),
            held: BTreeMap::new(),
            intervals: BTreeMap::new(),
            worded: BTreeMap::new(),
            checked: BTreeSet::new(),
            to_undo: None,
            cleaning: None,
            clean_from: u32::MAX,
            taken_up: false,
        }
    }

    /// The state, with all that was decided so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The state, when nothing more is to come.
    pub fn into_state(self) -> State {
        self.state
    }

    /// Takes in one event and appends the commands that follow from it to `out`, in the order in which they are to be
    /// carried out. Events that do not fit (late, doubled, for another attempt) are ignored.
    pub fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Command>) {
        let turn = &mut Turn { now, out };
        self.take(event, turn);
        while self.taken_up {
            while let Some(node) = self.todo.pop_front() {
                self.pursue(node, turn);
            }
            self.fill_slots(turn);
            if self.todo.is_empty() && !self.conclude(turn) {
                return;
            }
        }
    }

    fn take(&mut self, event: Event, turn: &mut Turn<'_>) {
        if !self.taken_up {
            return self.take_outside(event, turn);
        }
        match event {
            Event::Resume { .. } | Event::Cancel(_) | Event::Notified { .. } => {}
            Event::Prepared {
                node,
                attempt,
                before,
            } => self.prepared(node, attempt, before, turn),
            Event::Ended {
                node,
                attempt,
                outcome,
            } => self.attempt_ended(node, attempt, outcome, turn),
            Event::Probed {
                node,
                attempt,
                report,
            } => self.probed(node, attempt, report, turn),
            Event::Undone { node, attempt, end } => self.undone(node, attempt, end, turn),
            Event::Observed { node, breach } => self.observed(node, breach, turn),
            Event::Evaluated { node, value } => self.evaluated(node, value, turn),
            Event::Timer { node } => self.timer(node, turn),
            Event::Answered { node, answer, by } => self.answer(node, answer, by, turn),
            Event::Pause(paused) => self.pause(paused, turn),
            Event::Interrupt(interrupt) => self.interrupt(interrupt, turn),
            Event::Rollback { to, reason } => self.request_rollback(to, reason, turn),
        }
    }

    /// What can be said to a run that this engine has not taken up, or has left.
    fn take_outside(&mut self, event: Event, turn: &mut Turn<'_>) {
        match event {
            Event::Resume { in_doubt, from } => self.resume(in_doubt, from, turn),
            Event::Cancel(how) => {
                self.resume(InDoubtPolicy::default(), None, turn);
                if self.taken_up {
                    self.interrupt(how, turn);
                }
            }
            Event::Answered { node, answer, by } => self.answer(node, answer, by, turn),
            Event::Rollback { to, reason } => self.request_rollback(to, reason, turn),
            Event::Notified {
                notification,
                failure,
            } if self.state.to_notify().contains(&notification) => {
                let at = turn.now;
                let record = Record::Notified {
                    at,
                    notification,
                    failure,
                };
                self.append(record, turn);
            }
            Event::Notified { .. }
            | Event::Prepared { .. }
            | Event::Ended { .. }
            | Event::Probed { .. }
            | Event::Undone { .. }
            | Event::Observed { .. }
            | Event::Evaluated { .. }
            | Event::Timer { .. }
            | Event::Pause(_)
            | Event::Interrupt(_) => {}
        }
    }

    fn resume(&mut self, in_doubt: InDoubtPolicy, from: Option<CheckpointName>, turn: &mut Turn<'_>) {
        if let Some(end) = self.state.run.final_end()
            && !self.state.is_repeatable(from.as_ref())
        {
            return turn.out.push(Command::Finish(end));
        }
        let at = turn.now;
        self.append(Record::Resumed { at, in_doubt, from }, turn);
        self.live = Live::new(self.state.graph.nodes.len());
        self.count_down_anew();
        self.taken_up = true;
        self.to_undo = None;
        self.cleaning = None;
        self.clean_from = u32::MAX;
        self.held.clear();
        self.walk_anew();
    }

    fn pause(&mut self, paused: bool, turn: &mut Turn<'_>) {
        if self.state.run.paused == paused {
            return;
        }
        self.append(Record::Paused { at: turn.now, paused }, turn);
        if !paused {
            self.walk_anew();
        }
    }

    fn interrupt(&mut self, interrupt: Interrupt, turn: &mut Turn<'_>) {
        let abort = match (self.state.run.cancel, interrupt) {
            (None, Interrupt::Drain) => false,
            (None | Some(Cancel::Drain), Interrupt::Abort) => true,
            (Some(_), Interrupt::Drain) | (Some(Cancel::Abort), Interrupt::Abort) => return,
        };
        self.append(Record::CancelRequested { at: turn.now, abort }, turn);
        if abort {
            self.cleaning = None;
            for (node, activity) in self.live.busy_nodes() {
                if !matches!(activity, Activity::Asked(_)) {
                    turn.out.push(Command::Abort { node });
                }
            }
        }
    }

    /// Looks at the tree from its root: after a start, and when a paused run goes on. One that is being cancelled goes on
    /// with the clean-up alone.
    fn walk_anew(&mut self) {
        self.live.reset();
        self.queue.clear();
        self.checked.clear();
        self.forget_held();
        self.ready.clear();
        self.todo.clear();
        let cleaning = self.cleaning.filter(|_| self.state.run.cancel.is_some());
        self.todo.push_back(cleaning.unwrap_or(NodeIndex::ROOT));
    }

    /// Goes on with one node: starts it, or starts what comes next in it.
    fn pursue(&mut self, node: NodeIndex, turn: &mut Turn<'_>) {
        if self.is_stopped() || self.state.status(node).is_ended() {
            return;
        }
        if self.state.is_over(node) {
            return self.give_up_what_is_in_doubt(node, turn);
        }
        match self.live.activity(node) {
            Activity::Idle => {}
            Activity::Open => return self.admit(node, turn),
            Activity::Asked(_)
            | Activity::Queued
            | Activity::Preparing
            | Activity::Running
            | Activity::Probing
            | Activity::Observing
            | Activity::Sleeping
            | Activity::Waiting
            | Activity::Undoing => return,
        }
        if !self.may_start(node) {
            return;
        }
        // What has records has passed its condition.
        let state = &self.state.nodes[node.index()];
        let passed = state.begun || matches!(state.status, NodeStatus::InDoubt(_));
        match &self.state.graph.node(node).when {
            Some(when) if !passed => {
                let text = when.to_string();
                self.ask(node, Question::When, text, turn);
            }
            Some(_) | None => self.enter(node, turn),
        }
    }

    /// Goes on with a node whose condition holds.
    pub(super) fn enter(&mut self, node: NodeIndex, turn: &mut Turn<'_>) {
        match &self.state.graph.node(node).kind {
            NodeKind::Sequence { .. }
            | NodeKind::Parallel { .. }
            | NodeKind::Dag { .. }
            | NodeKind::Rolling(_)
            | NodeKind::Block { .. } => self.open(node, turn),
            NodeKind::Foreach(_) => self.expand(node, turn),
            NodeKind::Action(_) => self.take_up(node, turn),
            NodeKind::Wait { .. } => self.wait(node, turn),
            NodeKind::Watch(_) => self.watch(node, turn),
            NodeKind::Approve { .. } | NodeKind::Checklist(_) => self.ask_person(node, turn),
        }
    }

    /// Tells the groups around a node that it has ended.
    pub(super) fn ended(&mut self, node: NodeIndex) {
        if self.state.run.rollback.is_some() {
            // Nothing goes on in them any more; one of them may be being undone as a whole.
            return self.live.set(node, Activity::Idle);
        }
        let mut child = node;
        loop {
            self.live.set(child, Activity::Idle);
            if self.cleaning == Some(child) {
                self.cleaning = None;
                return;
            }
            let Some(parent) = self.state.parent(child) else {
                return;
            };
            self.let_out(parent, child);
            if self.state.status(parent).is_ended() {
                child = parent;
                continue;
            }
            // The time of a group is over with all that is in it, ended or not.
            match self.state.ended_over_around(parent) {
                Some(around) => child = around,
                None => return self.todo.push_back(parent),
            }
        }
    }

    /// Whether nothing new may start.
    pub(super) fn is_stopped(&self) -> bool {
        let run = &self.state.run;
        run.paused || run.rollback.is_some() || (run.cancel.is_some() && self.cleaning.is_none())
    }

    /// Whether no group around the node has failed, or is about to fail without it.
    pub(super) fn may_start(&self, node: NodeIndex) -> bool {
        if self.state.is_over(node) {
            return false;
        }
        let mut at = node;
        // What has begun ends, even in a group that is failing.
        while !self.state.nodes[at.index()].begun {
            let Some(parent) = self.state.parent(at) else {
                break;
            };
            if self.state.status(parent).is_ended() || self.state.is_failing(parent) {
                return false;
            }
            at = parent;
        }
        true
    }

    /// Applies a record of our own and has it made durable.
    pub(super) fn append(&mut self, record: Record, turn: &mut Turn<'_>) {
        if let Err(error) = self.state.apply(&record) {
            panic!("the scheduler decides legal records only: {error}");
        }
        self.note_availability(&record);
        turn.out.push(Command::Append(record));
    }

    pub(super) fn sleep(&mut self, node: NodeIndex, due: Timestamp, turn: &mut Turn<'_>) {
        self.live.set(node, Activity::Sleeping);
        turn.out.push(Command::ArmTimer { node, due });
    }

    /// Ends the run if nothing goes on any more. Answers whether there is new work instead.
    fn conclude(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.live.busy > 0 {
            return false;
        }
        let (cancel, paused) = (self.state.run.cancel, self.state.run.paused);
        if self.state.run.rollback.is_none() {
            match *self.state.status(NodeIndex::ROOT) {
                NodeStatus::Succeeded { .. } | NodeStatus::Skipped => {
                    return self.finish(RunEnd::Succeeded, turn);
                }
                NodeStatus::Failed(failure) if cancel.is_none() && !paused => {
                    return self.conclude_failure(failure, turn);
                }
                _ => {}
            }
        }
        if let Some(cancel) = cancel {
            return self.conclude_cancel(cancel, turn);
        }
        if paused {
            let reason = WaitReason::Paused { node: None };
            self.append(Record::Waiting { at: turn.now, reason }, turn);
            return self.finish(RunEnd::Waiting, turn);
        }
        if self.state.run.rollback.is_some() {
            return self.undo_next(turn);
        }
        if self.live.sleeping > 0 {
            return false;
        }
        if self.live.waiting == 0 && self.refuse_held(turn) {
            return true;
        }
        assert!(
            self.live.waiting > 0,
            "a run that is not over waits for something"
        );
        self.finish(RunEnd::Waiting, turn)
    }

    fn conclude_failure(&mut self, failure: Failure, turn: &mut Turn<'_>) -> bool {
        match self.state.final_policy(failure) {
            // There is nothing after the root to continue with.
            OnFailure::Stop | OnFailure::Continue => self.finish(RunEnd::Failed, turn),
            OnFailure::Rollback => {
                let reason = format!("`{}` failed", self.state.graph.node(failure.origin).id);
                let at = turn.now;
                self.append(Record::RollbackStarted { at, reason, to: None }, turn);
                true
            }
            OnFailure::Pause => {
                let reason = WaitReason::Paused {
                    node: Some(failure.origin),
                };
                self.append(Record::Waiting { at: turn.now, reason }, turn);
                self.finish(RunEnd::Waiting, turn)
            }
        }
    }

    /// A cancelled run still runs the `always` of blocks that have begun, the innermost first, unless it is aborted.
    fn conclude_cancel(&mut self, cancel: Cancel, turn: &mut Turn<'_>) -> bool {
        if cancel == Cancel::Abort || self.state.run.rollback.is_some() {
            return self.finish(RunEnd::Cancelled, turn);
        }
        if self.cleaning.is_some() && self.live.sleeping > 0 {
            return false;
        }
        // One that waits for a person is left: nobody answers a run that was cancelled.
        self.cleaning = self.next_always();
        match self.cleaning {
            Some(always) => {
                self.live.reset();
                self.todo.push_back(always);
                true
            }
            None => self.finish(RunEnd::Cancelled, turn),
        }
    }

    fn next_always(&mut self) -> Option<NodeIndex> {
        let count = u32::try_from(self.state.graph.nodes.len()).unwrap_or(u32::MAX);
        for at in (0..self.clean_from.min(count)).rev().map(NodeIndex) {
            let NodeKind::Block {
                always: Some(always), ..
            } = self.state.graph.node(at).kind
            else {
                continue;
            };
            let open = self.state.nodes[at.index()].begun && !self.state.status(at).is_ended();
            if open && !self.state.status(always).is_ended() && !self.is_cleaning_up(at) {
                self.clean_from = at.0;
                return Some(always);
            }
        }
        self.clean_from = 0;
        None
    }

    /// Whether a block is part of the `always` of another one, which runs as a whole.
    fn is_cleaning_up(&self, block: NodeIndex) -> bool {
        let mut child = block;
        while let Some(parent) = self.state.parent(child) {
            if let NodeKind::Block { always, .. } = self.state.graph.node(parent).kind
                && always == Some(child)
            {
                return true;
            }
            child = parent;
        }
        false
    }

    /// Leaves the run. Always answers that there is no new work.
    pub(super) fn finish(&mut self, end: RunEnd, turn: &mut Turn<'_>) -> bool {
        self.append(Record::RunEnded { at: turn.now, end }, turn);
        turn.out.push(Command::Finish(end));
        self.taken_up = false;
        false
    }
}
