//! `caxton node upgrade NODE --to VERSION --source ARCHIVE` and `caxton node rollback NODE`

use crate::{connect::Connect, exit::Exit, ui::Ui};
use anyhow::{Context as _, bail};
use caxton_client::Client;
use caxton_model::Version;
use caxton_model::api::{UpgradeRequest, UpgradeStatus};
use caxton_node::config::HumanDuration;
use std::time::{Duration, Instant};

/// How often to ask whether the node has switched.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

#[derive(clap::Args)]
pub(crate) struct Upgrade {
    /// The node, by name or by the address of its API
    node: String,
    /// The version to run
    #[arg(long = "to", value_name = "VERSION")]
    version: String,
    /// The release archive: a path on the node, file:// or http://
    #[arg(long)]
    source: String,
    /// The archive's SHA-256 [default: from the file SOURCE.sha256 on this machine]
    #[arg(long)]
    sha256: Option<String>,
    /// How long to wait until the node runs the new version
    #[arg(long, default_value = "60s")]
    wait: HumanDuration,
}

#[derive(clap::Args)]
pub(crate) struct Rollback {
    /// The node, by name or by the address of its API
    node: String,
    /// How long to wait until the node runs the version before
    #[arg(long, default_value = "60s")]
    wait: HumanDuration,
}

impl Upgrade {
    pub(super) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        let sha256 = match self.sha256 {
            Some(sha256) => sha256,
            None => read_beside(&self.source)?,
        };
        let client = connect.node(&self.node).await?;
        let request = UpgradeRequest {
            version: Version(self.version.trim_start_matches('v').to_owned()),
            source: self.source,
            sha256,
        };
        let status = client.upgrade(&request).await?;
        settle(&client, status, self.wait.0, ui).await
    }
}

impl Rollback {
    pub(super) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        let client = connect.node(&self.node).await?;
        let status = client.rollback().await?;
        settle(&client, status, self.wait.0, ui).await
    }
}

/// Shows how an upgrade stands.
pub(super) fn show(ui: &Ui, status: &UpgradeStatus) -> anyhow::Result<Exit> {
    ui.show(status, |status| {
        let to = status.to.as_ref().map_or("-", Version::as_str);
        let error = status
            .error
            .as_ref()
            .map(|error| format!("\n{error}"))
            .unwrap_or_default();
        format!("{}: from {} to {to}{error}", status.phase, status.from)
    })?;
    Ok(Exit::when(status.phase != "failed"))
}

/// Waits until the node has switched. While it does, it does not answer.
async fn settle(client: &Client, mut status: UpgradeStatus, wait: Duration, ui: &Ui) -> anyhow::Result<Exit> {
    let deadline = Instant::now() + wait;
    while matches!(status.phase.as_str(), "staging" | "switching") {
        if Instant::now() >= deadline {
            bail!(
                "the node is still {} after {wait:?}; ask again by `caxton node upgrade-status`",
                status.phase
            );
        }
        tokio::time::sleep(POLL_INTERVAL).await;
        if let Ok(newer) = client.upgrade_status().await {
            status = newer;
        }
    }
    show(ui, &status)
}

fn read_beside(source: &str) -> anyhow::Result<String> {
    let path = format!("{}.sha256", source.trim_start_matches("file://"));
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("give --sha256, since {path} cannot be read on this machine"))?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}
