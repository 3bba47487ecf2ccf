//! From the client's errors to the engine's.

use caxplan_adapter::Context;
use caxplan_model::{Cause, FailureEffect, FailureKind, Outcome};
use caxton_client::ClientError;
use std::future::Future;

/// Why an action failed, and whether it may have acted.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    pub(crate) effect: FailureEffect,
}

impl Failure {
    /// A failure before anything was done.
    pub(crate) fn before(cause: Cause) -> Self {
        Self {
            cause,
            effect: FailureEffect::None,
        }
    }

    /// A failure after something may have been done.
    pub(crate) fn midway(cause: Cause) -> Self {
        Self {
            cause,
            effect: FailureEffect::Possible,
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::Failed {
            cause: failure.cause,
            effect: failure.effect,
        }
    }
}

/// A call that only reads has failed.
#[allow(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
pub(crate) fn reading(error: ClientError) -> Failure {
    Failure::before(cause(&error))
}

/// A call that changes something has failed.
#[allow(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
pub(crate) fn changing(error: ClientError) -> Failure {
    if error.may_have_acted() {
        Failure::midway(cause(&error))
    } else {
        Failure::before(cause(&error))
    }
}

/// The engine's words for the client's error.
pub(crate) fn cause(error: &ClientError) -> Cause {
    match error {
        ClientError::Unreachable { source, .. } => {
            let kind = if source.is_timeout() && !source.is_connect() {
                FailureKind::Timeout
            } else {
                FailureKind::Unavailable
            };
            Cause::new(kind, error.to_string())
                .with_hint("is the node running, and does its management API answer at this address?")
        }
        ClientError::Api { error, status } => {
            let kind = match error.code.as_str() {
                "unauthorized" => FailureKind::Denied,
                "not_found" => FailureKind::NotFound,
                "conflict" => FailureKind::Conflict,
                "unavailable" | "no_quorum" => FailureKind::Unavailable,
                "invalid" => FailureKind::Invalid,
                _ => match status {
                    401 | 403 => FailureKind::Denied,
                    404 => FailureKind::NotFound,
                    429 | 503 | 504 => FailureKind::Unavailable,
                    _ => FailureKind::Other,
                },
            };
            let cause = Cause::new(kind, format!("the node says: {} ({})", error.message, error.code));
            match &error.hint {
                Some(hint) => cause.with_hint(hint.clone()),
                None => cause,
            }
        }
        ClientError::Decode { .. } => Cause::new(FailureKind::Other, error.to_string())
            .with_hint("is this the address of a Caxton node of a version that this program knows?"),
        ClientError::UnknownNode { .. } => Cause::new(FailureKind::NotFound, error.to_string())
            .with_hint("the targets of the inventory are named as the nodes of the cluster are"),
        ClientError::BadEndpoint { .. } => Cause::new(FailureKind::Invalid, error.to_string()),
    }
}

/// Carries out an action's work until it ends or the attempt is cancelled. `if_cancelled` says whether something may have
/// been done when it is cut off.
pub(crate) async fn carry_out(
    context: &Context,
    if_cancelled: FailureEffect,
    work: impl Future<Output = Result<Outcome, Failure>>,
) -> Outcome {
    tokio::select! {
        result = work => result.unwrap_or_else(Outcome::from),
        () = context.cancel.cancelled() => Outcome::Failed {
            cause: Cause::new(FailureKind::Cancelled, "stopped before the cluster had answered"),
            effect: if_cancelled,
        },
    }
}

/// [`carry_out`] for what only reads: whatever happens, nothing was done.
pub(crate) async fn look(
    context: &Context,
    work: impl Future<Output = Result<caxplan_model::Value, Failure>>,
) -> Outcome {
    carry_out(context, FailureEffect::None, async {
        Ok(Outcome::Unchanged { output: work.await? })
    })
    .await
}
