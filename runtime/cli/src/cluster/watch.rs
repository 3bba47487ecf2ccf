//! `caxton cluster watch`

use crate::{connect::Connect, exit::Exit, ui::Ui};
use caxton_client::Client;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Watch {
    /// How often to look
    #[arg(long, default_value = "500ms")]
    interval: caxton_node::config::HumanDuration,
}

impl Watch {
    pub(super) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        let client = connect.client()?.with_timeout(Duration::from_secs(2));
        let mut before = BTreeMap::new();
        loop {
            let now = observe(&client).await;
            for line in changes(&before, &now) {
                ui.show(&line, |line| format!("[INFO] {line}"))?;
            }
            before = now;
            tokio::select! {
                () = tokio::time::sleep(self.interval.0) => {}
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted?;
                    return Ok(Exit::Done);
                }
            }
        }
    }
}

/// What is watched, by name.
async fn observe(client: &Client) -> BTreeMap<String, String> {
    let (members, status) = match (client.members().await, client.cluster_status().await) {
        (Ok(members), Ok(status)) => (members, status),
        (Err(error), _) | (_, Err(error)) => {
            return BTreeMap::from([("the cluster".to_owned(), format!("does not answer: {error}"))]);
        }
    };
    let leader = status.leader.map_or("nobody".to_owned(), |leader| leader.0);
    let mut seen = BTreeMap::from([
        (
            "the cluster".to_owned(),
            format!("is {}, {}", status.status, status.operations),
        ),
        ("the leader".to_owned(), format!("is {leader}")),
    ]);
    for member in members {
        let what = format!(
            "is {} with {} agents, version {}",
            member.status, member.agents, member.version
        );
        seen.insert(format!("node {}", member.id), what);
    }
    seen
}

fn changes(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    now.iter()
        .filter(|(name, what)| before.get(*name) != Some(*what))
        .map(|(name, what)| format!("{name} {what}"))
        .collect()
}
