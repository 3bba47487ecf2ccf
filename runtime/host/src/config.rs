//! What a host may use.

use caxton_model::{Limits, NodeId};
use std::path::PathBuf;

/// What a host may use. [`HostConfig::new`] fits a node of its own with thousands of small agents.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// The node that this host belongs to: answers to clients whose `home` it is go straight into their mailboxes.
    pub node: NodeId,
    /// Where compiled modules are cached. What lies there is executed: the host makes the folder for its own user only.
    pub cache_dir: PathBuf,
    /// The most agents at once.
    pub agents_max: u32,
    /// The most that any agent's limits may allow it.
    pub limits_max: Limits,
    /// Threads that run agents.
    pub threads: usize,
}

impl HostConfig {
    /// The default configuration.
    pub fn new(node: NodeId, cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            node,
            cache_dir: cache_dir.into(),
            agents_max: 10_000,
            limits_max: Limits {
                memory_bytes: 64 << 20,
                message_time_ms: 60_000,
                mailbox: 65_536,
                state_bytes: 64 << 20,
            },
            threads: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}
