//! `systemd.unit`: a unit file, or a drop-in beside one.

use crate::arguments::{UnitName, arguments, default_log_lines};
use crate::bus::Bus;
use crate::change::{Acting, outcome};
use crate::diff::unified;
use crate::failure::Failure;
use crate::job::Verb;
use crate::place::Place;
use crate::state;
use crate::unit_file::{UnitFile, folder};
use caxplan_adapter::{ActionThrough, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureKind, Outcome, UndoSupport, Value, Verdict};
use caxplan_ssh::Connections;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;

/// The largest unit file, in bytes: systemd itself refuses lines beyond that.
const CONTENT_MAX: usize = 1 << 20;

/// Whether a file is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Presence {
    /// It is, with this content.
    #[default]
    Present,
    /// It is not.
    Absent,
}

fn default_mode() -> String {
    "0644".to_owned()
}

arguments! {
    /// Arguments of `systemd.unit`.
    #[schemars(extend("not" = { "required": ["content", "src"] }))]
    Unit {
        /// The unit. `.service` is added to a name without a suffix.
        unit: UnitName,
        /// What the file shall hold.
        #[serde(default)]
        content: Option<String>,
        /// A file that holds it, relative to the plan's folder.
        #[serde(default)]
        src: Option<PathBuf>,
        /// The name of a drop-in beside the unit's own file (`limits` becomes `UNIT.d/limits.conf`) instead of that file.
        #[serde(default)]
        #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"))]
        drop_in: Option<String>,
        /// `present`, or `absent`.
        #[serde(default)]
        state: Presence,
        /// The file's permissions in octal digits.
        #[serde(default = "default_mode")]
        #[schemars(regex(pattern = r"^0?[0-7]{3}$"))]
        mode: String,
    }
}

/// What lay there before, as the journal keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    path: String,
    file: UnitFile,
    /// What the unit did.
    unit: state::Before,
}

impl Unit {
    /// What shall lie there.
    fn wanted(&self, context: &Context) -> Result<UnitFile, Cause> {
        let invalid = |message: String| Cause::new(FailureKind::Invalid, message);
        let text = match (&self.content, &self.src, self.state) {
            (None, None, Presence::Absent) => return Ok(UnitFile::Absent),
            (_, _, Presence::Absent) => {
                return Err(invalid("a unit that shall be absent has no content".to_owned()));
            }
            (Some(text), None, Presence::Present) => text.clone(),
            (None, Some(src), Presence::Present) => {
                let path = context.plan_dir.join(src);
                std::fs::read_to_string(&path).map_err(|error| {
                    let kind = match error.kind() {
                        std::io::ErrorKind::NotFound => FailureKind::NotFound,
                        std::io::ErrorKind::PermissionDenied => FailureKind::Denied,
                        _ => FailureKind::Other,
                    };
                    Cause::new(kind, format!("cannot read {}: {error}", path.display()))
                })?
            }
            (_, _, Presence::Present) => {
                return Err(invalid("give one of `content` and `src`".to_owned()));
            }
        };
        if text.len() > CONTENT_MAX {
            return Err(invalid(format!("a unit file has at most {CONTENT_MAX} bytes")));
        }
        let mode = u32::from_str_radix(&self.mode, 8)
            .ok()
            .filter(|mode| *mode <= 0o777)
            .ok_or_else(|| invalid(format!("`{}` is no mode such as \"0644\"", self.mode)))?;
        Ok(UnitFile::Text { text, mode })
    }

