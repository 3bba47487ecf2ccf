//! Takes a node out of service and puts it back.

use crate::node::Shared;
use crate::status;
use caxton_cluster::ClusterError;
use caxton_model::api::NodeInfo;
use caxton_model::{CatalogCommand, CatalogReply, NodeId, NodeState, Refusal};
use std::time::{Duration, Instant};

/// How long a drain may take if the caller does not say.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest that a caller may ask for.
pub(crate) const DRAIN_TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// How often the node is asked how far it is.
const POLL: Duration = Duration::from_millis(50);

/// Why a node is not drained or in service.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DrainError {
    /// There is no such node.
    #[error("there is no node {0}")]
    UnknownNode(NodeId),
    /// The catalog refused.
    #[error("the catalog refused: {0:?}")]
    Refused(Refusal),
    /// The cluster could not agree.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Something is left on the node. It stays in the state that was asked for, and goes on trying.
    #[error("after {} s {remains}", after.as_secs())]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
        /// What is left.
        remains: String,
    },
}

/// Drains a node: no agent is left on it, and all that it accepted is handled.
///
/// Cancelling it leaves the node draining.
pub(crate) async fn drain(shared: &Shared, node: &NodeId, timeout: Duration) -> Result<NodeInfo, DrainError> {
    set_state(shared, node, NodeState::Draining).await?;
    wait(shared, node, timeout, |info| {
        let assigned = shared.cluster.catalog().agents_on(node).count();
        let counts = [
            (
                assigned as u64,
                "agents are assigned to it and find no other node",
            ),
            (u64::from(info.agents), "agents still run on it"),
            (info.in_flight, "messages are in its agents' mailboxes"),
            (
                info.outbox,
                "messages that it accepted are not handled yet: their receivers are down or suspended",
            ),
        ];
        let left: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if info.state != NodeState::Draining {
            return Some("it has not heard of it".to_owned());
        }
        (!left.is_empty()).then(|| left.join("; "))
    })
    .await
}

/// Puts a node back in service: it takes agents and messages.
///
/// Cancelling it may leave the node either way.
pub(crate) async fn undrain(
    shared: &Shared,
    node: &NodeId,
    timeout: Duration,
) -> Result<NodeInfo, DrainError> {
    set_state(shared, node, NodeState::Active).await?;
    wait(shared, node, timeout, |info| {
        (info.state != NodeState::Active).then(|| "it has not heard of it".to_owned())
    })
    .await
}

async fn set_state(shared: &Shared, node: &NodeId, state: NodeState) -> Result<(), DrainError> {
    let node = node.clone();
    match shared
        .cluster
        .propose(CatalogCommand::SetNodeState { node, state })
        .await?
    {
        CatalogReply::Applied { .. } => Ok(()),
        CatalogReply::Refused {
            refusal: Refusal::UnknownNode { node },
        } => Err(DrainError::UnknownNode(node)),
        CatalogReply::Refused { refusal } => Err(DrainError::Refused(refusal)),
    }
}

/// Waits until nothing remains on the node, by `remains`.
async fn wait(
    shared: &Shared,
    node: &NodeId,
    timeout: Duration,
    remains: impl Fn(&NodeInfo) -> Option<String>,
) -> Result<NodeInfo, DrainError> {
    let started = Instant::now();
    loop {
        let left = match status::ask(shared, node).await {
            Ok(status) => match remains(&status.info) {
                None => return Ok(status.info),
                Some(left) => format!("{node} is not done: {left}"),
            },
            Err(error) => format!("{node} does not answer: {error}"),
        };
        if started.elapsed() >= timeout {
            return Err(DrainError::TimedOut {
                after: timeout,
                remains: left,
            });
        }
        tokio::time::sleep(POLL).await;
    }
}
