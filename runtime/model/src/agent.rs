//! What an agent is.

use crate::{AgentName, ModuleDigest, NodeId};
use serde::{Deserialize, Serialize};

/// What an operator says about an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSpec {
    /// Its name.
    pub name: AgentName,
    /// Its code.
    pub module: ModuleDigest,
    /// The version that its author gave it.
    #[serde(default)]
    pub version: String,
    /// What it can do, for lookup by capability.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// How much it matters when there is not enough for all.
    #[serde(default)]
    pub priority: Priority,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// What happens when it fails.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// Where it may run.
    #[serde(default)]
    pub placement: Placement,
}

/// How much an agent matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// The first to be suspended.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Suspended after all others.
    High,
    /// Never suspended.
    Critical,
}

/// What an agent may use. The defaults fit small agents; the host refuses more than its own configuration allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest linear memory, in bytes. Default 16 MiB.
    pub memory_bytes: u64,
    /// The longest that handling one message may take, in milliseconds of wall time. Default 1,000.
    pub message_time_ms: u64,
    /// The most messages that wait in the mailbox. Default 1,024.
    pub mailbox: u32,
    /// The most bytes of key–value state. Default 16 MiB.
    pub state_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 16 << 20,
            message_time_ms: 1_000,
            mailbox: 1_024,
            state_bytes: 16 << 20,
        }
    }
}

/// What happens when handling a message fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestartPolicy {
    /// How many failures within `within_ms` before the agent is given up. Default 5.
    pub max_failures: u32,
    /// Default 60,000 ms.
    pub within_ms: u64,
    /// The pause before the first restart; doubles each time. Default 50 ms.
    pub backoff_ms: u64,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            max_failures: 5,
            within_ms: 60_000,
            backoff_ms: 50,
        }
    }
}

/// Where an agent may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Placement {
    /// Only there, if given.
    pub node: Option<NodeId>,
    /// Rather there, if one of them is up.
    pub prefer: Vec<NodeId>,
}
