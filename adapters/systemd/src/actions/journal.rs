//! `systemd.journal`: what a unit said.

use crate::arguments::{UnitName, arguments};
use crate::failure::Failure;
use crate::lines::{self, Wanted};
use caxplan_adapter::{ActionThrough, Call, Change, Context, Forecast, Stream, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, Duration, FailureKind, Outcome, Value};
use caxplan_ssh::Connections;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// The most lines of one call: what still fits into a record of the journal of runs.
const LINES_MAX: u32 = 1000;

/// How important a line is at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Priority {
    /// The system is unusable.
    Emerg,
    /// Somebody must act at once.
    Alert,
    /// Critical.
    Crit,
    /// Errors.
    Err,
    /// Warnings.
    Warning,
    /// Normal, but worth a note.
    Notice,
    /// Informational.
    Info,
    /// All.
    Debug,
}

impl Priority {
    fn word(self) -> &'static str {
        match self {
            Self::Emerg => "emerg",
            Self::Alert => "alert",
            Self::Crit => "crit",
            Self::Err => "err",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

fn default_lines() -> u32 {
    100
}

arguments! {
    /// Arguments of `systemd.journal`.
    ReadJournal {
        /// The unit. `.service` is added to a name without a suffix.
        unit: UnitName,
        /// From when on: how long ago (`10m`), by the machine's own clock, or a point in time (`2026-11-27T19:30:00Z`).
        #[serde(default)]
        since: Option<String>,
        /// How important a line is at least: `emerg`, `alert`, `crit`, `err`, `warning`, `notice`, `info` or `debug`.
        #[serde(default)]
        priority: Option<Priority>,
        /// The most lines, the last ones; up to 1000.
        #[serde(default = "default_lines")]
        #[schemars(range(min = 1, max = 1000))]
        lines: u32,
        /// A text that each line must hold, as it is written.
        #[serde(default)]
        #[schemars(length(min = 1))]
        grep: Option<String>,
    }
}

impl ReadJournal {
    fn wanted(&self) -> Result<Wanted, Cause> {
        if !(1..=LINES_MAX).contains(&self.lines) {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!("`lines` is between 1 and {LINES_MAX}"),
            ));
        }
        Ok(Wanted {
            since: self.since.as_deref().map(since).transpose()?,
            priority: self.priority.map(Priority::word),
            lines: self.lines,
            grep: self.grep.clone(),
        })
    }
}

/// As journalctl takes it.
fn since(text: &str) -> Result<String, Cause> {
    if let Ok(ago) = text.parse::<Duration>() {
        // Relative, for the clock over there may differ from ours.
        return Ok(format!("-{}s", ago.as_millis().div_ceil(1000)));
    }
    match text.parse::<Timestamp>() {
        Ok(at) => Ok(format!("@{}", at.as_second())),
        Err(_) => Err(Cause::new(
            FailureKind::Invalid,
            format!("`since: {text}` is neither a duration nor a point in time"),
        )
        .with_hint("write `10m`, or `2026-11-27T19:30:00Z`")),
    }
}

#[async_trait]
impl ActionThrough<Connections> for ReadJournal {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": {
                    "lines": { "type": "array", "items": { "type": "string" } },
                    "count": { "type": "integer" },
                },
                "required": ["lines", "count"],
            }),
            // journalctl gets it as an argument.
            public_arguments: vec!["grep".to_owned()],
            examples: vec![json!({ "unit": "caxton", "since": "10m", "priority": "warning", "lines": 50 })],
            ..reads::<Self>("systemd.journal", "Reads the last lines that a unit wrote")
        }
    }

    async fn forecast(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<Forecast, Cause> {
        self.wanted()?;
        let place = self.place(through, call, context)?;
        Ok(Forecast {
            change: Change::WouldNot,
            summary: format!(
                "reads up to {} journal lines of {} on {}",
                self.lines,
                self.unit,
                place.name()
            ),
            before: Value::Null,
        })
    }

    async fn perform(&self, through: &Connections, call: &Call, context: &Context) -> Outcome {
        let reading = async {
            let place = self.place(through, call, context)?;
            let lines = lines::read(&place, &self.unit, &self.wanted()?, context).await?;
            for line in &lines {
                context
                    .output
                    .write(Stream::Stdout, format!("{line}\n").as_bytes());
            }
            Ok(Outcome::Unchanged {
                output: json!({ "lines": lines, "count": lines.len() }),
            })
        };
        reading
            .await
            .unwrap_or_else(|cause| Failure::Before(cause).into())
    }
}

#[cfg(test)]
mod tests {
    use super::since;

    #[test]
    fn a_time_is_ago_or_a_point() {
        assert_eq!(since("10m"), Ok("-600s".to_owned()));
        assert_eq!(since("2026-11-27T19:30:00Z"), Ok("@1795807800".to_owned()));
        assert!(since("yesterday").is_err());
    }
}
