//! `file.absent`: no file there.

use super::content::{Content, restore};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureEffect, Outcome, UndoSupport, Value, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `file.absent`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileAbsent {
    /// The file, relative to the plan's folder. A folder is not removed.
    pub path: PathBuf,
}

#[async_trait]
impl Action for FileAbsent {
    fn spec() -> ActionSpec {
        ActionSpec {
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            examples: vec![json!({ "path": "/run/maintenance" })],
            ..changes::<Self>("file.absent", "Removes a file")
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let now = Content::of(&context.plan_dir.join(&self.path))?;
        let shown = self.path.display();
        let (change, summary) = match &now {
            Content::Absent => (Change::WouldNot, format!("there is no {shown}")),
            Content::Text { .. } => (Change::Would, format!("would remove {shown}")),
            Content::Other { bytes } => (
                Change::Would,
                format!("would remove {shown} ({bytes} bytes that an undo could not restore)"),
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
        let output = Value::Null;
        match Content::of(&path) {
            Err(cause) => Outcome::Failed {
                cause,
                effect: FailureEffect::None,
            },
            Ok(Content::Absent) => Outcome::Unchanged { output },
            Ok(Content::Text { .. } | Content::Other { .. }) => match Content::Absent.put(&path) {
                Ok(()) => Outcome::Changed { output },
                Err(cause) => Outcome::Failed {
                    cause,
                    effect: FailureEffect::Possible,
                },
            },
        }
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        match Content::of(&context.plan_dir.join(&self.path)) {
            Ok(Content::Absent) => Verdict::Done { output: Value::Null },
            Ok(Content::Text { .. } | Content::Other { .. }) => Verdict::NotDone,
            Err(cause) => Verdict::Unknown {
                reason: cause.message,
            },
        }
    }

    async fn undo(&self, _: &Call, before: &Value, context: &Context) -> Outcome {
        restore(&context.plan_dir.join(&self.path), before)
    }
}
