//! To which node a message goes, and one attempt to hand it over.

use super::lanes::{Attempt, Batch};
use super::receive::receive;
use crate::node::Shared;
use crate::peer;
use caxton_cluster::Service;
use caxton_model::{AgentName, Envelope, MessageOutcome, NodeId};
use std::time::Duration;
use tracing::debug;

/// How long another node may take to handle a batch. It answers for a part of it well before that.
const BATCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Names that begin so are mailboxes of clients.
const CLIENT_PREFIX: &str = "client/";

/// What is known of a message after one attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// The receiver's node said so.
    Known(MessageOutcome),
    /// No agent has that name.
    UnknownReceiver,
    /// Its node is not known, or did not answer. The message may have got there.
    Unreached,
}

impl Outcome {
    /// What it means for the message.
    pub(super) fn attempt(&self) -> Attempt {
        match self {
            Self::Known(MessageOutcome::Handled | MessageOutcome::Duplicate) => Attempt::Settled,
            Self::Known(MessageOutcome::Failed { .. }) => Attempt::Failed,
            Self::Known(MessageOutcome::Full | MessageOutcome::NotHere)
            | Self::UnknownReceiver
            | Self::Unreached => Attempt::Unreached,
        }
    }
}

/// Whether it is the mailbox of a client, not an agent.
pub(crate) fn is_client(name: &AgentName) -> bool {
    name.as_str().starts_with(CLIENT_PREFIX)
}

/// Hands a batch to where its receiver is now: one outcome for each message.
pub(super) async fn send(shared: &Shared, batch: &Batch) -> Vec<Outcome> {
    if is_client(&batch.receiver) {
        return send_to_client(shared, &batch.messages).await;
    }
    let catalog = shared.cluster.catalog();
    let Some(agent) = catalog.agent(&batch.receiver) else {
        return vec![Outcome::UnknownReceiver; batch.messages.len()];
    };
    match &agent.assignment.node {
        Some(node) => send_to_node(shared, node, batch.messages.clone()).await,
        None => vec![Outcome::Unreached; batch.messages.len()],
    }
}

/// A client may have used several nodes, so that its messages have several homes.
async fn send_to_client(shared: &Shared, messages: &[Envelope]) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(messages.len());
    for run in messages.chunk_by(|a, b| a.home == b.home) {
        let home = run[0].home.as_ref().unwrap_or(shared.id());
        outcomes.extend(send_to_node(shared, home, run.to_vec()).await);
    }
    outcomes
}

async fn send_to_node(shared: &Shared, node: &NodeId, messages: Vec<Envelope>) -> Vec<Outcome> {
    let count = messages.len();
    let answered = if node == shared.id() {
        Ok(receive(shared, messages).await)
    } else {
        peer::ask::<_, Vec<MessageOutcome>>(shared, node, Service::MESSAGES, &messages, BATCH_TIMEOUT).await
    };
    let mut outcomes: Vec<Outcome> = match answered {
        Ok(outcomes) => outcomes.into_iter().map(Outcome::Known).collect(),
        Err(error) => {
            debug!(%node, %error, "messages not handed over");
            Vec::new()
        }
    };
    outcomes.resize(count, Outcome::Unreached);
    outcomes
}
