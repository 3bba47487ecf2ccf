//! One attempt at something, from the first call of an adapter to an outcome that is fit for the journal.

use crate::resolve::{READ_TIMEOUT, Resolved};
use caxplan_adapter::Context;
use caxplan_core::condition;
use caxplan_core::template::Scope;
use caxplan_model::{Cause, Check, Duration, FailureEffect, FailureKind, Outcome, Value, Verdict};
use futures_util::FutureExt as _;
use std::future::Future;
use std::panic::AssertUnwindSafe;

/// How long an adapter may take to stop after its time limit or an abort, before its attempt is given up as unknown.
const STOP_WITHIN: std::time::Duration = std::time::Duration::from_secs(15);

/// How long to wait before an attempt that is still at work is asked about again.
const ASK_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

/// Performs a call within a time limit. Cancel safe in the sense of the contract: `context.cancel` stops it.
pub(crate) async fn perform(resolved: &Resolved, context: &Context) -> Outcome {
    let work = resolved.adapter.perform(&resolved.call, context);
    within(work, resolved.limit, context)
        .await
        .unwrap_or_else(|ended| ended.into_outcome())
}

/// Why there is no answer from the adapter itself.
pub(super) enum NoAnswer {
    /// The time limit was reached and the adapter stopped, with this answer.
    TimedOut(Duration, Option<Outcome>),
    /// It did not stop after the time limit or an abort.
    DidNotStop(Option<Duration>),
    /// It panicked.
    Panicked,
}

impl NoAnswer {
    fn into_outcome(self) -> Outcome {
        let timed_out = |limit: Duration, detail: Value| {
            Cause::new(FailureKind::Timeout, format!("took longer than {limit}")).with_detail(detail)
        };
        match self {
            // It ended well in the last moment.
            Self::TimedOut(_, Some(outcome)) if outcome.is_success() => outcome,
            Self::TimedOut(limit, Some(Outcome::Failed { cause, effect })) => Outcome::Failed {
                cause: timed_out(limit, cause.detail),
                effect,
            },
            Self::TimedOut(limit, _) => Outcome::Unknown {
                cause: timed_out(limit, Value::Null),
            },
            Self::DidNotStop(Some(limit)) => {
                let message = format!(
                    "took longer than {limit}, and did not stop within {} s",
                    STOP_WITHIN.as_secs()
                );
                Outcome::Unknown {
                    cause: Cause::new(FailureKind::Timeout, message),
                }
            }
            Self::DidNotStop(None) => Outcome::Unknown {
                cause: Cause::new(
                    FailureKind::Cancelled,
                    format!("was aborted, and did not stop within {} s", STOP_WITHIN.as_secs()),
                ),
            },
            Self::Panicked => Outcome::Unknown {
                cause: Cause::new(FailureKind::Other, "the adapter panicked: a bug in it"),
            },
        }
    }

    /// What went wrong, where an answer of its own was expected.
    pub(super) fn into_cause(self) -> Cause {
        match self.into_outcome() {
            Outcome::Failed { cause, .. } | Outcome::Unknown { cause } => cause,
            Outcome::Changed { .. } | Outcome::Unchanged { .. } => {
                Cause::new(FailureKind::Timeout, "took too long")
            }
        }
    }
}

/// An adapter's answer that says how an attempt ended, if it is one.
pub(super) trait Answer: Sized {
    /// As an outcome.
    fn outcome(self) -> Option<Outcome>;
}

impl Answer for Outcome {
    fn outcome(self) -> Option<Outcome> {
        Some(self)
    }
}

impl Answer for Verdict {
    fn outcome(self) -> Option<Outcome> {
        None
    }
}

impl<T> Answer for Result<T, Cause> {
    fn outcome(self) -> Option<Outcome> {
        None
    }
}

/// Awaits an adapter's answer, for `limit` at most. At the limit and at an abort the adapter is told to stop, and its
/// answer is awaited a little longer, for only the adapter knows what was done.
pub(super) async fn within<T: Answer>(
    work: impl Future<Output = T>,
    limit: Option<Duration>,
    context: &Context,
) -> Result<T, NoAnswer> {
    let mut work = std::pin::pin!(AssertUnwindSafe(work).catch_unwind());
    let expired = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit.as_std()).await,
            None => std::future::pending().await,
        }
    };
    let timed_out = tokio::select! {
        biased;
        answer = &mut work => return answer.map_err(|_| NoAnswer::Panicked),
        () = context.cancel.cancelled() => None,
        () = expired => limit,
    };
    context.cancel.cancel();
    match (tokio::time::timeout(STOP_WITHIN, work).await, timed_out) {
        (Ok(Ok(answer)), None) => Ok(answer),
        (Ok(Ok(answer)), Some(limit)) => Err(NoAnswer::TimedOut(limit, answer.outcome())),
        (Ok(Err(_)), _) => Err(NoAnswer::Panicked),
        (Err(_), timed_out) => Err(NoAnswer::DidNotStop(timed_out)),
    }
}

