//! Why something on a host, or on this machine, was not done.

use crate::Broken;
use caxplan_model::{Cause, FailureEffect, FailureKind, Outcome};

/// Why something was not done.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// The other side, or the operating system, answered that it cannot.
    Refused(Cause),
    /// The attempt was cancelled.
    Cancelled(Cause),
    /// The connection broke: what was asked last may have been done.
    Lost(Cause),
}

impl Fault {
    pub(super) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self::Refused(Cause::new(kind, message))
    }

    pub(super) fn into_cause(self) -> Cause {
        match self {
            Self::Refused(cause) | Self::Cancelled(cause) | Self::Lost(cause) => cause,
        }
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(cause) if cause.kind == FailureKind::NotFound)
    }

    /// The outcome if nothing under its final name had been touched yet.
    pub(super) fn before_any_effect(self) -> Outcome {
        Outcome::Failed {
            cause: self.into_cause(),
            effect: FailureEffect::None,
        }
    }

    /// The outcome if something may have got its final name, or lost it.
    pub(super) fn amid_effects(self) -> Outcome {
        match self {
            Self::Refused(cause) | Self::Cancelled(cause) => Outcome::Failed {
                cause,
                effect: FailureEffect::Possible,
            },
            Self::Lost(cause) => Outcome::Unknown { cause },
        }
    }
}

impl From<Cause> for Fault {
    fn from(cause: Cause) -> Self {
        Self::Refused(cause)
    }
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::NeverStarted(cause) => Self::Refused(cause),
            Broken::Stopped(cause) => Self::Cancelled(cause),
            Broken::Lost(cause) => Self::Lost(cause),
        }
    }
}

/// What an action answers when it fails: whether something may have been done is decided where the failure is.
pub(super) type Ended = Box<Outcome>;

pub(super) fn nothing_done(fault: impl Into<Fault>) -> Ended {
    Box::new(fault.into().before_any_effect())
}

pub(super) fn perhaps_done(fault: impl Into<Fault>) -> Ended {
    Box::new(fault.into().amid_effects())
}
