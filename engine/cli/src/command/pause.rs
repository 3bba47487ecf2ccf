//! `caxplan pause`.

use crate::failure::Answer;
use crate::select::{self, RunArgument};
use crate::ui;
use caxplan_run::Request;
use clap::Args;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long it is waited for the engine to take the request in. It looks five times a second.
const PATIENCE_MAX: Duration = Duration::from_secs(2);

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
        let request = journal.ask(&run, &caxplan_run::user(), &Request::Pause { paused: true })?;
        // When this returns, nothing more starts; unless the engine is held up, and then it is told as soon as it is not.
        let begun = Instant::now();
        while journal.is_open(request)? && begun.elapsed() < PATIENCE_MAX {
            std::thread::sleep(Duration::from_millis(10));
        }
        ui::print(&format!(
            "run {run} pauses as soon as its running steps have ended; `caxplan resume {run}` goes on\n"
        ));
        Ok(ExitCode::SUCCESS)
    }
}
