//! What the scheduler is told, and what it tells the driver to do.

use caxplan_model::{
    Answer, AttemptNo, Cause, CheckpointName, InDoubtPolicy, NodeIndex, Outcome, Record, RunEnd, Timestamp,
    UndoEnd, Value, Verdict,
};

/// What the scheduler is told. One closed list: whatever happens to a run, happens through here.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An engine takes the run up. The first event after the records were applied, for a new run and for an old one.
    Resume {
        /// What the user said about steps in doubt.
        in_doubt: InDoubtPolicy,
        /// Run again all that came after this checkpoint. Nothing came after one that was not reached: ask
        /// [`State::is_reached`](super::State::is_reached) first.
        from: Option<CheckpointName>,
    },
    /// Answers [`Command::Prepare`]: the arguments were resolved and `before` was read; or that failed.
    Prepared {
        /// The step.
        node: NodeIndex,
        /// The attempt.
        attempt: AttemptNo,
        /// What the adapter saw before acting.
        before: Result<Value, Outcome>,
    },
    /// Answers [`Command::Start`].
    Ended {
        /// The step.
        node: NodeIndex,
        /// The attempt; an answer for another attempt than the current one is ignored.
        attempt: AttemptNo,
        /// How it ended; `expect` conditions have been checked.
        outcome: Outcome,
    },
    /// Answers [`Command::Probe`].
    Probed {
        /// The step.
        node: NodeIndex,
        /// The attempt in doubt.
        attempt: AttemptNo,
        /// What the probe said.
        report: ProbeReport,
    },
    /// Answers [`Command::Undo`].
    Undone {
        /// The step.
        node: NodeIndex,
        /// The attempt at undoing it.
        attempt: AttemptNo,
        /// How it ended.
        end: UndoEnd,
    },
    /// Answers [`Command::Observe`].
    Observed {
        /// The watch.
        node: NodeIndex,
        /// The breach, if there is one, with what was seen; `None` if all checks were met.
        breach: Option<String>,
    },
    /// Answers [`Command::Evaluate`]: the condition, list or duration that the scheduler asked for.
    Evaluated {
        /// The node.
        node: NodeIndex,
        /// The value, or why there is none.
        value: Result<Value, String>,
    },
    /// A timer that was armed by [`Command::ArmTimer`] is due. One that was not set any more is ignored.
    Timer {
        /// The node that it belongs to.
        node: NodeIndex,
    },
    /// A person answered an approval, a checklist or a question about a step in doubt. May come before
    /// [`Event::Resume`], for a run that no engine has. Ignored if nobody asked for such an answer.
    Answered {
        /// Which.
        node: NodeIndex,
        /// What.
        answer: Answer,
        /// Who.
        by: String,
    },
    /// It was tried to tell somebody of the run's end. Ignored while an engine has the run, and the second time.
    Notified {
        /// Which one of the plan's notifications, from 0.
        notification: u32,
        /// Why nobody was told, if so.
        failure: Option<Cause>,
    },
    /// A person asked the run to pause, or to go on.
    Pause(bool),
    /// A person asked the run to end.
    Interrupt(Interrupt),
    /// A person asked to end a run that no engine has. The run is taken up for that alone: nothing starts but the clean-up
    /// that [`Interrupt::Drain`] leaves. Ignored while an engine has the run.
    Cancel(Interrupt),
    /// A person asked to undo what was done. Steps that run end first. May come before [`Event::Resume`], for a run that
    /// no engine has, one that succeeded included. Ignored if a rollback is going on already, or if the checkpoint was not reached.
    Rollback {
        /// What was completed up to this checkpoint stays.
        to: Option<CheckpointName>,
        /// Why.
        reason: String,
    },
}

/// How a person asked the run to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// Start nothing more, let running steps end.
    Drain,
    /// Abort running steps too; they are journalled as in doubt.
    Abort,
}

/// What a probe said.
pub type ProbeReport = Verdict;

/// What the driver carries out, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Make this durable before anything after it happens. The scheduler has applied it already.
    Append(Record),
    /// Resolve the arguments and read `before`; change nothing. Answer with [`Event::Prepared`].
    Prepare {
        /// The step.
        node: NodeIndex,
        /// The attempt that it is for.
        attempt: AttemptNo,
    },
    /// Perform the step's action. Answer with [`Event::Ended`].
    Start {
        /// The step.
        node: NodeIndex,
        /// The attempt.
        attempt: AttemptNo,
    },
    /// Ask whether an attempt in doubt did its work. Answer with [`Event::Probed`].
    Probe {
        /// The step.
        node: NodeIndex,
        /// The attempt in doubt.
        attempt: AttemptNo,
    },
    /// Undo a step. Answer with [`Event::Undone`].
    Undo {
        /// The step.
        node: NodeIndex,
        /// The attempt at undoing it.
        attempt: AttemptNo,
    },
    /// Make one observation of a watch and check it. Answer with [`Event::Observed`].
    Observe {
        /// The watch.
        node: NodeIndex,
    },
    /// Evaluate a template or condition with the scope of the node. Answer with [`Event::Evaluated`].
    Evaluate {
        /// The node.
        node: NodeIndex,
        /// What to evaluate.
        text: String,
    },
    /// Answer with [`Event::Timer`] at this time, or at once if it has passed. Replaces an earlier timer of the node.
    ArmTimer {
        /// The node.
        node: NodeIndex,
        /// When.
        due: Timestamp,
    },
    /// Cancel the attempt of this node that is going on; it still answers.
    Abort {
        /// The node.
        node: NodeIndex,
    },
    /// Leave: nothing is going on any more, the last record is durable.
    Finish(RunEnd),
}
