//! Calls about the cluster as a whole.

use crate::node::Shared;
use crate::verify;
use axum::Json;
use axum::extract::State;
use caxton_cluster::{ConsensusStatus, MemberState, MemberView};
use caxton_core::Catalog;
use caxton_model::api::{ClusterStatus, Member, PingResult, Verification};
use caxton_model::{NodeId, NodeRecord, NodeState};
use futures_util::future::join_all;
use std::sync::Arc;

pub(super) async fn members(State(shared): State<Arc<Shared>>) -> Json<Vec<Member>> {
    let catalog = shared.cluster.catalog();
    let views = shared.cluster.members();
    let consensus = shared.cluster.status();
    let nodes = catalog.nodes().values();
    Json(
        nodes
            .map(|node| member(node, &catalog, &views, &consensus))
            .collect(),
    )
}

fn member(node: &NodeRecord, catalog: &Catalog, views: &[MemberView], consensus: &ConsensusStatus) -> Member {
    let view = views.iter().find(|view| view.id == node.id);
    // A registered node of which gossip knows nothing is not there.
    let gossip = view.map_or(MemberState::Failed, |view| view.state);
    let status = match (gossip, node.state) {
        (MemberState::Alive, NodeState::Draining) => "draining".to_owned(),
        (MemberState::Alive, NodeState::Maintenance) => "maintenance".to_owned(),
        (gossip, _) => gossip.to_string(),
    };
    Member {
        id: node.id.clone(),
        status,
        last_seen_ms: view.map_or(0, |view| view.last_seen_ms),
        agents: catalog.agents_on(&node.id).count() as u32,
        version: node.version.clone(),
        api_addr: node.api_addr.clone(),
        cluster_addr: node.cluster_addr.clone(),
        role: role(&node.id, consensus).to_owned(),
    }
}

fn role(node: &NodeId, consensus: &ConsensusStatus) -> &'static str {
    if consensus.leader.as_ref() == Some(node) {
        "leader"
    } else if consensus.voters.contains(node) {
        "voter"
    } else {
        "learner"
    }
}

pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Json<ClusterStatus> {
    let catalog = shared.cluster.catalog();
    let consensus = shared.cluster.status();
    let members = shared.cluster.members();
    let count = |live: bool| {
        let known = catalog.nodes().keys();
        let is_live = |node: &NodeId| {
            members
                .iter()
                .any(|view| view.id == *node && view.state.is_live())
        };
        known.filter(|node| is_live(node) == live).count() as u32
    };
    let (alive, failed) = (count(true), count(false));
    let unplaced = catalog
        .agents()
        .values()
        .filter(|agent| match &agent.assignment.node {
            Some(node) => !members
                .iter()
                .any(|view| view.id == *node && view.state.is_live()),
            None => true,
        });
    let agents_unplaced = unplaced.count() as u32;
    let well = consensus.quorum && failed == 0 && agents_unplaced == 0;
    let hint = if !consensus.quorum {
        Some("a majority of voters must be up before anything can be changed: start the nodes that are down")
    } else if failed > 0 {
        Some("see `caxton cluster members` for the nodes that are down, and start them")
    } else if agents_unplaced > 0 {
        Some("no active node may take some agents: undrain a node, or look at their placement")
    } else {
        None
    };
    Json(ClusterStatus {
        status: if well { "HEALTHY" } else { "DEGRADED" }.to_owned(),
        operations: if consensus.quorum {
            "READ-WRITE"
        } else {
            "READ-ONLY"
        }
        .to_owned(),
        leader: consensus.leader,
        term: consensus.term,
        voters: consensus.voters.len() as u32,
        alive,
        failed,
        agents: catalog.agents().len() as u32,
        agents_unplaced,
        revision: catalog.revision(),
        hint: hint.map(str::to_owned),
    })
}

pub(super) async fn verify(State(shared): State<Arc<Shared>>) -> Json<Verification> {
    Json(verify::verify(&shared).await)
}

pub(super) async fn ping(State(shared): State<Arc<Shared>>) -> Json<Vec<PingResult>> {
    let catalog = shared.cluster.catalog();
    let others: Vec<&NodeId> = catalog
        .nodes()
        .keys()
        .filter(|node| *node != shared.id())
        .collect();
    let answers = join_all(others.iter().map(|node| shared.cluster.ping(node))).await;
    let results = others.into_iter().zip(answers).map(|(node, answer)| PingResult {
        node: node.clone(),
        round_trip_us: answer.as_ref().ok().map(|time| time.as_micros() as u64),
        error: answer.err().map(|error| error.to_string()),
    });
    Json(results.collect())
}
