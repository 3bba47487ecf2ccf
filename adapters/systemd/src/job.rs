//! Jobs: what systemd makes of a wish, and how it ends.

use crate::arguments::UnitName;
use crate::bus::{Bus, MANAGER};
use crate::failure::{Failure, lost};
use caxplan_adapter::Context;
use caxplan_model::{Cause, FailureKind};
use futures_util::StreamExt as _;
use std::time::Duration;
use tokio::time::Instant;
use zbus::MatchRule;
use zbus::MessageStream;
use zbus::OwnedObjectPath;
use zbus::message::Type;

/// How often a job that goes on is spoken of.
const SPEAK_EVERY: Duration = Duration::from_secs(10);

/// How long a cancelled job may take to go.
const CANCEL_MAX: Duration = Duration::from_secs(2);

/// What is asked of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Stop,
    Restart,
    Reload,
}

impl Verb {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::Start => "StartUnit",
            Self::Stop => "StopUnit",
            Self::Restart => "RestartUnit",
            Self::Reload => "ReloadUnit",
        }
    }
}

/// How a job ended, in systemd's word: `done`, `failed`, `timeout`, `dependency`, `canceled`, `skipped`, …
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobEnd(pub(crate) String);

impl JobEnd {
    pub(crate) fn is_done(&self) -> bool {
        self.0 == "done"
    }
}

/// That a job went, as systemd announces it.
struct Removed {
    sender: Option<String>,
    job: OwnedObjectPath,
    result: String,
}

/// The announcements of a connection.
struct Announcements(MessageStream);

impl Announcements {
    async fn of(bus: &Bus<'_>) -> Result<Self, zbus::Error> {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .interface(MANAGER)
            .member("JobRemoved")
            .build()?;
        Ok(Self(
            MessageStream::for_match_rule(rule, &bus.connection, None).await?,
        ))
    }

    /// The next one; none if the connection has ended. Cancel safe.
    async fn next(&mut self) -> Option<Removed> {
        loop {
            let message = self.0.next().await?.ok()?;
            let body = message.body();
            let Ok((_, job, _, result)) = body.deserialize::<(u32, OwnedObjectPath, String, String)>() else {
                continue;
            };
            let sender = message.header().sender().map(ToString::to_string);
            return Some(Removed { sender, job, result });
        }
    }
}

/// Asks for a job and waits until it is done or not, whatever systemd made of it. When the context is cancelled, so is the
/// job.
///
/// # Errors
/// [`Failure::Before`] if systemd refused, [`Failure::Midway`] if the job was cancelled, [`Failure::Unknown`] if the
/// connection broke.
pub(crate) async fn run(
    bus: &Bus<'_>,
    verb: Verb,
    unit: &UnitName,
    context: &Context,
) -> Result<JobEnd, Failure> {
    let what = format!("{} {unit}", verb.word());
    if context.cancel.is_cancelled() {
        return Err(Failure::Before(stopped(&what)));
    }
    // Whoever subscribes after the call may miss the end of a quick job.
    let mut announcements = Announcements::of(bus)
        .await
        .map_err(|error| crate::failure::BusError::from(error).reading(&what, bus.on()))?;
    bus.manager("Subscribe", &())
        .await
        .map(|_| ())
        .or_else(|error| match error {
            // Once is enough.
            crate::failure::BusError::Refused { name, .. } if name.ends_with("AlreadySubscribed") => Ok(()),
            error => Err(error.reading(&what, bus.on())),
        })?;

    let mut seen = Vec::new();
    let answer = {
        let body = (unit.as_str(), "replace");
        let asking = bus.manager(verb.method(), &body);
        tokio::pin!(asking);
        loop {
            // Announcements are taken meanwhile: a queue that runs over would keep the answer from us.
            tokio::select! {
                biased;
                answer = &mut asking => break answer,
                removed = announcements.next() => match removed {
                    Some(removed) => seen.push(removed),
                    None => return Err(broke(&what, bus)),
                },
            }
        }
    };
    let answer = answer.map_err(|error| error.changing(&what, bus.on()))?;
    let job: OwnedObjectPath = answer
        .body()
        .deserialize()
        .map_err(|error| Failure::Unknown(lost(&format!("cannot {what}: {error}"))))?;
    // Anybody may send a signal of this name; only systemd sends it with systemd's address.
    let systemd = answer.header().sender().map(ToString::to_string);
    let is_ours = |removed: &Removed| removed.job == job && removed.sender == systemd;
    if let Some(removed) = seen.into_iter().find(is_ours) {
        return Ok(JobEnd(removed.result));
    }

    let begun = Instant::now();
    let number = job.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    context.note(&format!("waits for job {number}: {what} on {}", bus.on()));
    let mut speak = tokio::time::interval_at(begun + SPEAK_EVERY, SPEAK_EVERY);
    loop {
        tokio::select! {
            removed = announcements.next() => match removed {
                Some(removed) if is_ours(&removed) => return Ok(JobEnd(removed.result)),
                Some(_) => {}
                None => return Err(broke(&what, bus)),
            },
            () = bus.connection.closed() => return Err(broke(&what, bus)),
            () = context.cancel.cancelled() => {
                return Err(cancel(bus, &job, &what, unit, &mut announcements, context).await);
            }
            _ = speak.tick() => {
                if let Ok(state) = bus.unit(unit).await {
                    context.note(&format!(
                        "{unit} is {} ({}) after {} s",
                        state.active_state,
                        state.sub_state,
                        begun.elapsed().as_secs()
                    ));
                }
            }
        }
    }
}

/// Takes the job back. The unit stays as far as it has come.
async fn cancel(
    bus: &Bus<'_>,
    job: &OwnedObjectPath,
    what: &str,
    unit: &UnitName,
    announcements: &mut Announcements,
    context: &Context,
) -> Failure {
    let cancelling = async {
        let asked = bus
            .call(job.as_str(), "org.freedesktop.systemd1.Job", "Cancel", &())
            .await;
        if asked.is_err() {
            return None;
        }
        while let Some(removed) = announcements.next().await {
            if removed.job == *job {
                return bus.unit(unit).await.ok();
            }
        }
        None
    };
    let now = tokio::time::timeout(CANCEL_MAX, cancelling).await.ok().flatten();
    let text = match now {
        Some(state) => format!(
            "the job `{what}` was cancelled; {unit} is {} ({}) on {}",
            state.active_state,
            state.sub_state,
            bus.on()
        ),
        None => format!(
            "the job `{what}` was given up on {}, and may go on there",
            bus.on()
        ),
    };
    // Of a time limit, the engine says only that it passed.
    context.note(&text);
    Failure::Midway(Cause::new(FailureKind::Cancelled, text))
}

fn stopped(what: &str) -> Cause {
    Cause::new(
        FailureKind::Cancelled,
        format!("stopped before `{what}` was asked for"),
    )
}

fn broke(what: &str, bus: &Bus<'_>) -> Failure {
    bus.place.forget();
    Failure::Unknown(
        lost(&format!(
            "the connection to {} broke while the job `{what}` was going on",
            bus.on()
        ))
        .with_hint("the job goes on without us: systemd.status says what became of it"),
    )
}
