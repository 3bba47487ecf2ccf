//! Telling of a run's end.
//!
//! The end is durable before anybody is told of it, and nothing here changes it. That a notification was tried is a
//! record: the same end is never told twice. If the engine dies in between, nobody is told, and the account says so.

use super::attempt::perform;
use super::job::Desk;
use super::signals::Signals;
use super::{Driver, DriverError};
use crate::resolve::Resolved;
use crate::{clock, session};
use caxplan_core::account::{Account, StepCounts, next_commands, step_of_end};
use caxplan_core::schedule::Event;
use caxplan_core::template;
use caxplan_model::{
    AttemptNo, Cause, Duration, FailureEffect, FailureKind, Map, Notification, Outcome, RunEnd, StepId, Value,
};
use futures_util::future::join_all;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// How long an engine stays for its notifications, all attempts together: whoever waits for the run's exit code waits
/// for them too.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

/// How long one attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);

/// How often it is tried in all.
const ATTEMPTS: u32 = 3;

/// The pause before it is tried again.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

impl Driver {
    /// Tells whom the plan wants to be told of this end, all at once, and records what came of it. A signal stops it.
    pub(super) async fn notify(&mut self, end: RunEnd, signals: &mut Signals) {
        let state = self.scheduler.state();
        let numbers = state.to_notify();
        if numbers.is_empty() {
            return;
        }
        let stop = CancellationToken::new();
        let about = self.about(end);
        let telling: Vec<_> = numbers
            .iter()
            .map(|number| {
                let notification = &self.scheduler.state().graph().header.notify[*number as usize];
                let prepared = match &about {
                    Ok(about) => self.prepare_notification(*number, notification, about, &stop),
                    Err(cause) => Err(cause.clone()),
                };
                async move {
                    match prepared {
                        Ok((resolved, desk)) => tell(resolved, desk).await,
                        Err(cause) => Some(cause),
                    }
                }
            })
            .collect();
        let mut told = std::pin::pin!(join_all(telling));
        let failures = loop {
            tokio::select! {
                failures = &mut told => break failures,
                _ = signals.next() => stop.cancel(),
            }
        };
        let masker = self.outputs.masker();
        let told = numbers.into_iter().zip(failures);
        let events = told.map(|(notification, failure)| Event::Notified {
            notification,
            failure: failure.map(|cause| masker.cause(cause)),
        });
        if let Err(DriverError::Journal { source, .. }) = self.turn(events.collect()) {
            self.observer.notice(&format!(
                "the end was told, but the journal does not know it: {source}"
            ));
        }
    }

    /// What templates of a notification see as `run`.
    fn about(&self, end: RunEnd) -> Result<Map, Cause> {
        let unreadable = |error: String| {
            Cause::new(
                FailureKind::Other,
                format!("the journal cannot be read for it: {error}"),
            )
        };
        let stored = self
            .journal
            .load(&self.run)
            .map_err(|error| unreadable(error.to_string()))?;
        let state = session::fold(&self.run, stored.graph, &stored.records)
            .map_err(|error| unreadable(error.to_string()))?;
        let account = Account::of(&state, &stored.records);
        let next = next_commands(&self.run, Some(end), &state);
        let about = json!({
            "end": end.word(),
            "exit_code": end.exit_code(),
            "message": account.reason,
            "step": step_of_end(&state, end),
            "by": account.by,
            "started": clock::utc(account.started),
            "ended": clock::utc(account.last),
            "duration": account.duration().to_string(),
            "counts": StepCounts::of(&state),
            "next": next.first().map(|(command, _)| command),
        });
        match about {
            Value::Object(about) => Ok(about),
            _ => unreachable!("it is an object"),
        }
    }

    fn prepare_notification(
        &self,
        number: u32,
        notification: &Notification,
        about: &Map,
        stop: &CancellationToken,
    ) -> Result<(Resolved, Desk), Cause> {
        let call = &notification.call;
        let unknown = || {
            Cause::new(
                FailureKind::NotFound,
                format!("there is no action `{}`", call.action),
            )
        };
        let adapter = self.registry.adapter(&call.action).cloned().ok_or_else(unknown)?;
        let scope = self.surroundings.scope_at_end(about);
        let with = template::resolve_map(&call.with, &scope)
            .map_err(|message| Cause::new(FailureKind::Template, message))?;
        // The same for each attempt to tell of this end, another one for the next end of the run.
        let step = StepId::new(format!("notify-{}@{}", number + 1, self.tail.seq));
        let mut desk = self.desk_of(step.clone(), AttemptNo::FIRST);
        desk.context.cancel = stop.child_token();
        let call = caxplan_adapter::Call {
            action: call.action.to_string(),
            with,
            target: None,
            run: self.run.clone(),
            step,
            attempt: AttemptNo::FIRST,
        };
        let limit = Some(ATTEMPT_MAX);
        Ok((Resolved { adapter, call, limit }, desk))
    }
}

/// Tries until somebody was told, or until trying again would not help. Answers why nobody was told.
async fn tell(mut resolved: Resolved, desk: Desk) -> Option<Cause> {
    let stopped = desk.context.cancel.clone();
    let trying = async {
        loop {
            // A time limit cancels its own attempt only.
            let mut context = desk.context.clone();
            context.cancel = desk.context.cancel.child_token();
            let outcome = perform(&resolved, &context).await;
            let cause = outcome.cause()?.clone();
            if resolved.call.attempt.0 >= ATTEMPTS || !is_worth_trying(&outcome) || stopped.is_cancelled() {
                return Some(cause);
            }
            desk.context.note(&format!(
                "attempt {} to tell of the end failed: {cause}",
                resolved.call.attempt
            ));
            resolved.call.attempt = AttemptNo(resolved.call.attempt.0 + 1);
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stopped.cancelled() => return Some(cause),
            }
        }
    };
    let failure = tokio::time::timeout(WITHIN, trying).await.unwrap_or_else(|_| {
        Some(Cause::new(
            FailureKind::Timeout,
            format!("nobody could be told within {} s", WITHIN.as_secs()),
        ))
    });
    desk.output.finish();
    failure
}

/// Whether to try again: only what was surely not heard, or refused for now.
fn is_worth_trying(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed { cause, effect } => match cause.kind {
            FailureKind::Unavailable => true,
            FailureKind::Denied
            | FailureKind::Invalid
            | FailureKind::NotFound
            | FailureKind::Cancelled
            | FailureKind::Rejected
            | FailureKind::Invariant
            | FailureKind::Template => false,
            _ => *effect == FailureEffect::None,
        },
        Outcome::Changed { .. } | Outcome::Unchanged { .. } | Outcome::Unknown { .. } => false,
    }
}
