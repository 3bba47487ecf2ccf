//! `caxplan rollback`.

use super::resume::unreached;
use super::run::How;
use crate::composition::{registry, runtime};
use crate::failure::{Answer, Failure};
use crate::plan::ParamArguments;
use crate::select::{self, RunArgument};
use crate::ui::Show;
use caxplan_model::{CheckpointName, RunEnd};
use caxplan_run::{Orders, RollbackOrder, Session};
use clap::Args;

/// Undo what a run has done, in reverse order
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    run: RunArgument,
    /// Keep what was completed up to this checkpoint
    #[arg(long, value_name = "CHECKPOINT")]
    to: Option<String>,
    #[command(flatten)]
    params: ParamArguments,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Show,
    #[command(flatten)]
    how: How,
}

impl Rollback {
    pub(crate) fn execute(self) -> Answer {
        let (dir, journal) = select::open()?;
        let run = self.run.find(&journal)?;
        let stored = journal.load(&run)?;
        match stored.summary.end {
            Some(RunEnd::RolledBack) => {
                return Err(Failure::new(format!("run {run} was rolled back already")));
            }
            Some(
                RunEnd::Succeeded | RunEnd::Failed | RunEnd::Stuck | RunEnd::Waiting | RunEnd::Cancelled,
            )
            | None => {}
        }
        let to = self.to.map(CheckpointName::new);
        let state = caxplan_run::fold(&run, stored.graph, &stored.records)?;
        if let Some(to) = to.as_ref().filter(|to| !state.is_reached(to)) {
            return Err(unreached(to, &state));
        }
        drop(journal);
        let params = self.params.values()?;
        runtime()?.block_on(async {
            let session = Session::take_up(&dir, registry(&dir), &run, &params).await?;
            let reason = format!("asked by {}", caxplan_run::user());
            let orders = Orders {
                rollback: Some(RollbackOrder { to, reason }),
                ..Orders::default()
            };
            self.how.carry_out(self.output, session, orders).await
        })
    }
}
