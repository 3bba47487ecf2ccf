//! `caxton dev …`: a cluster of real nodes on this machine. It belongs to nobody: it runs until `caxton dev down`.

mod detach;
mod down;
mod layout;
mod node;
mod process;
mod status;
mod traffic;
mod up;

use crate::{exit::Exit, ui::Ui};
use std::path::PathBuf;

/// The cluster that is meant if none is named.
const DEFAULT_NAME: &str = "demo";

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Start the cluster, or what is missing of it, and wait until it works
    Up(up::Up),
    /// Show the nodes
    Status(Named),
    /// Stop the cluster
    Down(down::Down),
    /// Start one node
    Start(node::OneNode),
    /// Stop one node in order
    Stop(node::OneNode),
    /// Kill one node, as a crash would
    Kill(node::OneNode),
    /// Show the figures of the message generator
    Traffic(traffic::Traffic),
    /// Become the leader of a new session, then another program: how nodes leave the terminal
    #[command(hide = true)]
    Detach(detach::Detach),
}

/// Names a cluster.
#[derive(clap::Args)]
pub(crate) struct Named {
    /// The cluster
    #[arg(default_value = DEFAULT_NAME)]
    name: String,
}

impl Command {
    pub(crate) async fn run(self, ui: &Ui) -> anyhow::Result<Exit> {
        match self {
            Self::Up(command) => command.run(ui).await,
            Self::Status(named) => status::run(&layout::DevCluster::open(&named.name)?, ui).await,
            Self::Down(command) => command.run(ui).await,
            Self::Start(command) => command.start(ui).await,
            Self::Stop(command) => command.stop(ui).await,
            Self::Kill(command) => command.kill(ui).await,
            Self::Traffic(command) => command.run(ui).await,
            Self::Detach(command) => command.run(),
        }
    }
}

/// The context of the cluster that is meant if none is named, if there is one.
pub(crate) fn default_context() -> Option<PathBuf> {
    let path = layout::folder(DEFAULT_NAME).ok()?.join("context.yaml");
    path.is_file().then_some(path)
}
