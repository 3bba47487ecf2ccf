//! Sends messages at a steady rate, through whichever node takes them.

use super::Stats;
use super::answers::collect;
use super::ledger::Ledger;
use anyhow::Context as _;
use caxton_client::Client;
use caxton_model::api::SendRequest;
use caxton_model::{AgentName, Delivery, MessageId, Performative};
use serde_json::json;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

/// How often a batch is sent.
const BATCH_INTERVAL: Duration = Duration::from_millis(20);
/// How many batches may wait to be accepted; further ones are held back until the cluster takes messages again.
const BATCHES_MAX: usize = 256;
/// How often figures are written.
const STATS_INTERVAL: Duration = Duration::from_millis(250);
/// How long one attempt to send a batch may take, before the same messages go to another node.
const SEND_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause after a node refused or did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long to wait for answers after it was told to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What to send.
pub(crate) struct Load {
    /// To which agent.
    pub(crate) to: AgentName,
    /// How many messages a second.
    pub(crate) rate: u32,
    /// How hard the runtime tries.
    pub(crate) delivery: Delivery,
    /// Where the figures go.
    pub(crate) stats: PathBuf,
}

/// Sends until it is told to stop, then waits some seconds for the last answers and writes the last figures.
pub(crate) async fn generate(client: Client, load: Load) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let run = Arc::new(Run {
        mailbox: AgentName(format!("client/generate-{}", ulid::Ulid::new())),
        client: client.with_timeout(SEND_TIMEOUT),
        ledger: Arc::new(Mutex::new(Ledger::new())),
        load,
    });
    // Mailboxes are read from every node: an answer lies where the message was accepted.
    let readers: Vec<_> = client
        .endpoints()
        .map(|endpoint| {
            collect(
                client.clone(),
                endpoint.to_owned(),
                run.mailbox.clone(),
                run.ledger.clone(),
            )
        })
        .map(tokio::spawn)
        .collect();
    let writer = tokio::spawn(write_stats(run.clone(), now_ms()));
    tokio::select! {
        () = send(run.clone()) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        stopped = writer => return stopped.context("writing the figures failed")?,
    }
    let deadline = Instant::now() + STOP_PATIENCE;
    while !run.ledger().is_settled() && Instant::now() < deadline {
        tokio::time::sleep(STATS_INTERVAL).await;
    }
    // The writer goes on until the process ends; give it the time to write once more.
    tokio::time::sleep(STATS_INTERVAL * 2).await;
    readers.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

struct Run {
    mailbox: AgentName,
    client: Client,
    ledger: Arc<Mutex<Ledger>>,
    load: Load,
}

impl Run {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send(run: Arc<Run>) {
    let places = Arc::new(Semaphore::new(BATCHES_MAX));
    let mut ticks = tokio::time::interval(BATCH_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let begun = Instant::now();
    let mut due = 0;
    loop {
        ticks.tick().await;
        let wanted = (begun.elapsed().as_secs_f64() * f64::from(run.load.rate)) as u64;
        let count = wanted - due;
        due = wanted;
        if count == 0 {
            continue;
        }
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                let run = run.clone();
                tokio::spawn(async move {
                    let _place = place;
                    send_batch(&run, count).await;
                });
            }
            Err(_) => run.ledger().held_back += count,
        }
    }
}

/// Sends a batch until a node has accepted it: always the same messages, so that none becomes two.
async fn send_batch(run: &Run, count: u64) {
    let made_ms = now_ms();
    let numbers: Vec<u64> = {
        let mut ledger = run.ledger();
        (0..count).map(|_| ledger.make(made_ms)).collect()
    };
    let batch: Vec<SendRequest> = numbers.iter().map(|number| request(run, *number)).collect();
    loop {
        match run.client.send_messages(&batch).await {
            Ok(_) => {
                let mut ledger = run.ledger();
                numbers.iter().for_each(|number| ledger.accept(*number));
                return;
            }
            Err(error) if error.is_transient() || error.may_have_acted() => {
                tracing::debug!(%error, "sending again");
                run.ledger().retries += 1;
                run.client.avoid_last();
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(error) => {
                tracing::warn!(%error, "the messages are refused");
                let mut ledger = run.ledger();
                ledger.retries += 1;
                numbers.iter().for_each(|number| ledger.forget(*number));
                return;
            }
        }
    }
}

fn request(run: &Run, number: u64) -> SendRequest {
    SendRequest {
        id: Some(MessageId(ulid::Ulid::new().to_string())),
        performative: Performative::Request,
        sender: run.mailbox.clone(),
        receiver: run.load.to.clone(),
        content: json!({ "number": number }),
        conversation_id: None,
        reply_with: Some(number.to_string()),
        in_reply_to: None,
        delivery: run.load.delivery,
    }
}

async fn write_stats(run: Arc<Run>, started_ms: u64) -> anyhow::Result<()> {
    loop {
        let mut stats = Stats {
            started_ms,
            updated_ms: now_ms(),
            rate: run.load.rate,
            ..Stats::default()
        };
        run.ledger().fill(&mut stats);
        let path = &run.load.stats;
        stats
            .write(path)
            .with_context(|| format!("cannot write the figures {}", path.display()))?;
        tokio::time::sleep(STATS_INTERVAL).await;
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}
