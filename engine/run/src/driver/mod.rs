//! The loop that carries out what the scheduler says.
//!
//! One thread, one loop: take all events that are there, let the scheduler decide about each, make all records of the
//! turn durable in one transaction, then carry out the commands. That is stricter than asked (a command waits for the
//! records before it, and here for those behind it too) and costs one sync of the disk per turn, however much happens.

pub(crate) mod attempt;
mod crash_point;
mod job;
mod notify;
mod person;
mod signals;

use crate::journal::{Batch, Journal, JournalError, Request, Tail};
use crate::observe::Observer;
use crate::output::Outputs;
use crate::scope::Surroundings;
use crate::{Registry, clock};
use caxplan_core::schedule::{Command, Event, Interrupt, NodeStatus, Scheduler, State};
use caxplan_model::{Answer, CheckpointName, InDoubtPolicy, NodeIndex, Record, RunEnd, RunId, Timestamp};
pub(crate) use crash_point::CrashPoint;
use person::reply_of;
use signals::Signals;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use person::{Interview, Person, Question, QuestionKind, Reply};

/// How often it is looked for requests of other processes and for output to write.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What the user wants of this engine.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// What is done about steps in doubt that neither a probe nor idempotence decides.
    pub in_doubt: InDoubtPolicy,
    /// Run again all that came after this checkpoint.
    pub from: Option<CheckpointName>,
    /// Undo instead of going on.
    pub rollback: Option<RollbackOrder>,
    /// End the run instead of going on.
    pub cancel: Option<Interrupt>,
    /// Who approves whatever asks for approval without looking at it, if anybody does.
    pub approve_as: Option<String>,
}

/// How far to undo.
#[derive(Clone, Debug, Default)]
pub struct RollbackOrder {
    /// What was completed up to this checkpoint stays.
    pub to: Option<CheckpointName>,
    /// Why, for the journal.
    pub reason: String,
}

/// Why an engine had to leave its run in the middle. The journal holds everything up to the last commit; `resume` goes
/// on from there.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The journal cannot be written. Steps that were going on have ended; how, is lost, so they are in doubt.
    #[error("the run stopped, because its journal cannot be written; {lost} records could not be written")]
    Journal {
        /// How many facts could not be made durable.
        lost: usize,
        /// Why.
        source: JournalError,
    },
    /// Signals cannot be taken over.
    #[error("signals cannot be handled")]
    Signals(#[source] std::io::Error),
}

/// Carries out one run.
pub struct Driver {
    run: RunId,
    journal: Journal,
    tail: Tail,
    registry: Registry,
    scheduler: Scheduler,
    surroundings: Surroundings,
    outputs: Outputs,
    observer: Box<dyn Observer>,
    orders: Orders,
    person: Option<Person>,
    /// Not yet durable.
    batch: Batch,
    /// Waits for the batch to be durable.
    deferred: Vec<Command>,
    /// Why the batch could not be made durable so far.
    blocked: Option<JournalError>,
    going_on: BTreeMap<NodeIndex, CancellationToken>,
    timers: BTreeMap<NodeIndex, Timestamp>,
    answers: mpsc::UnboundedSender<(Option<NodeIndex>, Event)>,
    answered: mpsc::UnboundedReceiver<(Option<NodeIndex>, Event)>,
    data_version: i64,
    /// When it is looked for requests again, however busy the engine is.
    next_look: Instant,
    end: Option<RunEnd>,
    crash_point: CrashPoint,
}

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) run: RunId,
    pub(crate) journal: Journal,
    pub(crate) tail: Tail,
    pub(crate) registry: Registry,
    pub(crate) state: State,
    pub(crate) surroundings: Surroundings,
    pub(crate) outputs: Outputs,
}

impl Driver {
    /// `person` is asked what the run waits for, if one is there.
    pub(crate) fn new(
        parts: Parts,
        orders: Orders,
        observer: Box<dyn Observer>,
        person: Option<Person>,
    ) -> Self {
        // As many answers wait here as there are commands going on, which the scheduler limits.
        let (answers, answered) = mpsc::unbounded_channel();
        Self {
            run: parts.run,
            journal: parts.journal,
            tail: parts.tail,
            registry: parts.registry,
            scheduler: Scheduler::new(parts.state),
            surroundings: parts.surroundings,
            outputs: parts.outputs,
            observer,
            orders,
            person,
            batch: Batch::default(),
            deferred: Vec::new(),
            blocked: None,
            going_on: BTreeMap::new(),
            timers: BTreeMap::new(),
            answers,
            answered,
            data_version: 0,
            next_look: Instant::now(),
            end: None,
            crash_point: CrashPoint::from_environment(),
        }
    }

