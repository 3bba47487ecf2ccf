//! `systemd.wait`: until a unit is in a state.

use crate::arguments::{UnitName, arguments, default_every, default_wait};
use crate::bus::Bus;
use crate::failure::Failure;
use crate::place::Place;
use crate::settle::{self, Settled};
use crate::state::{UnitState, status_schema};
use caxplan_adapter::{ActionThrough, Call, Change, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, Duration, FailureKind, Outcome, Value};
use caxplan_ssh::Connections;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::fmt;
use tokio::time::Instant;

/// The shortest pause between two looks, whatever the plan says.
const EVERY_MIN: std::time::Duration = std::time::Duration::from_millis(100);

/// What a unit is waited for to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Awaited {
    /// It runs.
    Active,
    /// It is down, whether it ended well or failed.
    Inactive,
    /// It has failed.
    Failed,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
        })
    }
}

arguments! {
    /// Arguments of `systemd.wait`.
    Wait {
        /// The unit. `.service` is added to a name without a suffix.
        unit: UnitName,
        /// What it shall be: `active`, `inactive` (also if it failed) or `failed`.
        state: Awaited,
        /// How long it must stay active once it is.
        #[serde(default)]
        settle: Duration,
        /// How long to wait before giving up.
        #[serde(default = "default_wait", rename = "for")]
        within: Duration,
        /// The pause between two looks.
        #[serde(default = "default_every")]
        every: Duration,
    }
}

impl Wait {
    fn is_so(&self, state: &UnitState) -> bool {
        match self.state {
            Awaited::Active => state.is_active() && !state.has_job,
            Awaited::Inactive => state.is_down(),
            Awaited::Failed => state.is_failed(),
        }
    }

    /// Its state if it is so; else what is in the way. That the machine does not answer is only one more thing in the way:
    /// it may be starting.
    async fn look(
        &self,
        place: &Place,
        context: &Context,
    ) -> Result<Result<(UnitState, u64), String>, Cause> {
        let looking = async {
            let bus = Bus::open(place, context).await?;
            let state = bus.look(&self.unit).await.map_err(Failure::cause)?;
            let now = bus.now();
            if !self.is_so(&state) {
                return Ok(Err(format!(
                    "{} is {} on {}",
                    self.unit,
                    state.shown(now),
                    bus.on()
                )));
            }
            if self.state == Awaited::Active && self.settle != Duration::ZERO {
                let watched = settle::watch(&bus, &self.unit, self.settle.as_std(), context).await;
                match watched.map_err(Failure::cause)? {
                    Settled::Stayed(state) => return Ok(Ok((state, bus.now()))),
                    Settled::Left(_, why) => return Ok(Err(format!("{} {why} on {}", self.unit, bus.on()))),
                }
            }
            Ok::<_, Cause>(Ok((state, now)))
        };
        match looking.await {
            Ok(seen) => Ok(seen),
            Err(cause)
                if matches!(
                    cause.kind,
                    FailureKind::Unavailable | FailureKind::Lost | FailureKind::Timeout
                ) =>
            {
                place.forget();
                Ok(Err(cause.message))
            }
            Err(cause) => Err(cause),
        }
    }

    async fn until(&self, place: &Place, context: &Context) -> Result<Outcome, Cause> {
        let deadline = Instant::now() + self.within.as_std();
        let mut said = String::new();
        loop {
            let reason = match tokio::time::timeout_at(deadline, self.look(place, context)).await {
                Ok(Ok(Ok((state, now)))) => {
                    return Ok(Outcome::Unchanged {
                        output: state.output(now),
                    });
                }
                Ok(Ok(Err(reason))) => reason,
                Ok(Err(cause)) => return Err(cause),
                Err(_) if said.is_empty() => format!("{} does not answer", place.name()),
                Err(_) => said.clone(),
            };
            if reason != said {
                context.note(&reason);
                said = reason;
            }
            let next = Instant::now() + self.every.as_std().max(EVERY_MIN);
            if next >= deadline {
                return Err(Cause::new(
                    FailureKind::Expectation,
                    format!(
                        "{} was not {} within {}: {said}",
                        self.unit, self.state, self.within
                    ),
                ));
            }
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = context.cancel.cancelled() => {
                    return Err(Cause::new(FailureKind::Cancelled, format!("stopped while waiting: {said}")));
                }
            }
        }
    }
}

#[async_trait]
impl ActionThrough<Connections> for Wait {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: status_schema(),
            examples: vec![json!({ "unit": "caxton", "state": "active", "settle": "10s", "for": "2m" })],
            ..reads::<Self>("systemd.wait", "Waits until a unit is active, inactive or failed")
        }
    }

    async fn forecast(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<Forecast, Cause> {
        let place = self.place(through, call, context)?;
        Ok(Forecast {
            change: Change::WouldNot,
            summary: format!(
                "waits up to {} for {} to be {} on {}",
                self.within,
                self.unit,
                self.state,
                place.name()
            ),
            before: Value::Null,
        })
    }

    async fn perform(&self, through: &Connections, call: &Call, context: &Context) -> Outcome {
        let waiting = async {
            let place = self.place(through, call, context)?;
            self.until(&place, context).await
        };
        waiting
            .await
            .unwrap_or_else(|cause| Failure::Before(cause).into())
    }
}
