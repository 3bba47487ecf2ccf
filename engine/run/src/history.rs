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

/// How long earlier runs of the plan in this file took. Reads the journal, and makes none if there is none; a run that
/// cannot be read is left out.
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
        if let Ok(stored) = journal.load(&run.id) {
            records += stored.records.len();
            history.note(&stored.graph, &stored.records);
        }
    }
    Ok(history)
}
