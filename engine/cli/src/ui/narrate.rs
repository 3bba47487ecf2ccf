//! One line for each record that is worth one.

use super::Paint;
use caxplan_core::schedule::{State, looks_once};
use caxplan_model::{
    Answer, Cause, Duration, NodeIndex, NodeKind, Outcome, Record, Timestamp, UndoEnd, Value, WaitReason,
};
use std::collections::BTreeMap;

/// The most lines of a failed step's output that are shown with its failure.
const TAIL_LINES: usize = 12;

/// Whether a node is a watch that lasts no time.
fn once(state: &State, node: NodeIndex) -> bool {
    matches!(&state.graph().node(node).kind, NodeKind::Watch(watch) if looks_once(watch))
}

/// Turns records into lines. Remembers when steps started, to say how long they took.
#[derive(Debug)]
pub(super) struct Narrator {
    paint: Paint,
    started: BTreeMap<NodeIndex, Timestamp>,
}

impl Narrator {
    pub(super) fn new(paint: Paint) -> Self {
        Self {
            paint,
            started: BTreeMap::new(),
        }
    }

    /// The line for a record, if it is worth one; further lines are indented.
    pub(super) fn line(&mut self, state: &State, record: &Record) -> Option<String> {
        let paint = self.paint;
        let id = |node: &NodeIndex| state.graph().node(*node).id.as_str().to_owned();
        match record {
            Record::TimerFired { node, .. } if state.is_over(*node) => {
                Some(format!("{} the time of {} is over", paint.red("✗"), id(node)))
            }
            Record::TimerFired { node, .. } if once(state, *node) => {
                let checks = match &state.graph().node(*node).kind {
                    NodeKind::Watch(watch) => watch.checks.join(", "),
                    _ => String::new(),
                };
                Some(format!("{} {}: {checks}", paint.green("✓"), id(node)))
            }
            Record::RunCreated { .. }
            | Record::Expanded { .. }
            | Record::TimerFired { .. }
            | Record::CheckedAnew { .. } => None,
            Record::Resumed { .. } => None,
            Record::StepStarted {
                at, node, attempt, ..
            } => {
                self.started.insert(*node, *at);
                let again = if attempt.0 > 1 {
                    format!(" (attempt {attempt})")
                } else {
                    String::new()
                };
                Some(paint.dim(&format!("▸ {}{again}", id(node))))
            }
            Record::StepEnded {
                at,
                node,
                outcome,
                retry_at,
                ..
            } => {
                let took = self.took(*node, *at);
                Some(self.ended(&id(node), outcome, &took, retry_at.map(|due| due.since(*at))))
            }
            Record::Skipped { node, reason, .. } => {
                Some(paint.dim(&format!("– {} skipped: {reason}", id(node))))
            }
            Record::TimerSet { node, .. } if once(state, *node) => {
                Some(paint.dim(&format!("◷ {} looks once", id(node))))
            }
            Record::TimerSet { at, node, due } => {
                let what = match &state.graph().node(*node).kind {
                    NodeKind::Watch(_) => "watches for",
                    NodeKind::Sequence { .. } | NodeKind::Dag { .. } => "has",
                    _ => "waits",
                };
                Some(paint.dim(&format!("◷ {} {what} {}", id(node), due.since(*at))))
            }
            Record::Breached { node, detail, .. } => Some(format!(
                "{} {}: {detail}",
                paint.yellow("! breach seen by"),
                id(node)
            )),
            Record::Waiting { reason, .. } => Some(paint.yellow(&waiting(state, reason))),
            Record::Answered { node, answer, by, .. } => {
                let what = match answer {
                    Answer::Approved => "was approved".to_owned(),
                    Answer::Rejected { reason } => format!("was rejected ({reason})"),
                    Answer::AssumeDone => "is taken as done".to_owned(),
                    Answer::Rerun => "shall run again".to_owned(),
                    Answer::Fail => "is taken as failed".to_owned(),
                };
                Some(format!("• {} {what} by {by}", id(node)))
            }
            Record::Paused { paused: true, .. } => {
                Some(paint.yellow("‖ paused: running steps may end, none starts"))
            }
            Record::Paused { paused: false, .. } => Some("▸ goes on".to_owned()),
            // The driver has said so already.
            Record::CancelRequested { .. } => None,
            Record::RollbackStarted { reason, to, .. } => {
                let to = to
                    .as_ref()
                    .map(|to| format!(" to checkpoint {to}"))
                    .unwrap_or_default();
                Some(paint.yellow(&format!("↶ rolling back{to}: {reason}")))
            }
            Record::UndoStarted { at, node, .. } => {
                self.started.insert(*node, *at);
                Some(paint.dim(&format!("↶ undoing {}", id(node))))
            }
            Record::UndoEnded {
                at,
                node,
                end,
                retry_at,
                ..
            } => {
                let took = self.took(*node, *at);
                Some(match end {
                    UndoEnd::Undone => format!("{} {} undone{took}", paint.green("↶"), id(node)),
                    UndoEnd::Failed { cause } => {
                        let again = again(retry_at.map(|due| due.since(*at)));
                        let head = format!(
                            "{} {} could not be undone{took}: {cause}{again}",
                            paint.red("✗"),
                            id(node)
                        );
                        with_details(head, cause)
                    }
                })
            }
            Record::PlanReplaced { by, .. } => Some(format!("• the plan was replaced by {by}")),
            // The account says so.
            Record::RunEnded { .. } => None,
            Record::Notified {
                notification,
                failure,
                ..
            } => {
                let header = &state.graph().header;
                let how = header
                    .notify
                    .get(*notification as usize)
                    .map_or("", |of| of.call.action.as_str());
                Some(match failure {
                    None => paint.dim(&format!("✉ told by {how}")),
                    Some(cause) => with_details(
                        format!("{} nobody was told by {how}: {cause}", paint.red("✉")),
                        cause,
                    ),
                })
            }
        }
    }

