//! Copies of agents' state on other nodes, for the case that this one dies.
//!
//! A planned move never needs them: then the state itself goes along. After a `kill -9` or the loss of a machine, an agent
//! goes on from its newest copy: what it committed in the last [`PERIOD`] or so is lost, unless its node comes back before
//! the agent was moved. Messages that were not yet confirmed as handled are sent again, so that no message is lost.

mod copies;

pub(crate) use copies::Copies;

use crate::node::Shared;
use crate::peer;
use caxton_cluster::Service;
use caxton_host::{AgentBundle, AgentPosition, StoreError};
use caxton_model::api::Checkpoint;
use caxton_model::{AgentName, Epoch, NodeId};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How often agents whose state has changed are copied.
const PERIOD: Duration = Duration::from_secs(2);
/// How many other nodes keep a copy.
const COPIES: usize = 2;
/// The most agents that are copied in one period; the others follow in the next ones.
const AGENTS_MAX: usize = 256;
/// How long a node may take to keep a copy.
const KEEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Copies what has changed, every [`PERIOD`], until `stop`.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut copied = BTreeMap::new();
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = period.tick() => {}
        }
        if let Err(error) = copy_changed(&shared, &mut copied).await {
            warn!(%error, "agents' state could not be read to copy it");
        }
    }
}

/// Makes the state of all agents here durable and copies it to other nodes.
///
/// # Errors
/// If the store fails. Copies that were made remain.
pub(crate) async fn all(shared: &Shared) -> Result<Checkpoint, StoreError> {
    shared.store.checkpoint().await?;
    let mut made = Checkpoint {
        agents: 0,
        bytes: 0,
        copied_to: Vec::new(),
    };
    let mut copied_to: Option<BTreeSet<NodeId>> = None;
    for agent in shared.host.agents() {
        let Some(bundle) = shared.store.snapshot(&agent.name).await? else {
            continue;
        };
        made.agents += 1;
        made.bytes += size(&bundle);
        let nodes: BTreeSet<NodeId> = copy(shared, &bundle).await.into_iter().collect();
        copied_to = Some(match copied_to {
            Some(all) => all.intersection(&nodes).cloned().collect(),
            None => nodes,
        });
    }
    made.copied_to = copied_to.unwrap_or_default().into_iter().collect();
    Ok(made)
}

/// Keeps a copy for another node.
pub(crate) async fn keep(shared: &Shared, bundle: AgentBundle) -> Result<(), String> {
    shared
        .copies
        .keep(bundle)
        .await
        .map_err(|error| format!("the copy cannot be written: {error}"))
}

/// Of two bundles of one agent, the one for which this is greater is newer.
pub(crate) fn newest(bundle: &AgentBundle) -> (Epoch, u64) {
    (bundle.epoch, bundle.revision)
}

async fn copy_changed(
    shared: &Shared,
    copied: &mut BTreeMap<AgentName, (Epoch, u64)>,
) -> Result<(), StoreError> {
    let running: BTreeSet<AgentName> = shared.host.agents().into_iter().map(|agent| agent.name).collect();
    copied.retain(|agent, _| running.contains(agent));
    let positions = shared.store.agents().await?.into_iter();
    let changed: Vec<AgentPosition> = positions
        .filter(|position| running.contains(&position.agent))
        .filter(|position| copied.get(&position.agent) != Some(&(position.epoch, position.revision)))
        .take(AGENTS_MAX)
        .collect();
    for position in changed {
        let Some(bundle) = shared.store.snapshot(&position.agent).await? else {
            continue;
        };
        if !copy(shared, &bundle).await.is_empty() {
            copied.insert(position.agent, newest(&bundle));
        }
    }
    Ok(())
}

/// Copies one agent's state; answers the nodes that have it now.
async fn copy(shared: &Shared, bundle: &AgentBundle) -> Vec<NodeId> {
    let nodes = after(shared.id(), shared.live_others());
    let sent = nodes
        .iter()
        .map(|node| peer::ask::<_, ()>(shared, node, Service::CHECKPOINT, bundle, KEEP_TIMEOUT));
    let answers = join_all(sent).await;
    let kept = nodes
        .iter()
        .zip(answers)
        .filter_map(|(node, answer)| match answer {
            Ok(()) => Some(node.clone()),
            Err(error) => {
                debug!(%node, agent = %bundle.agent, %error, "no copy there");
                None
            }
        });
    kept.collect()
}

/// The next [`COPIES`] nodes in the ring of names, so that copies spread over all nodes.
fn after(own: &NodeId, mut others: Vec<NodeId>) -> Vec<NodeId> {
    others.sort_by_key(|node| (node < own, node.clone()));
    others.truncate(COPIES);
    others
}

fn size(bundle: &AgentBundle) -> u64 {
    bundle
        .state
        .iter()
        .map(|(key, value)| (key.len() + value.len()) as u64)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_go_to_the_next_nodes_in_the_ring() {
        let ring = |own: &str, others: &[&str]| -> Vec<String> {
            let others = others.iter().map(|id| NodeId::from(*id)).collect();
            after(&NodeId::from(own), others)
                .into_iter()
                .map(|node| node.0)
                .collect()
        };
        assert_eq!(ring("b", &["a", "c", "d"]), ["c", "d"]);
        assert_eq!(ring("d", &["a", "b", "c"]), ["a", "b"]);
        assert_eq!(ring("a", &[]), [""; 0]);
    }
}
