//! `caxplan cancel`.

use super::run::How;
use crate::composition::{registry, runtime};
use crate::failure::{Answer, Failure};
use crate::plan::ParamArguments;
use crate::select::{self, RunArgument};
use crate::ui::{self, Show};
use caxplan_core::schedule::Interrupt;
use caxplan_model::{RunEnd, RunId};
use caxplan_run::{Journal, JournalError, Orders, Request, Session, StateDir};
use clap::Args;
use std::process::ExitCode;

/// End a run: its running steps end, none starts
///
/// A run that no engine has, because it waits for a person or its engine died, is taken up for that alone: what its engine left
/// running here is ended, and the `always` of blocks that have begun runs.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    run: RunArgument,
    /// Abort the running steps too; they will be in doubt. Of a run that no engine has, nothing is run any more, and no
    /// secret is needed
    #[arg(long)]
    abort: bool,
    #[command(flatten)]
    params: ParamArguments,
    /// How to show the clean-up of a run that no engine has
    #[arg(long, value_enum, default_value_t)]
    output: Show,
    #[command(flatten)]
    how: How,
}

impl Cancel {
    pub(crate) fn execute(self) -> Answer {
        let (dir, mut journal) = select::open()?;
        let run = self.run.find(&journal)?;
        if caxplan_run::engine_of(&dir, &run).is_none() {
            return self.take_up(&dir, &journal, &run);
        }
        journal.ask(&run, &caxplan_run::user(), &Request::Cancel { abort: self.abort })?;
        let when = if self.abort {
            "now"
        } else {
            "as soon as its running steps have ended"
        };
        ui::print(&format!("run {run} ends {when}\n"));
        Ok(ExitCode::SUCCESS)
    }

    /// Ends a run that no engine has.
    fn take_up(&self, dir: &StateDir, journal: &Journal, run: &RunId) -> Answer {
        let summary = journal
            .summary(run)?
            .ok_or_else(|| JournalError::UnknownRun(run.to_string()))?;
        match summary.end {
            Some(end @ (RunEnd::Succeeded | RunEnd::Failed | RunEnd::Stuck | RunEnd::RolledBack))
            | Some(end @ RunEnd::Cancelled) => {
                let message = format!("run {run} is over already ({})", ui::end_word(end));
                return Err(Failure::new(message).hint(format!("`caxplan show {run}` shows what came of it")));
            }
            Some(RunEnd::Waiting) | None => {}
        }
        if self.abort {
            let ended = Session::abandon(dir, run)?;
            let processes = match ended.as_slice() {
                [] => String::new(),
                ended => format!(", and so have the processes that its engine left: {ended:?}"),
            };
            ui::print(&format!(
                "run {run} has ended{processes}; `caxplan show {run}` shows where it stands\n"
            ));
            return Ok(ExitCode::SUCCESS);
        }
        let params = self.params.values()?;
        runtime()?.block_on(async {
            let session = Session::take_up(dir, registry(dir), run, &params).await;
            let session = session.map_err(|error| {
                let abort = format!("caxplan cancel {run} --abort");
                Failure::from(error).or(&abort, "ends it without its clean-up")
            })?;
            let orders = Orders {
                cancel: Some(Interrupt::Drain),
                ..Orders::default()
            };
            let code = self.how.carry_out(self.output, session, orders).await?;
            // It was asked for.
            let done = code == ExitCode::from(RunEnd::Cancelled.exit_code());
            Ok(if done { ExitCode::SUCCESS } else { code })
        })
    }
}
