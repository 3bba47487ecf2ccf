//! `caxton node …`: one node at a time.

mod show;
mod upgrade;

use crate::{connect::Connect, exit::Exit, ui::Ui};
use caxton_model::NodeId;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show a node
    Show(Named),
    /// Move a node's agents elsewhere
    Drain(Named),
    /// Let a node take agents again
    Undrain(Named),
    /// Make the state of a node's agents durable, and copy it to another node
    Checkpoint(Named),
    /// Run another release on a node; its agents are away only if it was drained before
    Upgrade(upgrade::Upgrade),
    /// Show how the last upgrade of a node stands
    UpgradeStatus(Named),
    /// Go back to the release before
    Rollback(upgrade::Rollback),
}

/// Names a node.
#[derive(clap::Args)]
pub(crate) struct Named {
    /// The node, by name or by the address of its API
    node: String,
}

impl Command {
    pub(crate) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        match self {
            Self::Show(named) => {
                let client = connect.node(&named.node).await?;
                let health = client.health().await?;
                let info = client.node_info().await?;
                show::show(ui, &info, Some(&health))
            }
            Self::Drain(named) => {
                let info = connect.client()?.drain(&NodeId(named.node)).await?;
                show::show(ui, &info, None)
            }
            Self::Undrain(named) => {
                let info = connect.client()?.undrain(&NodeId(named.node)).await?;
                show::show(ui, &info, None)
            }
            Self::Checkpoint(named) => {
                let checkpoint = connect.node(&named.node).await?.checkpoint().await?;
                ui.show(&checkpoint, |checkpoint| {
                    let holders: Vec<&str> = checkpoint.copied_to.iter().map(NodeId::as_str).collect();
                    format!(
                        "{} agents, {} bytes, copied to: {}",
                        checkpoint.agents,
                        checkpoint.bytes,
                        holders.join(", ")
                    )
                })?;
                Ok(Exit::Done)
            }
            Self::Upgrade(command) => command.run(connect, ui).await,
            Self::UpgradeStatus(named) => {
                let status = connect.node(&named.node).await?.upgrade_status().await?;
                upgrade::show(ui, &status)
            }
            Self::Rollback(command) => command.run(connect, ui).await,
        }
    }
}
