//! `caxton dev status`

use super::layout::{DevCluster, DevNode};
use crate::ui::{Table, Ui};
use crate::{exit::Exit, traffic::Stats};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// How long a node may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Status {
    name: String,
    context: PathBuf,
    nodes: Vec<NodeStatus>,
    traffic: Option<Stats>,
}

#[derive(Serialize)]
struct NodeStatus {
    id: String,
    pid: Option<i32>,
    version: Option<String>,
    /// `healthy`, `unhealthy`, `silent` or `stopped`.
    state: String,
    agents: Option<u32>,
    api: String,
    log: PathBuf,
}

pub(super) async fn run(cluster: &DevCluster, ui: &Ui) -> anyhow::Result<Exit> {
    let mut nodes = Vec::new();
    for node in cluster.nodes() {
        nodes.push(look(cluster, &node).await?);
    }
    let runs = cluster.generator().process().is_some();
    let status = Status {
        name: cluster.name.clone(),
        context: cluster.context(),
        nodes,
        traffic: Stats::read(&cluster.stats()).ok().filter(|_| runs),
    };
    ui.show(&status, describe)?;
    Ok(Exit::when(
        status.nodes.iter().all(|node| node.state == "healthy"),
    ))
}

async fn look(cluster: &DevCluster, node: &DevNode) -> anyhow::Result<NodeStatus> {
    let process = node.program().process();
    let client = cluster
        .client()?
        .pinned(&node.api_address())?
        .with_timeout(PATIENCE);
    let health = match process {
        Some(_) => client.health().await.ok(),
        None => None,
    };
    let info = match &health {
        Some(_) => client.node_info().await.ok(),
        None => None,
    };
    let installed = || node.installed().map(|version| version.0);
    Ok(NodeStatus {
        id: node.id.to_string(),
        pid: process.map(|process| process.pid),
        state: match (&process, &health) {
            (None, _) => "stopped".to_owned(),
            (Some(_), None) => "silent".to_owned(),
            (Some(_), Some(health)) => health.status.clone(),
        },
        version: health.map(|health| health.version.0).or_else(installed),
        agents: info.map(|info| info.agents),
        api: node.api_address(),
        log: node.program().log(),
    })
}

fn describe(status: &Status) -> String {
    let mut table = Table::new(&["NODE-ID", "STATE", "VERSION", "AGENTS", "PID", "API", "LOG"]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for node in &status.nodes {
        table.row([
            node.id.clone(),
            node.state.clone(),
            or_dash(node.version.clone()),
            or_dash(node.agents.map(|agents| agents.to_string())),
            or_dash(node.pid.map(|pid| pid.to_string())),
            node.api.clone(),
            node.log.display().to_string(),
        ]);
    }
    let mut text = format!("{table}\ncontext: {}", status.context.display());
    if let Some(stats) = &status.traffic {
        text.push_str(&format!(
            "\ntraffic: {} messages a second; {} sent, {} answered, {} lost, {} doubled",
            stats.rate, stats.sent, stats.answered, stats.lost, stats.doubled
        ));
    }
    text
}
