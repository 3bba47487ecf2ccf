//! `caxplan verify`.

use crate::failure::{Answer, FAILED, Failure};
use crate::select;
use crate::ui::Listing;
use caxplan_model::RunId;
use caxplan_run::{Journal, RunName};
use clap::Args;
use serde::Serialize;
use std::process::ExitCode;

/// Check that the journal holds what was written: nothing altered, nothing missing
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The run: its id, or a beginning of it that no other run has; all runs if absent
    run: Option<String>,
    /// The newest run
    #[arg(long, conflicts_with = "run")]
    last: bool,
    /// How to list the runs
    #[arg(long, value_enum, default_value_t)]
    output: Listing,
}

/// What came of the check of one run.
#[derive(Debug, Serialize)]
struct Checked {
    run: RunId,
    ok: bool,
    /// How many records were checked; 0 if they could not be.
    records: usize,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip)]
    failure: Option<Failure>,
}

impl Verify {
    pub(crate) fn execute(self) -> Answer {
        let (_, journal) = select::open()?;
        let runs = match self.run {
            Some(run) => vec![journal.find(&RunName::Prefix(run))?],
            None if self.last => vec![journal.find(&RunName::Last)?],
            None => journal.runs(u32::MAX)?.into_iter().map(|run| run.id).collect(),
        };
        let checked: Vec<Checked> = runs
            .into_iter()
            .map(|run| match check(&journal, &run) {
                Ok(records) => Checked {
                    run,
                    ok: true,
                    records,
                    problem: None,
                    failure: None,
                },
                Err(failure) => Checked {
                    run,
                    ok: false,
                    records: 0,
                    problem: Some(failure.message().to_owned()),
                    failure: Some(failure),
                },
            })
            .collect();
        self.output.print(&checked, || lines(&checked));
        for failure in checked.iter().filter_map(|run| run.failure.as_ref()) {
            failure.report();
        }
        Ok(if checked.iter().all(|run| run.ok) {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        })
    }
}

fn lines(checked: &[Checked]) -> String {
    let line = |run: &Checked| match &run.problem {
        None => format!("{} ok, {} records\n", run.run, run.records),
        Some(problem) => format!("{} DAMAGED: {problem}\n", run.run),
    };
    checked.iter().map(line).collect()
}

/// Checks digests and chain, and that the records can be followed.
fn check(journal: &Journal, run: &RunId) -> Answer<usize> {
    let stored = journal.load(run)?;
    caxplan_run::fold(run, stored.graph, &stored.records)?;
    Ok(stored.records.len())
}
