//! The only clock of the engine.

use caxplan_model::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by the wall clock: a durable timer is due at a time of day, also after a restart of the machine.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
