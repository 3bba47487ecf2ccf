//! Waiting for a cluster to come to a state.

use crate::failure::Failure;
use caxplan_adapter::Context;
use caxplan_model::{Cause, Duration, FailureKind};
use std::future::Future;
use tokio::time::Instant;

/// The pause between two looks.
const POLL: std::time::Duration = std::time::Duration::from_millis(200);

/// What one look saw.
pub(crate) enum Look<T> {
    /// It is so.
    Ready(T),
    /// Not yet: what is in the way, for a person.
    NotYet(String),
    /// It will never be so.
    Hopeless(Failure),
}

/// Looks again and again until it is so; after `within` fails with `kind` and what was in the way last. Says in the
/// output when what is in the way changes.
pub(crate) async fn until<T, F>(
    context: &Context,
    within: Duration,
    kind: FailureKind,
    mut look: impl FnMut() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Look<T>>,
{
    let deadline = Instant::now() + within.as_std();
    let mut said = String::new();
    loop {
        match look().await {
            Look::Ready(value) => return Ok(value),
            Look::Hopeless(failure) => return Err(failure),
            Look::NotYet(reason) => {
                if Instant::now() >= deadline {
                    return Err(Failure::before(Cause::new(
                        kind,
                        format!("not within {within}: {reason}"),
                    )));
                }
                if reason != said {
                    context.note(&reason);
                    said = reason;
                }
            }
        }
        tokio::time::sleep(POLL).await;
    }
}
