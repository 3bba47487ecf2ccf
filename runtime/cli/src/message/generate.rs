//! `caxton message generate`

use super::DeliveryArg;
use crate::traffic::{Load, generate};
use crate::{connect::Connect, exit::Exit};
use caxton_model::AgentName;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Generate {
    /// The agent that shall get them
    #[arg(long)]
    to: String,
    /// How many a second
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// How hard the runtime tries
    #[arg(long, value_enum, default_value = "at-least-once")]
    delivery: DeliveryArg,
    /// Where to write the figures, four times a second
    #[arg(long, value_name = "FILE")]
    stats: PathBuf,
}

impl Generate {
    pub(super) async fn run(self, connect: &Connect) -> anyhow::Result<Exit> {
        let load = Load {
            to: AgentName(self.to),
            rate: self.rate,
            delivery: self.delivery.into(),
            stats: self.stats,
        };
        generate(connect.client()?, load).await?;
        Ok(Exit::Done)
    }
}
