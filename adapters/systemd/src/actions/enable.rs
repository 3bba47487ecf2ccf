//! `systemd.enable`, `disable`, `mask`, `unmask`: what a unit does when the machine starts.

use crate::arguments::{UnitName, arguments, default_log_lines};
use crate::bus::Bus;
use crate::change::{Acting, outcome};
use crate::failure::Failure;
use crate::job::Verb;
use crate::place::Place;
use crate::state::{Before, UnitState, status_schema};
use caxplan_adapter::{ActionThrough, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureKind, Outcome, UndoSupport, Value, Verdict};
use caxplan_ssh::Connections;
use serde_json::json;
use std::time::Duration;

arguments! {
    /// Arguments of `systemd.enable`.
    Enable {
        /// The unit. `.service` is added to a name without a suffix.
        unit: UnitName,
        /// Whether it is started too.
        #[serde(default)]
        now: bool,
    }
}

arguments! {
    /// Arguments of `systemd.disable`.
    Disable {
        /// The unit. `.service` is added to a name without a suffix.
        unit: UnitName,
        /// Whether it is stopped too.
        #[serde(default)]
        now: bool,
    }
}

arguments! {
    /// Arguments of `systemd.mask`.
    Mask {
        /// The unit. `.service` is added to a name without a suffix.
        unit: UnitName,
        /// Whether it is stopped too.
        #[serde(default)]
        now: bool,
    }
}

arguments! {
    /// Arguments of `systemd.unmask`.
    Unmask {
        /// The unit. `.service` is added to a name without a suffix.
        unit: UnitName,
        /// Whether it is started too.
        #[serde(default)]
        now: bool,
    }
}

/// What is done to a unit's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Enable,
    Disable,
    Mask,
    Unmask,
}

impl Deed {
    fn word(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Mask => "mask",
            Self::Unmask => "unmask",
        }
    }

    /// Whether a unit whose file is in this state needs nothing.
    fn is_met(self, file_state: &str) -> bool {
        match self {
            Self::Enable => matches!(file_state, "enabled" | "alias"),
            // What cannot be enabled is not.
            Self::Disable => matches!(
                file_state,
                "disabled" | "static" | "indirect" | "generated" | "transient"
            ),
            Self::Mask => file_state == "masked",
            Self::Unmask => !file_state.starts_with("masked"),
        }
    }

    /// Does it, and has systemd read the files again.
    async fn act(self, bus: &Bus<'_>, unit: &UnitName, runtime: bool) -> Result<(), Failure> {
        let files = vec![unit.as_str()];
        let asked = match self {
            Self::Enable => bus.manager("EnableUnitFiles", &(files, runtime, false)).await,
            Self::Disable => bus.manager("DisableUnitFiles", &(files, runtime)).await,
            Self::Mask => bus.manager("MaskUnitFiles", &(files, runtime, false)).await,
            Self::Unmask => bus.manager("UnmaskUnitFiles", &(files, runtime)).await,
        };
        asked.map_err(|error| error.changing(&format!("{} {unit}", self.word()), bus.on()))?;
        bus.reload().await.map_err(Failure::after_a_change)
    }
}

struct Wish<'a> {
    deed: Deed,
    unit: &'a UnitName,
    now: bool,
}

impl Wish<'_> {
    /// What is to happen to the running unit, if anything.
    fn verb(&self, state: &UnitState) -> Option<Verb> {
        let verb = match self.deed {
            Deed::Enable | Deed::Unmask => Verb::Start,
            Deed::Disable | Deed::Mask => Verb::Stop,
        };
        let is_met = match verb {
            Verb::Start => state.is_active(),
            Verb::Stop | Verb::Restart | Verb::Reload => state.is_down(),
        };
        (self.now && !is_met).then_some(verb)
    }

    async fn forecast(&self, place: &Place, context: &Context) -> Result<Forecast, Cause> {
        let bus = Bus::open(place, context).await?;
        let state = bus.look(self.unit).await.map_err(Failure::cause)?;
        let now = bus.now();
        let (unit, on, word, file) = (self.unit, bus.on(), self.deed.word(), &state.unit_file_state);
        let verb = self.verb(&state);
        let (change, summary) = if file.is_empty() && matches!(self.deed, Deed::Enable | Deed::Disable) {
            let text = format!(
                "{unit} does not exist on {on}: to {word} it fails unless an earlier step creates it"
            );
            (Change::Unknown, text)
        } else if self.deed == Deed::Enable && file == "static" {
            (
                Change::Unknown,
                format!("{unit} cannot be enabled on {on}: its file has no [Install]"),
            )
        } else {
            let mut parts = Vec::new();
            if !self.deed.is_met(file) {
                parts.push(format!(
                    "{word} {unit} on {on} ({})",
                    if file.is_empty() { "no file" } else { file }
                ));
            }
            if let Some(verb) = verb {
                parts.push(format!("{} it ({})", verb.word(), state.shown(now)));
            }
            if parts.is_empty() {
                let file = if file.is_empty() { "not masked" } else { file };
                (Change::WouldNot, format!("{unit} is {file} on {on} already"))
            } else {
                (Change::Would, format!("would {}", parts.join(" and ")))
            }
        };
        Ok(Forecast {
            change,
            summary,
            before: state.before(),
        })
    }

    async fn perform(&self, place: &Place, context: &Context) -> Result<Outcome, Failure> {
        let bus = Bus::open(place, context).await?;
        let state = bus.look(self.unit).await?;
        let acting = self.acting(&bus, context);
        if self.deed == Deed::Enable && state.unit_file_state == "static" {
            return Err(Failure::Before(
                Cause::new(
                    FailureKind::Conflict,
                    format!(
                        "cannot enable {} on {}: its file has no [Install]",
                        self.unit,
                        bus.on()
                    ),
                )
                .with_hint("a section [Install] with WantedBy=multi-user.target says when it is to start"),
            ));
        }
        let mut changed = false;
        if !self.deed.is_met(&state.unit_file_state) {
            self.deed.act(&bus, self.unit, false).await?;
            changed = true;
        }
        if let Some(verb) = self.verb(&state) {
            acting.act(verb).await.map_err(after(changed))?;
            changed = true;
        }
        let state = bus.look(self.unit).await.map_err(after(changed))?;
        Ok(outcome(changed, acting.output(&state)))
    }

    async fn probe(&self, place: &Place, context: &Context) -> Result<Verdict, Cause> {
        let bus = Bus::open(place, context).await?;
        let state = bus.look(self.unit).await.map_err(Failure::cause)?;
        if !self.deed.is_met(&state.unit_file_state) || self.verb(&state).is_some() {
            return Ok(Verdict::NotDone);
        }
        Ok(Verdict::Done {
            output: state.output(bus.now()),
        })
    }

    async fn undo(&self, place: &Place, before: &Value, context: &Context) -> Result<Outcome, Failure> {
        let before = Before::of(before)?;
        let bus = Bus::open(place, context).await?;
        let mut changed = restore_file(&bus, self.unit, &before.unit_file_state).await?;
        if self.now {
            let restored = self.acting(&bus, context).restore_active(&before).await;
            changed |= restored.map_err(after(changed))?;
        }
        Ok(outcome(changed, Value::Null))
    }

    fn acting<'a>(&'a self, bus: &'a Bus<'a>, context: &'a Context) -> Acting<'a> {
        Acting {
            bus,
            unit: self.unit,
            settle: Duration::ZERO,
            log_lines: default_log_lines(),
            context,
        }
    }
}

