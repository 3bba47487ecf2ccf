//! For tests only: lets the engine die at a chosen record. A build without debug assertions (a release) has none of it.
//!
//! `CAXPLAN_CRASH_AT=after:N` dies as soon as record N is durable, before anything that follows from it happens.
//! `CAXPLAN_CRASH_AT=before:N` dies when record N has been decided and is not durable: what it speaks of has happened, and
//! nobody knows. Records that are written together otherwise are cut apart there.

use crate::journal::{Batch, Journal, Tail};
#[cfg(debug_assertions)]
use caxplan_model::Record;
use caxplan_model::RunId;

/// Where the engine dies, if anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CrashPoint {
    /// The last record that becomes durable.
    #[cfg(debug_assertions)]
    last: Option<u64>,
    /// Whether it dies only when there is a record after that one.
    #[cfg(debug_assertions)]
    with_next: bool,
}

#[cfg(debug_assertions)]
impl CrashPoint {
    pub(crate) fn from_environment() -> Self {
        let text = std::env::var("CAXPLAN_CRASH_AT").unwrap_or_default();
        let number = |text: &str| text.parse::<u64>().ok();
        match text.split_once(':') {
            Some(("after", at)) => Self {
                last: number(at),
                with_next: false,
            },
            Some(("before", at)) => Self {
                last: number(at).and_then(|at| at.checked_sub(1)),
                with_next: true,
            },
            Some(_) | None => Self::default(),
        }
    }

    /// Dies if this batch holds the crash point, with the records up to there made durable.
    pub(crate) fn pass(self, journal: &mut Journal, run: &RunId, tail: &mut Tail, batch: &Batch) {
        let Some(last) = self.last else { return };
        let end = tail.seq + batch.records.len() as u64;
        let reached = if self.with_next { end > last } else { end >= last };
        if !reached || last < tail.seq {
            return;
        }
        let mut keep = usize::try_from(last - tail.seq).unwrap_or(usize::MAX);
        // What people said while no engine had the run is never durable without the engine that takes it up.
        let taken_up = |record: &Record| matches!(record, Record::Resumed { .. });
        if batch
            .records
            .iter()
            .position(taken_up)
            .is_some_and(|at| keep <= at)
        {
            keep = 0;
        }
        let cut = Batch {
            records: batch.records[..keep.min(batch.records.len())].to_vec(),
            ..Batch::default()
        };
        // If the journal cannot be written, that is what the engine meets next by itself.
        if cut.is_empty() || journal.commit(run, tail, &cut).is_ok() {
            std::process::abort();
        }
    }
}

#[cfg(not(debug_assertions))]
impl CrashPoint {
    pub(crate) fn from_environment() -> Self {
        Self::default()
    }

    pub(crate) fn pass(self, _: &mut Journal, _: &RunId, _: &mut Tail, _: &Batch) {}
}
