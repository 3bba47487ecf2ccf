//! A driver whose actions act on nothing, and the world that they would act on.
//!
//! Time is a number: an attempt takes its time limit, or no time if it has none; reading (a probe, an observation, the
//! state before a step) takes none. What has begun at the same time ends in the order of its start.

mod effect;

use super::fault::{FaultKind, Truth};
use super::knowledge::{Knowledge, id_of};
use super::model::Model;
use super::script::Script;
use super::story::{Assumption, Chance, Opening, Story};
use super::targets::Availability;
use crate::schedule::{Command, Event, Interrupt, NodeStatus, Scheduler, State};
use caxplan_model::{
    Answer, AttemptNo, Cause, Digest, Duration, FailureKind, InDoubtPolicy, NodeIndex, NodeKind, Record,
    RunEnd, StepId, Timestamp, Undo, UndoEnd,
};
use std::collections::{BTreeMap, BTreeSet};

/// Engines that a simulated run may take: one for each question to a person and one for each crash, and many more.
const SESSIONS_MAX: u32 = 10_000;
/// Events of one simulated run beyond what its size explains: a run that takes more does not end.
const EVENTS_PER_NODE_MAX: u64 = 1_000;

/// What is owed to the scheduler.
#[derive(Clone, Debug)]
enum Owed {
    Prepared(AttemptNo),
    Ended(AttemptNo),
    Probed(AttemptNo),
    Undone(AttemptNo),
    Observed,
    Evaluated(String),
}

/// Why a session is over.
enum Over {
    Left(RunEnd),
    Crashed,
}

/// A simulated run, and what its actions have done.
#[derive(Clone)]
pub(super) struct World<'m> {
    model: &'m Model,
    script: &'m Script,
    knowledge: Knowledge,
    scheduler: Scheduler,
    journal: Vec<Record>,
    /// By the time at which it is due, and the order in which it was asked for.
    owed: BTreeMap<(Timestamp, u64), (NodeIndex, Owed)>,
    asked: u64,
    timers: BTreeMap<NodeIndex, Timestamp>,
    now: Timestamp,
    events: u64,
    end: Option<RunEnd>,
    /// Loops whose items are stand-ins.
    guessed: BTreeSet<NodeIndex>,
    /// The steps whose effect is there.
    acted: BTreeSet<NodeIndex>,
    /// Steps that had failed when the run was resumed.
    tried_again: BTreeSet<NodeIndex>,
    availability: Availability,
    /// Steps that had acted, ran again and are not idempotent.
    doubled: BTreeSet<NodeIndex>,
    /// Faults that come once and have come.
    spent: BTreeSet<(NodeIndex, FaultKind)>,
    crashed: bool,
    crash_pending: bool,
    started: BTreeSet<(NodeIndex, u32)>,
    session: u32,
    interrupt: bool,
    chances: Vec<Chance>,
    /// How many chances there had been when each fault struck.
    struck: BTreeMap<usize, usize>,
    assumptions: BTreeSet<Assumption>,
    without_limit: BTreeSet<StepId>,
    fault: Option<String>,
}

impl<'m> World<'m> {
    pub(super) fn new(model: &'m Model, script: &'m Script) -> Self {
        let state = State::new(model.graph.clone());
        Self {
            knowledge: Knowledge::of(&state, script, &model.secret),
            scheduler: Scheduler::new(state),
            model,
            script,
            journal: Vec::new(),
            owed: BTreeMap::new(),
            asked: 0,
            timers: BTreeMap::new(),
            now: Timestamp(0),
            events: 0,
            end: None,
            guessed: BTreeSet::new(),
            acted: BTreeSet::new(),
            tried_again: BTreeSet::new(),
            availability: Availability::default(),
            doubled: BTreeSet::new(),
            spent: BTreeSet::new(),
            crashed: false,
            crash_pending: false,
            started: BTreeSet::new(),
            session: 0,
            interrupt: false,
            chances: Vec::new(),
            struck: BTreeMap::new(),
            assumptions: BTreeSet::new(),
            without_limit: BTreeSet::new(),
            fault: None,
        }
    }

    /// The world as it stands now, where things go on as another script says.
    pub(super) fn under(&self, script: &'m Script) -> Self {
        Self {
            script,
            ..self.clone()
        }
    }

