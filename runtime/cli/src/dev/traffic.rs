//! `caxton dev traffic`

use super::DEFAULT_NAME;
use super::layout::DevCluster;
use crate::traffic::{Stats, now_ms};
use crate::{exit::Exit, ui::Ui};
use anyhow::{Context as _, bail};
use caxton_node::config::HumanDuration;
use std::time::{Duration, Instant};

/// How often to look whether the last answers have come.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
pub(crate) struct Traffic {
    /// The cluster
    #[arg(default_value = DEFAULT_NAME)]
    name: String,
    /// Wait that long until all that was sent before now is answered: a duration, or seconds
    #[arg(long, value_parser = parse_settle)]
    settle: Option<Duration>,
}

impl Traffic {
    pub(super) async fn run(self, ui: &Ui) -> anyhow::Result<Exit> {
        let cluster = DevCluster::open(&self.name)?;
        let path = cluster.stats();
        if cluster.generator().process().is_none() && !path.exists() {
            bail!(
                "no message generator has run in {}; start one by `caxton dev up {0} --traffic 100`",
                self.name
            );
        }
        let read = || Stats::read(&path).with_context(|| format!("cannot read {}", path.display()));
        let now = now_ms();
        let deadline = self.settle.map(|settle| Instant::now() + settle);
        let mut stats = read()?;
        while deadline.is_some_and(|deadline| Instant::now() < deadline)
            && !stats.is_settled(now)
            && cluster.generator().process().is_some()
        {
            tokio::time::sleep(POLL_INTERVAL).await;
            stats = read()?;
        }
        ui.show(&stats, |stats| {
            format!(
                "sent        {}\nanswered    {}\nlost        {} (no answer within {} s)\ndoubled     {}\noutstanding {} (oldest {} ms)\n\
                 slowest     {} ms\np50, p99    {:.1} ms, {:.1} ms\nretries     {}\nheld back   {}",
                stats.sent,
                stats.answered,
                stats.lost,
                stats.lost_after_ms / 1_000,
                stats.doubled,
                stats.outstanding,
                stats.oldest_outstanding_ms,
                stats.slowest_ms,
                stats.p50_ms,
                stats.p99_ms,
                stats.retries,
                stats.held_back
            )
        })?;
        Ok(Exit::Done)
    }
}

fn parse_settle(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => text
            .parse::<HumanDuration>()
            .map(|settle| settle.0)
            .map_err(|error| error.to_string()),
    }
}
