//! What the journal of a run holds. Records are facts in the order in which they became true; the state of a run is
//! the fold of its records over its graph.

use crate::{AttemptNo, Cause, Digest, NodeIndex, Outcome, Timestamp, Value};
use serde::{Deserialize, Serialize};

/// The number of a record in its run, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordSeq(pub u64);

/// One fact about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The run exists. Always the first record. Its graph lies beside it, under the digest.
    RunCreated {
        /// When.
        at: Timestamp,
        /// The digest of the graph.
        graph: Digest,
        /// What jitter is drawn from.
        seed: u64,
        /// Who started it (`user@host`), for the account.
        by: String,
    },
    /// An engine took the run up, for the first time or again. Attempts that were going on before are in doubt from
    /// here on.
    Resumed {
        /// When.
        at: Timestamp,
        /// What was said about steps in doubt.
        in_doubt: InDoubtPolicy,
        /// What ended after this checkpoint was reached is as if it had not begun.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<crate::CheckpointName>,
    },
    /// An attempt is about to start. Durable before its effect begins.
    StepStarted {
        /// When.
        at: Timestamp,
        /// Which step.
        node: NodeIndex,
        /// Which attempt.
        attempt: AttemptNo,
        /// What the adapter saw before it acted, for the undo; `null` if the action records none.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        before: Value,
    },
    /// An attempt ended. Durable before anything that depends on it starts.
    ///
    /// An end without a start says that the attempt failed before it could begin, and did nothing: its condition or
    /// arguments could not be had. Only so can it speak of a group, a wait or a watch too.
    StepEnded {
        /// When.
        at: Timestamp,
        /// Which step.
        node: NodeIndex,
        /// Which attempt.
        attempt: AttemptNo,
        /// How.
        outcome: Outcome,
        /// When the next attempt is due, if there will be one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// A step or group was not run, because its condition was false.
    Skipped {
        /// When.
        at: Timestamp,
        /// Which node.
        node: NodeIndex,
        /// Why, for a person.
        reason: String,
    },
    /// A `foreach` learned its items.
    Expanded {
        /// When.
        at: Timestamp,
        /// Which node.
        node: NodeIndex,
        /// The items in order.
        items: Vec<Value>,
    },
    /// A timer was set: a wait, the pause between two batches, the end of a watch, or of the time that a group has.
    TimerSet {
        /// When.
        at: Timestamp,
        /// The node that waits.
        node: NodeIndex,
        /// When it is due.
        due: Timestamp,
    },
    /// A timer went off. That of a group with a time limit says that the group has failed as soon as nothing in it runs;
    /// what waits in it has failed with this record.
    TimerFired {
        /// When.
        at: Timestamp,
        /// The node that waited.
        node: NodeIndex,
    },
    /// A watch saw a breach.
    Breached {
        /// When.
        at: Timestamp,
        /// The watch.
        node: NodeIndex,
        /// The check that was not met, with what was seen, for a person.
        detail: String,
    },
    /// The checks before a step have to be made again: it did not start right after they were made.
    CheckedAnew {
        /// When.
        at: Timestamp,
        /// The step.
        node: NodeIndex,
    },
    /// Nothing goes on until someone does something.
    Waiting {
        /// When.
        at: Timestamp,
        /// For what.
        reason: WaitReason,
    },
    /// A person answered.
    Answered {
        /// When.
        at: Timestamp,
        /// The approval, the checklist, or the step in doubt.
        node: NodeIndex,
        /// What.
        answer: Answer,
        /// Who (`user@host`).
        by: String,
    },
    /// A person asked the run to pause, or to go on.
    Paused {
        /// When.
        at: Timestamp,
        /// Whether it pauses from here on.
        paused: bool,
    },
    /// A person asked the run to end.
    CancelRequested {
        /// When.
        at: Timestamp,
        /// Whether running steps are aborted, not awaited.
        abort: bool,
    },
    /// From here on the run only undoes.
    RollbackStarted {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
        /// What was completed up to this checkpoint stays.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<crate::CheckpointName>,
    },
    /// An undo is about to start.
    UndoStarted {
        /// When.
        at: Timestamp,
        /// The step that is undone.
        node: NodeIndex,
        /// Which attempt at undoing it.
        attempt: AttemptNo,
    },
    /// An undo ended.
    UndoEnded {
        /// When.
        at: Timestamp,
        /// The step that was to be undone.
        node: NodeIndex,
        /// Which attempt at undoing it.
        attempt: AttemptNo,
        /// How.
        end: UndoEnd,
        /// When the next attempt is due, if there will be one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// The run left this engine: for good, or until it is resumed.
    RunEnded {
        /// When.
        at: Timestamp,
        /// How.
        end: RunEnd,
    },
    /// From here on the run follows another version of its plan. Comes before the `Resumed` of the engine that brought it.
    PlanReplaced {
        /// When.
        at: Timestamp,
        /// Who replaced it (`user@host`).
        by: String,
        /// The new plan's file, absolute.
        plan: String,
        /// The names of the new plan's secret parameters.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secret_params: Vec<String>,
        /// What it changes, one thing each, for a person.
        changes: Vec<String>,
        /// The new graph. Whatever has records has the index and says what it had and said before, elements of loops
        /// included; so all records, earlier and later, speak of it. A slot of the old graph that is not used any more
        /// holds an empty sequence that no group has among its children.
        graph: Box<crate::Graph>,
    },
    /// It was tried to tell somebody of the end before it. Changes nothing about that end.
    Notified {
        /// When.
        at: Timestamp,
        /// Which one of the plan's notifications, from 0.
        notification: u32,
        /// Why nobody was told, if so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Cause>,
    },
}

impl Record {
    /// When it became true.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::RunCreated { at, .. }
            | Self::Resumed { at, .. }
            | Self::StepStarted { at, .. }
            | Self::StepEnded { at, .. }
            | Self::Skipped { at, .. }
            | Self::Expanded { at, .. }
            | Self::TimerSet { at, .. }
            | Self::TimerFired { at, .. }
            | Self::Breached { at, .. }
            | Self::CheckedAnew { at, .. }
            | Self::Waiting { at, .. }
            | Self::Answered { at, .. }
            | Self::Paused { at, .. }
            | Self::CancelRequested { at, .. }
            | Self::RollbackStarted { at, .. }
            | Self::UndoStarted { at, .. }
            | Self::UndoEnded { at, .. }
            | Self::RunEnded { at, .. }
            | Self::PlanReplaced { at, .. }
            | Self::Notified { at, .. } => *at,
        }
    }
}

