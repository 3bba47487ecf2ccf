//! `caxton dev down`

use super::DEFAULT_NAME;
use super::layout::{DevCluster, folder};
use super::up::lock;
use crate::{exit::Exit, ui::Ui};
use anyhow::Context as _;
use serde_json::json;

#[derive(clap::Args)]
pub(crate) struct Down {
    /// The cluster
    #[arg(default_value = DEFAULT_NAME)]
    name: String,
    /// Remove its data too
    #[arg(long)]
    purge: bool,
}

impl Down {
    pub(super) async fn run(self, ui: &Ui) -> anyhow::Result<Exit> {
        let _lock = lock(&self.name)?;
        let mut stopped = Vec::new();
        let folder = folder(&self.name)?;
        if folder.join("cluster.json").exists() {
            let cluster = DevCluster::open(&self.name)?;
            // The generator first: nothing that it sent shall find no node.
            if cluster.generator().stop().await? {
                stopped.push("traffic".to_owned());
            }
            let mut stops = tokio::task::JoinSet::new();
            for node in cluster.nodes() {
                stops.spawn(async move { (node.program().stop().await, node.id) });
            }
            while let Some(result) = stops.join_next().await {
                let (result, id) = result?;
                if result? {
                    stopped.push(id.0);
                }
            }
        }
        if self.purge && folder.exists() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        stopped.sort();
        ui.show(&json!({ "stopped": stopped, "purged": self.purge }), |_| {
            if stopped.is_empty() {
                format!("nothing of the cluster {} was running", self.name)
            } else {
                format!("stopped: {}", stopped.join(", "))
            }
        })?;
        Ok(Exit::Done)
    }
}