    /// Where it lies, below the folder of unit files.
    fn path(&self, folder: &str) -> Result<String, Cause> {
        let Some(drop_in) = &self.drop_in else {
            return Ok(format!("{folder}/{}", self.unit));
        };
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let stem = drop_in.strip_suffix(".conf").unwrap_or(drop_in);
        if stem.is_empty() || stem.starts_with(['.', '-']) || !stem.chars().all(is_allowed) {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!("`{drop_in}` is no name of a drop-in"),
            ));
        }
        Ok(format!("{folder}/{}.d/{stem}.conf", self.unit))
    }

    /// Where it lies, what lies there, and what shall.
    async fn compare(
        &self,
        bus: &Bus<'_>,
        context: &Context,
    ) -> Result<(String, UnitFile, UnitFile), Failure> {
        let wanted = self.wanted(context)?;
        let path = self.path(&folder(bus).await?)?;
        let now = UnitFile::read(bus.place, &path, context).await?;
        Ok((path, now, wanted))
    }

    async fn foresee(&self, place: &Place, context: &Context) -> Result<Forecast, Failure> {
        // What is wrong with the arguments is said before anything is asked.
        self.wanted(context)?;
        self.path("")?;
        let bus = Bus::open(place, context).await?;
        let (path, now, wanted) = self.compare(&bus, context).await?;
        let on = bus.on();
        let (change, summary) = match (&now, &wanted) {
            (now, wanted) if now == wanted => (Change::WouldNot, format!("{path} is as wanted on {on}")),
            (UnitFile::Absent, _) => (Change::Would, format!("would create {path} on {on}")),
            (UnitFile::Text { text: old, .. }, UnitFile::Absent) => (
                Change::Would,
                format!("would remove {path} on {on}{}", unified(old, "")),
            ),
            (_, UnitFile::Absent) => (Change::Would, format!("would remove {path} on {on}")),
            (
                UnitFile::Text {
                    text: old,
                    mode: from,
                },
                UnitFile::Text { text: new, mode: to },
            ) => {
                let mode = if from == to {
                    String::new()
                } else {
                    format!(", mode {from:04o} to {to:04o}")
                };
                (
                    Change::Would,
                    format!("would change {path} on {on}{mode}{}", unified(old, new)),
                )
            }
            (UnitFile::Link { to }, _) => (
                Change::Would,
                format!("would replace {path} on {on}, a link to {to}"),
            ),
            (UnitFile::Other { bytes }, _) => (
                Change::Would,
                format!("would replace {path} on {on} ({bytes} bytes that an undo could not restore)"),
            ),
            (UnitFile::Text { .. }, _) => (Change::Would, format!("would change {path} on {on}")),
        };
        Ok(Forecast {
            change,
            summary,
            before: serde_json::to_value(Before {
                path,
                file: now,
                unit: bus.look(&self.unit).await?.remembered(),
            })
            .expect("it is plain data"),
        })
    }

    async fn write(&self, place: &Place, context: &Context) -> Result<Outcome, Failure> {
        self.wanted(context)?;
        self.path("")?;
        let bus = Bus::open(place, context).await?;
        let (path, now, wanted) = self.compare(&bus, context).await?;
        let changed = now != wanted;
        if changed {
            if let (UnitFile::Text { text, .. }, None) = (&wanted, &self.drop_in)
                && let Some(said) = UnitFile::verify(place, self.unit.as_str(), text, context).await
            {
                context.note(&format!("systemd-analyze verify: {said}"));
            }
            wanted.put(place, &path, context).await?;
        }
        // A file that is as wanted may have come there before a crash, and systemd may not know of it.
        let state = bus.look(&self.unit).await.map_err(Failure::after_a_change)?;
        if changed || state.need_reload || !self.is_seen(&state, &path) {
            bus.reload().await.map_err(Failure::after_a_change)?;
        }
        if !self.unit.is_template() {
            let state = bus.look(&self.unit).await.map_err(Failure::after_a_change)?;
            if !self.is_seen(&state, &path) {
                return Err(Failure::Midway(
                    Cause::new(
                        FailureKind::Conflict,
                        format!(
                            "systemd of {} does not go by {path}: {}",
                            bus.on(),
                            if state.load_error.is_empty() {
                                &state.load_state
                            } else {
                                &state.load_error
                            }
                        ),
                    )
                    .with_hint("is the bus that of another machine or container, or is the unit masked?"),
                ));
            }
            if matches!(state.load_state.as_str(), "error" | "bad-setting") {
                return Err(Failure::Midway(
                    Cause::new(
                        FailureKind::Invalid,
                        format!("systemd cannot load {path} on {}: {}", bus.on(), state.load_error),
                    )
                    .with_hint("`systemd-analyze verify` says what is wrong with it"),
                ));
            }
        }
        Ok(outcome(changed, json!({ "path": path })))
    }

    /// Whether systemd goes by the file, or has forgotten it.
    fn is_seen(&self, state: &state::UnitState, path: &str) -> bool {
        if self.unit.is_template() {
            return true;
        }
        let is_there = match self.drop_in {
            Some(_) => state.drop_ins.iter().any(|drop_in| drop_in == path) || !state.exists(),
            None => state.fragment == path,
        };
        match self.state {
            Presence::Present => is_there,
            Presence::Absent => {
                state.fragment != path && !state.drop_ins.iter().any(|drop_in| drop_in == path)
            }
        }
    }

    async fn look_again(&self, place: &Place, context: &Context) -> Result<Verdict, Failure> {
        let bus = Bus::open(place, context).await?;
        let (path, now, wanted) = self.compare(&bus, context).await?;
        let state = bus.look(&self.unit).await?;
        Ok(
            if now == wanted && self.is_seen(&state, &path) && !state.need_reload {
                Verdict::Done {
                    output: json!({ "path": path }),
                }
            } else {
                Verdict::NotDone
            },
        )
    }

    async fn restore(&self, before: &Value, place: &Place, context: &Context) -> Result<Outcome, Failure> {
        let before: Before = serde_json::from_value(before.clone()).map_err(|error| {
            Cause::new(
                FailureKind::Invalid,
                format!("what the file of {} held before is not known: {error}", self.unit),
            )
        })?;
        let bus = Bus::open(place, context).await?;
        // After a crash between the two, only the second is left to do.
        let changed = UnitFile::read(place, &before.path, context).await? != before.file;
        if changed {
            before.file.put(place, &before.path, context).await?;
        }
        bus.reload().await.map_err(Failure::after_a_change)?;
        if self.unit.is_template() {
            return Ok(outcome(changed, Value::Null));
        }
        // What was started since runs as the other file said.
        let state = bus.look(&self.unit).await.map_err(Failure::after_a_change)?;
        if before.unit.was_active() && state.invocation_id != before.unit.invocation_id {
            let acting = Acting {
                bus: &bus,
                unit: &self.unit,
                settle: std::time::Duration::ZERO,
                log_lines: default_log_lines(),
                context,
            };
            acting.act(Verb::Restart).await.map_err(Failure::after_a_change)?;
            return Ok(outcome(true, Value::Null));
        }
        Ok(outcome(changed, Value::Null))
    }
}

