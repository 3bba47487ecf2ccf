//! `log.say`: a message to whoever watches the run.

use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, Outcome, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Arguments of `log.say`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogSay {
    /// The message, of one line or several.
    pub message: String,
}

#[async_trait]
impl Action for LogSay {
    fn spec() -> ActionSpec {
        ActionSpec {
            examples: vec![
                json!({ "message": "{{ target.name }} has {{ steps.look.output.stdout | trim }} free" }),
            ],
            ..reads::<Self>(
                "log.say",
                "Says a message to whoever watches the run, without `--verbose` too, and keeps it in the run's log",
            )
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(Forecast {
            change: Change::WouldNot,
            summary: format!("would say: {}", self.message),
            before: Value::Null,
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        self.message.lines().for_each(|line| context.note(line));
        Outcome::Unchanged { output: Value::Null }
    }
}

#[cfg(test)]
mod tests {
    use super::LogSay;
    use caxplan_adapter::ActionSet;
    use caxplan_adapter::conformance::{Case, check};
    use serde_json::json;

    #[tokio::test]
    async fn conforms() {
        check(
            &ActionSet::new("log").with::<LogSay>(),
            &[Case::succeeds("log.say", json!({ "message": "one\ntwo" }))],
        )
        .await;
    }
}
