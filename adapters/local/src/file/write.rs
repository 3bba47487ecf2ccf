//! `file.write`: a file with this content.

use super::content::{Content, restore};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureEffect, FailureKind, Outcome, UndoSupport, Value, Verdict};
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
}

impl FileWrite {
    /// What shall lie under the path, given what lies there now.
    fn wanted(&self, now: &Content) -> Result<Content, Cause> {
        let mode = match (&self.mode, now) {
            (Some(mode), _) => u32::from_str_radix(mode, 8)
                .ok()
                .filter(|mode| *mode <= 0o7777)
                .ok_or_else(|| {
                    Cause::new(
                        FailureKind::Invalid,
                        format!("`{mode}` is no mode such as \"0644\""),
                    )
                })?,
            (None, Content::Text { mode, .. }) => *mode,
            (None, Content::Absent | Content::Other { .. }) => MODE_DEFAULT,
        };
        Ok(Content::Text {
            text: self.content.clone(),
            mode,
        })
    }

    /// What lies there now, and what shall.
    fn compare(&self, path: &Path) -> Result<(Content, Content), Cause> {
        let now = Content::of(path)?;
        let wanted = self.wanted(&now)?;
        Ok((now, wanted))
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
            Content::Text { .. } => (Change::Would, format!("would change {shown}")),
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

#[cfg(test)]
mod tests {
    use crate::file::{FileAbsent, FileRead, FileWrite};
    use caxplan_adapter::ActionSet;
    use caxplan_adapter::conformance::{Case, check};
    use caxplan_model::{FailureKind, Value};
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    fn picture(path: &Path) -> Value {
        match std::fs::metadata(path) {
            Ok(metadata) => json!({
                "text": String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()),
                "mode": metadata.permissions().mode() & 0o7777,
            }),
            Err(_) => Value::Null,
        }
    }

    #[tokio::test]
    async fn conforms() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["old", "same", "gone", "read"] {
            std::fs::write(at(name), format!("{name}\n")).expect("writes to a file");
        }
        std::fs::write(at("binary"), [0xff, 0xfe]).expect("writes to a file");
        std::os::unix::fs::symlink("old", at("link")).expect("makes a link");
        let (new, old, same, gone, link) = (at("new"), at("old"), at("same"), at("gone"), at("link"));

        let set = ActionSet::new("file")
            .with::<FileWrite>()
            .with::<FileAbsent>()
            .with::<FileRead>();
        check(
            &set,
            &[
                Case::succeeds(
                    "file.write",
                    json!({ "path": &new, "content": "text", "mode": "0600" }),
                )
                .watching(|| picture(&new)),
                Case::succeeds(
                    "file.write",
                    json!({ "path": &old, "content": "new", "mode": "0640" }),
                )
                .watching(|| picture(&old)),
                Case::succeeds("file.write", json!({ "path": &same, "content": "same\n" }))
                    .watching(|| picture(&same)),
                Case::succeeds(
                    "file.write",
                    json!({ "path": &link, "content": "through the link" }),
                )
                .watching(|| json!([picture(&old), link.is_symlink()])),
                Case::succeeds("file.absent", json!({ "path": &gone })).watching(|| picture(&gone)),
                Case::succeeds("file.absent", json!({ "path": at("never") })),
                Case::succeeds("file.read", json!({ "path": at("read") })),
                Case::fails("file.read", json!({ "path": at("never") }), FailureKind::NotFound),
                Case::fails(
                    "file.read",
                    json!({ "path": at("binary") }),
                    FailureKind::Conflict,
                ),
                Case::fails(
                    "file.write",
                    json!({ "path": at("no/folder/file"), "content": "" }),
                    FailureKind::NotFound,
                ),
                Case::fails(
                    "file.write",
                    json!({ "path": folder.path(), "content": "" }),
                    FailureKind::Conflict,
                ),
            ],
        )
        .await;
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .expect("it is there")
            .flatten()
            .map(|entry| entry.file_name())
            .filter(|name| name.to_string_lossy().ends_with(".tmp"))
            .collect();
        assert!(left.is_empty(), "temporary files are left: {left:?}");
    }
}