#[async_trait]
impl ActionThrough<Connections> for Unit {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": { "path": { "type": "string" } },
                "required": ["path"],
            }),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            examples: vec![
                json!({ "unit": "caxton", "src": "caxton.service", "sudo": true }),
                json!({ "unit": "caxton", "drop_in": "limits", "content": "[Service]\nLimitNOFILE=65536\n" }),
            ],
            ..changes::<Self>(
                "systemd.unit",
                "Puts a unit file or drop-in in place, or takes it away, and has systemd read it",
            )
        }
    }

    async fn forecast(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<Forecast, Cause> {
        let place = self.place(through, call, context)?;
        self.foresee(&place, context).await.map_err(Failure::cause)
    }

    async fn perform(&self, through: &Connections, call: &Call, context: &Context) -> Outcome {
        let performing = async {
            let place = self.place(through, call, context)?;
            self.write(&place, context).await
        };
        performing.await.unwrap_or_else(Outcome::from)
    }

    async fn probe(&self, through: &Connections, call: &Call, context: &Context) -> Verdict {
        let probing = async {
            let place = self.place(through, call, context)?;
            self.look_again(&place, context).await
        };
        probing.await.unwrap_or_else(|failure| Verdict::Unknown {
            reason: failure.cause().message,
        })
    }

    async fn undo(&self, through: &Connections, call: &Call, before: &Value, context: &Context) -> Outcome {
        let undoing = async {
            let place = self.place(through, call, context)?;
            self.restore(before, &place, context).await
        };
        undoing.await.unwrap_or_else(Outcome::from)
    }
}
