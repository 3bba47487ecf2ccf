//! `caxton backup …`

mod restore;
mod verify;

use crate::ui::{Table, Ui, bytes};
use crate::{connect::Connect, exit::Exit};
use caxton_model::api::{BackupInfo, BackupRequest};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Back up nodes
    Create(Create),
    /// List the backups that nodes keep
    List(List),
    /// Compare a backup with its manifest
    Verify(verify::Verify),
    /// Restore a backup into the data folder of a node that does not run
    Restore(restore::Restore),
}

#[derive(clap::Args)]
pub(crate) struct Create {
    /// full or incremental
    #[arg(long = "type", default_value = "full")]
    kind: String,
    /// A folder on the node [default: `backups` in its data folder]
    #[arg(long)]
    destination: Option<String>,
    /// Compress
    #[arg(long)]
    compress: bool,
    /// Only this node [default: all]
    #[arg(long)]
    node: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct List {
    /// Only this node [default: all that answer]
    #[arg(long)]
    node: Option<String>,
}

impl Command {
    pub(crate) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        match self {
            Self::Create(create) => create.run(connect, ui).await,
            Self::List(list) => {
                let mut backups = Vec::new();
                for client in nodes(connect, list.node.as_deref()).await? {
                    match client.backups().await {
                        Ok(found) => backups.extend(found),
                        Err(error) => ui.note(&format!("warning: {error}")),
                    }
                }
                show(ui, &backups)
            }
            Self::Verify(verify) => verify.run(connect, ui).await,
            Self::Restore(restore) => restore.run(ui),
        }
    }
}

impl Create {
    async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        let request = BackupRequest {
            kind: self.kind,
            destination: self.destination,
            compress: self.compress,
        };
        let mut backups = Vec::new();
        for client in nodes(connect, self.node.as_deref()).await? {
            backups.push(client.create_backup(&request).await?);
        }
        show(ui, &backups)
    }
}

/// Clients of the node that was named, or of all nodes.
async fn nodes(connect: &Connect, node: Option<&str>) -> anyhow::Result<Vec<caxton_client::Client>> {
    if let Some(node) = node {
        return Ok(vec![connect.node(node).await?]);
    }
    let client = connect.client()?;
    let members = client.members().await?;
    let pinned = members.iter().map(|member| client.pinned(&member.api_addr));
    Ok(pinned.collect::<Result<_, _>>()?)
}

fn show(ui: &Ui, backups: &[BackupInfo]) -> anyhow::Result<Exit> {
    ui.show(backups, |backups| {
        let mut table = Table::new(&["BACKUP-ID", "NODE", "TYPE", "VERSION", "SIZE", "VERIFIED", "PATH"]);
        for backup in backups {
            table.row([
                backup.id.clone(),
                backup.node.to_string(),
                backup.kind.clone(),
                backup.version.to_string(),
                bytes(backup.bytes),
                if backup.verified { "yes" } else { "NO" }.to_owned(),
                backup.path.clone(),
            ]);
        }
        table.to_string()
    })?;
    Ok(Exit::Done)
}
