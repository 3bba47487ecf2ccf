//! `caxplan show`.

use super::logs::full_id;
use super::runs::Status;
use crate::failure::{Answer, Failure};
use crate::select::{self, StepArgument};
use crate::ui;
use caxplan_core::account::{Account, StepDetail, TextStyle};
use caxplan_core::schedule::State;
use caxplan_model::{NodeIndex, RunId};
use caxplan_run::{Holder, RunSummary, engine_of};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Show where a run stands: every step, every target, and what to do next
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    run: StepArgument,
    /// List every step and event, however many there are
    #[arg(long)]
    steps: bool,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
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

/// A run as it is shown.
pub(crate) struct Shown {
    pub(crate) summary: RunSummary,
    pub(crate) status: Status,
    pub(crate) engine: Option<Holder>,
    pub(crate) state: State,
    pub(crate) account: Account,
}

impl Show {
    pub(crate) fn execute(self) -> Answer {
        let (dir, journal) = select::open()?;
        let (run, step) = self.run.find(&journal)?;
        // Asked before the records are read: they are then at least as new.
        let engine = engine_of(&dir, &run);
        let stored = journal.load(&run)?;
        let state = caxplan_run::fold(&run, stored.graph, &stored.records)?;
        if let Some(step) = step {
            return self.show_step(&run, &step, &state, &stored.records);
        }
        let shown = Shown {
            status: Status::of(&dir, &stored.summary),
            summary: stored.summary,
            account: match &engine {
                Some(_) => Account::of(&state, &stored.records),
                None => Account::of(&state, &stored.records).without_engine(),
            },
            engine,
            state,
        };
        match self.output {
            Format::Text => ui::print(&self.text(&shown)),
            Format::Json => ui::print_json(&shown.data()),
            Format::Yaml => ui::print_yaml(&shown.data()),
            Format::Markdown => {
                let account = &shown.account;
                ui::print(&account.to_markdown(&shown.summary.name, &[], &caxplan_run::utc));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn text(&self, shown: &Shown) -> String {
        let paint = ui::Paint::for_stdout();
        let run = &shown.summary.id;
        let mut text = format!(
            "run {run} of {}: {}\n",
            shown.summary.plan.display(),
            shown.status.words()
        );
        text.push_str(&shown.account.to_text(TextStyle {
            color: paint.is_on(),
            all: self.steps,
            time: &ui::date_time,
            clock: &ui::time_of_day,
        }));
        if let Some(holder) = &shown.engine {
            text.push_str(&format!("\nits engine is at work, process {}\n", holder.pid));
        }
        let next = shown.next();
        if !next.is_empty() {
            text.push_str(&format!("\n{}\n", paint.bold("What to type next")));
        }
        for (command, why) in next {
            text.push_str(&format!(
                "  {}\n      {}\n",
                paint.cyan(&command),
                paint.dim(&why)
            ));
        }
        text
    }

    fn show_step(&self, run: &RunId, step: &str, state: &State, records: &[caxplan_model::Record]) -> Answer {
        let id = full_id(step, state.graph())?;
        let nodes: Vec<NodeIndex> = match state.graph().find(&id) {
            Some(node) if state.graph().node(node).kind.is_leaf() => vec![node],
            _ => below(state, &id),
        };
        if nodes.is_empty() {
            let failure = Failure::invalid(format!("run {run} has no step `{step}`"));
            return Err(failure.hint(format!("`caxplan show {run} --steps` lists them all")));
        }
        let details: Vec<StepDetail> = nodes
            .iter()
            .map(|node| StepDetail::of(state, records, *node))
            .collect();
        match self.output {
            Format::Json => ui::print_json(&details),
            Format::Yaml => ui::print_yaml(&details),
            Format::Text | Format::Markdown => {
                let texts: Vec<String> = details
                    .iter()
                    .map(|detail| detail.to_text(&ui::date_time))
                    .collect();
                let logs = format!("caxplan logs {run} --step {id}");
                let logs = ui::Paint::for_stdout().cyan(&logs);
                ui::print(&format!("{}\nWhat it put out:  {logs}\n", texts.join("\n")));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The steps below a group.
fn below(state: &State, id: &str) -> Vec<NodeIndex> {
    let nodes = (0..).map(NodeIndex).zip(&state.graph().nodes);
    let prefix = format!("{id}/");
    nodes
        .filter(|(_, node)| node.kind.is_leaf() && node.id.as_str().starts_with(&prefix))
        .map(|(at, _)| at)
        .collect()
}

impl Shown {
    /// The commands that make sense now.
    pub(crate) fn next(&self) -> Vec<(String, String)> {
        match &self.engine {
            Some(_) => ui::while_running(&self.summary.id, &self.account),
            None => ui::next_commands(&self.summary.id, self.summary.end, &self.state),
        }
    }

    /// For programs.
    pub(crate) fn data(&self) -> Value {
        let next: Vec<Value> = self
            .next()
            .into_iter()
            .map(|(command, why)| json!({"command": command, "why": why}))
            .collect();
        json!({
            "id": self.summary.id,
            "plan": self.summary.plan,
            "status": self.status.name(),
            "created": self.summary.created,
            "engine": self.engine,
            "account": self.account,
            "next": next,
        })
    }
}
