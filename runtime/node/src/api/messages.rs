//! Calls that send and fetch messages.

use super::error::Refusal;
use super::extract::{Body, Params};
use crate::clock::now_ms;
use crate::deliver::is_client;
use crate::node::Shared;
use axum::Json;
use axum::extract::{Path, State};
use caxton_model::api::{MailboxPage, SendReceipt, SendRequest};
use caxton_model::{AgentName, Delivery, Envelope, MessageId, NodeState};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// The most messages of one call.
const MESSAGES_MAX: usize = 10_000;
/// The most messages of one page of a mailbox.
const PAGE_MAX: usize = 1_000;
/// As many as a page holds if the caller does not say.
const PAGE_DEFAULT: usize = 100;
/// The longest that a call waits for messages.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// The longest id of a message or name of an agent, in bytes.
const ID_BYTES_MAX: usize = 256;

/// One of something, or a list.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// By hand, since a derived one would not say what is wrong with the one or with which of the list.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or a list of objects")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(OneOrMany::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(OneOrMany::Many)
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// Accepts messages: those to be delivered at least once are durable when this answers, all or none.
pub(super) async fn send(
    State(shared): State<Arc<Shared>>,
    Body(requests): Body<OneOrMany<SendRequest>>,
) -> Result<Json<OneOrMany<SendReceipt>>, Refusal> {
    let catalog = shared.cluster.catalog();
    if catalog
        .node(shared.id())
        .is_some_and(|node| node.state == NodeState::Draining)
    {
        return Err(Refusal::draining());
    }
    match requests {
        OneOrMany::One(request) => {
            let receipt = accept(&shared, vec![request]).await?.swap_remove(0);
            Ok(Json(OneOrMany::One(receipt)))
        }
        OneOrMany::Many(requests) => Ok(Json(OneOrMany::Many(accept(&shared, requests).await?))),
    }
}

async fn accept(shared: &Shared, requests: Vec<SendRequest>) -> Result<Vec<SendReceipt>, Refusal> {
    if requests.len() > MESSAGES_MAX {
        return Err(Refusal::too_large(format!(
            "{} messages at once; at most {MESSAGES_MAX}",
            requests.len()
        )));
    }
    let mut durable = Vec::new();
    let mut volatile = Vec::new();
    let mut receipts = Vec::with_capacity(requests.len());
    for request in requests {
        check(shared, &request).await?;
        let envelope = envelope(shared, request);
        receipts.push(SendReceipt {
            id: envelope.id.clone(),
            node: shared.id().clone(),
        });
        match envelope.delivery {
            Delivery::AtLeastOnce => durable.push(envelope),
            Delivery::AtMostOnce => volatile.push(envelope),
        }
    }
    if !durable.is_empty() {
        let waiting = shared.store.outbox_len();
        if waiting + durable.len() as u64 > shared.config.limits.max_outbox {
            return Err(
                Refusal::unavailable(format!("{waiting} messages wait for their receivers already"))
                    .hint("send again in a moment, or raise limits.max_outbox"),
            );
        }
        shared.store.accept(durable).await?;
    }
    if !volatile.is_empty() && shared.volatile.send(volatile).is_err() {
        return Err(
            Refusal::unavailable("too many at-most-once messages are on their way")
                .hint("send again in a moment"),
        );
    }
    shared.metrics.accepted(receipts.len());
    Ok(receipts)
}

