//! `systemd.start`, `stop`, `restart`, `reload`: what a unit does now.

use crate::arguments::{UnitName, arguments, default_log_lines};
use crate::bus::Bus;
use crate::change::{Acting, outcome};
use crate::failure::Failure;
use crate::job::Verb;
use crate::place::Place;
use crate::settle::{self, Settled};
use crate::state::{Before, UnitState, status_schema};
use caxplan_adapter::{ActionThrough, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, Duration, FailureKind, Outcome, UndoSupport, Value, Verdict};
use caxplan_ssh::Connections;
use serde_json::json;
use tokio::time::Instant;

/// How long a probe waits for a machine to come back, and for a job that still goes on there: less than the minute that
/// the engine gives to whatever reads.
const PROBE_MAX: std::time::Duration = std::time::Duration::from_secs(55);

/// For how long, at most, a probe watches whether a unit stays active.
const PROBE_SETTLE_MAX: std::time::Duration = std::time::Duration::from_secs(15);

/// The pause between two looks of a probe.
const PROBE_POLL: std::time::Duration = std::time::Duration::from_millis(500);

arguments! {
    /// Arguments of `systemd.start`.
    Start {
        /// The unit. `.service` is added to a name without a suffix.
        unit: UnitName,
        /// How long it must stay active, as the same process, before the step has succeeded.
        #[serde(default)]
        settle: Duration,
        /// How many of its last journal lines a failure shows.
        #[serde(default = "default_log_lines")]
        log_lines: u32,
    }
}

arguments! {
    /// Arguments of `systemd.stop`.
    Stop {
        /// The unit. `.service` is added to a name without a suffix.
        unit: UnitName,
        /// How many of its last journal lines a failure shows.
        #[serde(default = "default_log_lines")]
        log_lines: u32,
    }
}

arguments! {
    /// Arguments of `systemd.restart`.
    Restart {
        /// The unit. `.service` is added to a name without a suffix. One that is not active is started.
        unit: UnitName,
        /// How long it must stay active, as the same process, before the step has succeeded.
        #[serde(default)]
        settle: Duration,
        /// How many of its last journal lines a failure shows.
        #[serde(default = "default_log_lines")]
        log_lines: u32,
    }
}

arguments! {
    /// Arguments of `systemd.reload`.
    Reload {
        /// The unit. `.service` is added to a name without a suffix.
        unit: UnitName,
        /// How long it must stay active, as the same process, before the step has succeeded.
        #[serde(default)]
        settle: Duration,
        /// How many of its last journal lines a failure shows.
        #[serde(default = "default_log_lines")]
        log_lines: u32,
    }
}

/// What one of the four does with its arguments.
struct Wish<'a> {
    verb: Verb,
    unit: &'a UnitName,
    settle: Duration,
    log_lines: u32,
}

