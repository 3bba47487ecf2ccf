//! What the journal knows of how long a plan takes.

use crate::journal::RunFilter;
use crate::{Journal, JournalError, StateDir};
use caxplan_core::preview::History;
use caxplan_model::RunEnd;
use std::path::Path;

/// How many of a plan's newest runs are looked at.
const RUNS_MAX: u32 = 20;

/// How many records of them are looked at: a preview must not take longer for a plan that has run often.
const RECORDS_MAX: usize = 200_000;

/// How long earlier runs of the plan in this file took. Reads the journal, and makes none if there is none. Runs are
/// summarized while they are read; one that cannot be read is left out, from where it cannot.
pub fn history(dir: &StateDir, plan: &Path) -> Result<History, JournalError> {
    let mut history = History::default();
    if !dir.journal().exists() {
        return Ok(history);
    }
    let journal = Journal::open(dir)?;
    let runs = journal.runs_of(&RunFilter {
        plan: Some(plan.to_string_lossy().into_owned()),
        ends: vec![Some(RunEnd::Succeeded), Some(RunEnd::Failed)],
        limit: RUNS_MAX,
        ..RunFilter::default()
    })?;
    let mut records = 0;
    for run in runs {
        if records >= RECORDS_MAX {
            break;
        }
        if let Ok((head, ids)) = journal.head_and_ids(&run.id) {
            // Of a run that cannot be read to its end, what was read before is true all the same.
            let mut past = history.past(ids);
            let read = journal.replay(&head, |record| {
                records += 1;
                past.note(&record);
                Ok::<(), JournalError>(())
            });
            if let Err(error) = read {
                tracing::debug!(run = %run.id, %error, "not read to its end");
            }
        }
    }
    Ok(history)
}
