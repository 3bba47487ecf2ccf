//! What to do after a run has left its engine.

use super::{Account, Note};
use crate::schedule::{NodeStatus, State, UndoStatus};
use caxplan_model::{NodeIndex, RunEnd, RunId, StepId};

/// The commands that make sense now, the likeliest first, each with what it does. `end` is `None` if the run's engine
/// died.
pub fn next_commands(run: &RunId, end: Option<RunEnd>, state: &State) -> Vec<(String, String)> {
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
            if let Some(step) = step_of_end(state, RunEnd::Failed) {
                next.push(command(
                    &format!("logs {run} --step {step}"),
                    "shows what it put out",
                ));
            }
            next
        }
        Some(RunEnd::Stuck) => {
            let mut next = vec![resume("tries again to undo, once the cause is removed")];
            if let Some(step) = step_of_end(state, RunEnd::Stuck) {
                next.push(command(
                    &format!("logs {run} --step {step}"),
                    "shows what it put out",
                ));
            }
            next
        }
        Some(RunEnd::Waiting) => waiting(run, state),
        Some(RunEnd::Cancelled) => vec![resume("goes on where it stopped"), undo()],
        None => vec![resume("goes on where its engine died"), undo(), cancel(run)],
    }
}

/// The commands that make sense while an engine is at work on the run.
pub fn while_running(run: &RunId, account: &Account) -> Vec<(String, String)> {
    let approve = |note: &Note| {
        let command = format!("caxplan approve {run} {}", note.step);
        (command, format!("says yes to: {}", note.text))
    };
    let mut next: Vec<(String, String)> = account.questions.iter().map(approve).collect();
    next.push((
        format!("caxplan logs {run} --follow"),
        "shows what its steps put out".to_owned(),
    ));
    next.push((
        format!("caxplan pause {run}"),
        "lets running steps end and starts none".to_owned(),
    ));
    next
}

fn cancel(run: &RunId) -> (String, String) {
    (
        format!("caxplan cancel {run}"),
        "ends it: what was done stays".to_owned(),
    )
}

fn waiting(run: &RunId, state: &State) -> Vec<(String, String)> {
    let mut next = Vec::new();
    for (at, node) in (0..).map(NodeIndex).zip(&state.graph().nodes) {
        match state.status(at) {
            NodeStatus::Asking => {
                let approve = format!("caxplan approve {run} {} && caxplan resume {run}", node.id);
                next.push((approve, "says yes and goes on".to_owned()));
                let reject = format!(
                    "caxplan approve {run} {} --reject && caxplan resume {run}",
                    node.id
                );
                next.push((reject, "says no: the step has failed".to_owned()));
            }
            NodeStatus::InDoubt(_) => {
                let resume = |what: &str| format!("caxplan resume {run} --in-doubt {what}");
                let id = &node.id;
                next.push((
                    resume("assume-done"),
                    format!("if you have seen that {id} did its work"),
                ));
                next.push((resume("rerun"), format!("if {id} may run again")));
                next.push((
                    resume("fail"),
                    format!("takes {id} as failed; a rollback will undo it"),
                ));
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
        if let Some(step) = step_of_end(state, RunEnd::Failed) {
            let logs = format!("caxplan logs {run} --step {step}");
            next.push((logs, "shows what it put out".to_owned()));
        }
    }
    next.push((
        format!("caxplan rollback {run}"),
        "undoes what was done, in reverse order".to_owned(),
    ));
    next.push(cancel(run));
    next
}

/// The step that an end is about: that failed, could not be undone, or waits for a person.
pub fn step_of_end(state: &State, end: RunEnd) -> Option<StepId> {
    let is_it = |at: NodeIndex| match end {
        RunEnd::Failed | RunEnd::RolledBack => {
            matches!(state.status(at), NodeStatus::Failed(failure) if failure.origin == at)
        }
        RunEnd::Stuck => state.undo_status(at) == UndoStatus::Failed,
        RunEnd::Waiting => matches!(state.status(at), NodeStatus::Asking | NodeStatus::InDoubt(_)),
        RunEnd::Succeeded | RunEnd::Cancelled => false,
    };
    (0..)
        .map(NodeIndex)
        .zip(&state.graph().nodes)
        .find(|(at, _)| is_it(*at))
        .map(|(_, node)| node.id.clone())
}
