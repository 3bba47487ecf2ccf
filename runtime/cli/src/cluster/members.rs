//! `caxton cluster members`

use crate::ui::{Table, Ui, ago};
use crate::{connect::Connect, exit::Exit};

pub(super) async fn run(connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
    let members = connect.client()?.members().await?;
    ui.show(&members, |members| {
        let mut table = Table::new(&[
            "NODE-ID",
            "STATUS",
            "LAST-SEEN",
            "AGENTS",
            "VERSION",
            "ROLE",
            "API",
        ]);
        for member in members {
            table.row([
                member.id.to_string(),
                member.status.clone(),
                ago(member.last_seen_ms),
                member.agents.to_string(),
                member.version.to_string(),
                member.role.clone(),
                member.api_addr.clone(),
            ]);
        }
        table.to_string()
    })?;
    Ok(Exit::Done)
}