    /// How the last engine left the run.
    pub(super) fn end(&self) -> Option<RunEnd> {
        self.end
    }

    pub(super) fn into_story(self) -> Story {
        Story {
            state: self.scheduler.state().clone(),
            records: self.journal,
            end: self.end,
            fault: self.fault,
            down: self.availability.down().cloned().collect(),
            worst_down: self.availability.worst().clone(),
            doubled: self.doubled,
            chances: self.chances,
            struck: self.struck,
            assumptions: self.assumptions,
            without_limit: self.without_limit,
        }
    }

    /// Runs until nothing more comes of it. `first` is what a person asks for before.
    pub(super) fn play(&mut self, mut first: Vec<Event>) {
        if self.journal.is_empty() {
            self.append(Record::RunCreated {
                at: self.now,
                graph: Digest::ZERO,
                seed: 0,
                by: "simulation".to_owned(),
            });
            // Nothing was going on yet.
            self.crash_pending = false;
        }
        for _ in 0..SESSIONS_MAX {
            let replayed = match self.replay() {
                Ok(state) => state,
                Err(fault) => return self.fault = Some(fault),
            };
            self.scheduler = Scheduler::new(replayed);
            if self.end.is_some() {
                // Who resumes a run that had ended has seen what failed in it, and wants it tried again.
                self.tried_again.extend(failed(self.scheduler.state()));
            }
            let over = self.session(std::mem::take(&mut first));
            match over.map(|over| self.left(over)) {
                Some(None) => self.end = None,
                Some(Some(end)) => {
                    self.end = Some(end);
                    first = self.afterwards(end);
                    if first.is_empty() {
                        return;
                    }
                }
                None => return,
            }
        }
        self.fault = Some("the run takes too many engines".to_owned());
    }

    /// How an engine left the run, as the journal says: one that died after its last record had left it.
    fn left(&self, over: Over) -> Option<RunEnd> {
        match (over, self.journal.last()) {
            (Over::Left(end), _) => Some(end),
            (Over::Crashed, Some(Record::RunEnded { end, .. })) => Some(*end),
            (Over::Crashed, _) => None,
        }
    }

    /// What people say now that an engine has left the run.
    fn afterwards(&self, end: RunEnd) -> Vec<Event> {
        match end {
            RunEnd::Waiting => self.answers(),
            RunEnd::Succeeded if self.script.regretted => vec![Event::Rollback {
                to: None,
                reason: "a person asked for it".to_owned(),
            }],
            RunEnd::Succeeded | RunEnd::Failed | RunEnd::RolledBack | RunEnd::Stuck | RunEnd::Cancelled => {
                Vec::new()
            }
        }
    }

    fn answers(&self) -> Vec<Event> {
        let state = self.scheduler.state();
        crate::schedule::indices(state.graph())
            .filter_map(|node| {
                let id = id_of(state, node);
                let answer = match state.status(node) {
                    NodeStatus::Asking if self.script.has(id, FaultKind::Rejected) => Answer::Rejected {
                        reason: "simulated".to_owned(),
                    },
                    NodeStatus::Asking => match self.script.answers.get(id) {
                        Some(answer) => answer.clone()?,
                        None => Answer::Approved,
                    },
                    NodeStatus::InDoubt(_) => self.script.answers.get(id)?.clone()?,
                    _ => return None,
                };
                let by = "simulation".to_owned();
                Some(Event::Answered { node, answer, by })
            })
            .collect()
    }

    fn replay(&self) -> Result<State, String> {
        let mut state = State::new(self.model.graph.clone());
        for record in &self.journal {
            state.apply(record).map_err(|error| error.to_string())?;
        }
        Ok(state)
    }

    /// One engine's life. `None` if the model or the engine is at its wits' end.
    fn session(&mut self, first: Vec<Event>) -> Option<Over> {
        self.session += 1;
        self.owed.clear();
        self.timers.clear();
        let (in_doubt, from) = (InDoubtPolicy::Ask, None);
        for event in first.into_iter().chain([Event::Resume { in_doubt, from }]) {
            if let Some(over) = self.feed(event) {
                return Some(over);
            }
        }
        loop {
            self.events += 1;
            let nodes = self.scheduler.state().graph().nodes.len() as u64;
            if self.events > EVENTS_PER_NODE_MAX * (nodes + 10) {
                self.fault = Some("the run does not end".to_owned());
                return None;
            }
            let Some(event) = self.next_event() else {
                self.fault = Some("nothing goes on, and the run did not end".to_owned());
                return None;
            };
            if let Some(over) = self.feed(event) {
                return Some(over);
            }
        }
    }