/// A success that does not meet what the plan expects of it is a failure. What was done stays done.
pub(crate) fn expect(checks: &[Check], scope: &Scope, outcome: Outcome) -> Outcome {
    let (output, effect) = match &outcome {
        Outcome::Changed { output } => (output, FailureEffect::Possible),
        Outcome::Unchanged { output } => (output, FailureEffect::None),
        Outcome::Failed { .. } | Outcome::Unknown { .. } => return outcome,
    };
    let mut root = scope.root.clone();
    root["output"] = output.clone();
    let unmet = checks
        .iter()
        .find_map(|check| match condition::evaluate(check, &root) {
            Ok(verdict) if verdict.ok => None,
            Ok(verdict) => Some((
                FailureKind::Expectation,
                format!("expected `{check}`: {}", verdict.detail),
            )),
            Err(message) => Some((FailureKind::Template, message)),
        });
    match unmet {
        None => outcome,
        Some((kind, message)) => Outcome::Failed {
            cause: Cause::new(kind, message).with_detail(output.clone()),
            effect,
        },
    }
}

/// Asks the action itself what became of an attempt. One that is still at work is waited for as long as its step may take;
/// if it still is by then, that is the answer.
pub(super) async fn ask(resolved: &Resolved, before: &Value, context: &Context) -> Verdict {
    let begun = tokio::time::Instant::now();
    let mut told = false;
    loop {
        let asking = resolved.adapter.probe_from(&resolved.call, before, context);
        let verdict = within(asking, Some(READ_TIMEOUT), context)
            .await
            .unwrap_or_else(|ended| Verdict::Unknown {
                reason: ended.into_cause().to_string(),
            });
        let Verdict::Running { reason } = verdict else {
            return verdict;
        };
        let late = resolved
            .limit
            .is_some_and(|limit| begun.elapsed() >= limit.as_std());
        if late || context.cancel.is_cancelled() {
            return Verdict::Running {
                reason: format!("{reason}; resume once more when it has ended"),
            };
        }
        if !told {
            context.note(&format!("{reason}; waiting for its end"));
            told = true;
        }
        tokio::select! {
            () = tokio::time::sleep(ASK_AGAIN) => {}
            () = context.cancel.cancelled() => {}
        }
    }
}

/// What a probe's action says: `done_when`, else the field `done` of its output.
pub(super) fn verdict_of(outcome: &Outcome, done_when: Option<&str>, scope: &Scope) -> Verdict {
    let output = match outcome {
        Outcome::Changed { output } | Outcome::Unchanged { output } => output,
        Outcome::Failed { cause, .. } | Outcome::Unknown { cause } => {
            return Verdict::Unknown {
                reason: cause.to_string(),
            };
        }
    };
    let done = match done_when {
        None => output.get("done").and_then(Value::as_bool).ok_or_else(|| {
            "its output has no field `done` that is true or false; give the probe a `done_when`".to_owned()
        }),
        Some(check) => condition::evaluate(check, &over(scope, output)).map(|verdict| verdict.ok),
    };
    match done {
        Ok(true) => Verdict::Done {
            output: output.clone(),
        },
        Ok(false) => Verdict::NotDone,
        Err(reason) => Verdict::Unknown { reason },
    }
}

/// What an observation of a watch breaches, with what was seen.
pub(super) fn breach_of(outcome: &Outcome, checks: &[Check], scope: &Scope) -> Option<String> {
    let output = match outcome {
        Outcome::Changed { output } | Outcome::Unchanged { output } => output,
        Outcome::Failed { cause, .. } | Outcome::Unknown { cause } => {
            return Some(format!("it could not be observed: {cause}"));
        }
    };
    let root = over(scope, output);
    let details: Vec<String> = checks
        .iter()
        .filter_map(|check| match condition::evaluate(check, &root) {
            Ok(verdict) if verdict.ok => None,
            Ok(verdict) => Some(verdict.detail),
            Err(message) => Some(message),
        })
        .collect();
    (!details.is_empty()).then(|| details.join("; "))
}

/// A scope in which the fields of an output stand before everything else. Of a program that printed one JSON object, the
/// fields of that are seen too, behind the output's own; and behind all the others the plan's variables, which so can be
/// the limit of a condition (`agent_count < max_agents`).
pub(crate) fn over(scope: &Scope, output: &Value) -> Value {
    let mut root = scope.root.clone();
    let vars = root.get("vars").and_then(Value::as_object).cloned();
    if let (Value::Object(root), Value::Object(fields)) = (&mut root, output) {
        for (name, value) in vars.into_iter().flatten() {
            root.entry(name).or_insert(value);
        }
        for (name, value) in printed(output).into_iter().flatten() {
            root.insert(name, value);
        }
        for (name, value) in fields {
            root.insert(name.clone(), value.clone());
        }
        root.insert("output".to_owned(), output.clone());
    }
    root
}

/// The object that a program printed, if it printed nothing else.
fn printed(output: &Value) -> Option<caxplan_model::Map> {
    let text = output.get("stdout")?.as_str()?.trim();
    if !text.starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok()
}
