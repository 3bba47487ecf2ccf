//! What failed, and what is in doubt.

use super::build::{Trace, target};
use super::{FailureAccount, Note};
use crate::schedule::{NodeStatus, State};
use caxplan_model::{Cause, NodeIndex, OnFailure, Value};

/// The most lines of what a failed step put out last that the account keeps.
const OUTPUT_LINES: usize = 12;
/// The longest of these lines, in characters.
const OUTPUT_LINE_CHARS: usize = 300;

/// Every step whose failure still stands, those first that the plan does not tolerate.
pub(super) fn failures(state: &State, traces: &[Trace], reachable: &[NodeIndex]) -> Vec<FailureAccount> {
    let mut failures: Vec<FailureAccount> = reachable
        .iter()
        .filter_map(|node| {
            let NodeStatus::Failed(failure) = state.status(*node) else {
                return None;
            };
            (failure.origin == *node).then(|| {
                let trace = &traces[node.index()];
                let cause = state.outcome(*node).and_then(|outcome| outcome.cause());
                let why = match cause {
                    Some(cause) => cause.to_string(),
                    None => trace.note.clone().unwrap_or_default(),
                };
                FailureAccount {
                    step: state.graph().node(*node).id.clone(),
                    target: target(state, *node),
                    at: trace.ended,
                    attempts: state.last_attempt(*node).map_or(0, |attempt| attempt.0),
                    why,
                    may_have_acted: state.may_have_acted(*node),
                    tolerated: failure.policy == Some(OnFailure::Continue),
                    hint: cause.and_then(|cause| cause.hint.clone()),
                    output: cause.map(last_lines).unwrap_or_default(),
                }
            })
        })
        .collect();
    failures.sort_by_key(|failure| failure.tolerated);
    failures
}

/// Every step of which nobody knows whether it acted, and why nobody does.
pub(super) fn in_doubt(state: &State, traces: &[Trace], reachable: &[NodeIndex]) -> Vec<Note> {
    let doubts = reachable.iter().filter_map(|node| {
        let why = match state.status(*node) {
            NodeStatus::InDoubt(attempt) => match &traces[node.index()].note {
                Some(note) => format!("attempt {attempt} was going on when the engine died; {note}"),
                None => format!("attempt {attempt} was going on when the engine died"),
            },
            NodeStatus::Running(attempt) if state.run_end().is_some() => {
                format!("attempt {attempt} was aborted in its middle")
            }
            _ => return None,
        };
        Some(Note {
            step: state.graph().node(*node).id.clone(),
            text: why,
        })
    });
    doubts.collect()
}

/// The end of what a command said before it failed: its errors, else its output.
pub(super) fn last_lines(cause: &Cause) -> Vec<String> {
    for stream in ["stderr", "stdout"] {
        let said = cause
            .detail
            .get(stream)
            .and_then(Value::as_str)
            .unwrap_or_default();
        let lines: Vec<&str> = said.trim_end().lines().collect();
        if lines.iter().any(|line| !line.trim().is_empty()) {
            return lines[lines.len().saturating_sub(OUTPUT_LINES)..]
                .iter()
                .map(|line| line.chars().take(OUTPUT_LINE_CHARS).collect())
                .collect();
        }
    }
    Vec::new()
}
