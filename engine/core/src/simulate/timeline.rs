//! One simulated run, as a list of what happened when.

use super::story::Story;
use crate::schedule::looks_once;
use caxplan_model::{Answer, Duration, NodeIndex, NodeKind, Outcome, Record, Timestamp, UndoEnd, WaitReason};
use serde::Serialize;

/// One line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// The time since the start.
    pub at: Duration,
    /// What happened.
    pub what: String,
}

impl Story {
    /// What happened when, in the order of the journal.
    pub fn timeline(&self) -> Vec<Moment> {
        let mut left = true;
        let mut moments = Vec::new();
        for record in &self.records {
            let died = matches!(record, Record::Resumed { .. }) && !left;
            left = matches!(record, Record::RunCreated { .. } | Record::RunEnded { .. })
                || (left && !matches!(record, Record::Resumed { .. }));
            if let Some(what) = self.tell(record, died) {
                let at = record.at().since(Timestamp(0));
                moments.push(Moment { at, what });
            }
        }
        if let Some(fault) = &self.fault {
            let at = self.duration();
            let what = format!("FAULT OF CAXPLAN: {fault}");
            moments.push(Moment { at, what });
        }
        moments
    }

    fn tell(&self, record: &Record, died: bool) -> Option<String> {
        let id = |node: &NodeIndex| self.state.graph().node(*node).id.to_string();
        Some(match record {
            Record::RunCreated { .. } => return None,
            Record::Resumed { .. } if died => "the engine DIES; another one takes the run up".to_owned(),
            Record::Resumed { .. } => "an engine takes the run up".to_owned(),
            Record::StepStarted { node, attempt, .. } if attempt.0 > 1 => {
                format!("{} starts, attempt {attempt}", id(node))
            }
            Record::StepStarted { node, .. } => format!("{} starts", id(node)),
            Record::StepEnded {
                node,
                outcome,
                retry_at,
                ..
            } => {
                let end = match outcome {
                    Outcome::Changed { .. } => "succeeds".to_owned(),
                    Outcome::Unchanged { .. } => "succeeds, nothing changed".to_owned(),
                    Outcome::Failed { cause, .. } if outcome.may_have_acted() => {
                        format!("FAILS, and may have acted: {cause}")
                    }
                    Outcome::Failed { cause, .. } => format!("FAILS: {cause}"),
                    Outcome::Unknown { cause } => format!("ends, nobody knows how: {cause}"),
                };
                let again = retry_at.map_or("", |_| "; is tried again");
                format!("{} {end}{again}", id(node))
            }
            Record::Skipped { node, .. } => format!("{} is skipped", id(node)),
            Record::Expanded { node, items, .. } => format!("{} runs for {} items", id(node), items.len()),
            Record::TimerSet { node, at, due } => {
                let time = due.since(*at);
                match self.state.graph().node(*node).kind {
                    NodeKind::Watch(ref watch) if looks_once(watch) => format!("{} looks once", id(node)),
                    NodeKind::Watch(_) => format!("{} watches for {time}", id(node)),
                    NodeKind::Wait { .. } => format!("{} waits for {time}", id(node)),
                    _ => format!("{} pauses for {time} between batches", id(node)),
                }
            }
            Record::TimerFired { node, .. } => match self.state.graph().node(*node).kind {
                NodeKind::Watch(ref watch) if looks_once(watch) => format!("{} holds", id(node)),
                NodeKind::Wait { .. } | NodeKind::Watch(_) => format!("{} is over", id(node)),
                _ => format!("{} goes on", id(node)),
            },
            Record::CheckedAnew { node, .. } => format!("{} is checked again before it starts", id(node)),
            Record::Breached { node, detail, .. } => format!("{} sees a BREACH: {detail}", id(node)),
            Record::Waiting { reason, .. } => match reason {
                WaitReason::Approval { node, .. } => format!("{} asks a person", id(node)),
                WaitReason::InDoubt { node, detail } => {
                    format!("{} is IN DOUBT, and a person must say: {detail}", id(node))
                }
                WaitReason::Paused { .. } => "the run pauses for a person".to_owned(),
            },
            Record::Answered { node, answer, .. } => {
                let answer = match answer {
                    Answer::Approved => "yes",
                    Answer::Rejected { .. } => "NO",
                    Answer::AssumeDone => "it is done",
                    Answer::Rerun => "run it again",
                    Answer::Fail => "it failed",
                };
                format!("a person says of {}: {answer}", id(node))
            }
            Record::Paused { paused: true, .. } => "a person pauses the run".to_owned(),
            Record::Paused { paused: false, .. } => "a person lets the run go on".to_owned(),
            Record::CancelRequested { .. } => "a person INTERRUPTS the run".to_owned(),
            Record::RollbackStarted { reason, .. } => format!("the rollback begins: {reason}"),
            Record::UndoStarted { node, .. } => format!("undo of {} starts", id(node)),
            Record::UndoEnded {
                node, end, retry_at, ..
            } => match end {
                UndoEnd::Undone => format!("undo of {} succeeds", id(node)),
                UndoEnd::Failed { cause } => {
                    let again = retry_at.map_or("", |_| "; is tried again");
                    format!("undo of {} FAILS: {cause}{again}", id(node))
                }
            },
            Record::PlanReplaced { by, .. } => format!("the plan is replaced by {by}"),
            // Nobody is told of a run that is only simulated.
            Record::Notified { .. } => return None,
            Record::RunEnded { end, .. } => {
                let word = serde_json::to_value(end).unwrap_or_default();
                let word = word.as_str().unwrap_or_default().replace('_', " ");
                format!("the run ends: {word}")
            }
        })
    }
}
