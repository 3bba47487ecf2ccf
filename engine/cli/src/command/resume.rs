//! `caxplan resume`.

use super::edited::{self, Considered, Edited};
use super::run::How;
use crate::composition::{registry, runtime};
use crate::failure::{Answer, Failure};
use crate::plan::{Contact, ParamArguments, PlanArguments, PlanPath};
use crate::select::{self, RunArgument};
use crate::ui::{self, Show};
use caxplan_core::schedule::State;
use caxplan_model::{CheckpointName, RunEnd, Value};
use caxplan_run::{JournalError, LockError, Orders, Request, Session};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Go on with a run: after a failure, a cancel, a crash, or a pause
#[derive(Debug, Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    run: RunArgument,
    /// Run again all that came after this checkpoint, also if the run has succeeded
    #[arg(long, value_name = "CHECKPOINT")]
    from: Option<String>,
    /// Follow the plan as it is in its file now, or in another FILE: shows what that changes, and refuses to change what
    /// has started
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    with_edited_plan: Option<Option<PlanPath>>,
    #[command(flatten)]
    params: ParamArguments,
    /// With --with-edited-plan: bind the plan's bare step names by this action library (can be repeated; a later one wins)
    #[arg(long = "use", value_name = "FILE", requires = "with_edited_plan")]
    libraries: Vec<PathBuf>,
    /// With --with-edited-plan: use the targets of this inventory in place of the plan's own
    #[arg(long, value_name = "FILE", requires = "with_edited_plan")]
    inventory: Option<PathBuf>,
    /// With --with-edited-plan: act only on the targets that this selects, as in `caxplan run` (can be repeated)
    #[arg(long, value_name = "SELECTOR", requires = "with_edited_plan")]
    limit: Vec<String>,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Show,
    #[command(flatten)]
    how: How,
}

impl Resume {
    pub(crate) fn execute(self) -> Answer {
        let (dir, mut journal) = select::open()?;
        let run = self.run.find(&journal)?;
        let summary = journal
            .summary(&run)?
            .ok_or_else(|| JournalError::UnknownRun(run.to_string()))?;
        let from = self.from.map(CheckpointName::new);
        match (summary.end, &from) {
            (Some(RunEnd::RolledBack), Some(from)) => {
                let message = format!("run {run} was rolled back: it cannot go on from `{from}`");
                return Err(Failure::invalid(message).hint("run the plan anew"));
            }
            (Some(end @ RunEnd::RolledBack), None) => {
                ui::print(&format!(
                    "run {run} was rolled back: there is nothing to resume\n"
                ));
                return Ok(ExitCode::from(end.exit_code()));
            }
            (Some(end @ RunEnd::Succeeded), None) => {
                ui::print(&format!("run {run} has succeeded: there is nothing to resume\n"));
                return Ok(ExitCode::from(end.exit_code()));
            }
            // What came after a checkpoint can be repeated.
            (Some(RunEnd::Succeeded), Some(_)) | (_, _) => {}
        }
        let is_held = caxplan_run::engine_of(&dir, &run).is_some();
        // Whoever takes the run up reads its records: twice, only if something must be known of them before.
        let state = match is_held || from.is_some() || self.with_edited_plan.is_some() {
            true => {
                let stored = journal.load(&run)?;
                Some(caxplan_run::fold(&run, stored.graph, &stored.records)?)
            }
            false => None,
        };
        if let (Some(from), Some(state)) = (&from, &state)
            && !state.is_reached(from)
        {
            return Err(unreached(from, state));
        }
        if is_held && state.as_ref().is_some_and(State::is_paused) {
            journal.ask(&run, &caxplan_run::user(), &Request::Pause { paused: false })?;
            ui::print(&format!("the engine of run {run} goes on\n"));
            return Ok(ExitCode::SUCCESS);
        }
        let secret_params = journal.secret_params(&run)?;
        drop(journal);
        let registry = registry(&dir);
        let mut given = self.params.clone();
        if ui::ask::is_possible() {
            let known = given.values()?;
            for name in secret_params.iter().filter(|name| !known.contains_key(*name)) {
                let value = ui::ask::secret_param(name)?;
                given.known.insert(name.clone(), Value::String(value));
            }
        }
        let edited = match (&self.with_edited_plan, &state) {
            (Some(file), Some(state)) => {
                if let Some(holder) = caxplan_run::engine_of(&dir, &run) {
                    return Err(LockError::RunIsGoingOn {
                        run,
                        holder: Some(holder),
                    }
                    .into());
                }
                let arguments = PlanArguments {
                    plan: Some(file.clone().unwrap_or_else(|| PlanPath {
                        file: summary.plan.clone(),
                        entry: state.graph().header.entry.clone(),
                    })),
                    params: given.clone(),
                    libraries: self.libraries.clone(),
                    inventory: self.inventory.clone(),
                    limit: self.limit.clone(),
                    contact: Contact::Allowed,
                };
                match edited::consider(state, &arguments, &registry, &self.how)? {
                    Considered::Follow(edited) => Some(edited),
                    Considered::Same => None,
                    Considered::Invalid(code) => return Ok(code),
                }
            }
            (Some(_) | None, _) => None,
        };
        drop(state);
        let params = given.values()?;
        runtime()?.block_on(async {
            let edited = edited.as_ref().map(Edited::as_plan);
            let session = Session::take_up_edited(&dir, registry, &run, &params, edited.as_ref()).await?;
            let orders = Orders {
                from,
                ..Orders::default()
            };
            self.how.carry_out(self.output, session, orders).await
        })
    }
}

/// That a checkpoint was not reached, with those that were.
pub(super) fn unreached(name: &CheckpointName, state: &State) -> Failure {
    let checkpoints = state
        .graph()
        .nodes
        .iter()
        .filter_map(|node| node.checkpoint.as_deref());
    let reached: Vec<&str> = checkpoints
        .filter(|name| state.is_reached(name))
        .map(CheckpointName::as_str)
        .collect();
    let failure = Failure::invalid(format!("the run has not reached a checkpoint `{name}`"));
    if reached.is_empty() {
        failure.hint("it has reached no checkpoint at all")
    } else {
        failure.hint(format!("it has reached {}", reached.join(", ")))
    }
}
