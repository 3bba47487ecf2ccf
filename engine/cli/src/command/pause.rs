//! `caxplan pause`.

use crate::failure::Answer;
use crate::select::{self, RunArgument};
use crate::ui;
use caxplan_run::Request;
use clap::Args;
use std::process::ExitCode;

/// Let the running steps of a run end, and start none until it is resumed
#[derive(Debug, Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    run: RunArgument,
}

impl Pause {
    pub(crate) fn execute(self) -> Answer {
        let (dir, mut journal) = select::open()?;
        let run = self.run.find(&journal)?;
        select::require_engine(&dir, &run)?;
        journal.ask(&run, &caxplan_run::user(), &Request::Pause { paused: true })?;
        ui::print(&format!(
            "run {run} pauses as soon as its running steps have ended; `caxplan resume {run}` goes on\n"
        ));
        Ok(ExitCode::SUCCESS)
    }
}
