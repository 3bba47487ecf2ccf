//! The time from which coming runs are listed.

use crate::failure::{Answer, Failure};
use caxplan_model::Timestamp;
use clap::Args;
use jiff::tz::TimeZone;

#[derive(Debug, Args)]
pub(super) struct FromTime {
    /// From this time on: `2026-10-24`, `2026-10-24T12:00` (in this machine's zone), or with a zone
    /// `2026-10-24T12:00Z`; now if it is not given
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
}

impl FromTime {
    pub(super) fn time(&self) -> Answer<Timestamp> {
        match &self.from {
            Some(text) => parse(text).ok_or_else(|| {
                Failure::invalid(format!("`{text}` is no time"))
                    .hint("write it as `2026-10-24` or `2026-10-24T12:00Z`")
            }),
            None => Ok(caxplan_run::now()),
        }
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let in_zone = || {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        Some(civil.to_zoned(TimeZone::system()).ok()?.timestamp())
    };
    let at = text.parse::<jiff::Timestamp>().ok().or_else(in_zone)?;
    u64::try_from(at.as_millisecond()).ok().map(Timestamp)
}
