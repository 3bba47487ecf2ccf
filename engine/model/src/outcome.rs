//! How an attempt of a step ended.

use crate::Value;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How one attempt ended, as far as is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The step did its work and the target is different now.
    Changed {
        /// What later steps see as `steps.<id>.output`.
        output: Value,
    },
    /// The target was already as wanted, or the step only reads.
    Unchanged {
        /// What later steps see as `steps.<id>.output`.
        output: Value,
    },
    /// The attempt failed, and it is known whether it may have acted.
    Failed {
        /// Why.
        cause: Cause,
        /// Whether something may have been done all the same.
        effect: FailureEffect,
    },
    /// It is not known whether the step acted: the engine or a connection died in the middle.
    Unknown {
        /// What is known of the reason.
        cause: Cause,
    },
}

impl Outcome {
    /// Whether the step did what it should.
    pub fn is_success(&self) -> bool {
        match self {
            Self::Changed { .. } | Self::Unchanged { .. } => true,
            Self::Failed { .. } | Self::Unknown { .. } => false,
        }
    }

    /// Whether the step may have changed something that a rollback must undo.
    pub fn may_have_acted(&self) -> bool {
        match self {
            Self::Changed { .. } | Self::Unknown { .. } => true,
            Self::Failed { effect, .. } => *effect == FailureEffect::Possible,
            Self::Unchanged { .. } => false,
        }
    }

    /// The output of a success.
    pub fn output(&self) -> Option<&Value> {
        match self {
            Self::Changed { output } | Self::Unchanged { output } => Some(output),
            Self::Failed { .. } | Self::Unknown { .. } => None,
        }
    }

    /// The cause of what was no success.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Failed { cause, .. } | Self::Unknown { cause } => Some(cause),
            Self::Changed { .. } | Self::Unchanged { .. } => None,
        }
    }

    /// A failure that certainly did nothing.
    pub fn failed(kind: FailureKind, message: impl Into<String>) -> Self {
        Self::Failed {
            cause: Cause::new(kind, message),
            effect: FailureEffect::None,
        }
    }

    /// A failure that may have acted before it failed.
    pub fn failed_midway(kind: FailureKind, message: impl Into<String>) -> Self {
        Self::Failed {
            cause: Cause::new(kind, message),
            effect: FailureEffect::Possible,
        }
    }
}

/// Whether a failed attempt may have changed something. An adapter says `None` only if it *knows*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureEffect {
    /// Certainly nothing was changed.
    None,
    /// Something may have been changed: a rollback must undo it.
    Possible,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// The class, which `retry.on` can name.
    pub kind: FailureKind,
    /// What happened, for a person; no secrets.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What the step put out before it failed (`exit_code`, the end of `stderr`, a status, …).
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

impl Cause {
    /// A cause without hint and detail.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            detail: Value::Null,
        }
    }

    /// The same cause with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same cause with details.
    #[must_use]
    pub fn with_detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.kind)
    }
}

/// Classes of failures, as `retry.on` names them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The step took longer than its time limit.
    Timeout,
    /// The other side could not be reached or said that it is not ready.
    Unavailable,
    /// The other side refused: credentials, permissions.
    Denied,
    /// The state of the target is not as required.
    Conflict,
    /// What was named does not exist.
    NotFound,
    /// The arguments are wrong in a way that only the target could tell.
    Invalid,
    /// A command ended with another status than expected.
    Exit,
    /// An `expect`, a check or a health test was not met.
    Expectation,
    /// A watch saw more breaches than allowed.
    Breach,
    /// The step was aborted by a person.
    Cancelled,
    /// The attempt was lost with the engine or the connection that carried it.
    Lost,
    /// A person or a policy said no.
    Rejected,
    /// The step would have broken an invariant of the plan, and was not started.
    Invariant,
    /// A template or condition could not be evaluated at run time.
    Template,
    /// Anything else.
    Other,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Conflict => "conflict",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Exit => "exit",
            Self::Expectation => "expectation",
            Self::Breach => "breach",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::Rejected => "rejected",
            Self::Invariant => "invariant",
            Self::Template => "template",
            Self::Other => "other",
        })
    }
}

/// What a probe says about a step in doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The effect is there.
    Done {
        /// The output that the step would have had, as far as the probe can tell.
        output: Value,
    },
    /// The effect is not there: the step may run again.
    NotDone,
    /// The attempt itself is still at work, without the engine that began it. The engine asks again while the step has time
    /// left.
    Running {
        /// Where it runs.
        reason: String,
    },
    /// The probe cannot tell.
    Unknown {
        /// Why not.
        reason: String,
    },
}
