//! What became of a run: the account that `show` prints and that a report is made of.
//!
//! It says what happened, why it ended, where every target stands, what is in doubt, what was undone and what was not.
//! Made from the records alone, so that it is the same whenever it is asked for.

mod build;
mod counts;
mod markdown;
mod next;
mod notified;
mod step;
mod story;
mod target;
mod text;
mod trouble;

pub use counts::StepCounts;
pub use next::{next_commands, step_of_end, while_running};
pub use notified::NotificationAccount;
pub use step::{AttemptDetail, StepDetail, TimedNote};
pub use text::TextStyle;

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
    /// What happened, in order; what went well is gathered.
    pub events: Vec<Event>,
    /// What failed for good, those first that the plan does not tolerate.
    pub failures: Vec<FailureAccount>,
    /// Every target that steps of the plan change, in the order in which they were first touched.
    pub targets: Vec<TargetAccount>,
    /// Steps, and undos of steps, that were going on when the last record was written: if the engine died then, nobody
    /// knows yet what became of them.
    pub in_flight: Vec<StepId>,
    /// Steps of which nobody knows whether they acted, and why.
    pub in_doubt: Vec<Note>,
    /// What waits for a person: the step, and the question.
    pub questions: Vec<Note>,
    /// Whether a rollback has begun.
    pub rolling_back: bool,
    /// What was undone, in the order in which it was.
    pub undone: Vec<StepId>,
    /// What could not be undone although it was tried: the step, and why.
    pub undo_failed: Vec<Note>,
    /// What a rollback has still to undo, or would undo if one began, in its order.
    pub to_undo: Vec<StepId>,
    /// What a rollback leaves, or would leave, as it is, because there is no way to undo it.
    pub cannot_undo: Vec<StepId>,
    /// The checkpoint that was reached last.
    pub checkpoint: Option<CheckpointName>,
    /// Who was told of the end.
    pub notifications: Vec<NotificationAccount>,
}

/// A step, and what there is to say about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Note {
    /// Which.
    pub step: StepId,
    /// What.
    pub text: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: EventKind,
    /// Of which step, if of one.
    pub step: Option<StepId>,
    /// In words.
    pub text: String,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The run was created.
    Started,
    /// An engine took the run up again.
    Resumed,
    /// The same, and the one before it had died.
    EngineDied,
    /// Steps ended well.
    EndedWell,
    /// A step failed for good.
    Failed,
    /// An attempt failed, and there was another.
    Retried,
    /// A step was skipped.
    Skipped,
    /// A wait or a watch began.
    Timer,
    /// A watch saw a breach.
    Breached,
    /// A person was needed.
    Waiting,
    /// A person answered.
    Answered,
    /// A person paused the run, or let it go on.
    Paused,
    /// A person had the run follow another version of its plan.
    PlanReplaced,
    /// A person asked the run to end.
    Cancelled,
    /// A rollback began.
    Rollback,
    /// Steps were undone.
    Undone,
    /// An undo failed.
    UndoFailed,
    /// The run left its engine.
    Ended,
}

/// A step that failed for good.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailureAccount {
    /// Which.
    pub step: StepId,
    /// The target that it acts on, if it has one that is known.
    pub target: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
    /// After how many attempts.
    pub attempts: u32,
    /// Why.
    pub why: String,
    /// Whether it may have changed something all the same, which was not undone.
    pub may_have_acted: bool,
    /// Whether the plan goes on without it.
    pub tolerated: bool,
    /// What to do about it.
    pub hint: Option<String>,
    /// The last lines of what it put out.
    pub output: Vec<String>,
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
    /// Its state in one word.
    pub state: TargetState,
    /// Steps that changed it, and whose changes are still there.
    pub changed: Vec<StepId>,
    /// Steps that may have changed it: failed midway, in doubt, or half undone.
    pub uncertain: Vec<StepId>,
    /// Steps whose changes were undone.
    pub undone: Vec<StepId>,
    /// How many changing steps the run has not come to.
    pub not_reached: usize,
}

/// The state of a target; a later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// Nothing touched it.
    Unchanged,
    /// It was changed and is again as it was.
    Undone,
    /// All that the plan does to it is done.
    Changed,
    /// Some is done and some is not, or a step failed midway.
    HalfApplied,
    /// Nobody can tell.
    Unknown,
}
