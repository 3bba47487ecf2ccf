//! What went wrong, and whether something may have been done.

use caxplan_model::{Cause, FailureEffect, FailureKind, Outcome};
use zbus::DBusError as _;

/// Why an action did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Before anything was done.
    Before(Cause),
    /// After something may have been done.
    Midway(Cause),
    /// It is not known what was done.
    Unknown(Cause),
}

impl Failure {
    pub(crate) fn cause(self) -> Cause {
        match self {
            Self::Before(cause) | Self::Midway(cause) | Self::Unknown(cause) => cause,
        }
    }

    /// The same for an action that has done something already.
    pub(crate) fn after_a_change(self) -> Self {
        match self {
            Self::Before(cause) => Self::Midway(cause),
            Self::Midway(_) | Self::Unknown(_) => self,
        }
    }
}

impl From<Cause> for Failure {
    /// Whatever is not said to be otherwise happened before anything was done.
    fn from(cause: Cause) -> Self {
        Self::Before(cause)
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Before(cause) => Self::Failed {
                cause,
                effect: FailureEffect::None,
            },
            Failure::Midway(cause) => Self::Failed {
                cause,
                effect: FailureEffect::Possible,
            },
            Failure::Unknown(cause) => Self::Unknown { cause },
        }
    }
}

/// What a call over the bus came to.
#[derive(Debug)]
pub(crate) enum BusError {
    /// Somebody answered that it will not be done.
    Refused {
        /// The error's name, `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// Its text.
        message: String,
    },
    /// No answer came.
    Broken(String),
}

impl From<zbus::Error> for BusError {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, message, _) => Self::Refused {
                name: name.as_str().to_owned(),
                message: message.unwrap_or_default(),
            },
            zbus::Error::FDO(error) => match *error {
                zbus::fdo::Error::ZBus(error) => error.into(),
                // The bus says these when whoever should have answered is gone.
                error @ (zbus::fdo::Error::NoReply(_)
                | zbus::fdo::Error::Disconnected(_)
                | zbus::fdo::Error::Timeout(_)
                | zbus::fdo::Error::TimedOut(_)) => Self::Broken(error.to_string()),
                error => Self::Refused {
                    name: error.name().as_str().to_owned(),
                    message: error.description().unwrap_or_default().to_owned(),
                },
            },
            error => Self::Broken(error.to_string()),
        }
    }
}

impl BusError {
    /// The failure of a call that changes nothing. `what` is a phrase such as `read the state of x.service`, `on` names
    /// the machine.
    pub(crate) fn reading(self, what: &str, on: &str) -> Failure {
        Failure::Before(self.into_cause(what, on))
    }

    /// The failure of a call that may have been carried out.
    pub(crate) fn changing(self, what: &str, on: &str) -> Failure {
        match self {
            Self::Refused { .. } => Failure::Before(self.into_cause(what, on)),
            Self::Broken(_) => Failure::Unknown(self.into_cause(what, on)),
        }
    }

    fn into_cause(self, what: &str, on: &str) -> Cause {
        match self {
            Self::Broken(reason) => lost(&format!("cannot {what} on {on}: {reason}")),
            Self::Refused { name, message } => {
                let (kind, hint) = kind_of(&name);
                let message = message.trim_end_matches('.');
                let said = if message.is_empty() { &name } else { message };
                let cause = Cause::new(kind, format!("cannot {what} on {on}: {said}"));
                match hint {
                    Some(hint) => cause.with_hint(hint),
                    None => cause,
                }
            }
        }
    }
}

/// The connection broke.
pub(crate) fn lost(message: &str) -> Cause {
    Cause::new(FailureKind::Lost, message)
}

/// The engine's word for an error's name, and what to do about it.
fn kind_of(name: &str) -> (FailureKind, Option<&'static str>) {
    let own = |prefix| name.strip_prefix(prefix);
    if let Some(name) = own("org.freedesktop.systemd1.") {
        return match name {
            "NoSuchUnit" => (
                FailureKind::NotFound,
                Some("is its name right, and is it installed there?"),
            ),
            "UnitExists" => (
                FailureKind::Conflict,
                Some("a file of the administrator lies where the link would: take it away first"),
            ),
            "UnitGenerated" => (
                FailureKind::Conflict,
                Some("a generator makes its file at each start"),
            ),
            "UnitMasked" => (
                FailureKind::Conflict,
                Some("systemd.unmask lets it be started again"),
            ),
            "JobTypeNotApplicable" => (
                FailureKind::Conflict,
                Some(
                    "the unit cannot be reloaded: it has no ExecReload=; systemd.restart works with every service",
                ),
            ),
            "OnlyByDependency" => (
                FailureKind::Conflict,
                Some("its file says RefuseManualStart= or RefuseManualStop=: act on the unit that needs it"),
            ),
            "TransactionIsDestructive" | "TransactionJobsConflicting" => (
                FailureKind::Conflict,
                Some("is the machine shutting down? another job stands against it (`systemctl list-jobs`)"),
            ),
            "ShuttingDown" => (FailureKind::Unavailable, Some("the machine is shutting down")),
            "LoadFailed" | "BadUnitSetting" => (
                FailureKind::Invalid,
                Some("`systemd-analyze verify` says what is wrong with its file"),
            ),
            _ => (FailureKind::Other, None),
        };
    }
    match own("org.freedesktop.DBus.Error.").or_else(|| own("System.Error.")) {
        Some("AccessDenied" | "InteractiveAuthorizationRequired" | "EACCES" | "EPERM") => (
            FailureKind::Denied,
            Some("only root may do that there: write `sudo: true`, or log in as root"),
        ),
        Some("ServiceUnknown" | "NameHasNoOwner") => (
            FailureKind::Unavailable,
            Some("nothing on that bus is systemd: is it the right bus?"),
        ),
        Some("FileNotFound" | "ENOENT") => (FailureKind::NotFound, Some("is it installed there?")),
        Some("FileExists" | "EEXIST") => (
            FailureKind::Conflict,
            Some(
                "a file of the administrator lies in the way: take it away first, or keep it and do not mask",
            ),
        ),
        Some("InvalidArgs" | "EINVAL") => (FailureKind::Invalid, None),
        Some("Timeout" | "TimedOut" | "NoReply") => (FailureKind::Timeout, None),
        _ => (FailureKind::Other, None),
    }
}
