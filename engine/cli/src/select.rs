//! Naming a run on the command line.

use crate::failure::{Answer, Failure};
use caxplan_model::RunId;
use caxplan_run::{Journal, RunName, StateDir};
use clap::Args;

/// Which run.
#[derive(Debug, Args)]
pub(crate) struct RunArgument {
    /// The run: its id, or a beginning of it that no other run has
    #[arg(required_unless_present = "last")]
    run: Option<String>,
    /// The newest run
    #[arg(long, conflicts_with = "run")]
    last: bool,
}

impl RunArgument {
    /// The run that is meant.
    pub(crate) fn find(&self, journal: &Journal) -> Answer<RunId> {
        let name = match &self.run {
            Some(run) => RunName::Prefix(run.clone()),
            None => RunName::Last,
        };
        Ok(journal.find(&name)?)
    }
}

/// Which run, and perhaps which of its steps.
#[derive(Debug, Args)]
pub(crate) struct StepArgument {
    /// The run: its id, or a beginning of it that no other run has (left out with --last)
    #[arg(required_unless_present = "last")]
    run: Option<String>,
    /// The step: its id, or a name that only one step has
    step: Option<String>,
    /// The newest run
    #[arg(long)]
    last: bool,
}

impl StepArgument {
    /// The run that is meant, and the step as the user wrote it.
    pub(crate) fn find(&self, journal: &Journal) -> Answer<(RunId, Option<String>)> {
        // With --last, the only word is the step.
        let (name, step) = match (&self.run, &self.step, self.last) {
            (Some(_), Some(_), true) => {
                return Err(Failure::invalid("--last and a run's id both name a run").hint("leave one out"));
            }
            (step, None, true) => (RunName::Last, step.clone()),
            (Some(run), step, false) => (RunName::Prefix(run.clone()), step.clone()),
            (None, step, _) => (RunName::Last, step.clone()),
        };
        Ok((journal.find(&name)?, step))
    }
}

/// Opens the state folder and its journal.
pub(crate) fn open() -> Answer<(StateDir, Journal)> {
    let dir = StateDir::locate()?;
    let journal = Journal::open(&dir)?;
    Ok((dir, journal))
}

/// Fails unless an engine is at work on the run.
pub(crate) fn require_engine(dir: &StateDir, run: &RunId) -> Answer<()> {
    match caxplan_run::engine_of(dir, run) {
        Some(_) => Ok(()),
        None => Err(
            Failure::new(format!("no engine is at work on run {run}")).hint(format!(
                "`caxplan show {run}` shows where it stands, `caxplan resume {run}` goes on"
            )),
        ),
    }
}
