//! What became of a run: the account that `show` prints and that a report is made of.
//!
//! It says what happened, why it ended, where every target stands, what is in doubt, what was undone and what was not.
//! Made from the records alone, so that it is the same whenever it is asked for.

mod build;
mod counts;
mod markdown;
mod next;
mod notified;
mod text;

pub use counts::StepCounts;
pub use next::{next_commands, step_of_end};
pub use notified::NotificationAccount;

use caxplan_model::{CheckpointName, Duration, RunEnd, StepId, Timestamp};
use serde::Serialize;

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Account {
    /// The plan's name.
    pub plan: String,
    /// Who started it.
    pub by: String,
    /// How it left its engine; `None` if it is going on, or if its engine died.
    pub end: Option<RunEnd>,
    /// Why it stands where it stands, in one or two sentences.
    pub reason: String,
    /// When the run was created.
    pub started: Timestamp,
    /// The time of the last record.
    pub last: Timestamp,
    /// The phases in order, with their steps.
    pub phases: Vec<PhaseAccount>,
    /// Every target that a step has touched, in the order in which they were first touched.
    pub targets: Vec<TargetAccount>,
    /// Steps of which nobody knows whether they acted.
    pub in_doubt: Vec<StepId>,
    /// What waits for a person: the step, and the question.
    pub questions: Vec<(StepId, String)>,
    /// What was undone, in the order in which it was.
    pub undone: Vec<StepId>,
    /// What could not be undone although it was tried: the step, and why.
    pub undo_failed: Vec<(StepId, String)>,
    /// What a rollback has still to undo.
    pub to_undo: Vec<StepId>,
    /// What a rollback leaves as it is, because there is no way to undo it.
    pub cannot_undo: Vec<StepId>,
    /// The checkpoint that was reached last.
    pub checkpoint: Option<CheckpointName>,
    /// Who was told of the end.
    pub notifications: Vec<NotificationAccount>,
}

/// What became of a phase.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseAccount {
    /// Its name.
    pub name: String,
    /// Its status in one word.
    pub status: &'static str,
    /// From its first record to its last; `None` if it has none.
    pub duration: Option<Duration>,
    /// Its steps in order.
    pub steps: Vec<StepAccount>,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepAccount {
    /// Its id.
    pub id: StepId,
    /// Its id below the phase.
    pub name: String,
    /// The target that it acts on, if it has one that is known.
    pub target: Option<String>,
    /// Its status in one word; `undone` if its effect was taken back.
    pub status: &'static str,
    /// How many attempts it took.
    pub attempts: u32,
    /// When its last attempt began.
    pub started: Option<Timestamp>,
    /// How long its last attempt took, or has taken up to the last record.
    pub duration: Option<Duration>,
    /// What there is to say: why it failed or was skipped, what it waits for.
    pub note: Option<String>,
}

/// Where a target stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetAccount {
    /// Its name.
    pub name: String,
    /// Steps that changed it, and whose changes are still there.
    pub changed: Vec<StepId>,
    /// Steps that may have changed it: failed midway, in doubt, or half undone.
    pub uncertain: Vec<StepId>,
    /// Steps whose changes were undone.
    pub undone: Vec<StepId>,
}

impl TargetAccount {
    /// One line for a person.
    pub fn summary(&self) -> String {
        let count = |steps: &[StepId], what: &str| match steps {
            [] => None,
            [step] => Some(format!("{what} by {step}")),
            steps => Some(format!("{what} by {} steps", steps.len())),
        };
        let parts: Vec<String> = [
            count(&self.uncertain, "perhaps changed"),
            count(&self.changed, "changed"),
            count(&self.undone, "restored after a change"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if parts.is_empty() {
            "not changed".to_owned()
        } else {
            parts.join(", ")
        }
    }
}
