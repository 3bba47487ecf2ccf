//! A turn: some messages handled one after the other, then committed as one, then answered.
//!
//! Nothing of a turn is seen outside before it is durable: neither an answer to the sender of a message nor a message that
//! the agent sent.

use super::Item;
use super::task::Task;
use crate::store::{Committed, Handling, now_ms};
use crate::wasm::{Effects, Failure, State};
use caxton_model::{Delivery, Envelope, MessageId, MessageOutcome, NodeId};
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a turn goes on with the next message: the most that the first message waits for the others.
const TURN_TIME_MAX: Duration = Duration::from_millis(5);

/// How a turn ended.
pub(super) enum Ended {
    /// All that it took is answered.
    Well,
    /// The agent failed on a message, which is answered; those after it wait still.
    Failing(Failure),
    /// The agent runs elsewhere by now.
    Fenced,
}

/// What a turn has done, before it is durable.
#[derive(Default)]
pub(super) struct Turn {
    handling: Handling,
    /// At-most-once messages, to be sent after the commit.
    outgoing: Vec<Envelope>,
    /// Ids handled in this turn.
    seen: HashSet<MessageId>,
    answers: Vec<(Item, MessageOutcome)>,
}

impl Turn {
    /// Takes messages from those that wait, at least one, and sees them through.
    pub(super) async fn take(task: &mut Task) -> Ended {
        let known = match Self::prepare(task).await {
            Ok(known) => known,
            Err(reason) => {
                let waiting: Vec<Item> = task.waiting.drain(..).collect();
                for item in waiting {
                    fail(task, item, reason.clone());
                }
                return Ended::Well;
            }
        };
        let started = Instant::now();
        let mut turn = Self::default();
        let mut failed = None;
        while let Some(item) = task.waiting.pop_front() {
            let id = &item.envelope.id;
            if known.contains(id) || turn.seen.contains(id) {
                turn.answers.push((item, MessageOutcome::Duplicate));
                continue;
            }
            match task.handle(item.envelope.clone()).await {
                Ok(effects) => turn.add(&task.context.node, item, effects),
                Err(failure) => {
                    failed = Some((item, failure));
                    break;
                }
            }
            if started.elapsed() >= TURN_TIME_MAX {
                break;
            }
        }
        let fenced = turn.finish(task).await;
        match failed {
            Some((item, failure)) => {
                task.drop_instance();
                if failure.is_crash() {
                    task.context.metrics.crashed();
                }
                fail(task, item, failure.to_string());
                if fenced {
                    Ended::Fenced
                } else {
                    Ended::Failing(failure)
                }
            }
            None if fenced => Ended::Fenced,
            None => Ended::Well,
        }
    }

    /// Reads what the turn needs: the agent's state, and which of the messages were handled before.
    async fn prepare(task: &mut Task) -> Result<HashSet<MessageId>, String> {
        let (store, agent) = (&task.context.store, &task.spec.name);
        if task.state.is_none() {
            let kept = store
                .begin_epoch(agent, task.epoch)
                .await
                .map_err(|error| error.to_string())?;
            task.state = Some(State::new(kept, task.spec.limits.state_bytes));
        }
        let repeatable = task.waiting.iter().filter(|item| remembered(&item.envelope));
        let ids: Vec<MessageId> = repeatable.map(|item| item.envelope.id.clone()).collect();
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        store.known(agent, ids).await.map_err(|error| error.to_string())
    }

    fn add(&mut self, node: &NodeId, item: Item, effects: Effects) {
        if remembered(&item.envelope) {
            self.seen.insert(item.envelope.id.clone());
            self.handling.handled.push(item.envelope.id.clone());
        }
        self.handling.state.extend(effects.changes);
        for envelope in effects.outgoing {
            match envelope.delivery {
                Delivery::AtMostOnce => self.outgoing.push(envelope),
                Delivery::AtLeastOnce if is_for_client_of(node, &envelope) => {
                    self.handling.deposits.push(envelope);
                }
                Delivery::AtLeastOnce => self.handling.outbox.push(envelope),
            }
        }
        self.answers.push((item, MessageOutcome::Handled));
    }

    /// Makes the turn durable, then visible. Says whether the agent was fenced off.
    async fn finish(self, task: &mut Task) -> bool {
        let committed = if self.handling.is_empty() {
            Ok(Committed::Durable)
        } else {
            task.context
                .store
                .commit(&task.spec.name, task.epoch, self.handling)
                .await
        };
        match committed {
            Ok(Committed::Durable) => {
                for envelope in self.outgoing {
                    if task.context.outgoing.try_send(envelope).is_err() {
                        task.context.metrics.dropped();
                    }
                }
                for (item, outcome) in self.answers {
                    succeed(task, item, outcome);
                }
                false
            }
            Ok(Committed::Fenced) => {
                for (item, _) in self.answers {
                    item.answer(MessageOutcome::NotHere);
                }
                true
            }
            Err(error) => {
                task.state = None;
                task.drop_instance();
                for (item, _) in self.answers {
                    fail(task, item, error.to_string());
                }
                false
            }
        }
    }
}

/// Whether the id is kept, because the message may come again.
fn remembered(envelope: &Envelope) -> bool {
    envelope.delivery == Delivery::AtLeastOnce
}

fn is_for_client_of(node: &NodeId, envelope: &Envelope) -> bool {
    envelope.receiver.as_str().starts_with("client/") && envelope.home.as_ref() == Some(node)
}

fn succeed(task: &Task, item: Item, outcome: MessageOutcome) {
    if outcome == MessageOutcome::Duplicate {
        task.context.metrics.duplicate();
    } else {
        let latency_ms = now_ms().saturating_sub(item.envelope.timestamp_ms);
        task.context.metrics.handled(Duration::from_millis(latency_ms));
        task.figures.handled.fetch_add(1, Ordering::Relaxed);
    }
    item.answer(outcome);
}

fn fail(task: &Task, item: Item, reason: String) {
    task.context.metrics.failed();
    task.figures.failed.fetch_add(1, Ordering::Relaxed);
    item.answer(MessageOutcome::Failed { reason });
}
