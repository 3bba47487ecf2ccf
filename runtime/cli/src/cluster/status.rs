//! `caxton cluster status`

use crate::{connect::Connect, exit::Exit, ui::Ui};
use caxton_model::api::ClusterStatus;

pub(super) async fn run(connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
    let status = connect.client()?.cluster_status().await?;
    ui.show(&status, describe)?;
    Ok(Exit::when(status.status == "HEALTHY"))
}

fn describe(status: &ClusterStatus) -> String {
    let side = if status.operations == "READ-WRITE" {
        "majority"
    } else {
        "minority"
    };
    let leader = status.leader.as_ref().map_or("nobody", |leader| leader.as_str());
    let mut lines = vec![
        format!("Status: {} ({side} partition)", status.status),
        format!("Operations: {}", status.operations),
        format!("Leader: {leader} (term {})", status.term),
        format!(
            "Nodes: {} alive, {} failed, {} voters",
            status.alive, status.failed, status.voters
        ),
        format!(
            "Agents: {} deployed, {} without a node",
            status.agents, status.agents_unplaced
        ),
        format!("Catalog revision: {}", status.revision),
    ];
    lines.extend(status.hint.iter().map(|hint| format!("Hint: {hint}")));
    lines.join("\n")
}
