//! When a plan runs by itself.

use crate::{Duration, Map};
use serde::{Deserialize, Serialize};

/// When a plan runs by itself, and what happens if it could not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The times, as a cron expression.
    pub cron: String,
    /// The time zone of the expression, by its IANA name; UTC if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Each start is put off by a part of this.
    pub jitter: Duration,
    /// What becomes of times that passed while nothing watched.
    pub misfire: Misfire,
    /// What happens if the run before is still going on.
    pub overlap: Overlap,
    /// Values of the plan's parameters.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map,
}

impl Schedule {
    /// A schedule of which nothing but its times is said.
    pub fn new(cron: &str) -> Self {
        Self {
            cron: cron.to_owned(),
            timezone: None,
            jitter: Duration::ZERO,
            misfire: Misfire::default(),
            overlap: Overlap::default(),
            params: Map::new(),
        }
    }
}

/// What becomes of times that passed while nothing watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// Nothing: the next time counts.
    #[default]
    Skip,
    /// One run, however many times passed.
    Once,
}

/// What happens if the run before is still going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// This run is left out.
    #[default]
    Forbid,
    /// This run waits until it has ended.
    Queue,
    /// Both run.
    Allow,
}
