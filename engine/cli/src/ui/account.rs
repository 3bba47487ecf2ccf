//! The end of a run: what came of it, and what to do next.

use super::{Paint, Show, end_word, print, rounded};
use caxplan_core::schedule::{NodeStatus, State};
use caxplan_model::{Duration, NodeIndex, NodeKind, RunEnd, RunId};
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
                counts(state)
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

/// How many steps stand where, in the order in which people ask.
fn counts(state: &State) -> String {
    let mut counted = [
        ("changed something", 0),
        ("changed nothing", 0),
        ("failed", 0),
        ("in doubt", 0),
        ("skipped", 0),
        ("not run", 0),
    ];
    for (at, node) in (0..).map(NodeIndex).zip(&state.graph().nodes) {
        if !matches!(node.kind, NodeKind::Action(_)) {
            continue;
        }
        let kind = match state.status(at) {
            NodeStatus::Succeeded { changed: true } => 0,
            NodeStatus::Succeeded { changed: false } => 1,
            NodeStatus::Failed(_) => 2,
            NodeStatus::InDoubt(_) | NodeStatus::Running(_) => 3,
            NodeStatus::Skipped => 4,
            NodeStatus::Pending | NodeStatus::Active | NodeStatus::Retrying { .. } | NodeStatus::Asking => 5,
        };
        counted[kind].1 += 1;
    }
    let parts: Vec<String> = counted
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    if parts.is_empty() {
        "no steps".to_owned()
    } else {
        format!("steps: {}", parts.join(", "))
    }
}

/// The commands that make sense now, the likeliest first, each with what it does. `end` is `None` if the run's engine
/// died.
pub(crate) fn next_commands(run: &RunId, end: Option<RunEnd>, state: &State) -> Vec<(String, String)> {
    let command = |verb: &str, why: &str| (format!("caxplan {verb}"), why.to_owned());
    let resume = |why: &str| command(&format!("resume {run}"), why);
    let undo = || {
        command(
            &format!("rollback {run}"),
            "undoes what was done, in reverse order",
        )
    };
    match end {
        Some(RunEnd::Succeeded | RunEnd::RolledBack) => Vec::new(),
        Some(RunEnd::Failed) => {
            let mut next = vec![resume("tries again what failed and goes on")];
            next.push(undo());
            if let Some(step) = failed_step(state) {
                next.push(command(
                    &format!("logs {run} --step {step}"),
                    "shows what it put out",
                ));
            }
            next
        }
        Some(RunEnd::Stuck) => vec![
            command(&format!("show {run}"), "says where every step stands"),
            resume("tries again to undo"),
        ],
        Some(RunEnd::Waiting) => waiting(run, state),
        Some(RunEnd::Cancelled) => vec![resume("goes on where it stopped"), undo()],
        None => vec![resume("goes on where its engine died"), undo()],
    }
}

fn waiting(run: &RunId, state: &State) -> Vec<(String, String)> {
    let mut next = Vec::new();
    for (at, node) in (0..).map(NodeIndex).zip(&state.graph().nodes) {
        match state.status(at) {
            NodeStatus::Asking => {
                let approve = format!("caxplan approve {run} {} && caxplan resume {run}", node.id);
                next.push((approve, "approves it and goes on".to_owned()));
            }
            NodeStatus::InDoubt(_) => {
                let rerun = format!("caxplan resume {run} --in-doubt rerun");
                let why = format!("runs {} again (or assume-done, or fail)", node.id);
                next.push((rerun, why));
            }
            NodeStatus::Pending
            | NodeStatus::Active
            | NodeStatus::Running(_)
            | NodeStatus::Retrying { .. }
            | NodeStatus::Succeeded { .. }
            | NodeStatus::Failed(_)
            | NodeStatus::Skipped => {}
        }
    }
    if next.is_empty() {
        next.push((format!("caxplan resume {run}"), "goes on".to_owned()));
    }
    next
}

fn failed_step(state: &State) -> Option<String> {
    let mut failed = (0..)
        .map(NodeIndex)
        .zip(&state.graph().nodes)
        .filter_map(|(at, node)| match state.status(at) {
            NodeStatus::Failed(failure) if failure.origin == at => Some(node.id.to_string()),
            _ => None,
        });
    failed.next()
}
