//! `caxton metrics`

use crate::ui::{Table, Ui};
use crate::{connect::Connect, exit::Exit};
use caxton_model::api::MetricsSummary;
use std::collections::BTreeMap;

#[derive(clap::Args)]
pub(crate) struct Metrics {
    /// Only of this node [default: of all that answer]
    #[arg(long)]
    node: Option<String>,
}

impl Metrics {
    pub(crate) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        let client = connect.client()?;
        let mut figures: BTreeMap<String, MetricsSummary> = BTreeMap::new();
        match self.node {
            Some(node) => {
                let summary = connect.node(&node).await?.metrics().await?;
                figures.insert(node, summary);
            }
            None => {
                for member in client.members().await? {
                    if let Ok(summary) = client.pinned(&member.api_addr)?.metrics().await {
                        figures.insert(member.id.0, summary);
                    }
                }
            }
        }
        ui.show(&figures, |figures| {
            let mut table = Table::new(&[
                "NODE",
                "MESSAGES/S",
                "ERRORS",
                "P50",
                "P99",
                "CPU",
                "MEMORY",
                "DISK",
                "AGENTS",
            ]);
            for (node, summary) in figures {
                table.row([
                    node.clone(),
                    format!("{:.0}", summary.message_rate),
                    format!("{:.2}%", summary.error_rate_percent),
                    format!("{:.1}ms", summary.p50_latency_ms),
                    format!("{:.1}ms", summary.p99_latency_ms),
                    format!("{:.0}%", summary.cpu_usage_percent),
                    format!("{:.0}%", summary.memory_usage_percent),
                    format!("{:.0}%", summary.disk_usage_percent),
                    summary.agent_count.to_string(),
                ]);
            }
            table.to_string()
        })?;
        Ok(Exit::Done)
    }
}