    fn feed(&mut self, event: Event) -> Option<Over> {
        let mut commands = Vec::new();
        self.scheduler.handle(self.now, event, &mut commands);
        for command in commands {
            if let Command::Finish(end) = command {
                return Some(Over::Left(end));
            }
            self.carry_out(command);
            if std::mem::take(&mut self.crash_pending) {
                self.crash();
                return Some(Over::Crashed);
            }
        }
        if std::mem::take(&mut self.interrupt) {
            return self.feed(Event::Interrupt(Interrupt::Drain));
        }
        None
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Append(record) => self.append(record),
            Command::Prepare { node, attempt } => self.owe(node, Duration::ZERO, Owed::Prepared(attempt)),
            Command::Start { node, attempt } => self.start(node, attempt),
            Command::Probe { node, attempt } => self.owe(node, Duration::ZERO, Owed::Probed(attempt)),
            Command::Undo { node, attempt } => {
                self.offer(node, Opening::Undo);
                if let Some((target, change)) = self.effect_on_target(node) {
                    self.availability.undo_begun(node, &target, change);
                }
                let time = self.undo_time(node);
                self.owe(node, time, Owed::Undone(attempt));
            }
            Command::Observe { node } => {
                self.offer(node, Opening::Watch);
                self.interrupt_at(node);
                self.owe(node, Duration::ZERO, Owed::Observed);
            }
            Command::Evaluate { node, text } => self.owe(node, Duration::ZERO, Owed::Evaluated(text)),
            Command::ArmTimer { node, due } => {
                let due = self.skip_quiet_time(node, due);
                self.timers.insert(node, due);
            }
            // Nothing is aborted here: interrupts only drain.
            Command::Abort { .. } | Command::Finish(_) => {}
        }
    }

    fn start(&mut self, node: NodeIndex, attempt: AttemptNo) {
        self.offer(node, Opening::Attempt);
        let Some(action) = self.action(node).cloned() else {
            return;
        };
        let is_blind = !action.idempotent && !action.read_only && !self.tried_again.contains(&node);
        if self.acted.contains(&node) && is_blind {
            self.doubled.insert(node);
        }
        if let Some((target, change)) = self.effect_on_target(node) {
            self.availability.begun(node, &target, change);
        }
        self.interrupt_at(node);
        let cut_off = [Truth::Done, Truth::NotDone, Truth::Unknown]
            .into_iter()
            .find(|truth| self.strikes_once(node, FaultKind::InDoubt(*truth)));
        if let Some(truth) = cut_off {
            match truth {
                Truth::Done | Truth::Unknown => self.act(node),
                Truth::NotDone => {}
            }
            self.crash_pending = true;
            return;
        }
        let time = self.time_of(node, &action.call.action, action.timeout);
        self.owe(node, time, Owed::Ended(attempt));
    }

    fn interrupt_at(&mut self, node: NodeIndex) {
        self.interrupt |= self.strikes_once(node, FaultKind::Interrupted);
    }

    /// How long a call takes at the most.
    fn time_of(&mut self, node: NodeIndex, action: &str, limit: Option<Duration>) -> Duration {
        limit
            .or_else(|| self.model.limits.get(action).copied())
            .unwrap_or_else(|| {
                let id = id_of(self.scheduler.state(), node).clone();
                self.without_limit.insert(id);
                Duration::ZERO
            })
    }

    fn undo_time(&mut self, node: NodeIndex) -> Duration {
        let Some(action) = self.action(node).cloned() else {
            return Duration::ZERO;
        };
        match &action.undo {
            Undo::Native => self.time_of(node, &action.call.action, action.timeout),
            Undo::Calls(calls) => calls.iter().fold(Duration::ZERO, |sum, call| {
                let time = self.time_of(node, &call.action, None);
                Duration::from_millis(sum.as_millis().saturating_add(time.as_millis()))
            }),
            Undo::NotNeeded | Undo::Impossible => Duration::ZERO,
        }
    }

    /// A watch that nothing breaches needs no observation before its last.
    fn skip_quiet_time(&self, node: NodeIndex, due: Timestamp) -> Timestamp {
        let state = self.scheduler.state();
        let quiet = matches!(state.graph().node(node).kind, NodeKind::Watch(_))
            && !self.script.has(id_of(state, node), FaultKind::Breaches);
        match state.timer(node) {
            Some(end) if quiet => end.max(due),
            Some(_) | None => due,
        }
    }

    fn append(&mut self, record: Record) {
        if let Record::Waiting {
            reason: caxplan_model::WaitReason::Approval { node, .. },
            ..
        } = record
        {
            self.offer(node, Opening::Approval);
            let _ = self.strikes(node, FaultKind::Rejected);
        }
        self.journal.push(record);
        let count = self.journal.len() as u64;
        if !self.crashed && self.script.crash.is_some_and(|(at, _)| at == count) {
            self.crashed = true;
            self.crash_pending = true;
        }
    }

    /// The engine dies. What it was doing may have been done, as the script says.
    fn crash(&mut self) {
        let acted = self.script.crash.is_some_and(|(_, acted)| acted);
        for (node, owed) in std::mem::take(&mut self.owed).into_values() {
            match owed {
                Owed::Ended(_) if acted => self.act(node),
                Owed::Undone(_) if acted => self.forget(node),
                Owed::Ended(_)
                | Owed::Undone(_)
                | Owed::Prepared(_)
                | Owed::Probed(_)
                | Owed::Observed
                | Owed::Evaluated(_) => {}
            }
        }
    }

    fn owe(&mut self, node: NodeIndex, time: Duration, owed: Owed) {
        self.asked += 1;
        self.owed.insert((self.now.after(time), self.asked), (node, owed));
    }

    fn next_event(&mut self) -> Option<Event> {
        let timer = self.timers.iter().map(|(node, due)| (*due, *node)).min();
        let answer = self.owed.first_key_value().map(|((due, _), _)| *due);
        match (timer, answer) {
            (Some((due, node)), answer) if answer.is_none_or(|answer| due < answer) => {
                self.timers.remove(&node);
                self.now = self.now.max(due);
                Some(Event::Timer { node })
            }
            (_, Some(due)) => {
                self.now = self.now.max(due);
                let (_, (node, owed)) = self.owed.pop_first()?;
                Some(self.settle(node, owed))
            }
            (_, None) => None,
        }
    }

    fn settle(&mut self, node: NodeIndex, owed: Owed) -> Event {
        match owed {
            Owed::Prepared(attempt) => {
                let id = id_of(self.scheduler.state(), node);
                let before = Ok(self.script.befores.get(id).cloned().unwrap_or_default());
                Event::Prepared {
                    node,
                    attempt,
                    before,
                }
            }
            Owed::Ended(attempt) => {
                let outcome = self.perform(node, attempt);
                Event::Ended {
                    node,
                    attempt,
                    outcome,
                }
            }
            Owed::Probed(attempt) => {
                let report = self.probe(node);
                Event::Probed {
                    node,
                    attempt,
                    report,
                }
            }
            Owed::Undone(attempt) => {
                let end = if self.strikes(node, FaultKind::UndoFails) {
                    UndoEnd::Failed {
                        cause: Cause::new(FailureKind::Other, "the undo fails (simulated)"),
                    }
                } else {
                    self.forget(node);
                    UndoEnd::Undone
                };
                Event::Undone { node, attempt, end }
            }
            Owed::Observed => {
                let breach = self
                    .strikes(node, FaultKind::Breaches)
                    .then(|| "a check is not met (simulated)".to_owned());
                Event::Observed { node, breach }
            }
            Owed::Evaluated(text) => {
                let value = self.evaluate(node, &text);
                Event::Evaluated { node, value }
            }
        }
    }
}

/// The steps that have failed.
fn failed(state: &State) -> Vec<NodeIndex> {
    crate::schedule::indices(state.graph())
        .filter(|node| matches!(state.status(*node), NodeStatus::Failed(_)))
        .collect()
}
