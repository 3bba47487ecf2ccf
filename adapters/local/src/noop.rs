//! `noop.run`: nothing, for tests and benchmarks of plans.

use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, Outcome, UndoSupport, Value};
use schemars::JsonSchema;
use serde::Deserialize;

/// Arguments of `noop.run`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoopRun {
    /// What the step's output shall be.
    #[serde(default)]
    pub output: Value,
    /// Whether the step shall count as having changed something.
    #[serde(default)]
    pub changes: bool,
}

#[async_trait]
impl Action for NoopRun {
    fn spec() -> ActionSpec {
        ActionSpec {
            idempotent: true,
            undo: UndoSupport::NotNeeded,
            examples: vec![serde_json::json!({ "output": { "answer": 42 } })],
            ..changes::<Self>("noop.run", "Does nothing and puts out what it was given")
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(Forecast {
            change: Change::WouldNot,
            summary: "does nothing".to_owned(),
            before: Value::Null,
        })
    }

    async fn perform(&self, _: &Call, _: &Context) -> Outcome {
        let output = self.output.clone();
        if self.changes {
            Outcome::Changed { output }
        } else {
            Outcome::Unchanged { output }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::NoopRun;
    use caxplan_adapter::ActionSet;
    use caxplan_adapter::conformance::{Case, check};
    use serde_json::json;

    #[tokio::test]
    async fn conforms() {
        check(
            &ActionSet::new("noop").with::<NoopRun>(),
            &[
                Case::succeeds("noop.run", json!({})),
                Case::succeeds("noop.run", json!({ "output": { "a": [1] }, "changes": true })),
            ],
        )
        .await;
    }
}
