//! Whether all nodes agree, and all that should run does.

use crate::node::Shared;
use crate::status::{self, NodeStatus};
use caxton_cluster::ClusterError;
use caxton_core::Catalog;
use caxton_model::NodeId;
use caxton_model::api::{NodeVerification, Verification};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often to ask, while nodes are at different revisions or agents are on their way.
const ROUNDS_MAX: u32 = 10;
/// The pause between.
const ROUND_PAUSE: Duration = Duration::from_millis(200);

/// Asks all nodes, and again while it may only be a matter of time.
pub(crate) async fn verify(shared: &Shared) -> Verification {
    let mut round = 1;
    loop {
        let fresh = shared.cluster.read_catalog().await;
        let catalog = shared.cluster.catalog();
        let nodes: Vec<&NodeId> = catalog.nodes().keys().collect();
        let answers = join_all(nodes.iter().map(|node| status::ask(shared, node))).await;
        let answers = nodes.into_iter().cloned().zip(answers).collect();
        let mut verification = compare(&catalog, &answers);
        if let Err(error) = fresh {
            // Waiting for a majority has taken long enough.
            verification.ok = false;
            verification.problems.insert(0, format!("no majority: {error}"));
            return verification;
        }
        if verification.ok || round == ROUNDS_MAX {
            return verification;
        }
        round += 1;
        tokio::time::sleep(ROUND_PAUSE).await;
    }
}

type Answers = BTreeMap<NodeId, Result<NodeStatus, ClusterError>>;

fn compare(catalog: &Catalog, answers: &Answers) -> Verification {
    let mut problems = Vec::new();
    let mut digests: BTreeMap<u64, (&NodeId, &str)> = BTreeMap::new();
    let newest = answers
        .values()
        .flatten()
        .map(|status| status.revision)
        .max()
        .unwrap_or_default();
    for (node, answer) in answers {
        let status = match answer {
            Ok(status) => status,
            Err(error) => {
                problems.push(format!("{node} does not answer: {error}"));
                continue;
            }
        };
        for check in status.health.checks.iter().filter(|check| !check.ok) {
            problems.push(format!("{node} is unhealthy: {}: {}", check.name, check.detail));
        }
        if status.revision < newest {
            problems.push(format!(
                "{node} lags: its catalog has revision {}, not {newest}",
                status.revision
            ));
        }
        let (first, digest) = *digests
            .entry(status.revision)
            .or_insert((node, &status.catalog_digest));
        if digest != status.catalog_digest {
            problems.push(format!(
                "{node} and {first} have different catalogs at revision {}; rebuild one of them from its peers",
                status.revision
            ));
        }
    }
    problems.extend(agents(catalog, answers));
    let nodes = answers
        .iter()
        .map(|(node, answer)| verification(node, answer.as_ref().ok()))
        .collect();
    Verification {
        ok: problems.is_empty(),
        nodes,
        problems,
    }
}

/// Each agent must run where the catalog says, and nowhere else.
fn agents(catalog: &Catalog, answers: &Answers) -> Vec<String> {
    let mut problems = Vec::new();
    for record in catalog.agents().values() {
        let name = &record.spec.name;
        let runs_on: Vec<&NodeId> = answers
            .iter()
            .filter_map(|(node, answer)| answer.as_ref().ok().map(|status| (node, status)))
            .filter(|(_, status)| status.agents.iter().any(|agent| agent.name == *name))
            .map(|(node, _)| node)
            .collect();
        match &record.assignment.node {
            None => problems.push(format!("{name} has no node: no active node may take it")),
            Some(node) if !runs_on.contains(&node) => problems.push(format!("{name} does not run on {node}")),
            Some(_) => {}
        }
        for node in runs_on
            .into_iter()
            .filter(|node| record.assignment.node.as_ref() != Some(*node))
        {
            problems.push(format!("{name} runs on {node} too"));
        }
    }
    problems
}

fn verification(node: &NodeId, status: Option<&NodeStatus>) -> NodeVerification {
    NodeVerification {
        id: node.clone(),
        reachable: status.is_some(),
        version: status.map(|status| status.info.version.clone()),
        revision: status.map_or(0, |status| status.revision),
        catalog_digest: status
            .map(|status| status.catalog_digest.clone())
            .unwrap_or_default(),
        healthy: status.is_some_and(|status| status.health.checks.iter().all(|check| check.ok)),
    }
}
