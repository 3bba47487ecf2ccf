//! The facts that all nodes agree on, and the commands that change them.
//!
//! `caxton-core` applies commands; consensus puts them in one order; every node applies all of them. A command that was
//! decided on old facts is refused when applied, not applied to other facts.

use crate::{AgentName, AgentSpec, Epoch, NodeId, Version};
use serde::{Deserialize, Serialize};

/// One change of the catalog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum CatalogCommand {
    /// A node says who it is. It says so at each start.
    RegisterNode {
        /// Its record; `state` and `desired_version` of a known node are kept.
        node: NodeRecord,
    },
    /// A node is gone for good.
    RemoveNode {
        /// Which.
        node: NodeId,
    },
    /// A node takes agents, or gives them up.
    SetNodeState {
        /// Which.
        node: NodeId,
        /// To what.
        state: NodeState,
    },
    /// The version that a node shall run.
    SetDesiredVersion {
        /// Which node.
        node: NodeId,
        /// Which version.
        version: Version,
    },
    /// An agent shall run.
    DeployAgent {
        /// Which.
        spec: AgentSpec,
    },
    /// An agent shall run no more.
    RemoveAgent {
        /// Which.
        agent: AgentName,
    },
    /// An agent shall not be given messages for now.
    SuspendAgent {
        /// Which.
        agent: AgentName,
        /// Whether it is suspended from here on.
        suspended: bool,
    },
    /// An agent shall run there. Refused unless its epoch is still `seen`: of two proposals one wins.
    Assign {
        /// Which agent.
        agent: AgentName,
        /// Where to.
        node: NodeId,
        /// The epoch that the proposer saw.
        seen: Epoch,
    },
    /// A named value of the cluster's configuration.
    SetConfig {
        /// Its name.
        key: String,
        /// Its value; `null` removes it.
        value: serde_json::Value,
    },
}

/// What applying a command said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum CatalogReply {
    /// It was applied; this is the catalog's new revision.
    Applied {
        /// Counts applied commands.
        revision: u64,
    },
    /// It was refused; nothing changed.
    Refused {
        /// Why.
        refusal: Refusal,
    },
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// There is no such node.
    UnknownNode {
        /// Which.
        node: NodeId,
    },
    /// There is no such agent.
    UnknownAgent {
        /// Which.
        agent: AgentName,
    },
    /// Someone else was faster.
    StaleEpoch {
        /// The epoch that holds now.
        current: Epoch,
    },
    /// The command is not allowed in this state.
    NotAllowed {
        /// Why.
        reason: String,
    },
}

/// What the catalog knows of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its name.
    pub id: NodeId,
    /// Where other nodes reach it: gossip by UDP and node-to-node by TCP, `host:port`.
    pub cluster_addr: String,
    /// Where its management API answers, `host:port`.
    pub api_addr: String,
    /// The version that it runs.
    pub version: Version,
    /// Whether it takes agents.
    #[serde(default)]
    pub state: NodeState,
    /// The version that it shall run, if an upgrade said so.
    #[serde(default)]
    pub desired_version: Option<Version>,
}

/// Whether a node takes agents. Whether it is alive is the business of membership, not of the catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It takes agents.
    #[default]
    Active,
    /// Its agents go elsewhere, and it takes none.
    Draining,
    /// It takes no agents and keeps those it has.
    Maintenance,
}

/// What the catalog knows of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// What was deployed.
    pub spec: AgentSpec,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Where it runs.
    pub assignment: Assignment,
}

/// Where an agent runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The node; `None` until placement has decided.
    pub node: Option<NodeId>,
    /// Counts the decisions.
    pub epoch: Epoch,
    /// The node that ran it before and may hold its state, to hand it over.
    pub previous: Option<NodeId>,
}
