//! A driver whose adapters, people and power supply all fail, and the world that it acts on.

use crate::down;
use crate::judge::Judge;
use crate::plan;
use crate::rng::Rng;
use caxplan_core::schedule::{Command, Event, Interrupt, NodeStatus, ProbeReport, Scheduler, State};
use caxplan_model::{
    Answer, AttemptNo, Cause, Digest, FailureKind, Graph, InDoubtPolicy, NodeIndex, NodeKind, Outcome,
    Record, RunEnd, Timestamp, UndoEnd, Value,
};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Engines that may crash and adapters that may fail, one after the other; those after them are calm.
const STORMY_SESSIONS: u32 = 6;
/// Calm engines that a run may take: one each for what a person must answer, and a few for failures found.
const CALM_SESSIONS: u32 = 40;
/// Events in one run: far more than any run takes that is not stuck.
const EVENTS_MAX: u32 = 20_000;

/// A fault that is put between scheduler and journal, to see whether the judge sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Ends of steps are not journalled.
    LoseEnds,
    /// Starts of steps are not journalled.
    LoseStarts,
    /// Undos are reported as done and not carried out.
    SkipUndo,
    /// Lost attempts are reported as never started.
    DenyLoss,
}

/// What the driver owes the scheduler.
enum Owed {
    Prepared(AttemptNo),
    Ended { attempt: AttemptNo, aborted: bool },
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

pub(crate) struct World {
    rng: Rng,
    graph: Graph,
    journal: Vec<Record>,
    judge: Judge,
    scheduler: Scheduler,
    owed: Vec<(NodeIndex, Owed)>,
    timers: BTreeMap<NodeIndex, Timestamp>,
    now: u64,
    calm: bool,
    events: u32,
    sabotage: Option<Sabotage>,
    /// A person regrets that the run succeeded.
    regretted: bool,
    /// The steps whose effect is there, whatever anybody believes.
    acted: BTreeSet<NodeIndex>,
}

/// Runs one seed to its end. A fault comes with the plan and the journal if `explain` is set.
pub(crate) fn run(seed: u64, sabotage: Option<Sabotage>, explain: bool) -> Result<RunEnd, String> {
    let mut rng = Rng::new(seed);
    let mut graph = plan::plan(&mut rng);
    if seed.is_multiple_of(3) {
        down::restrict(&mut graph, &mut Rng::new(seed));
    }
    let mut world = World {
        judge: Judge::new(&graph),
        scheduler: Scheduler::new(State::new(graph.clone())),
        graph,
        rng,
        journal: Vec::new(),
        owed: Vec::new(),
        timers: BTreeMap::new(),
        now: 1,
        calm: false,
        events: 0,
        sabotage,
        regretted: false,
        acted: BTreeSet::new(),
    };
    // A panic of the scheduler is a fault like any other.
    let result = catch_unwind(AssertUnwindSafe(|| world.play(seed))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(text.unwrap_or("the scheduler panicked").to_owned())
    });
    result.map_err(|fault| {
        if explain {
            format!("{fault}\n{}", world.explanation())
        } else {
            fault
        }
    })
}

impl World {
    fn play(&mut self, seed: u64) -> Result<RunEnd, String> {
        self.append(Record::RunCreated {
            at: Timestamp(1),
            graph: Digest::ZERO,
            seed,
            by: "simulation".to_owned(),
        })?;
        for session in 0..STORMY_SESSIONS + CALM_SESSIONS {
            self.calm = session >= STORMY_SESSIONS;
            match self.session()? {
                Over::Left(RunEnd::Succeeded) if self.rng.per_mille(100) => self.regretted = true,
                Over::Left(end) if !end.is_resumable() => return self.check_end(end),
                Over::Left(_) | Over::Crashed => {}
            }
        }
        if down::was_refused(&self.journal, CALM_SESSIONS) {
            return Ok(RunEnd::Failed);
        }
        Err("the run does not end, although nothing fails any more".to_owned())
    }

    fn explanation(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for (at, node) in self.scheduler.state().graph().nodes.iter().enumerate() {
            let parent = node.parent.map(|parent| parent.0);
            let kind = serde_json::to_string(&node.kind).expect("plain data");
            let _ = writeln!(text, "{at} in {parent:?} {:?} {kind}", node.on_failure);
        }
        for record in &self.journal {
            let _ = writeln!(text, "{}", serde_json::to_string(record).expect("plain data"));
        }
        text
    }