async fn check(shared: &Shared, request: &SendRequest) -> Result<(), Refusal> {
    if !is_client(&request.sender) {
        return Err(
            Refusal::invalid(format!("the sender {} is not a client", request.sender))
                .hint("name yourself `client/NAME`: answers go to the mailbox of that name"),
        );
    }
    let names = [
        Some(request.sender.as_str()),
        Some(request.receiver.as_str()),
        request.id.as_ref().map(MessageId::as_str),
    ];
    if names
        .into_iter()
        .flatten()
        .any(|name| name.is_empty() || name.len() > ID_BYTES_MAX)
    {
        return Err(Refusal::invalid(format!(
            "ids and names have 1 to {ID_BYTES_MAX} bytes"
        )));
    }
    let bytes = serde_json::to_vec(&request.content).map_or(usize::MAX, |text| text.len());
    let allowed = shared.config.limits.max_message_bytes;
    if bytes as u64 > allowed {
        return Err(
            Refusal::too_large(format!("the content has {bytes} bytes; at most {allowed}"))
                .hint("send less, or raise limits.max_message_bytes"),
        );
    }
    if is_client(&request.receiver) || shared.cluster.catalog().agent(&request.receiver).is_some() {
        return Ok(());
    }
    // This node may not have heard of an agent that was deployed just now. Without a majority, what it knows has to do.
    let fresh = shared.cluster.read_catalog().await;
    if fresh.is_ok_and(|catalog| catalog.agent(&request.receiver).is_some()) {
        return Ok(());
    }
    Err(
        Refusal::not_found(format!("there is no agent {}", request.receiver))
            .hint("`caxton agents list` lists all agents"),
    )
}

fn envelope(shared: &Shared, request: SendRequest) -> Envelope {
    Envelope {
        id: request
            .id
            .unwrap_or_else(|| MessageId(ulid::Ulid::new().to_string())),
        performative: request.performative,
        sender: request.sender,
        receiver: request.receiver,
        content: request.content,
        conversation_id: request.conversation_id,
        reply_with: request.reply_with,
        in_reply_to: request.in_reply_to,
        home: Some(shared.id().clone()),
        timestamp_ms: now_ms(),
        delivery: request.delivery,
        traceparent: None,
    }
}

/// What to fetch of a mailbox.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fetch {
    max: Option<usize>,
    wait_ms: Option<u64>,
    ack: Option<u64>,
}

/// Confirms what the caller has, then answers the next messages, and waits for some if there are none.
pub(super) async fn mailbox(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<AgentName>,
    Params(fetch): Params<Fetch>,
) -> Result<Json<MailboxPage>, Refusal> {
    let client = if is_client(&name) {
        name
    } else {
        AgentName(format!("client/{name}"))
    };
    let after = fetch.ack.unwrap_or(0);
    if after > 0 {
        shared.store.ack(&client, after).await?;
    }
    let max = fetch.max.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let wait = Duration::from_millis(fetch.wait_ms.unwrap_or(0)).min(WAIT_MAX);
    let deadline = tokio::time::Instant::now() + wait;
    let mut deposits = shared.store.subscribe_deposits();
    loop {
        deposits.mark_unchanged();
        let found = shared.store.fetch(&client, after, max).await?;
        let over = tokio::time::Instant::now() >= deadline || shared.closing.is_cancelled();
        if !found.is_empty() || over {
            let cursor = found.last().map_or(after, |last| last.cursor);
            let messages = found.into_iter().map(|fetched| fetched.envelope).collect();
            return Ok(Json(MailboxPage { messages, cursor }));
        }
        // Whatever wakes it up, the next round looks again.
        tokio::select! {
            _ = deposits.changed() => {}
            () = shared.closing.cancelled() => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OneOrMany;

    #[test]
    fn one_or_many_says_what_is_wrong() {
        let read = |text| serde_json::from_str::<OneOrMany<std::collections::BTreeMap<String, u8>>>(text);
        assert!(matches!(read(r#"{"a": 1}"#), Ok(OneOrMany::One(_))));
        assert!(matches!(read(r#"[{"a": 1}, {}]"#), Ok(OneOrMany::Many(list)) if list.len() == 2));
        for (text, problem) in [
            (r#"{"a": 256}"#, "expected u8"),
            (r#"[{}, {"a": "b"}]"#, "expected u8"),
            ("7", "an object or a list of objects"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
