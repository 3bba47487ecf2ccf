//! Where one node stands.

use caxplan_model::{AttemptNo, NodeIndex, OnFailure, Timestamp};

/// Where a step or group stands, as its records say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStatus {
    /// Nothing has begun, or it is to be tried anew after the run was resumed.
    Pending,
    /// A group, a wait or a watch that is going on.
    Active,
    /// An attempt is going on.
    Running(AttemptNo),
    /// The last attempt failed; the next one is due then.
    Retrying {
        /// When.
        due: Timestamp,
    },
    /// An attempt was going on when an engine died: it may have acted.
    InDoubt(AttemptNo),
    /// An approval or a checklist waits for a person.
    Asking,
    /// It ended well.
    Succeeded {
        /// Whether it, or something in it, changed something.
        changed: bool,
    },
    /// It failed for good.
    Failed(Failure),
    /// Its condition was false, or there was nothing to do.
    Skipped,
}

impl NodeStatus {
    /// Whether nothing more will come of it unless the run is resumed after its end.
    pub fn is_ended(&self) -> bool {
        match self {
            Self::Succeeded { .. } | Self::Failed(_) | Self::Skipped => true,
            Self::Pending
            | Self::Active
            | Self::Running(_)
            | Self::Retrying { .. }
            | Self::InDoubt(_)
            | Self::Asking => false,
        }
    }

    /// One word for templates (`steps.<name>.status`), listings and renderings.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active | Self::Running(_) => "running",
            Self::Retrying { .. } => "retrying",
            Self::InDoubt(_) => "in_doubt",
            Self::Asking => "waiting",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed(_) => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A failure on its way up the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step (or group, if a condition could not be evaluated) where it came from.
    pub origin: NodeIndex,
    /// What the nearest `on_failure` on the way said; `None` if there was none so far.
    pub policy: Option<OnFailure>,
}

/// Where the undoing of one step stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UndoStatus {
    /// It was not tried.
    #[default]
    NotTried,
    /// It is going on.
    Running(AttemptNo),
    /// It failed and is tried again then.
    Retrying {
        /// When.
        due: Timestamp,
    },
    /// The effect is gone.
    Undone,
    /// It failed for good.
    Failed,
}
