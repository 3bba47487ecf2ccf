//! `caxplan runs`.

use crate::failure::Answer;
use crate::select;
use crate::ui::{self, Listing, Table};
use caxplan_run::{RunSummary, StateDir, engine_of};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// List the runs, the newest first
#[derive(Debug, Args)]
pub(crate) struct Runs {
    /// How many
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: u32,
    /// How to list them
    #[arg(long, value_enum, default_value_t)]
    output: Listing,
}

impl Runs {
    pub(crate) fn execute(self) -> Answer {
        let (dir, journal) = select::open()?;
        let runs = journal.runs(self.limit)?;
        match self.output {
            Listing::Json => {
                let list: Vec<_> = runs.iter().map(|run| as_json(&dir, run)).collect();
                ui::print_json(&list);
            }
            Listing::Table => {
                let mut table = Table::new(["RUN", "PLAN", "STATUS", "STARTED", "TOOK"]);
                for run in &runs {
                    let end = run.ended.unwrap_or_else(caxplan_run::now);
                    table.row([
                        run.id.to_string(),
                        run.name.clone(),
                        status(&dir, run).to_owned(),
                        ui::date_time(run.created),
                        ui::rounded(end.since(run.created)),
                    ]);
                }
                ui::print(&table.render());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn as_json(dir: &StateDir, run: &RunSummary) -> serde_json::Value {
    json!({
        "id": run.id,
        "name": run.name,
        "plan": run.plan,
        "status": status(dir, run),
        "created": run.created,
        "ended": run.ended,
        "pid": run.pid,
    })
}

/// Where a run stands, in one word.
pub(super) fn status(dir: &StateDir, run: &RunSummary) -> &'static str {
    match run.end {
        Some(end) => ui::end_word(end),
        None if engine_of(dir, &run.id).is_some() => "running",
        None => "interrupted",
    }
}
