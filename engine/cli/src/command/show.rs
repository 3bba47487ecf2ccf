//! `caxplan show`.

use super::runs::Status;
use crate::failure::Answer;
use crate::select::{self, RunArgument};
use crate::ui;
use caxplan_core::account::Account;
use caxplan_run::engine_of;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::process::ExitCode;

/// Show where a run stands: every step, every target, and what to do next
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    run: RunArgument,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// For people
    #[default]
    #[value(alias = "table")]
    Text,
    /// JSON, for programs
    Json,
    /// YAML, for programs and people
    Yaml,
    /// Markdown, for a report
    Markdown,
}

impl Show {
    pub(crate) fn execute(self) -> Answer {
        let (dir, journal) = select::open()?;
        let run = self.run.find(&journal)?;
        // Asked before the records are read: they are then at least as new.
        let engine = engine_of(&dir, &run);
        let stored = journal.load(&run)?;
        let summary = stored.summary;
        let status = Status::of(&dir, &summary);
        let state = caxplan_run::fold(&run, stored.graph, &stored.records)?;
        let account = Account::of(&state, &stored.records);
        let data = || {
            json!({
                "id": run,
                "plan": summary.plan,
                "status": status.name(),
                "created": summary.created,
                "engine": engine,
                "account": account,
            })
        };
        match self.output {
            Format::Text => {
                let paint = ui::Paint::for_stdout();
                let mut text = format!("run {run} of {}: {}\n", summary.plan.display(), status.words());
                text.push_str(&account.to_text(paint.is_on(), &ui::date_time));
                match &engine {
                    Some(holder) => {
                        text.push_str(&format!("\nits engine is at work, process {}\n", holder.pid));
                    }
                    None => {
                        let next = ui::next_commands(&run, summary.end, &state);
                        text.push_str(if next.is_empty() { "" } else { "\n" });
                        for (command, why) in next {
                            text.push_str(&format!("  {}  {}\n", paint.cyan(&command), paint.dim(&why)));
                        }
                    }
                }
                ui::print(&text);
            }
            Format::Json => ui::print_json(&data()),
            Format::Yaml => ui::print_yaml(&data()),
            Format::Markdown => ui::print(&account.to_markdown(&summary.name, &[], &caxplan_run::utc)),
        }
        Ok(ExitCode::SUCCESS)
    }
}
