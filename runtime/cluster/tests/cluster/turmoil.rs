//! Leaders come and go while the cluster works.

use crate::support::{House, agreed, deployed, start, until};
use caxton_cluster::Cluster;
use caxton_model::{AgentName, CatalogCommand, CatalogReply};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How often the leader is stopped and started again.
const ROUNDS: usize = 3;

/// More agents than can be removed meanwhile.
const AGENTS: usize = 400;

/// Removes one agent after the other. Were a retried proposal applied twice, the second time would be
/// refused: the agent is gone.
async fn remove_all(cluster: Arc<Cluster>, part: usize, enough: Arc<AtomicBool>) -> usize {
    let mut removed = 0;
    for number in (part..AGENTS).step_by(3) {
        let agent = AgentName(format!("agent-{number}"));
        match cluster.propose(CatalogCommand::RemoveAgent { agent }).await {
            Ok(CatalogReply::Applied { .. }) => removed += 1,
            Ok(refused @ CatalogReply::Refused { .. }) => panic!("agent-{number}: {refused:?}"),
            // This node was stopped meanwhile; what became of its last proposal is unknown.
            Err(_) => break,
        }
        if enough.load(Ordering::Relaxed) {
            break;
        }
    }
    removed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_proposed_while_leaders_come_and_go_is_applied_once() {
    let house = House::new();
    let mut nodes: Vec<_> = house.three().await.into();
    let deploying = (0..AGENTS).map(|number| {
        let node = Arc::clone(&nodes[number % nodes.len()]);
        async move { deployed(&node, &format!("agent-{number}")).await }
    });
    futures_util::future::join_all(deploying).await;
    until("everyone votes", || {
        nodes.iter().all(|node| node.status().voters.len() == 3)
    })
    .await;
    agreed(&nodes.iter().collect::<Vec<_>>()).await;
    assert_eq!(nodes[0].catalog().agents().len(), AGENTS);

    let enough = Arc::new(AtomicBool::new(false));
    let removing: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(part, node)| tokio::spawn(remove_all(Arc::clone(node), part, Arc::clone(&enough))))
        .collect();
    for _ in 0..ROUNDS {
        until("someone leads", || nodes.iter().any(|node| node.is_leader())).await;
        let index = nodes.iter().position(|node| node.is_leader()).unwrap_or(0);
        let name = nodes[index].node().clone();
        nodes[index].shutdown().await;
        until("another leads", || {
            nodes
                .iter()
                .any(|node| node.status().quorum && node.leader().is_some_and(|leader| leader != name))
        })
        .await;
        let mut config = house.config(name.as_str(), &[]);
        config.bootstrap = false;
        nodes[index] = start(config).await.unwrap();
    }
    enough.store(true, Ordering::Relaxed);
    let mut removed = 0;
    for part in removing {
        removed += part.await.unwrap();
    }
    assert!(removed > 0);
    agreed(&nodes.iter().collect::<Vec<_>>()).await;
    let left = nodes[0].read_catalog().await.unwrap().agents().len();
    // Of each stopped node, the last proposal may or may not have been applied.
    let gone = AGENTS - left;
    assert!(
        (removed..=removed + ROUNDS).contains(&gone),
        "{removed} were removed, {gone} are gone"
    );
}
