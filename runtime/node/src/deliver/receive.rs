//! Takes in messages for agents and clients of this node.

use super::route::is_client;
use crate::node::Shared;
use caxton_model::{Envelope, MessageOutcome};
use std::time::Duration;
use tracing::warn;

/// How long a batch may take to be handled before its sender is told to come back. Well below the time after which the
/// sender would take this node for unreachable.
const HANDLING_PATIENCE: Duration = Duration::from_secs(10);

/// Hands messages to one receiver on this node. What is answered `Handled` is durable.
///
/// Answers one outcome for each message. Cancelling it does not recall the messages.
pub(crate) async fn receive(shared: &Shared, messages: Vec<Envelope>) -> Vec<MessageOutcome> {
    let count = messages.len();
    if !messages
        .first()
        .is_some_and(|message| is_client(&message.receiver))
    {
        let handled = tokio::time::timeout(HANDLING_PATIENCE, shared.host.deliver(messages)).await;
        // They are in the mailbox all the same: when they are sent again, those that were handled are duplicates.
        return handled.unwrap_or_else(|_| vec![MessageOutcome::Full; count]);
    }
    match shared.store.deposit(messages).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            warn!(%error, "a client's mailbox cannot be written");
            vec![MessageOutcome::Full; count]
        }
    }
}
