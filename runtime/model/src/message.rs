//! Messages between agents.

use crate::{AgentName, ConversationId, MessageId, NodeId};
use serde::{Deserialize, Serialize};

/// What a message is meant as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Performative {
    /// Asks the receiver to do something.
    Request,
    /// Tells something.
    Inform,
    /// Asks for knowledge.
    Query,
    /// Offers something.
    Propose,
    /// Accepts an offer.
    AcceptProposal,
    /// Rejects an offer.
    RejectProposal,
    /// Says that a request failed.
    Failure,
    /// Says that a message was not understood.
    NotUnderstood,
}

/// How hard the runtime tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Sent once; lost if the receiver or the way to it is down.
    #[default]
    AtMostOnce,
    /// Kept on the sending node's disk until the receiver has handled it. Accepted only when it is durable.
    AtLeastOnce,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Its id. A receiver handles an id once, for as long as it remembers it.
    pub id: MessageId,
    /// What it is meant as.
    pub performative: Performative,
    /// Who sent it.
    pub sender: AgentName,
    /// Who shall get it.
    pub receiver: AgentName,
    /// What it says.
    pub content: serde_json::Value,
    /// The conversation it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<ConversationId>,
    /// What the answer shall name in `in_reply_to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_with: Option<String>,
    /// The `reply_with` of the message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// The node that holds the mailbox of the client that began the exchange: answers to `client/…` go there. Set by the
    /// node that accepts a client's message, and copied to what agents send while they handle it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<NodeId>,
    /// When it was accepted: milliseconds since 1970 by the accepting node's clock.
    pub timestamp_ms: u64,
    /// How hard the runtime tries.
    #[serde(default)]
    pub delivery: Delivery,
    /// The W3C `traceparent` of the trace it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// What became of a message that was handed to the node of its receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum MessageOutcome {
    /// The agent handled it, and what it sent in turn is durable.
    Handled,
    /// It was handled before.
    Duplicate,
    /// The mailbox is full: try again later.
    Full,
    /// The agent does not run here (any more): look it up again.
    NotHere,
    /// The agent failed on it (trap, time or memory limit); it may be tried again.
    Failed {
        /// Why.
        reason: String,
    },
}