/// What the user said about steps that were going on when an engine died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InDoubtPolicy {
    /// Pause and ask, unless a probe or idempotence decides.
    #[default]
    Ask,
    /// Run it again.
    Rerun,
    /// Take it as done.
    AssumeDone,
    /// Take it as failed, with a possible effect.
    Fail,
}

/// How an undo ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "undo", rename_all = "snake_case")]
pub enum UndoEnd {
    /// The effect is gone.
    Undone,
    /// It could not be undone.
    Failed {
        /// Why.
        cause: Cause,
    },
}

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "wait", rename_all = "snake_case")]
pub enum WaitReason {
    /// An approval or a checklist.
    Approval {
        /// Its node.
        node: NodeIndex,
        /// What is asked, if the plan itself does not say it: its words with what the run knew.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        asked: Vec<String>,
    },
    /// A person must say what became of a step in doubt.
    InDoubt {
        /// The step.
        node: NodeIndex,
        /// Why nothing else could tell.
        detail: String,
    },
    /// The run was paused, by a person or by `on_failure: pause`.
    Paused {
        /// The step whose failure paused it, if any.
        node: Option<NodeIndex>,
    },
}

/// What a person answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Yes, go on.
    Approved,
    /// No: the step has failed.
    Rejected {
        /// Why.
        reason: String,
    },
    /// The step in doubt did its work.
    AssumeDone,
    /// The step in doubt shall run again.
    Rerun,
    /// The step in doubt has failed.
    Fail,
}

/// How a run left its engine. The exit codes are those of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// All steps ended well (exit code 0).
    Succeeded,
    /// A step failed; `resume` tries again (exit code 1).
    Failed,
    /// Everything that may have acted was undone (exit code 3).
    RolledBack,
    /// An undo failed; a person must look (exit code 4).
    Stuck,
    /// Waits for a person (exit code 5).
    Waiting,
    /// A person cancelled it (exit code 130).
    Cancelled,
}

impl RunEnd {
    /// Every end.
    pub const ALL: [Self; 6] = [
        Self::Succeeded,
        Self::Failed,
        Self::RolledBack,
        Self::Stuck,
        Self::Waiting,
        Self::Cancelled,
    ];

    /// Its word in plans, listings and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Stuck => "stuck",
            Self::Waiting => "waiting",
            Self::Cancelled => "cancelled",
        }
    }

    /// The exit code of a command that ends so.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Failed => 1,
            Self::RolledBack => 3,
            Self::Stuck => 4,
            Self::Waiting => 5,
            Self::Cancelled => 130,
        }
    }

    /// Whether `resume` can go on from here.
    pub fn is_resumable(self) -> bool {
        match self {
            Self::Failed | Self::Stuck | Self::Waiting | Self::Cancelled => true,
            Self::Succeeded | Self::RolledBack => false,
        }
    }
}