    fn ended(&self, id: &str, outcome: &Outcome, took: &str, retry: Option<Duration>) -> String {
        let paint = self.paint;
        match outcome {
            Outcome::Changed { .. } => format!("{} {id}{}", paint.green("✓"), paint.dim(took)),
            Outcome::Unchanged { .. } => {
                format!(
                    "{} {id}{}",
                    paint.green("✓"),
                    paint.dim(&format!("{took}, unchanged"))
                )
            }
            Outcome::Failed { cause, .. } => {
                let head = format!("{} {id} failed{took}: {cause}{}", paint.red("✗"), again(retry));
                with_details(head, cause)
            }
            Outcome::Unknown { cause } => {
                let head = format!(
                    "{} {id}: unknown what became of it{took}: {cause}{}",
                    paint.yellow("?"),
                    again(retry)
                );
                with_details(head, cause)
            }
        }
    }

    fn took(&mut self, node: NodeIndex, at: Timestamp) -> String {
        self.started
            .remove(&node)
            .map(|started| format!(" in {}", at.since(started)))
            .unwrap_or_default()
    }
}

fn again(retry: Option<Duration>) -> String {
    retry
        .map(|pause| format!("; again in {pause}"))
        .unwrap_or_default()
}

fn waiting(state: &State, reason: &WaitReason) -> String {
    let id = |node: NodeIndex| state.graph().node(node).id.to_string();
    match reason {
        WaitReason::Approval { node, .. } => {
            let question = state.asked(*node).join("; ");
            format!("? {} waits for an approval: {question}", id(*node))
        }
        WaitReason::InDoubt { node, detail } => format!("? {} is in doubt: {detail}", id(*node)),
        WaitReason::Paused { node: Some(node) } => format!("‖ paused, because {} failed", id(*node)),
        WaitReason::Paused { node: None } => "‖ paused".to_owned(),
    }
}

/// The hint of a cause, and the end of what a command said before it failed.
fn with_details(head: String, cause: &Cause) -> String {
    let mut text = head;
    for stream in ["stderr", "stdout"] {
        let said = cause
            .detail
            .get(stream)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .trim_end();
        if said.is_empty() {
            continue;
        }
        let lines: Vec<&str> = said.lines().collect();
        for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
            text.push_str(&format!("\n    {line}"));
        }
        break;
    }
    if let Some(hint) = &cause.hint {
        text.push_str(&format!("\n    hint: {hint}"));
    }
    text
}
