//! `caxplan verify`.

use crate::failure::{Answer, FAILED};
use crate::select;
use crate::ui;
use caxplan_model::RunId;
use caxplan_run::{Journal, RunName};
use clap::Args;
use std::process::ExitCode;

/// Check that the journal holds what was written: nothing altered, nothing missing
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The run: its id, or a beginning of it that no other run has; all runs if absent
    run: Option<String>,
    /// The newest run
    #[arg(long, conflicts_with = "run")]
    last: bool,
}

impl Verify {
    pub(crate) fn execute(self) -> Answer {
        let (_, journal) = select::open()?;
        let runs = match self.run {
            Some(run) => vec![journal.find(&RunName::Prefix(run))?],
            None if self.last => vec![journal.find(&RunName::Last)?],
            None => journal.runs(u32::MAX)?.into_iter().map(|run| run.id).collect(),
        };
        let mut whole = true;
        for run in &runs {
            match check(&journal, run) {
                Ok(records) => ui::print(&format!("{run} ok, {records} records\n")),
                Err(failure) => {
                    whole = false;
                    failure.report();
                }
            }
        }
        Ok(if whole {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        })
    }
}

/// Checks digests and chain, and that the records can be followed.
fn check(journal: &Journal, run: &RunId) -> Answer<usize> {
    let stored = journal.load(run)?;
    caxplan_run::fold(run, stored.graph, &stored.records)?;
    Ok(stored.records.len())
}
