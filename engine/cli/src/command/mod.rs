//! The commands, one file each.

mod adapters;
mod approve;
mod cancel;
mod check;
mod completions;
mod diff;
mod edited;
mod graph;
mod import;
mod inventory;
mod logs;
mod man;
mod pause;
mod preview;
mod prune;
mod resume;
mod rollback;
mod run;
mod runs;
mod schedule;
mod schema;
mod serve;
mod show;
mod simulate;
mod test;
mod validate;
mod verify;

pub(crate) use approve::asking;
pub(crate) use logs::as_json as log_as_json;
pub(crate) use runs::{as_json as run_as_json, status_of};
pub(crate) use show::Shown;

use crate::failure::Answer;
use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::Run),
    Preview(preview::Preview),
    Validate(validate::Validate),
    Diff(diff::Diff),
    Graph(graph::Graph),
    Inventory(inventory::Inventory),
    Resume(resume::Resume),
    Rollback(rollback::Rollback),
    Runs(runs::Runs),
    Show(show::Show),
    Logs(logs::Logs),
    Pause(pause::Pause),
    Cancel(cancel::Cancel),
    Check(check::Check),
    Approve(approve::Approve),
    Verify(verify::Verify),
    Prune(prune::Prune),
    Serve(serve::Serve),
    Adapters(adapters::Adapters),
    #[command(subcommand)]
    Schedule(schedule::Schedule),
    Schema(schema::Schema),
    Import(import::Import),
    Completions(completions::Completions),
    Man(man::Man),
    Simulate(simulate::Simulate),
    Test(test::Test),
}

impl Command {
    /// Does it.
    pub(crate) fn execute(self) -> Answer {
        match self {
            Self::Run(run) => run.execute(),
            Self::Preview(preview) => preview.execute(),
            Self::Validate(validate) => validate.execute(),
            Self::Diff(diff) => diff.execute(),
            Self::Graph(graph) => graph.execute(),
            Self::Inventory(inventory) => inventory.execute(),
            Self::Resume(resume) => resume.execute(),
            Self::Rollback(rollback) => rollback.execute(),
            Self::Runs(runs) => runs.execute(),
            Self::Show(show) => show.execute(),
            Self::Logs(logs) => logs.execute(),
            Self::Pause(pause) => pause.execute(),
            Self::Cancel(cancel) => cancel.execute(),
            Self::Check(check) => check.execute(),
            Self::Approve(approve) => approve.execute(),
            Self::Verify(verify) => verify.execute(),
            Self::Prune(prune) => prune.execute(),
            Self::Serve(serve) => serve.execute(),
            Self::Adapters(adapters) => adapters.execute(),
            Self::Schedule(schedule) => schedule.execute(),
            Self::Schema(schema) => schema.execute(),
            Self::Import(import) => import.execute(),
            Self::Completions(completions) => completions.execute(),
            Self::Man(man) => man.execute(),
            Self::Simulate(simulate) => simulate.execute(),
            Self::Test(test) => test.execute(),
        }
    }
}