    /// One engine's life.
    fn session(&mut self) -> Result<Over, String> {
        self.owed.clear();
        self.timers.clear();
        self.scheduler = Scheduler::new(self.replay()?);
        for event in self.between_engines() {
            if let Some(over) = self.feed(event)? {
                return Ok(over);
            }
        }
        let in_doubt = self.policy();
        let from = (!self.calm && self.rng.per_mille(60))
            .then(|| self.checkpoint())
            .flatten();
        let mut event = Event::Resume { in_doubt, from };
        loop {
            if let Some(over) = self.feed(event)? {
                return Ok(over);
            }
            self.events += 1;
            if self.events > EVENTS_MAX {
                return Err("the run does not end".to_owned());
            }
            self.now += u64::from(self.rng.below(400));
            if !self.calm && self.rng.per_mille(20) {
                // Long enough for the time of a group to be over.
                self.now += u64::from(self.rng.below(90_000));
            }
            event = self.next_event()?;
        }
    }

    /// The state as the journal tells it; it must be the one that the last engine left.
    fn replay(&self) -> Result<State, String> {
        let mut state = State::new(self.graph.clone());
        for record in &self.journal {
            state.apply(record).map_err(|error| error.to_string())?;
        }
        Ok(state)
    }

    /// What people say while no engine has the run.
    fn between_engines(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for node in self.asking() {
            if self.calm || self.rng.per_mille(700) {
                events.push(self.answer(node));
            }
        }
        if self.regretted || (!self.calm && self.journal.len() > 1 && self.rng.per_mille(60)) {
            events.push(self.rollback());
        }
        events
    }

    fn policy(&mut self) -> InDoubtPolicy {
        if self.calm {
            return InDoubtPolicy::Rerun;
        }
        *self.rng.pick(&[
            InDoubtPolicy::Ask,
            InDoubtPolicy::Ask,
            InDoubtPolicy::Rerun,
            InDoubtPolicy::AssumeDone,
            InDoubtPolicy::Fail,
        ])
    }

    /// Hands one event over and carries the commands out. The power may fail between any two of them.
    fn feed(&mut self, event: Event) -> Result<Option<Over>, String> {
        let mut commands = Vec::new();
        self.scheduler.handle(Timestamp(self.now), event, &mut commands);
        for command in commands {
            if !self.calm && self.rng.per_mille(12) {
                self.crash();
                return Ok(Some(Over::Crashed));
            }
            if let Some(end) = self.carry_out(command)? {
                return Ok(Some(Over::Left(end)));
            }
        }
        Ok(None)
    }

