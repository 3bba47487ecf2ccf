//! `file.write`: a file with this content.

use super::content::{Content, mode_of, restore};
use super::owner::{group_id, own_ids, user_id};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes, difference};
use caxplan_model::{ActionSpec, Cause, FailureEffect, Outcome, UndoSupport, Value, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The mode of a new file if the plan names none.
const MODE_DEFAULT: u32 = 0o644;

/// Arguments of `file.write`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileWrite {
    /// The file, relative to the plan's folder. The folder that it lies in must be there.
    pub path: PathBuf,
    /// What it shall hold.
    pub content: String,
    /// Its permissions in octal digits (`"0600"`); those of the file that is there, else `"0644"`.
    #[serde(default)]
    #[schemars(regex(pattern = r"^0?[0-7]{3,4}$"))]
    pub mode: Option<String>,
    /// The user that it belongs to: a local account or a number. The one of the file that is there, else the engine's.
    #[serde(default)]
    pub owner: Option<String>,
    /// The group that it belongs to, likewise.
    #[serde(default)]
    pub group: Option<String>,
    /// Whether a preview shows the lines that would change. A file that only its owner may read is not shown at all.
    #[serde(default = "default_diff")]
    pub diff: bool,
}

fn default_diff() -> bool {
    true
}

impl FileWrite {
    /// What shall lie under the path, given what lies there now.
    fn wanted(&self, now: &Content) -> Result<Content, Cause> {
        let mode = match (&self.mode, now) {
            (Some(mode), _) => mode_of(mode)?,
            (None, Content::Text { mode, .. }) => *mode,
            (None, Content::Absent | Content::Other { .. }) => MODE_DEFAULT,
        };
        let now_owner = match now {
            Content::Text { owner, .. } => *owner,
            Content::Absent | Content::Other { .. } => None,
        };
        let owner = match (&self.owner, &self.group) {
            (None, None) => now_owner,
            (user, group) => {
                let own = now_owner.unwrap_or_else(own_ids);
                Some((
                    user.as_deref().map_or(Ok(own.0), user_id)?,
                    group.as_deref().map_or(Ok(own.1), group_id)?,
                ))
            }
        };
        Ok(Content::Text {
            text: self.content.clone(),
            mode,
            owner,
        })
    }

    /// What lies there now, and what shall.
    fn compare(&self, path: &Path) -> Result<(Content, Content), Cause> {
        let now = Content::of(path)?;
        let wanted = self.wanted(&now)?;
        Ok((now, wanted))
    }

    /// What would change of a file of text that is there: a line, and the difference below it.
    fn difference(&self, now: &Content, wanted: &Content) -> String {
        let shown = self.path.display();
        let (
            Content::Text {
                text: old,
                mode: from,
                owner: was,
            },
            Content::Text {
                text: new,
                mode: to,
                owner: is,
            },
        ) = (now, wanted)
        else {
            return format!("would change {shown}");
        };
        let mut parts = Vec::new();
        if from != to {
            parts.push(format!("mode {from:04o} to {to:04o}"));
        }
        if was != is {
            parts.push("owner".to_owned());
        }
        let (removed, added, diff) = difference::of(old, new);
        if removed + added > 0 {
            parts.push(format!("{removed} lines out, {added} in"));
        }
        let mut text = format!("would change {shown}: {}", parts.join(", "));
        if self.diff && (from | to) & 0o077 != 0 {
            text.push_str(&diff);
        }
        text
    }

    fn output(&self) -> Value {
        json!({ "path": self.path, "bytes": self.content.len() })
    }
}

#[async_trait]
impl Action for FileWrite {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": { "path": { "type": "string" }, "bytes": { "type": "integer" } },
                "required": ["path", "bytes"],
            }),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            examples: vec![
                json!({ "path": "/etc/motd", "content": "Maintenance tonight.\n", "mode": "0644" }),
            ],
            ..changes::<Self>("file.write", "Puts a file of text in place, in one step")
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let path = context.plan_dir.join(&self.path);
        let (now, wanted) = self.compare(&path)?;
        let shown = self.path.display();
        let (change, summary) = match &now {
            _ if now == wanted => (Change::WouldNot, format!("{shown} is as wanted")),
            Content::Absent => (Change::Would, format!("would create {shown}")),
            Content::Text { .. } => (Change::Would, self.difference(&now, &wanted)),
            Content::Other { bytes } => (
                Change::Would,
                format!("would replace {shown} ({bytes} bytes that an undo could not restore)"),
            ),
        };
        Ok(Forecast {
            change,
            summary,
            before: serde_json::to_value(now).expect("it is plain data"),
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        let path = context.plan_dir.join(&self.path);
        let output = self.output();
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
            Ok((now, wanted)) if now == wanted => Verdict::Done {
                output: self.output(),
            },
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