impl Wish<'_> {
    /// Whether nothing is to do.
    fn is_met(&self, state: &UnitState) -> bool {
        match self.verb {
            Verb::Start => state.is_active(),
            Verb::Stop => state.exists() && state.is_down(),
            Verb::Restart | Verb::Reload => false,
        }
    }

    async fn forecast(&self, place: &Place, context: &Context) -> Result<Forecast, Cause> {
        let bus = Bus::open(place, context).await?;
        let state = bus.look(self.unit).await.map_err(Failure::cause)?;
        let now = bus.now();
        let (unit, word, shown) = (self.unit, self.verb.word(), state.shown(now));
        let on = bus.on();
        let (change, summary) = if !state.exists() {
            let text = format!(
                "{unit} does not exist on {on}: to {word} it fails unless an earlier step creates it"
            );
            (Change::Unknown, text)
        } else if state.is_masked() && self.verb != Verb::Stop {
            let text =
                format!("{unit} is masked on {on}: to {word} it fails unless an earlier step unmasks it");
            (Change::Unknown, text)
        } else if self.is_met(&state) {
            (Change::WouldNot, format!("{unit} is {shown} on {on} already"))
        } else if self.verb == Verb::Reload && !state.is_active() {
            let text =
                format!("{unit} is {shown} on {on}: to reload it fails unless an earlier step starts it");
            (Change::Unknown, text)
        } else if self.verb == Verb::Reload && !state.can_reload {
            (
                Change::Unknown,
                format!("{unit} cannot be reloaded on {on}: it has no ExecReload="),
            )
        } else {
            (Change::Would, format!("would {word} {unit} on {on} ({shown})"))
        };
        Ok(Forecast {
            change,
            summary,
            before: state.before(),
        })
    }

    async fn perform(&self, place: &Place, context: &Context) -> Result<Outcome, Failure> {
        let begun = Instant::now();
        let bus = Bus::open(place, context).await?;
        let state = bus.look(self.unit).await?;
        if !state.exists() {
            return Err(Failure::Before(
                Cause::new(
                    FailureKind::NotFound,
                    format!(
                        "cannot {} {}: {} has no such unit",
                        self.verb.word(),
                        self.unit,
                        bus.on()
                    ),
                )
                .with_hint("is its name right, and is it installed there?"),
            ));
        }
        if state.need_reload {
            context.note(&format!(
                "the file of {} has changed on disk, but systemd goes by the old one: systemd.daemon_reload has it read again",
                self.unit
            ));
        }
        let acting = self.acting(&bus, context);
        if self.is_met(&state) {
            let state = match self.verb {
                Verb::Start => acting.settled(begun).await?,
                Verb::Stop | Verb::Restart | Verb::Reload => state,
            };
            return Ok(outcome(false, acting.output(&state)));
        }
        let state = acting.act(self.verb).await?;
        Ok(outcome(true, acting.output(&state)))
    }

    fn acting<'a>(&'a self, bus: &'a Bus<'a>, context: &'a Context) -> Acting<'a> {
        Acting {
            bus,
            unit: self.unit,
            settle: self.settle.as_std(),
            log_lines: self.log_lines,
            context,
        }
    }

    /// Whether an interrupted attempt did it, once no job goes on any more. A machine that does not answer may be on its
    /// way up: it is waited for.
    async fn probe(&self, place: &Place, before: &Value, context: &Context) -> Result<Verdict, Cause> {
        let before = match self.verb {
            Verb::Restart => Some(Before::of(before)?),
            Verb::Start | Verb::Stop => None,
            Verb::Reload => {
                return Ok(Verdict::Unknown {
                    reason: "a reload leaves no trace".to_owned(),
                });
            }
        };
        let deadline = Instant::now() + PROBE_MAX;
        let mut reason = format!("{} does not answer", place.name());
        loop {
            match tokio::time::timeout_at(deadline, self.probe_now(place, before.as_ref(), context)).await {
                Ok(Ok(Ok(verdict))) => return Ok(verdict),
                Ok(Ok(Err(going_on))) => reason = going_on,
                Ok(Err(cause)) if is_out_of_reach(&cause) => {
                    place.forget();
                    reason = cause.message;
                }
                Ok(Err(cause)) => return Err(cause),
                Err(_) => return Ok(Verdict::Unknown { reason }),
            }
            if context.cancel.is_cancelled() {
                return Ok(Verdict::Unknown { reason });
            }
            tokio::time::sleep(PROBE_POLL).await;
        }
    }

    /// What is so now; or what is still going on.
    async fn probe_now(
        &self,
        place: &Place,
        before: Option<&Before>,
        context: &Context,
    ) -> Result<Result<Verdict, String>, Cause> {
        let bus = Bus::open(place, context).await?;
        let state = bus.look(self.unit).await.map_err(Failure::cause)?;
        if state.has_job || !(state.is_active() || state.is_down()) {
            return Ok(Err(format!(
                "{} is still {} ({}) on {}",
                self.unit,
                state.active_state,
                state.sub_state,
                bus.on()
            )));
        }
        let is_done = match self.verb {
            Verb::Stop => state.exists() && state.is_down(),
            Verb::Start | Verb::Restart | Verb::Reload => {
                state.is_active() && before.is_none_or(|before| before.invocation_id != state.invocation_id)
            }
        };
        if !is_done {
            return Ok(Ok(Verdict::NotDone));
        }
        let state = match self.verb {
            Verb::Stop => state,
            Verb::Start | Verb::Restart | Verb::Reload => {
                let time = self.settle.as_std().min(PROBE_SETTLE_MAX);
                let settled = settle::watch(&bus, self.unit, time, context).await;
                match settled.map_err(Failure::cause)? {
                    Settled::Stayed(state) => state,
                    Settled::Left(..) => return Ok(Ok(Verdict::NotDone)),
                }
            }
        };
        Ok(Ok(Verdict::Done {
            output: state.output(bus.now()),
        }))
    }

    async fn undo(&self, place: &Place, before: &Value, context: &Context) -> Result<Outcome, Failure> {
        let before = Before::of(before)?;
        let bus = Bus::open(place, context).await?;
        // What it must do to count as healthy is the step's matter; the undo only lets it run.
        let acting = Acting {
            settle: std::time::Duration::ZERO,
            ..self.acting(&bus, context)
        };
        let changed = acting.restore_active(&before).await?;
        Ok(outcome(changed, Value::Null))
    }
}

