//! `file.read`: what a file holds.

use super::content::{CONTENT_MAX, Content};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, FailureEffect, FailureKind, Outcome, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `file.read`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileRead {
    /// The file, relative to the plan's folder: text of at most 1 MiB.
    pub path: PathBuf,
}

impl FileRead {
    fn read(&self, context: &Context) -> Result<String, Cause> {
        let path = context.plan_dir.join(&self.path);
        match Content::of(&path)? {
            Content::Text { text, .. } => Ok(text),
            Content::Absent => Err(Cause::new(
                FailureKind::NotFound,
                format!("there is no file {}", path.display()),
            )),
            Content::Other { bytes } => Err(Cause::new(
                FailureKind::Conflict,
                format!(
                    "{} has {bytes} bytes that are no text, or more than {CONTENT_MAX}",
                    path.display()
                ),
            )),
        }
    }
}

#[async_trait]
impl Action for FileRead {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": { "content": { "type": "string" } },
                "required": ["content"],
            }),
            examples: vec![json!({ "path": "/etc/hostname" })],
            ..reads::<Self>("file.read", "Reads a file of text")
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(Forecast {
            change: Change::WouldNot,
            summary: format!("reads {}", self.path.display()),
            before: Value::Null,
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        match self.read(context) {
            Ok(content) => Outcome::Unchanged {
                output: json!({ "content": content }),
            },
            Err(cause) => Outcome::Failed {
                cause,
                effect: FailureEffect::None,
            },
        }
    }
}
