//! What the host knows about the instance that is calling it.

use super::State;
use super::state::Changes;
use caxton_model::{AgentName, Envelope, Limits};
use std::sync::Arc;
use std::time::Instant;

/// Who an instance is, and what it may use.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) agent: AgentName,
    pub(crate) limits: Limits,
}

/// What handling one message would change.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) outgoing: Vec<Envelope>,
    pub(crate) changes: Changes,
}

/// The message at hand, and what was done about it so far.
pub(super) struct Current {
    pub(super) envelope: Arc<Envelope>,
    pub(super) outgoing: Vec<Envelope>,
    pub(super) outgoing_bytes: usize,
    pub(super) state_bytes: usize,
    pub(super) log_lines: u32,
}

impl Current {
    pub(super) fn new(envelope: Arc<Envelope>) -> Self {
        Self {
            envelope,
            outgoing: Vec::new(),
            outgoing_bytes: 0,
            state_bytes: 0,
            log_lines: 0,
        }
    }
}

/// The data of an instance's `wasmtime::Store`.
pub(crate) struct Guest {
    pub(super) identity: Arc<Identity>,
    pub(super) deadline: Instant,
    pub(super) memory: MemoryLimit,
    pub(super) state: State,
    /// `None` while the instance starts.
    pub(super) current: Option<Current>,
}

impl Guest {
    pub(super) fn new(identity: Arc<Identity>) -> Self {
        let memory = MemoryLimit {
            bytes_max: usize::try_from(identity.limits.memory_bytes).unwrap_or(usize::MAX),
            reached: false,
        };
        Self {
            identity,
            deadline: Instant::now(),
            memory,
            state: State::default(),
            current: None,
        }
    }
}

/// The most elements of a table: function pointers, about 8 bytes each.
pub(super) const TABLE_ELEMENTS_MAX: usize = 20_000;

/// Refuses memory beyond the limit; the code sees `memory.grow` fail, and may live with it.
pub(super) struct MemoryLimit {
    bytes_max: usize,
    /// Whether it was ever refused some.
    pub(super) reached: bool,
}

impl wasmtime::ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= self.bytes_max;
        self.reached |= !fits;
        Ok(fits)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }
}

/// The most tables of an agent.
pub(super) const TABLES_MAX: usize = 2;
