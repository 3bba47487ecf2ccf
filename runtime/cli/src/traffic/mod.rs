//! The message generator: what it sends, what it counts.

mod answers;
mod generator;
mod histogram;
mod ledger;
mod stats;

pub(crate) use generator::{Load, generate, now_ms};
pub(crate) use stats::Stats;
