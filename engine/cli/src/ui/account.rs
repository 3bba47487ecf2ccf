//! The end of a run: what came of it, and what to do next.

use super::{Paint, Show, end_word, print, rounded};
use caxplan_core::account::{StepCounts, next_commands};
use caxplan_core::schedule::State;
use caxplan_model::{Duration, RunEnd, RunId};
use serde_json::json;
use std::process::ExitCode;

/// Says how a run left its engine after `took`, and which command goes on. Answers the exit code.
pub(crate) fn finish(show: Show, run: &RunId, end: RunEnd, state: &State, took: Duration) -> ExitCode {
    match show {
        Show::Json => {
            let event = json!({"event": "end", "run": run, "end": end, "exit_code": end.exit_code()});
            print(&format!("{event}\n"));
        }
        Show::Text => {
            let paint = Paint::for_stdout();
            let mut text = format!(
                "{} after {}: {}\n",
                headline(end, state),
                rounded(took),
                StepCounts::of(state)
            );
            if end == RunEnd::RolledBack {
                for node in state.cannot_undo() {
                    let stays = format!(
                        "stays as it is, there is no way to undo it: {}",
                        state.graph().node(node).id
                    );
                    text.push_str(&format!("  {}\n", paint.yellow(&stays)));
                }
            }
            for (command, why) in next_commands(run, Some(end), state) {
                text.push_str(&format!("  {}  {}\n", paint.cyan(&command), paint.dim(&why)));
            }
            print(&text);
        }
    }
    ExitCode::from(end.exit_code())
}

fn headline(end: RunEnd, state: &State) -> String {
    let paint = Paint::for_stdout();
    let text = format!("{} {}", state.graph().header.name, end_word(end));
    match end {
        RunEnd::Succeeded => paint.green(&text),
        RunEnd::Failed | RunEnd::Stuck => paint.red(&text),
        RunEnd::RolledBack | RunEnd::Waiting | RunEnd::Cancelled => paint.yellow(&text),
    }
}
