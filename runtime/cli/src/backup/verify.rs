//! `caxton backup verify --id ID`

use super::{nodes, show};
use crate::{connect::Connect, exit::Exit, ui::Ui};
use anyhow::bail;
use caxton_client::ClientError;

#[derive(clap::Args)]
pub(crate) struct Verify {
    /// The backup; without a node's name at the end, the backups of all nodes from that minute
    #[arg(long)]
    id: String,
}

impl Verify {
    pub(super) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        let mut verified = Vec::new();
        for client in nodes(connect, None).await? {
            let backups = match client.backups().await {
                Ok(backups) => backups,
                // Another node may hold it; if none does, the error below says so.
                Err(ClientError::Unreachable { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            for backup in backups {
                if backup.id == self.id || backup.id.starts_with(&format!("{}-", self.id)) {
                    verified.push(client.verify_backup(&backup.id).await?);
                }
            }
        }
        if verified.is_empty() {
            bail!(
                "no node that answers keeps a backup {}; `caxton backup list` lists all",
                self.id
            );
        }
        show(ui, &verified)
    }
}
