//! One agent: a bounded mailbox, and a task that handles its messages one at a time, in order.

mod supervise;
mod task;
mod turn;

pub(crate) use task::Context;

use crate::wasm::{Identity, Prepared, State};
use caxton_model::{AgentName, AgentSpec, Envelope, Epoch, MessageOutcome};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use supervise::Supervisor;
use task::Task;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// How an agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    /// It handles messages.
    Running,
    /// It handles no messages for now.
    Suspended,
    /// It failed too often or was fenced off, and handles nothing until it is started again.
    Failed,
}

/// An agent's figures at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentRuntimeInfo {
    /// Which agent.
    pub name: AgentName,
    /// Since which placement it runs here.
    pub epoch: Epoch,
    /// How it does.
    pub status: AgentStatus,
    /// Why, if it has failed.
    pub reason: Option<String>,
    /// Messages that wait in its mailbox or are being handled.
    pub mailbox_len: u64,
    /// Messages handled since it was started here.
    pub handled: u64,
    /// Messages that it failed on since it was started here.
    pub failed: u64,
    /// The size of its linear memory, in bytes; 0 while it has no instance.
    pub memory_bytes: u64,
}

/// What an agent's task shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Running,
    Suspended,
    Stopping,
}

/// A message that is to be handled, and who wants to know what becomes of it.
struct Item {
    envelope: Arc<Envelope>,
    answer: oneshot::Sender<MessageOutcome>,
    _pending: Pending,
}

impl Item {
    fn answer(self, outcome: MessageOutcome) {
        // Nobody waiting is no failure: the sender will ask again.
        let _ = self.answer.send(outcome);
    }
}

/// Counts a message for as long as it is neither answered nor dropped.
struct Pending(Arc<Figures>);

impl Pending {
    fn new(figures: &Arc<Figures>) -> Self {
        figures.pending.fetch_add(1, Ordering::Relaxed);
        Self(figures.clone())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an agent's task tells about itself.
#[derive(Default)]
struct Figures {
    pending: AtomicU64,
    handled: AtomicU64,
    failed: AtomicU64,
    memory_bytes: AtomicU64,
    /// Why it was given up.
    given_up: OnceLock<String>,
}

/// A message that was offered to an agent: answered at once, or in the mailbox.
pub(crate) enum Offered {
    Refused(MessageOutcome),
    Waiting(oneshot::Receiver<MessageOutcome>),
}

/// The host's end of an agent.
pub(crate) struct Agent {
    pub(crate) spec: Arc<AgentSpec>,
    pub(crate) epoch: Epoch,
    mailbox: mpsc::Sender<Item>,
    mode: watch::Sender<Mode>,
    figures: Arc<Figures>,
    task: JoinHandle<()>,
}

impl Agent {
    /// Starts the agent's task on the current runtime. Its first instance is made when the first message comes.
    pub(crate) fn start(
        context: Arc<Context>,
        spec: Arc<AgentSpec>,
        epoch: Epoch,
        prepared: Arc<Prepared>,
        state: State,
    ) -> Self {
        let (mailbox, queue) = mpsc::channel(spec.limits.mailbox as usize);
        let mode = watch::Sender::new(Mode::Running);
        let figures = Arc::new(Figures::default());
        let task = Task {
            context,
            prepared,
            identity: Arc::new(Identity {
                agent: spec.name.clone(),
                limits: spec.limits,
            }),
            epoch,
            queue,
            waiting: VecDeque::new(),
            mode: mode.subscribe(),
            figures: figures.clone(),
            supervisor: Supervisor::new(spec.restart),
            state: Some(state),
            instance: None,
            spec: spec.clone(),
        };
        Self {
            spec,
            epoch,
            mailbox,
            mode,
            figures,
            task: tokio::spawn(task.run()),
        }
    }

    /// Puts a message into the mailbox if there is room.
    pub(crate) fn offer(&self, envelope: Envelope) -> Offered {
        if let Some(reason) = self.figures.given_up.get() {
            return Offered::Refused(MessageOutcome::Failed {
                reason: reason.clone(),
            });
        }
        let mode = *self.mode.borrow();
        match mode {
            Mode::Running => {}
            Mode::Suspended => return Offered::Refused(MessageOutcome::Full),
            Mode::Stopping => return Offered::Refused(MessageOutcome::NotHere),
        }
        let (answer, answered) = oneshot::channel();
        let item = Item {
            envelope: Arc::new(envelope),
            answer,
            _pending: Pending::new(&self.figures),
        };
        match self.mailbox.try_send(item) {
            Ok(()) => Offered::Waiting(answered),
            Err(mpsc::error::TrySendError::Full(_)) => Offered::Refused(MessageOutcome::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Offered::Refused(MessageOutcome::NotHere),
        }
    }

    pub(crate) fn set_suspended(&self, suspended: bool) {
        self.mode.send_if_modified(|mode| {
            let wanted = if suspended { Mode::Suspended } else { Mode::Running };
            let changes = *mode != Mode::Stopping && *mode != wanted;
            if changes {
                *mode = wanted;
            }
            changes
        });
    }

    /// Lets the agent take no more messages; [`Agent::stop`] waits until it has stopped.
    pub(crate) fn begin_stop(&self) {
        self.mode.send_replace(Mode::Stopping);
    }

    /// Waits for the messages that are being handled, and refuses the rest.
    pub(crate) async fn stop(&self) {
        self.begin_stop();
        self.mailbox.closed().await;
    }

    pub(crate) fn info(&self) -> AgentRuntimeInfo {
        let ended = || {
            let ended = self.mailbox.is_closed();
            ended.then(|| "it has ended: it runs under a newer epoch, or the host failed".to_owned())
        };
        let reason = self.figures.given_up.get().cloned().or_else(ended);
        let status = match (&reason, *self.mode.borrow()) {
            (Some(_), _) => AgentStatus::Failed,
            (None, Mode::Suspended) => AgentStatus::Suspended,
            (None, Mode::Running | Mode::Stopping) => AgentStatus::Running,
        };
        AgentRuntimeInfo {
            name: self.spec.name.clone(),
            epoch: self.epoch,
            status,
            reason,
            mailbox_len: self.figures.pending.load(Ordering::Relaxed),
            handled: self.figures.handled.load(Ordering::Relaxed),
            failed: self.figures.failed.load(Ordering::Relaxed),
            memory_bytes: self.figures.memory_bytes.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}
