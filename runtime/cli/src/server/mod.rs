//! `caxton server start`

mod certificates;
mod start;

pub(crate) use certificates::{create_authority, new_secret, write_private};
pub(crate) use start::{config_file, layers};

use crate::exit::Exit;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Run a node in the foreground, until it is told to stop
    Start(start::Start),
}

impl Command {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        let Self::Start(start) = self;
        start.run().await
    }
}
