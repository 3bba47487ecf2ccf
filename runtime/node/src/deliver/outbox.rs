//! Delivers what the outbox holds, until its receivers have handled it.

use super::lanes::{ATTEMPTS_MAX, Attempt, BATCH_MAX, Batch, Lanes};
use super::route::{self, Outcome};
use crate::clock::now_ms;
use crate::node::Shared;
use caxton_host::StoreError;
use caxton_model::{AgentName, Delivery, Envelope, MessageId, MessageOutcome, Performative};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

/// The most messages in memory at once.
const LOADED_MAX: usize = 16_384;
/// How long to wait after the store failed.
const STORE_PAUSE: Duration = Duration::from_millis(200);
/// How long an agent that nobody knows may still be deployed, before messages to it are given up.
const UNKNOWN_RECEIVER_PATIENCE_MS: u64 = 10_000;

/// Runs until `stop`; then waits for the batches that are on their way. What is not delivered stays in the outbox.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut accepted = shared.store.subscribe_outbox();
    let mut catalog = shared.cluster.subscribe_catalog();
    let mut lanes = Lanes::default();
    let mut flights: JoinSet<(AgentName, Vec<Attempt>)> = JoinSet::new();
    loop {
        accepted.mark_unchanged();
        let loaded = load(&shared, &mut lanes).await;
        for batch in lanes.take_due(Instant::now()) {
            flights.spawn(deliver(Arc::clone(&shared), batch));
        }
        let wake_up = match loaded {
            Ok(()) => lanes.next_due(),
            Err(error) => {
                warn!(%error, "the outbox cannot be read");
                Some(Instant::now() + STORE_PAUSE)
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            changed = accepted.changed() => if changed.is_err() { break },
            changed = catalog.changed() => match changed {
                Ok(()) => lanes.end_pauses(),
                Err(_) => break,
            },
            Some(landed) = flights.join_next() => match landed {
                Ok((receiver, attempts)) => lanes.settle(Instant::now(), &receiver, &attempts),
                Err(error) => error!(%error, "a delivery panicked"),
            },
            () = sleep_until(wake_up) => {}
        }
    }
    flights.join_all().await;
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Fills the lanes of receivers that have none.
async fn load(shared: &Shared, lanes: &mut Lanes) -> Result<(), StoreError> {
    let room = LOADED_MAX.saturating_sub(lanes.len());
    if room == 0 {
        return Ok(());
    }
    let due = shared
        .store
        .due(now_ms(), BATCH_MAX, room, lanes.receivers())
        .await?;
    for entry in due {
        lanes.push(entry.envelope, entry.attempts);
    }
    Ok(())
}

/// Sends a batch, and makes durable what became of it.
async fn deliver(shared: Arc<Shared>, batch: Batch) -> (AgentName, Vec<Attempt>) {
    let outcomes = route::send(&shared, &batch).await;
    let mut attempts = Vec::with_capacity(outcomes.len());
    let mut done = Vec::new();
    let mut failed = Vec::new();
    let mut dead = Vec::new();
    for ((message, failures), outcome) in batch.messages.into_iter().zip(batch.failures).zip(&outcomes) {
        if let Some(reason) = given_up(&message, outcome, failures) {
            dead.push((message, reason));
            attempts.push(Attempt::Settled);
            continue;
        }
        let attempt = outcome.attempt();
        match attempt {
            Attempt::Settled => done.push(message.id),
            Attempt::Failed => failed.push(message.id),
            Attempt::Unreached => {}
        }
        attempts.push(attempt);
    }
    if let Err(error) = record(&shared, done, failed, dead).await {
        // Nothing is lost: those that were handled will be sent again, and turn out to be duplicates.
        warn!(%error, "the outbox cannot be written");
        attempts.clear();
    }
    (batch.receiver, attempts)
}

fn given_up(message: &Envelope, outcome: &Outcome, failures_before: u32) -> Option<String> {
    match outcome {
        Outcome::Known(MessageOutcome::Failed { reason }) if failures_before + 1 >= ATTEMPTS_MAX => {
            Some(format!(
                "{} failed on it {ATTEMPTS_MAX} times; the last time: {reason}",
                message.receiver
            ))
        }
        Outcome::UnknownReceiver if now_ms() > message.timestamp_ms + UNKNOWN_RECEIVER_PATIENCE_MS => {
            Some(format!("there is no agent {}", message.receiver))
        }
        Outcome::Known(_) | Outcome::UnknownReceiver | Outcome::Unreached => None,
    }
}

async fn record(
    shared: &Shared,
    done: Vec<MessageId>,
    failed: Vec<MessageId>,
    dead: Vec<(Envelope, String)>,
) -> Result<(), StoreError> {
    if !done.is_empty() {
        shared.store.done(done).await?;
    }
    if !failed.is_empty() {
        shared.store.retry(failed, now_ms()).await?;
    }
    for (message, reason) in dead {
        debug!(id = %message.id, receiver = %message.receiver, reason, "message given up");
        shared.metrics.dead();
        // First the news, then the end: after a crash in between the news has the same id and is no second one.
        if let Some(news) = failure(&message, &reason) {
            shared.store.accept(vec![news]).await?;
        }
        shared.store.bury(vec![message.id], reason).await?;
    }
    Ok(())
}

/// Tells the sender that a message was given up. News of news would never end.
fn failure(message: &Envelope, reason: &str) -> Option<Envelope> {
    if message.performative == Performative::Failure {
        return None;
    }
    Some(Envelope {
        id: message.id.derived(&message.receiver, u32::MAX),
        performative: Performative::Failure,
        sender: message.receiver.clone(),
        receiver: message.sender.clone(),
        content: serde_json::json!({ "message": message.id, "reason": reason }),
        conversation_id: message.conversation_id.clone(),
        reply_with: None,
        in_reply_to: message.reply_with.clone(),
        home: message.home.clone(),
        timestamp_ms: now_ms(),
        delivery: Delivery::AtLeastOnce,
        traceparent: message.traceparent.clone(),
    })
}
