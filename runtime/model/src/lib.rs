//! Types of the Caxton runtime that reach disk or wire: identifiers, agents, messages, the catalog's commands and the
//! management API. Plain data; no behaviour that decides.

mod agent;
pub mod api;
mod catalog;
mod id;
mod message;

pub use agent::{AgentSpec, Limits, Placement, Priority, RestartPolicy};
pub use catalog::{AgentRecord, Assignment, CatalogCommand, CatalogReply, NodeRecord, NodeState, Refusal};
pub use id::{AgentName, ConversationId, Epoch, MessageId, ModuleDigest, NodeId, Version};
pub use message::{Delivery, Envelope, MessageOutcome, Performative};
