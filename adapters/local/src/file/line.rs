//! `file.line`: a line is in a file, or is not.

use super::content::{CONTENT_MAX, Content, restore};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureEffect, FailureKind, Outcome, UndoSupport, Value, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Arguments of `file.line`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileLine {
    /// The file of text, relative to the plan's folder. A new one is made for a line that shall be there.
    pub path: PathBuf,
    /// The whole line, without its end.
    #[schemars(regex(pattern = r"^[^\n]*$"))]
    pub line: String,
    /// Whether it shall be there, at the end if it is new; or nowhere.
    #[serde(default)]
    pub state: LineState,
    /// The beginning of the line that it replaces: all lines that begin so go, and it stands where the first one stood.
    #[serde(default)]
    pub replace: Option<String>,
}

/// Whether a line shall be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LineState {
    /// It shall.
    #[default]
    Present,
    /// It shall not.
    Absent,
}

impl FileLine {
    /// What the file holds now, and what it shall hold.
    fn compare(&self, path: &Path) -> Result<(Content, Content), Cause> {
        let now = Content::of(path)?;
        let wanted = match &now {
            Content::Absent if self.state == LineState::Absent => Content::Absent,
            Content::Absent => Content::Text {
                text: format!("{}\n", self.line),
                mode: 0o644,
                owner: None,
            },
            Content::Text { text, mode, owner } => Content::Text {
                text: self.apply(text),
                mode: *mode,
                owner: *owner,
            },
            Content::Other { bytes } => {
                return Err(Cause::new(
                    FailureKind::Conflict,
                    format!(
                        "{} has {bytes} bytes that are no text, or more than {CONTENT_MAX}",
                        path.display()
                    ),
                ));
            }
        };
        Ok((now, wanted))
    }

    fn apply(&self, text: &str) -> String {
        let replaced = |line: &str| {
            self.replace
                .as_ref()
                .is_some_and(|beginning| line.starts_with(beginning))
        };
        let is_it = |line: &str| line == self.line;
        let mut lines: Vec<&str> = text.lines().collect();
        match self.state {
            LineState::Absent => lines.retain(|line| !is_it(line) && !replaced(line)),
            LineState::Present => {
                let at = lines.iter().position(|line| is_it(line) || replaced(line));
                if let Some(at) = at {
                    lines[at] = &self.line;
                    let mut number = 0;
                    lines.retain(|line| {
                        number += 1;
                        number - 1 == at || !replaced(line)
                    });
                } else {
                    lines.push(&self.line);
                }
            }
        }
        if lines.iter().copied().eq(text.lines()) {
            return text.to_owned();
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[async_trait]
impl Action for FileLine {
    fn spec() -> ActionSpec {
        ActionSpec {
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            examples: vec![
                json!({ "path": "/etc/environment", "line": "CAXTON_ENV=prod", "replace": "CAXTON_ENV=" }),
                json!({ "path": "/etc/hosts", "line": "10.0.0.9 old-node", "state": "absent" }),
            ],
            ..changes::<Self>("file.line", "Has a line be in a file of text, or not be in it")
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let (now, wanted) = self.compare(&context.plan_dir.join(&self.path))?;
        let shown = self.path.display();
        let (change, summary) = if now == wanted {
            (Change::WouldNot, format!("{shown} is as wanted"))
        } else if self.state == LineState::Absent {
            (Change::Would, format!("would take a line out of {shown}"))
        } else {
            (Change::Would, format!("would put a line into {shown}"))
        };
        Ok(Forecast {
            change,
            summary,
            before: serde_json::to_value(now).expect("it is plain data"),
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        let path = context.plan_dir.join(&self.path);
        let output = Value::Null;
        match self.compare(&path) {
            Err(cause) => Outcome::Failed {
                cause,
                effect: FailureEffect::None,
            },
            Ok((now, wanted)) if now == wanted => Outcome::Unchanged { output },
            Ok((_, wanted)) => match wanted.put(&path) {
                Ok(()) => Outcome::Changed { output },
                Err(cause) => Outcome::Failed {
                    cause,
                    effect: FailureEffect::Possible,
                },
            },
        }
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        match self.compare(&context.plan_dir.join(&self.path)) {
            Ok((now, wanted)) if now == wanted => Verdict::Done { output: Value::Null },
            Ok(_) => Verdict::NotDone,
            Err(cause) => Verdict::Unknown {
                reason: cause.message,
            },
        }
    }

    async fn undo(&self, _: &Call, before: &Value, context: &Context) -> Outcome {
        restore(&context.plan_dir.join(&self.path), before)
    }
}
