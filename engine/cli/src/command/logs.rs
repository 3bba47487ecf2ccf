//! `caxplan logs`.

use crate::failure::{Answer, Failure};
use crate::select::{self, RunArgument};
use crate::ui;
use caxplan_adapter::Stream;
use caxplan_run::{LogChunk, LogCursor, engine_of, stream_name};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

/// How often `--follow` looks for more.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Show what the steps of a run have put out
#[derive(Debug, Args)]
pub(crate) struct Logs {
    #[command(flatten)]
    run: RunArgument,
    /// Only this step, or all steps below it
    #[arg(long, value_name = "ID")]
    step: Option<String>,
    /// Go on until the run's engine leaves it
    #[arg(short, long)]
    follow: bool,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// What the steps put out, under headings
    #[default]
    #[value(alias = "table")]
    Text,
    /// One JSON object per line and piece of output
    Json,
    /// A YAML list of pieces of output
    Yaml,
}

impl Logs {
    pub(crate) fn execute(self) -> Answer {
        let (dir, journal) = select::open()?;
        let run = self.run.find(&journal)?;
        let step = match &self.step {
            Some(step) => {
                let stored = journal.load(&run)?;
                let state = caxplan_run::fold(&run, stored.graph, &stored.records)?;
                Some(full_id(step, state.graph())?)
            }
            None => None,
        };
        let mut printer = Printer::default();
        let mut cursor = LogCursor::default();
        loop {
            // Asked before the logs are read: what an engine writes at its very end is not missed.
            let going_on = self.follow && engine_of(&dir, &run).is_some();
            let (chunks, end) = journal.logs(&run, step.as_deref(), cursor)?;
            cursor = end;
            let read_all = chunks.is_empty();
            for chunk in chunks {
                match self.output {
                    Format::Text => printer.print(&chunk),
                    Format::Json => ui::print(&format!("{}\n", as_json(&chunk))),
                    Format::Yaml => ui::print_yaml(&[as_json(&chunk)]),
                }
            }
            if ui::reader_is_gone() || (read_all && !going_on) {
                return Ok(ExitCode::SUCCESS);
            }
            if read_all {
                std::thread::sleep(LOOK_EVERY);
            }
        }
    }
}

/// The fields of a piece of output, as events of `run --output json` have them.
pub(crate) fn as_json(chunk: &LogChunk) -> serde_json::Value {
    json!({
        "at": chunk.at,
        "step": chunk.step,
        "attempt": chunk.attempt,
        "stream": stream_name(chunk.stream),
        "text": String::from_utf8_lossy(&chunk.bytes),
    })
}

/// A step as a user names it: by its id, or by a name that only one step has.
pub(super) fn full_id(step: &str, graph: &caxplan_model::Graph) -> Answer<String> {
    let is_prefix = |id: &str| id == step || id.strip_prefix(step).is_some_and(|rest| rest.starts_with('/'));
    if graph.nodes.iter().any(|node| is_prefix(node.id.as_str())) {
        return Ok(step.to_owned());
    }
    let mut named = graph.nodes.iter().filter(|node| node.name == step);
    match (named.next(), named.next()) {
        (Some(node), None) => Ok(node.id.to_string()),
        (Some(first), Some(second)) => Err(Failure::invalid(format!("several steps are called `{step}`"))
            .hint(format!(
                "give the whole id, such as {} or {}",
                first.id, second.id
            ))),
        // A step that was made while the plan ran is not in the plan's graph.
        (None, _) => Ok(step.to_owned()),
    }
}

/// Prints chunks, with a line that names the step wherever another one has the word.
#[derive(Default)]
struct Printer {
    last: Option<(String, u32)>,
    ends_line: bool,
}

impl Printer {
    fn print(&mut self, chunk: &LogChunk) {
        let paint = ui::Paint::for_stdout();
        let speaker = (chunk.step.to_string(), chunk.attempt.0);
        let mut text = String::new();
        if self.last.as_ref() != Some(&speaker) {
            if self.last.is_some() && !self.ends_line {
                text.push('\n');
            }
            let (step, attempt) = &speaker;
            let attempt = if *attempt > 1 {
                format!(" (attempt {attempt})")
            } else {
                String::new()
            };
            text.push_str(&paint.bold(&format!("── {step}{attempt} ── {}", ui::date_time(chunk.at))));
            text.push('\n');
            self.last = Some(speaker);
        }
        let said = String::from_utf8_lossy(&chunk.bytes);
        text.push_str(&match chunk.stream {
            Stream::Stdout => said.into_owned(),
            Stream::Stderr => paint.yellow(&said),
            Stream::Note => paint.dim(&said),
        });
        self.ends_line = chunk.bytes.ends_with(b"\n");
        ui::print(&text);
    }
}