    /// Runs until the scheduler says that it is over. Must be driven by a single-threaded runtime on the thread that lives
    /// longest: local children end with it.
    pub async fn run(mut self) -> Result<(RunEnd, State), DriverError> {
        let mut signals = Signals::new().map_err(DriverError::Signals)?;
        let first = self.first_events();
        self.turn(first)?;
        self.ask_open();
        loop {
            if let Some(end) = self.end {
                let events = match self.approvals(end) {
                    Some(events) => Some(events),
                    None => self.converse(end, &mut signals).await,
                };
                match events {
                    Some(events) => self.turn(events)?,
                    None => {
                        self.notify(end, &mut signals).await;
                        return Ok((end, self.scheduler.into_state()));
                    }
                }
            } else {
                let events = self.next_events(&mut signals).await;
                self.turn(events)?;
            }
        }
    }

    fn first_events(&mut self) -> VecDeque<Event> {
        let mut events = VecDeque::new();
        let orders = std::mem::take(&mut self.orders);
        if let Some(RollbackOrder { to, reason }) = orders.rollback {
            events.push_back(Event::Rollback { to, reason });
        }
        // What was asked of an engine that is gone: answers still count, the rest was about that engine.
        let requests = self.journal.requests(&self.tail).unwrap_or_default();
        for stored in requests {
            self.batch.handled.push(stored.id);
            match stored.request {
                Request::Answer { node, answer } => {
                    let by = stored.by;
                    events.push_back(Event::Answered { node, answer, by });
                }
                Request::Pause { .. } | Request::Cancel { .. } => {}
            }
        }
        events.push_back(match orders.cancel {
            Some(how) => Event::Cancel(how),
            None => Event::Resume {
                in_doubt: orders.in_doubt,
                from: orders.from,
            },
        });
        self.orders.in_doubt = orders.in_doubt;
        self.orders.approve_as = orders.approve_as;
        events
    }

    /// If the run only waits for approvals and may approve by itself: the approvals.
    fn approvals(&mut self, end: RunEnd) -> Option<VecDeque<Event>> {
        let by = self
            .orders
            .approve_as
            .clone()
            .filter(|_| end == RunEnd::Waiting)?;
        let state = self.scheduler.state();
        let count = u32::try_from(state.graph().nodes.len()).unwrap_or(u32::MAX);
        let asking = (0..count)
            .map(NodeIndex)
            .filter(|node| *state.status(*node) == NodeStatus::Asking);
        let mut events: VecDeque<Event> = asking
            .map(|node| Event::Answered {
                node,
                answer: Answer::Approved,
                by: by.clone(),
            })
            .collect();
        if events.is_empty() {
            return None;
        }
        events.push_back(Event::Resume {
            in_doubt: self.orders.in_doubt,
            from: None,
        });
        self.end = None;
        Some(events)
    }

    /// One turn of the loop.
    fn turn(&mut self, events: VecDeque<Event>) -> Result<(), DriverError> {
        self.decide(events);
        self.settle()
    }

    /// Lets the scheduler decide about each event. What it asks and the driver can answer by itself, without touching
    /// anything outside, is answered at once: such an answer needs no durable record before it.
    fn decide(&mut self, mut events: VecDeque<Event>) {
        let mut commands = Vec::new();
        while let Some(event) = events.pop_front() {
            self.scheduler.handle(clock::now(), event, &mut commands);
            for command in commands.drain(..) {
                match command {
                    Command::Append(record) => self.batch.records.push(record),
                    Command::Evaluate { node, text } => {
                        let value = self.evaluate(node, &text);
                        events.push_back(Event::Evaluated { node, value });
                    }
                    acting => self.deferred.push(acting),
                }
            }
        }
    }

    /// Makes the batch durable, then carries out what waited for that. If the disk is full, both wait: what is going on
    /// may end, nothing starts, and it is tried again as long as something goes on.
    fn settle(&mut self) -> Result<(), DriverError> {
        self.batch.logs.extend(self.outputs.take());
        if !self.batch.is_empty() {
            self.crash_point
                .pass(&mut self.journal, &self.run, &mut self.tail, &self.batch);
            match self.journal.commit(&self.run, &mut self.tail, &self.batch) {
                Ok(first) => {
                    let batch = std::mem::take(&mut self.batch);
                    self.show(first.0, &batch);
                    if self.blocked.take().is_some() {
                        self.observer
                            .notice("the journal can be written again; the run goes on");
                    }
                }
                Err(error) => return self.block(error),
            }
        }
        for command in std::mem::take(&mut self.deferred) {
            self.carry_out(&command);
        }
        Ok(())
    }

    fn block(&mut self, error: JournalError) -> Result<(), DriverError> {
        // An abort needs nothing durable.
        for command in &self.deferred {
            if let Command::Abort { node } = command {
                self.abort(*node);
            }
        }
        self.deferred
            .retain(|command| !matches!(command, Command::Abort { .. }));
        if self.going_on.is_empty() {
            return Err(DriverError::Journal {
                lost: self.batch.records.len(),
                source: error,
            });
        }
        if self.blocked.is_none() {
            let hint = error.hint().unwrap_or_default();
            self.observer.notice(&format!(
                "{error}: nothing more starts until it can be written again; {hint}"
            ));
        }
        self.blocked = Some(error);
        Ok(())
    }

