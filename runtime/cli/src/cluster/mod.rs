//! `caxton cluster …`

mod members;
mod performance;
mod ping;
mod status;
mod verify;
mod watch;

use crate::{connect::Connect, exit::Exit, ui::Ui};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List the nodes
    Members,
    /// Say whether the cluster is well
    Status,
    /// Compare figures with targets
    Performance,
    /// Say what changes, until interrupted
    Watch(watch::Watch),
    /// Measure round trips between nodes
    Ping(ping::Ping),
    /// Ask every node for its view and compare
    Verify(verify::Verify),
}

impl Command {
    pub(crate) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        match self {
            Self::Members => members::run(connect, ui).await,
            Self::Status => status::run(connect, ui).await,
            Self::Performance => performance::run(connect, ui).await,
            Self::Watch(command) => command.run(connect, ui).await,
            Self::Ping(command) => command.run(connect, ui).await,
            Self::Verify(command) => command.run(connect, ui).await,
        }
    }
}
