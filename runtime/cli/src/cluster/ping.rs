//! `caxton cluster ping [NODE]`

use crate::ui::{Table, Ui};
use crate::{connect::Connect, exit::Exit};
use anyhow::bail;

#[derive(clap::Args)]
pub(crate) struct Ping {
    /// Only to this node [default: to all]
    node: Option<String>,
}

impl Ping {
    pub(super) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        let mut results = connect.client()?.ping().await?;
        if let Some(node) = &self.node {
            results.retain(|result| result.node.as_str() == node);
            if results.is_empty() {
                bail!("the node that answers knows no other node {node}; `caxton cluster members` lists all");
            }
        }
        ui.show(&results, |results| {
            let mut table = Table::new(&["NODE-ID", "ROUND-TRIP", "STATUS"]);
            for result in results {
                let (time, status) = match (result.round_trip_us, &result.error) {
                    (Some(us), _) => (format!("{:.2}ms", us as f64 / 1_000.0), "ok".to_owned()),
                    (None, Some(error)) => ("-".to_owned(), error.clone()),
                    (None, None) => ("-".to_owned(), "no answer".to_owned()),
                };
                table.row([result.node.to_string(), time, status]);
            }
            table.to_string()
        })?;
        Ok(Exit::when(
            results.iter().all(|result| result.round_trip_us.is_some()),
        ))
    }
}
