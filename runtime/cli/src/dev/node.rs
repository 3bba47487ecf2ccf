//! `caxton dev start|stop|kill NODE`

use super::DEFAULT_NAME;
use super::layout::{DevCluster, DevNode};
use crate::{exit::Exit, ui::Ui};
use serde_json::json;

#[derive(clap::Args)]
pub(crate) struct OneNode {
    /// The node
    node: String,
    /// Its cluster
    #[arg(long, default_value = DEFAULT_NAME)]
    name: String,
}

impl OneNode {
    pub(super) async fn start(self, ui: &Ui) -> anyhow::Result<Exit> {
        let node = self.find()?;
        if node.program().process().is_some() {
            return say(ui, &node, "runs already");
        }
        node.start()?;
        say(ui, &node, "started")
    }

    pub(super) async fn stop(self, ui: &Ui) -> anyhow::Result<Exit> {
        let node = self.find()?;
        let did_run = node.program().stop().await?;
        say(ui, &node, if did_run { "stopped" } else { "did not run" })
    }

    pub(super) async fn kill(self, ui: &Ui) -> anyhow::Result<Exit> {
        let node = self.find()?;
        let did_run = node.program().kill().await?;
        say(ui, &node, if did_run { "killed" } else { "did not run" })
    }

    fn find(&self) -> anyhow::Result<DevNode> {
        DevCluster::open(&self.name)?.node(&self.node)
    }
}

fn say(ui: &Ui, node: &DevNode, what: &str) -> anyhow::Result<Exit> {
    ui.show(&json!({ "node": node.id, "result": what }), |_| {
        format!("{} {what}", node.id)
    })?;
    Ok(Exit::Done)
}
