//! `caxton message …`

mod generate;
mod send;

use crate::{connect::Connect, exit::Exit, ui::Ui};
use caxton_model::Delivery;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Send one message
    Send(send::Send),
    /// Send messages at a steady rate and count the answers, until told to stop
    Generate(generate::Generate),
}

impl Command {
    pub(crate) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        match self {
            Self::Send(command) => command.run(connect, ui).await,
            Self::Generate(command) => command.run(connect).await,
        }
    }
}

/// How hard the runtime tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum DeliveryArg {
    /// Once; lost if the receiver is down
    AtMostOnce,
    /// Until the receiver has handled it
    AtLeastOnce,
}

impl From<DeliveryArg> for Delivery {
    fn from(delivery: DeliveryArg) -> Self {
        match delivery {
            DeliveryArg::AtMostOnce => Self::AtMostOnce,
            DeliveryArg::AtLeastOnce => Self::AtLeastOnce,
        }
    }
}
