//! Where agents run: WebAssembly instances with limits, mailboxes and state.
//!
//! Two things: a [`Store`], which makes a node's messages and agents' state durable, and a [`Host`], which runs agents on
//! top of it. Deliberately absent: the network. Who carries the outbox's messages to other nodes is the caller's business.

mod agent;
mod config;
mod error;
mod host;
mod metrics;
mod store;
mod wasm;

pub use agent::{AgentRuntimeInfo, AgentStatus};
pub use config::HostConfig;
pub use error::{HostError, InvalidModule};
pub use host::Host;
pub use metrics::{HostMetrics, LatencyBuckets, Recent};
pub use store::{
    AgentBundle, AgentPosition, CLIENT_MAILBOX_MAX, DeadLetter, Fetched, OUTBOX_MAX, OutboxEntry, Store,
    StoreError,
};
