//! What a user sees when a command cannot do its work: kind, cause, hint, exit code.

use crate::ui;
use caxplan_core::schedule::Refusal;
use caxplan_run::{DriverError, JournalError, LockError, SessionError, StateDirError};
use std::error::Error;
use std::process::ExitCode;

/// Exit code: the run failed and can be resumed, or the command itself failed.
pub(crate) const FAILED: u8 = 1;
/// Exit code: invalid plan or usage.
pub(crate) const INVALID: u8 = 2;
/// Exit code: a lock is held.
pub(crate) const LOCKED: u8 = 6;

/// Exit code: a person interrupted it.
const INTERRUPTED: u8 = 130;

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    code: u8,
}

/// What a command answers.
pub(crate) type Answer<T = ExitCode> = Result<T, Failure>;

impl Failure {
    /// A failure with the exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            code: FAILED,
        }
    }

    /// A person interrupted it before it had begun.
    pub(crate) fn interrupted() -> Self {
        Self {
            code: INTERRUPTED,
            ..Self::new("interrupted")
        }
    }

    /// Wrong usage, or an invalid plan.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            code: INVALID,
            ..Self::new(message)
        }
    }

    /// The edited plan changes what must stay as it is.
    pub(crate) fn edited(refusals: &[Refusal]) -> Self {
        Self {
            causes: refusals.iter().map(ToString::to_string).collect(),
            ..Self::invalid("the edited plan changes what has started")
        }
        .hint("leave that as it was; `caxplan resume` without `--with-edited-plan` goes on with the plan that the run has")
    }

    /// The same failure with a hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure, after which this command goes on.
    pub(crate) fn then(mut self, command: &str) -> Self {
        let before = self
            .hint
            .take()
            .map(|hint| format!("{hint}; then "))
            .unwrap_or_default();
        self.hint = Some(format!("{before}`{command}` goes on"));
        self
    }

    /// The same failure, with another command that can be given.
    pub(crate) fn or(mut self, command: &str, does: &str) -> Self {
        let before = self
            .hint
            .take()
            .map(|hint| format!("{hint}; or "))
            .unwrap_or_default();
        self.hint = Some(format!("{before}`{command}` {does}"));
        self
    }

    /// What went wrong, in one line.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Says it on the standard error, and answers the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let red = ui::Paint::for_stderr();
        let mut text = format!("{} {}\n", red.red("error:"), self.message);
        for cause in &self.causes {
            text.push_str(&format!("  because: {cause}\n"));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("{} {hint}\n", red.cyan("hint:")));
        }
        ui::say(&text);
        ExitCode::from(self.code)
    }

    fn of(error: &dyn Error) -> Self {
        let mut failure = Self::new(error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            failure.causes.push(cause.to_string());
            source = cause.source();
        }
        failure
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self {
            hint: error.hint(),
            ..Self::of(&error)
        }
    }
}

impl From<StateDirError> for Failure {
    fn from(error: StateDirError) -> Self {
        Self::of(&error).hint("set CAXPLAN_STATE_DIR to a folder that you can write")
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let failure = Self::of(&error);
        match &error {
            LockError::Held { holder, .. }
            | LockError::StillHeld { holder, .. }
            | LockError::RunIsGoingOn { holder, .. } => {
                let run = holder.as_ref().map_or("--last", |holder| holder.run.as_str());
                let hint = if holder.as_ref().is_some_and(|holder| holder.waits) {
                    format!("`caxplan show {run}` shows what it waits for; `caxplan cancel {run}` ends it")
                } else {
                    format!(
                        "`caxplan show {run}` shows where it stands; a dead holder's lock is free by itself"
                    )
                };
                Self {
                    code: LOCKED,
                    ..failure
                }
                .hint(hint)
            }
            LockError::File { .. } => failure,
        }
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Lock(error) => error.into(),
            SessionError::Journal(error) => error.into(),
            SessionError::Secret(error) => Self {
                code: INVALID,
                ..Self::of(&error)
            },
            error @ SessionError::SecretParams { .. } => Self {
                code: INVALID,
                ..Self::of(&error)
            }
            .hint("with `-p NAME=VALUE` or `--params FILE`"),
            SessionError::Edited { refusals } => Self::edited(&refusals),
            error @ SessionError::Moved { .. } => {
                Self::of(&error).hint("look at it with `caxplan show`, then give the command again")
            }
            error @ SessionError::Orphans { .. } => Self::of(&error)
                .hint("end them by hand, then resume: nothing may run on beside a resumed run"),
            error @ SessionError::Illegal { .. } => {
                Self::of(&error).hint("use the version of caxplan that wrote it")
            }
        }
    }
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        let hint = match &error {
            DriverError::Journal { source, .. } => source.hint(),
            DriverError::Signals(_) => None,
        };
        Self {
            hint,
            ..Self::of(&error)
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::of(&error)
    }
}

impl From<caxplan_run::SecretError> for Failure {
    fn from(error: caxplan_run::SecretError) -> Self {
        SessionError::from(error).into()
    }
}
