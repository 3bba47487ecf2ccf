//! Reads the answers from one node's mailbox.

use super::ledger::Ledger;
use caxton_client::Client;
use caxton_model::AgentName;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many answers to fetch at once.
const PAGE: u32 = 1_000;
/// How long a look into an empty mailbox waits. Short, since each node keeps a call open.
const WAIT: Duration = Duration::from_secs(1);
/// The pause after a node did not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// Reads the mailbox on the node at an address, for as long as it is polled. A page is confirmed with the next call, so
/// that one may come twice if a call fails; what came twice that way is one answer. An answer that the cluster delivered
/// twice is two.
pub(super) async fn collect(
    client: Client,
    endpoint: String,
    mailbox: AgentName,
    ledger: Arc<Mutex<Ledger>>,
) {
    let Ok(node) = client.pinned(&endpoint) else {
        return; // The client was made of the same addresses: they are well formed.
    };
    let mut cursor = None;
    let mut unconfirmed = HashSet::new();
    loop {
        match node.mailbox(&mailbox, PAGE, WAIT, cursor).await {
            Ok(page) => {
                let now_ms = super::generator::now_ms();
                let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
                let mut seen = HashSet::new();
                for message in page.messages {
                    let number = message.in_reply_to.as_deref().and_then(|text| text.parse().ok());
                    if let (Some(number), false) = (number, unconfirmed.contains(&message.id)) {
                        ledger.answer(number, now_ms);
                    }
                    seen.insert(message.id);
                }
                cursor = Some(page.cursor);
                unconfirmed = seen;
            }
            Err(error) => {
                tracing::debug!(%endpoint, %error, "no answers for now");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
