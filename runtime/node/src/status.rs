//! How a node is doing, told to other nodes.

use crate::health;
use crate::node::Shared;
use caxton_cluster::{ClusterError, Service};
use caxton_host::AgentStatus;
use caxton_model::api::{Health, NodeInfo};
use caxton_model::{AgentName, Epoch, NodeId, NodeState};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a node may take to say how it is doing.
pub(crate) const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// How a node is doing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NodeStatus {
    pub(crate) info: NodeInfo,
    pub(crate) health: Health,
    pub(crate) revision: u64,
    pub(crate) catalog_digest: String,
    pub(crate) agents: Vec<AgentHere>,
}

/// An agent on a node, running or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AgentHere {
    pub(crate) name: AgentName,
    pub(crate) epoch: Epoch,
    pub(crate) status: AgentStatus,
}

/// How this node is doing.
pub(crate) async fn of(shared: &Shared) -> NodeStatus {
    let catalog = shared.cluster.catalog();
    NodeStatus {
        info: node_info(shared),
        health: health::check(shared).await,
        revision: catalog.revision(),
        catalog_digest: catalog.digest(),
        agents: agents_here(shared),
    }
}

/// How any node is doing.
///
/// # Errors
/// If it is another one that does not answer.
pub(crate) async fn ask(shared: &Shared, node: &NodeId) -> Result<NodeStatus, ClusterError> {
    if node == shared.id() {
        return Ok(of(shared).await);
    }
    crate::peer::ask(shared, node, Service::STATUS, &(), STATUS_TIMEOUT).await
}

/// This node, by itself.
pub(crate) fn node_info(shared: &Shared) -> NodeInfo {
    let catalog = shared.cluster.catalog();
    let agents = shared.host.agents();
    let waiting: u64 = agents.iter().map(|agent| agent.mailbox_len).sum();
    NodeInfo {
        id: shared.id().clone(),
        version: shared.version().clone(),
        previous_version: shared.releases.previous(),
        state: catalog
            .node(shared.id())
            .map_or(NodeState::Active, |node| node.state),
        agents: agents.len() as u32,
        outbox: shared.store.outbox_len(),
        in_flight: waiting,
        uptime_ms: shared.started.elapsed().as_millis() as u64,
        pid: std::process::id(),
        data_dir: shared.config.storage.data_dir.display().to_string(),
    }
}

/// The agents of this node.
pub(crate) fn agents_here(shared: &Shared) -> Vec<AgentHere> {
    let agents = shared.host.agents().into_iter();
    agents
        .map(|agent| AgentHere {
            name: agent.name,
            epoch: agent.epoch,
            status: agent.status,
        })
        .collect()
}
