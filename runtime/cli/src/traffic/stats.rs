//! The figures of a generator, as they lie in its file.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a generator has sent and got back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// When it began, in milliseconds since 1970.
    pub(crate) started_ms: u64,
    /// When this was written, in milliseconds since 1970.
    pub(crate) updated_ms: u64,
    /// How many a second it shall send.
    pub(crate) rate: u32,
    /// Messages that a node accepted.
    pub(crate) sent: u64,
    /// Messages that were answered.
    pub(crate) answered: u64,
    /// Answers beyond the first one to a message.
    pub(crate) doubled: u64,
    /// Accepted, not answered yet.
    pub(crate) outstanding: u64,
    /// Accepted and not answered for longer than `lost_after_ms`.
    pub(crate) lost: u64,
    /// After how many milliseconds without an answer a message counts as lost.
    pub(crate) lost_after_ms: u64,
    /// Calls that a node refused or did not answer; the messages were sent again.
    pub(crate) retries: u64,
    /// Messages that were not made because too many waited to be accepted.
    pub(crate) held_back: u64,
    /// When the oldest message without an answer was made, in milliseconds since 1970.
    pub(crate) oldest_outstanding_since_ms: Option<u64>,
    /// The age of the oldest message without an answer, in milliseconds.
    pub(crate) oldest_outstanding_ms: u64,
    /// The longest that an answer took, from the first attempt to send.
    pub(crate) slowest_ms: f64,
    /// Half of the answers took no longer.
    pub(crate) p50_ms: f64,
    /// 99 of 100 answers took no longer.
    pub(crate) p99_ms: f64,
}

impl Stats {
    /// Reads the figures that a generator wrote.
    pub(crate) fn read(path: &Path) -> std::io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    /// Writes them so that a reader never sees a part.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let new = path.with_extension("new");
        std::fs::write(&new, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&new, path)
    }

    /// Whether all that was made until then is answered, by figures that were written later.
    pub(crate) fn is_settled(&self, until_ms: u64) -> bool {
        self.updated_ms > until_ms
            && self
                .oldest_outstanding_since_ms
                .is_none_or(|since| since > until_ms)
    }
}
