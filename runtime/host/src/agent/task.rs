//! An agent's life: wait for messages, take turns, rest after failures, stop.

use super::supervise::{Supervisor, Verdict};
use super::turn::{Ended, Turn};
use super::{Figures, Item, Mode};
use crate::metrics::Metrics;
use crate::store::Store;
use crate::wasm::{Effects, Engine, Failure, Identity, Instance, Prepared, State};
use caxton_model::{AgentSpec, Envelope, Epoch, MessageOutcome, NodeId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// The most messages of one turn: they share a commit.
const TURN_MESSAGES_MAX: usize = 128;

/// What the agents of a host share.
pub(crate) struct Context {
    pub(crate) node: NodeId,
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) metrics: Metrics,
    /// Where at-most-once messages go.
    pub(crate) outgoing: mpsc::Sender<Envelope>,
    pub(crate) started: Instant,
}

/// An agent, running.
pub(super) struct Task {
    pub(super) context: Arc<Context>,
    pub(super) spec: Arc<AgentSpec>,
    pub(super) epoch: Epoch,
    pub(super) prepared: Arc<Prepared>,
    pub(super) identity: Arc<Identity>,
    pub(super) queue: mpsc::Receiver<Item>,
    /// Taken from the mailbox for the next turn.
    pub(super) waiting: VecDeque<Item>,
    pub(super) mode: watch::Receiver<Mode>,
    pub(super) figures: Arc<Figures>,
    pub(super) supervisor: Supervisor,
    /// `None` after a commit has failed, until it is read again.
    pub(super) state: Option<State>,
    pub(super) instance: Option<Instance>,
}

impl Task {
    /// Runs until the agent is stopped or fenced off. Messages left over are dropped, which their senders see as not here.
    pub(super) async fn run(mut self) {
        loop {
            let mode = *self.mode.borrow_and_update();
            match mode {
                Mode::Stopping => return,
                Mode::Suspended => self.refuse_waiting(&MessageOutcome::Full),
                Mode::Running => {}
            }
            if self.waiting.is_empty() {
                tokio::select! {
                    biased;
                    changed = self.mode.changed() => if changed.is_err() { return },
                    item = self.queue.recv() => match item {
                        Some(item) => self.waiting.push_back(item),
                        None => return,
                    },
                }
                continue;
            }
            while self.waiting.len() < TURN_MESSAGES_MAX
                && let Ok(item) = self.queue.try_recv()
            {
                self.waiting.push_back(item);
            }
            if let Some(reason) = self.figures.given_up.get() {
                let outcome = MessageOutcome::Failed {
                    reason: reason.clone(),
                };
                self.refuse_waiting(&outcome);
                continue;
            }
            match Turn::take(&mut self).await {
                Ended::Well => {}
                Ended::Fenced => return,
                Ended::Failing(failure) => self.recover(&failure).await,
            }
            // However full its mailbox: the others' turn.
            tokio::task::yield_now().await;
        }
    }

    /// Lets the agent handle a message; a fresh instance is made if there is none.
    pub(super) async fn handle(&mut self, envelope: Arc<Envelope>) -> Result<Effects, Failure> {
        // A turn begins by reading the state.
        let state = self.state.get_or_insert_default();
        let memory_bytes = &self.figures.memory_bytes;
        let instance = match &mut self.instance {
            Some(instance) => instance,
            None => {
                let started = Instance::start(&self.prepared, self.identity.clone(), state).await?;
                let instance = self.instance.insert(started);
                memory_bytes.store(instance.memory_bytes(), Ordering::Relaxed);
                instance
            }
        };
        let effects = instance.handle(state, envelope).await;
        memory_bytes.store(instance.memory_bytes(), Ordering::Relaxed);
        effects
    }

    /// What the instance remembers may not be what the store has: the next message gets a fresh one.
    pub(super) fn drop_instance(&mut self) {
        self.instance = None;
        self.figures.memory_bytes.store(0, Ordering::Relaxed);
    }

    /// After a failure: rests before the next try, or gives the agent up.
    async fn recover(&mut self, failure: &Failure) {
        if !failure.is_crash() {
            return;
        }
        let now_ms = u64::try_from(self.context.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.supervisor.failed(now_ms) {
            Verdict::Restart(pause) => {
                tracing::warn!(agent = %self.spec.name, %failure, ?pause, "agent failed; it is started again");
                self.rest(pause).await;
            }
            Verdict::GiveUp => {
                let policy = self.spec.restart;
                let reason = format!(
                    "agent {} was given up after more than {} failures within {} ms; the last: {failure}",
                    self.spec.name, policy.max_failures, policy.within_ms
                );
                tracing::error!("{reason}");
                // Set once: a given-up agent handles nothing that could fail again.
                let _ = self.figures.given_up.set(reason);
            }
        }
    }

    /// Waits, unless the agent is to be suspended or stopped.
    async fn rest(&mut self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // The caller looks at the mode next.
            _ = self.mode.changed() => {}
        }
    }

    fn refuse_waiting(&mut self, outcome: &MessageOutcome) {
        for item in self.waiting.drain(..) {
            item.answer(outcome.clone());
        }
        while let Ok(item) = self.queue.try_recv() {
            item.answer(outcome.clone());
        }
    }
}