/// Whether the machine, and not the question, was the trouble.
fn is_out_of_reach(cause: &Cause) -> bool {
    matches!(
        cause.kind,
        FailureKind::Unavailable | FailureKind::Lost | FailureKind::Timeout
    )
}

fn unless_told(verdict: Result<Verdict, Cause>) -> Verdict {
    verdict.unwrap_or_else(|cause| Verdict::Unknown {
        reason: cause.message,
    })
}

/// The same for all four: only their specifications differ.
macro_rules! activates {
    ($name:ident, $verb:expr, $settle:expr, $spec:expr) => {
        impl $name {
            fn wish(&self) -> Wish<'_> {
                Wish {
                    verb: $verb,
                    unit: &self.unit,
                    settle: $settle(self),
                    log_lines: self.log_lines,
                }
            }
        }

        #[async_trait]
        impl ActionThrough<Connections> for $name {
            fn spec() -> ActionSpec {
                ActionSpec {
                    output: status_schema(),
                    ..$spec
                }
            }

            async fn forecast(
                &self,
                through: &Connections,
                call: &Call,
                context: &Context,
            ) -> Result<Forecast, Cause> {
                let place = self.place(through, call, context)?;
                self.wish().forecast(&place, context).await
            }

            async fn perform(&self, through: &Connections, call: &Call, context: &Context) -> Outcome {
                let performing = async {
                    let place = self.place(through, call, context)?;
                    self.wish().perform(&place, context).await
                };
                performing.await.unwrap_or_else(Outcome::from)
            }

            async fn probe_from(
                &self,
                through: &Connections,
                call: &Call,
                before: &Value,
                context: &Context,
            ) -> Verdict {
                let probing = async {
                    let place = self.place(through, call, context)?;
                    self.wish().probe(&place, before, context).await
                };
                unless_told(probing.await)
            }

            async fn undo(
                &self,
                through: &Connections,
                call: &Call,
                before: &Value,
                context: &Context,
            ) -> Outcome {
                let undoing = async {
                    let place = self.place(through, call, context)?;
                    self.wish().undo(&place, before, context).await
                };
                undoing.await.unwrap_or_else(Outcome::from)
            }
        }
    };
}

activates!(
    Start,
    Verb::Start,
    |this: &Self| this.settle,
    ActionSpec {
        idempotent: true,
        probes: true,
        undo: UndoSupport::Native,
        records_before: true,
        availability: 1,
        examples: vec![json!({ "unit": "caxton", "settle": "10s", "sudo": true })],
        ..changes::<Self>("systemd.start", "Starts a unit and waits until it runs")
    }
);

activates!(
    Stop,
    Verb::Stop,
    |_: &Self| Duration::ZERO,
    ActionSpec {
        idempotent: true,
        probes: true,
        undo: UndoSupport::Native,
        records_before: true,
        availability: -1,
        examples: vec![json!({ "unit": "caxton.service", "sudo": true })],
        ..changes::<Self>("systemd.stop", "Stops a unit and waits until it is down")
    }
);

activates!(
    Restart,
    Verb::Restart,
    |this: &Self| this.settle,
    ActionSpec {
        probes: true,
        undo: UndoSupport::Native,
        records_before: true,
        examples: vec![json!({ "unit": "caxton", "settle": "10s", "sudo": true })],
        ..changes::<Self>("systemd.restart", "Restarts a unit and waits until it runs again")
    }
);

activates!(
    Reload,
    Verb::Reload,
    |this: &Self| this.settle,
    ActionSpec {
        idempotent: true,
        undo: UndoSupport::NotNeeded,
        examples: vec![json!({ "unit": "nginx", "sudo": true })],
        ..changes::<Self>(
            "systemd.reload",
            "Lets a unit read its configuration again, without a restart"
        )
    }
);
