//! The only clock of the engine.

use caxplan_model::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by the wall clock: a durable timer is due at a time of day, also after a restart of the machine.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A point in time for files that others read: `2026-11-27T12:03:44Z`.
pub fn utc(at: Timestamp) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map(|at| format!("{at:.0}"))
        .unwrap_or_default()
}
