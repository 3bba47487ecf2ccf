//! How our types lie in SQLite's columns, whose integers are signed.

use caxplan_model::Timestamp;

pub(super) fn from_time(at: Timestamp) -> i64 {
    from_count(at.0)
}

pub(super) fn to_time(column: i64) -> Timestamp {
    Timestamp(to_count(column))
}

pub(super) fn from_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn to_count(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}