    fn show(&mut self, first: u64, batch: &Batch) {
        for chunk in &batch.logs {
            self.observer.output(chunk);
        }
        for (seq, record) in (first..).zip(&batch.records) {
            let seq = caxplan_model::RecordSeq(seq);
            self.observer.record(self.scheduler.state(), seq, record);
            match record {
                Record::Waiting { reason, .. } => self.ask_about(reason),
                Record::Answered { node, .. } => self.is_answered(*node),
                _ => {}
            }
        }
    }

    fn carry_out(&mut self, command: &Command) {
        match *command {
            Command::Prepare { node, attempt } => self.prepare(node, attempt),
            Command::Start { node, attempt } => self.start(node, attempt),
            Command::Probe { node, attempt } => self.probe(node, attempt),
            Command::Undo { node, attempt } => self.undo(node, attempt),
            Command::Observe { node } => self.observe(node),
            Command::ArmTimer { node, due } => {
                self.timers.insert(node, due);
            }
            Command::Abort { node } => self.abort(node),
            Command::Finish(end) => self.end = Some(end),
            Command::Append(_) | Command::Evaluate { .. } => {
                unreachable!("`decide` defers neither records nor questions")
            }
        }
    }

    fn abort(&self, node: NodeIndex) {
        if let Some(cancel) = self.going_on.get(&node) {
            cancel.cancel();
        }
    }

    /// Waits until something happens, and takes all that has happened by then. May answer nothing: then it is time to
    /// write output, or to try again to.
    async fn next_events(&mut self, signals: &mut Signals) -> VecDeque<Event> {
        let mut events = VecDeque::new();
        let now = Instant::now();
        let wake = now
            + self
                .until_next_timer()
                .min(self.next_look.saturating_duration_since(now));
        tokio::select! {
            biased;
            interrupt = signals.next() => {
                self.say_interrupt(interrupt);
                events.push_back(Event::Interrupt(interrupt));
            }
            answer = self.answered.recv() => self.take_answer(answer, &mut events),
            reply = reply_of(self.person.as_mut()) => self.take_reply(reply, &mut events),
            () = tokio::time::sleep_until(wake) => {}
        }
        if self.next_look <= Instant::now() {
            self.next_look = Instant::now() + LOOK_EVERY;
            self.take_requests(&mut events);
        }
        while let Ok(answer) = self.answered.try_recv() {
            self.take_answer(Some(answer), &mut events);
        }
        let now = clock::now();
        let due: Vec<NodeIndex> = self
            .timers
            .iter()
            .filter(|(_, due)| **due <= now)
            .map(|(node, _)| *node)
            .collect();
        for node in due {
            self.timers.remove(&node);
            events.push_back(Event::Timer { node });
        }
        events
    }

    /// By the wall clock, looked at anew each time: it may be set while the engine sleeps.
    fn until_next_timer(&self) -> Duration {
        let now = clock::now();
        let next = self.timers.values().min();
        next.map_or(Duration::MAX, |due| due.since(now).as_std())
    }

    fn take_answer(&mut self, answer: Option<(Option<NodeIndex>, Event)>, events: &mut VecDeque<Event>) {
        if let Some((node, event)) = answer {
            if let Some(node) = node {
                self.going_on.remove(&node);
            }
            events.push_back(event);
        }
    }

    /// Takes in what other processes asked for. A journal that cannot be read now is asked again the next time.
    fn take_requests(&mut self, events: &mut VecDeque<Event>) {
        let Ok(version) = self.journal.data_version() else {
            return;
        };
        if version == self.data_version {
            return;
        }
        let Ok(requests) = self.journal.requests(&self.tail) else {
            return;
        };
        self.data_version = version;
        for stored in requests {
            if self.batch.handled.contains(&stored.id) {
                continue;
            }
            self.batch.handled.push(stored.id);
            events.push_back(match stored.request {
                Request::Pause { paused } => Event::Pause(paused),
                Request::Cancel { abort: false } => Event::Interrupt(Interrupt::Drain),
                Request::Cancel { abort: true } => Event::Interrupt(Interrupt::Abort),
                Request::Answer { node, answer } => Event::Answered {
                    node,
                    answer,
                    by: stored.by,
                },
            });
        }
    }

    fn say_interrupt(&mut self, interrupt: Interrupt) {
        let running = self.going_on.len();
        let steps = if running == 1 {
            "step".to_owned()
        } else {
            format!("{running} steps")
        };
        self.observer.notice(&match interrupt {
            Interrupt::Drain if running == 0 => "interrupted: nothing more starts".to_owned(),
            Interrupt::Drain => format!(
                "interrupted: nothing more starts, the running {steps} may end; interrupt again to abort"
            ),
            Interrupt::Abort => format!("aborting the running {steps}"),
        });
    }
}

#[cfg(test)]
mod tests;
