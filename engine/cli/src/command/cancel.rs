//! `caxplan cancel`.

use crate::failure::Answer;
use crate::select::{self, RunArgument};
use crate::ui;
use caxplan_run::Request;
use clap::Args;
use std::process::ExitCode;

/// End a run: its running steps end, none starts
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    run: RunArgument,
    /// Abort the running steps too; they will be in doubt
    #[arg(long)]
    abort: bool,
}

impl Cancel {
    pub(crate) fn execute(self) -> Answer {
        let (dir, mut journal) = select::open()?;
        let run = self.run.find(&journal)?;
        select::require_engine(&dir, &run)?;
        journal.ask(&run, &caxplan_run::user(), &Request::Cancel { abort: self.abort })?;
        let when = if self.abort {
            "now"
        } else {
            "as soon as its running steps have ended"
        };
        ui::print(&format!("run {run} ends {when}\n"));
        Ok(ExitCode::SUCCESS)
    }
}
