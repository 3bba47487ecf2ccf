//! What can go wrong with hosting.

use crate::StoreError;
use caxton_model::{AgentName, ModuleDigest};
use std::fmt;

/// Why the host did not do something.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HostError {
    /// The module is not in this node's store.
    #[error("module {0} is not on this node; copy it there first")]
    UnknownModule(ModuleDigest),
    /// The module cannot run as an agent.
    #[error("{0}")]
    InvalidModule(InvalidModule),
    /// The agent does not run here.
    #[error("agent {0} does not run on this node")]
    UnknownAgent(AgentName),
    /// The host runs as many agents as it may.
    #[error("this node already runs {limit} agents, as many as it may")]
    TooManyAgents {
        /// As many.
        limit: u32,
    },
    /// The agent asks for more than the host's configuration allows, or its module for more than the agent's limits do.
    #[error("agent {agent}: the {name} is {asked}, and 1 to {allowed} are allowed")]
    Limit {
        /// Which agent.
        agent: AgentName,
        /// Which limit.
        name: &'static str,
        /// What it asks for.
        asked: u64,
        /// The most that is allowed.
        allowed: u64,
    },
    /// The engine, its cache or its threads could not be set up.
    #[error("cannot set up the WebAssembly engine: {0}")]
    Engine(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host is shutting down.
    #[error("the host is shutting down")]
    ShuttingDown,
}

/// All that keeps a module from running as an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidModule {
    /// Each problem, in a sentence's words. Never empty.
    pub problems: Vec<String>,
}

impl fmt::Display for InvalidModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the module cannot run as an agent: {}",
            self.problems.join("; ")
        )
    }
}

impl From<InvalidModule> for HostError {
    fn from(invalid: InvalidModule) -> Self {
        Self::InvalidModule(invalid)
    }
}