/// The failure of a step that has changed something already, or not.
fn after(changed: bool) -> impl FnOnce(Failure) -> Failure {
    move |failure| {
        if changed {
            failure.after_a_change()
        } else {
            failure
        }
    }
}

/// Brings a unit's files to a state that `systemctl is-enabled` said. Idempotent.
async fn restore_file(bus: &Bus<'_>, unit: &UnitName, wanted: &str) -> Result<bool, Failure> {
    let now = bus.look(unit).await?.unit_file_state;
    if now == wanted {
        return Ok(false);
    }
    let mut changed = false;
    if now.starts_with("masked") {
        Deed::Unmask.act(bus, unit, now.ends_with("-runtime")).await?;
        changed = true;
    }
    let now = bus.look(unit).await.map_err(after(changed))?.unit_file_state;
    let runtime = wanted.ends_with("-runtime");
    let deed = match wanted {
        _ if now == wanted => None,
        "enabled" | "enabled-runtime" => Some(Deed::Enable),
        "disabled" if now.starts_with("enabled") => Some(Deed::Disable),
        "masked" | "masked-runtime" => Some(Deed::Mask),
        // The others follow from the file, which is no matter of ours.
        _ => None,
    };
    if let Some(deed) = deed {
        deed.act(bus, unit, runtime).await.map_err(after(changed))?;
        changed = true;
    }
    Ok(changed)
}

macro_rules! deeds {
    ($name:ident, $deed:expr, $spec:expr) => {
        impl $name {
            fn wish(&self) -> Wish<'_> {
                Wish {
                    deed: $deed,
                    unit: &self.unit,
                    now: self.now,
                }
            }
        }

        #[async_trait]
        impl ActionThrough<Connections> for $name {
            fn spec() -> ActionSpec {
                ActionSpec {
                    output: status_schema(),
                    idempotent: true,
                    probes: true,
                    undo: UndoSupport::Native,
                    records_before: true,
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

            async fn probe(&self, through: &Connections, call: &Call, context: &Context) -> Verdict {
                let probing = async {
                    let place = self.place(through, call, context)?;
                    self.wish().probe(&place, context).await
                };
                probing
                    .await
                    .unwrap_or_else(|cause: Cause| Verdict::Unknown {
                        reason: cause.message,
                    })
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

deeds!(
    Enable,
    Deed::Enable,
    ActionSpec {
        examples: vec![json!({ "unit": "caxton", "now": true, "sudo": true })],
        ..changes::<Self>("systemd.enable", "Lets a unit start with the machine")
    }
);

deeds!(
    Disable,
    Deed::Disable,
    ActionSpec {
        examples: vec![json!({ "unit": "caxton", "now": true, "sudo": true })],
        ..changes::<Self>("systemd.disable", "Lets a unit no longer start with the machine")
    }
);

deeds!(
    Mask,
    Deed::Mask,
    ActionSpec {
        examples: vec![json!({ "unit": "apt-daily.timer", "now": true, "sudo": true })],
        ..changes::<Self>("systemd.mask", "Makes a unit impossible to start, by anybody")
    }
);

deeds!(
    Unmask,
    Deed::Unmask,
    ActionSpec {
        examples: vec![json!({ "unit": "apt-daily.timer", "sudo": true })],
        ..changes::<Self>("systemd.unmask", "Lets a unit that was masked be started again")
    }
);