    fn carry_out(&mut self, command: Command) -> Result<Option<RunEnd>, String> {
        match command {
            Command::Append(record) => self.append(record)?,
            Command::Prepare { node, attempt } => self.owed.push((node, Owed::Prepared(attempt))),
            Command::Start { node, attempt } => {
                let durable = self.journal.iter().rev().any(|record| {
                    matches!(record, Record::StepStarted { node: n, attempt: a, .. } if *n == node && *a == attempt)
                });
                if !durable {
                    return Err(format!("node {} acts before its start is durable", node.0));
                }
                let aborted = false;
                self.owed.push((node, Owed::Ended { attempt, aborted }));
            }
            Command::Probe { node, attempt } => self.owed.push((node, Owed::Probed(attempt))),
            Command::Undo { node, attempt } => self.owed.push((node, Owed::Undone(attempt))),
            Command::Observe { node } => self.owed.push((node, Owed::Observed)),
            Command::Evaluate { node, text } => self.owed.push((node, Owed::Evaluated(text))),
            Command::ArmTimer { node, due } => {
                self.timers.insert(node, due);
            }
            Command::Abort { node } => {
                for (owed_by, owed) in &mut self.owed {
                    if let Owed::Ended { aborted, .. } = owed
                        && *owed_by == node
                    {
                        *aborted = true;
                    }
                }
            }
            Command::Finish(end) => {
                if !self.owed.is_empty() {
                    let nodes: Vec<u32> = self.owed.iter().map(|(node, _)| node.0).collect();
                    return Err(format!("the engine leaves while something goes on for {nodes:?}"));
                }
                self.check_fold()?;
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    fn append(&mut self, record: Record) -> Result<(), String> {
        let lost = match self.sabotage {
            Some(Sabotage::LoseEnds) => {
                matches!(&record, Record::StepEnded { outcome, .. } if outcome.is_success())
                    && self.rng.per_mille(200)
            }
            Some(Sabotage::LoseStarts) => {
                matches!(record, Record::StepStarted { .. }) && self.rng.per_mille(200)
            }
            Some(Sabotage::SkipUndo | Sabotage::DenyLoss) | None => false,
        };
        if lost {
            return Ok(());
        }
        self.judge.record(&record)?;
        self.journal.push(record);
        Ok(())
    }

    /// The engine dies. What it was doing may have been done, or not.
    fn crash(&mut self) {
        for (node, owed) in std::mem::take(&mut self.owed) {
            match owed {
                Owed::Ended { .. } => self.perhaps_act(node),
                Owed::Undone(_) => {
                    if self.rng.per_mille(500) {
                        self.unact(node);
                    }
                }
                Owed::Prepared(_) | Owed::Probed(_) | Owed::Observed | Owed::Evaluated(_) => {}
            }
        }
        if self.sabotage == Some(Sabotage::DenyLoss)
            && let Some(position) = self
                .journal
                .iter()
                .rposition(|record| matches!(record, Record::StepStarted { .. }))
            && position + 1 == self.journal.len()
        {
            self.journal.pop();
        }
    }

    fn perhaps_act(&mut self, node: NodeIndex) {
        if self.rng.per_mille(500) {
            self.act(node);
        }
    }

    fn act(&mut self, node: NodeIndex) {
        if let NodeKind::Action(action) = &self.scheduler.state().graph().node(node).kind
            && !action.read_only
        {
            self.acted.insert(node);
        }
    }

    /// Undoes a step, or all that is in a group.
    fn unact(&mut self, node: NodeIndex) {
        for at in self.judge.inside(node) {
            self.acted.remove(&at);
        }
    }

    fn next_event(&mut self) -> Result<Event, String> {
        if !self.calm && self.rng.per_mille(40) {
            return Ok(self.disturbance());
        }
        let timer = self.timers.iter().min_by_key(|(_, due)| **due);
        let timer = timer.map(|(node, due)| (*node, *due));
        match timer {
            Some((node, due)) if self.owed.is_empty() || due.0 <= self.now => {
                self.timers.remove(&node);
                self.now = self.now.max(due.0);
                Ok(Event::Timer { node })
            }
            Some(_) | None if !self.owed.is_empty() => {
                let count = u32::try_from(self.owed.len()).expect("few");
                let position = self.rng.below(count) as usize;
                let (node, owed) = self.owed.swap_remove(position);
                Ok(self.settle(node, owed))
            }
            Some(_) | None => Err("the run is stuck: nothing goes on, and it did not end".to_owned()),
        }
    }

    /// What people and doubled messages do to a run that is going on.
    fn disturbance(&mut self) -> Event {
        match self.rng.below(8) {
            0 => Event::Interrupt(Interrupt::Drain),
            1 => Event::Interrupt(Interrupt::Abort),
            2 => Event::Pause(true),
            3 | 4 => Event::Pause(false),
            5 if self.rng.per_mille(300) => self.rollback(),
            6 => match self.asking().first() {
                Some(node) => self.answer(*node),
                None => Event::Pause(false),
            },
            _ => Event::Ended {
                node: NodeIndex(
                    self.rng
                        .below(u32::try_from(self.graph.nodes.len()).expect("few")),
                ),
                attempt: AttemptNo(90 + self.rng.below(3)),
                outcome: Outcome::Changed { output: Value::Null },
            },
        }
    }

    fn settle(&mut self, node: NodeIndex, owed: Owed) -> Event {
        match owed {
            Owed::Prepared(attempt) => {
                let fails = !self.calm && self.rng.per_mille(100);
                let before = if fails {
                    Err(Outcome::failed(self.kind(), "cannot read"))
                } else {
                    Ok(Value::from(self.acted.contains(&node)))
                };
                Event::Prepared {
                    node,
                    attempt,
                    before,
                }
            }
            Owed::Ended { attempt, aborted } => Event::Ended {
                node,
                attempt,
                outcome: self.perform(node, aborted),
            },
            Owed::Probed(attempt) => {
                let report = if !self.calm && self.rng.per_mille(250) {
                    ProbeReport::Unknown {
                        reason: "unreachable".to_owned(),
                    }
                } else if self.acted.contains(&node) {
                    ProbeReport::Done { output: Value::Null }
                } else {
                    self.judge.probed_not_done(node, attempt);
                    ProbeReport::NotDone
                };
                Event::Probed {
                    node,
                    attempt,
                    report,
                }
            }
            Owed::Undone(attempt) => {
                let fails = !self.calm && self.rng.per_mille(300);
                let end = if fails {
                    UndoEnd::Failed {
                        cause: Cause::new(self.kind(), "cannot undo"),
                    }
                } else {
                    if self.sabotage != Some(Sabotage::SkipUndo) {
                        self.unact(node);
                    }
                    UndoEnd::Undone
                };
                Event::Undone { node, attempt, end }
            }
            Owed::Observed => {
                let breach = !self.calm && self.rng.per_mille(200);
                Event::Observed {
                    node,
                    breach: breach.then(|| "too slow".to_owned()),
                }
            }
            Owed::Evaluated(text) => Event::Evaluated {
                node,
                value: self.evaluate(&text),
            },
        }
    }

    fn perform(&mut self, node: NodeIndex, aborted: bool) -> Outcome {
        let output = Value::from(self.now);
        if aborted && self.rng.per_mille(800) {
            self.perhaps_act(node);
            return Outcome::failed_midway(FailureKind::Cancelled, "aborted");
        }
        if self.calm {
            self.act(node);
            return Outcome::Changed { output };
        }
        match self.rng.below(100) {
            0..10 => Outcome::failed(self.kind(), "refused"),
            10..20 => {
                self.perhaps_act(node);
                Outcome::failed_midway(self.kind(), "broke off")
            }
            20..26 => {
                self.perhaps_act(node);
                Outcome::Unknown {
                    cause: Cause::new(FailureKind::Lost, "connection lost"),
                }
            }
            26..34 => Outcome::Unchanged { output },
            _ => {
                self.act(node);
                Outcome::Changed { output }
            }
        }
    }

    fn kind(&mut self) -> FailureKind {
        *self.rng.pick(&[
            FailureKind::Timeout,
            FailureKind::Unavailable,
            FailureKind::Exit,
            FailureKind::Expectation,
            FailureKind::Denied,
        ])
    }

    fn evaluate(&mut self, text: &str) -> Result<Value, String> {
        if !self.calm && self.rng.per_mille(40) {
            return Err("undefined value".to_owned());
        }
        Ok(match text {
            "when" => Value::Bool(self.rng.per_mille(700)),
            "items" => (0..self.rng.below(4)).map(Value::from).collect(),
            _ => Value::from(*self.rng.pick(&["0", "1s", "3s"])),
        })
    }

    /// The nodes that wait for a person.
    fn asking(&self) -> Vec<NodeIndex> {
        let state = self.scheduler.state();
        let count = u32::try_from(state.graph().nodes.len()).expect("few");
        (0..count)
            .map(NodeIndex)
            .filter(|node| matches!(state.status(*node), NodeStatus::Asking | NodeStatus::InDoubt(_)))
            .collect()
    }

    fn answer(&mut self, node: NodeIndex) -> Event {
        let asking = *self.scheduler.state().status(node) == NodeStatus::Asking;
        let answer = match (asking, self.calm) {
            (true, true) => Answer::Approved,
            (true, false) if self.rng.per_mille(700) => Answer::Approved,
            (true, false) => Answer::Rejected {
                reason: "no".to_owned(),
            },
            (false, true) => Answer::Rerun,
            (false, false) => self
                .rng
                .pick(&[Answer::AssumeDone, Answer::Rerun, Answer::Fail])
                .clone(),
        };
        let by = "someone".to_owned();
        Event::Answered { node, answer, by }
    }

    fn rollback(&mut self) -> Event {
        let to = self.rng.per_mille(400).then(|| self.checkpoint()).flatten();
        let reason = "asked".to_owned();
        Event::Rollback { to, reason }
    }

    /// A checkpoint that was reached, if there is one.
    fn checkpoint(&mut self) -> Option<caxplan_model::CheckpointName> {
        self.scheduler.state().last_checkpoint().cloned()
    }

    /// The engine's own state and the fold of the journal agree.
    fn check_fold(&self) -> Result<(), String> {
        let replayed = self.replay()?;
        let state = self.scheduler.state();
        for at in 0..state.graph().nodes.len() {
            let node = NodeIndex(u32::try_from(at).expect("few"));
            if state.status(node) != replayed.status(node) {
                return Err(format!(
                    "node {at} is {:?} for the engine and {:?} for the journal",
                    state.status(node),
                    replayed.status(node)
                ));
            }
        }
        Ok(())
    }

    /// What is true of the world when a run has ended for good.
    fn check_end(&self, end: RunEnd) -> Result<RunEnd, String> {
        if end == RunEnd::RolledBack
            && let Some(node) = self.acted.iter().find(|node| self.judge.must_be_undone(**node))
        {
            return Err(format!("the run is rolled back, and node {} still acts", node.0));
        }
        Ok(end)
    }
}
