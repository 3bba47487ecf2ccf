//! `caxton cluster verify`

use crate::ui::{Table, Ui};
use crate::{connect::Connect, exit::Exit};
use anyhow::bail;

#[derive(clap::Args)]
pub(crate) struct Verify {
    /// Show only this node
    #[arg(long)]
    node: Option<String>,
}

impl Verify {
    pub(super) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        let mut verification = connect.client()?.verify().await?;
        if let Some(node) = &self.node {
            verification.nodes.retain(|view| view.id.as_str() == node);
            if verification.nodes.is_empty() {
                bail!("there is no node {node}; `caxton cluster members` lists all");
            }
        }
        ui.show(&verification, |verification| {
            let mut table = Table::new(&[
                "NODE-ID",
                "REACHABLE",
                "HEALTHY",
                "VERSION",
                "REVISION",
                "CATALOG",
            ]);
            let yes_or_no = |yes: bool| if yes { "yes" } else { "NO" }.to_owned();
            for view in &verification.nodes {
                table.row([
                    view.id.to_string(),
                    yes_or_no(view.reachable),
                    yes_or_no(view.healthy),
                    view.version.as_ref().map_or("-".to_owned(), ToString::to_string),
                    view.revision.to_string(),
                    view.catalog_digest.chars().take(12).collect(),
                ]);
            }
            let mut text = table.to_string();
            for problem in &verification.problems {
                text.push_str(&format!("ERROR: {problem}\n"));
            }
            if verification.ok {
                text.push_str("All nodes agree.\n");
            }
            text
        })?;
        Ok(Exit::when(verification.ok))
    }
}
