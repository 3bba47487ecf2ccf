//! Delivers at-most-once messages: each is sent once, from memory.

use super::lanes::{Attempt, Lanes};
use super::route;
use crate::node::Shared;
use caxton_model::Envelope;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The most messages that wait for being sent. Further ones of clients are refused, those of agents are dropped.
pub(crate) const VOLATILE_MAX: usize = 16_384;

/// Where at-most-once messages go in.
#[derive(Clone, Debug)]
pub(crate) struct Volatile(mpsc::Sender<Envelope>);

impl Volatile {
    /// The way in, and what [`run`] needs.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Envelope>) {
        let (sender, receiver) = mpsc::channel(VOLATILE_MAX);
        (Self(sender), receiver)
    }

    /// Sends all of them, or none if there is no room for all.
    pub(crate) fn send(&self, messages: Vec<Envelope>) -> Result<(), Full> {
        let mut room = self.0.try_reserve_many(messages.len()).map_err(|_| Full)?;
        for message in messages {
            room.next().ok_or(Full)?.send(message);
        }
        Ok(())
    }

    /// For the host, which hands over what agents send.
    pub(crate) fn sender(&self) -> mpsc::Sender<Envelope> {
        self.0.clone()
    }
}

/// As many messages wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Runs until `stop`, then sends what was taken in before.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut incoming: mpsc::Receiver<Envelope>,
    stop: CancellationToken,
) {
    let mut lanes = Lanes::default();
    let mut flights = JoinSet::new();
    let mut open = true;
    while open || lanes.len() > 0 {
        for batch in lanes.take_due(Instant::now()) {
            let shared = Arc::clone(&shared);
            flights.spawn(async move {
                route::send(&shared, &batch).await;
                batch
            });
        }
        tokio::select! {
            () = stop.cancelled(), if open => {
                incoming.close();
                while let Ok(message) = incoming.try_recv() {
                    lanes.push(message, 0);
                }
                open = false;
            }
            message = incoming.recv(), if open && lanes.len() < VOLATILE_MAX => match message {
                Some(message) => lanes.push(message, 0),
                None => open = false,
            },
            Some(landed) = flights.join_next() => if let Ok(batch) = landed {
                let settled = vec![Attempt::Settled; batch.messages.len()];
                lanes.settle(Instant::now(), &batch.receiver, &settled);
            },
        }
    }
}
