//! `assert.that`: a condition that must hold before the plan goes on.

use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, FailureKind, Outcome, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Arguments of `assert.that`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssertThat {
    /// What must be true: a boolean or a list of them, as a rule templates.
    pub that: OneOrMany,
    /// What to say if it is not.
    #[serde(default)]
    pub message: Option<String>,
}

/// One boolean, or several that must all be true.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(bool),
    /// Several.
    Many(Vec<bool>),
}

#[async_trait]
impl Action for AssertThat {
    fn spec() -> ActionSpec {
        ActionSpec {
            examples: vec![json!({ "that": [true, true], "message": "there must be three nodes" })],
            ..reads::<Self>("assert.that", "Fails unless all conditions are true")
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        let summary = match self.failed() {
            None => "would pass".to_owned(),
            Some(message) => format!("would fail: {message}"),
        };
        Ok(Forecast {
            change: Change::WouldNot,
            summary,
            before: Value::Null,
        })
    }

    async fn perform(&self, _: &Call, _: &Context) -> Outcome {
        match self.failed() {
            None => Outcome::Unchanged { output: Value::Null },
            Some(message) => Outcome::failed(FailureKind::Expectation, message),
        }
    }
}

impl AssertThat {
    /// What to say, if a condition is false.
    fn failed(&self) -> Option<String> {
        let which = match &self.that {
            OneOrMany::One(true) => return None,
            OneOrMany::One(false) => "the condition is false".to_owned(),
            OneOrMany::Many(all) => {
                let at = all.iter().position(|holds| !holds)?;
                format!("condition {} of {} is false", at + 1, all.len())
            }
        };
        Some(match &self.message {
            Some(message) => format!("{message} ({which})"),
            None => which,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::AssertThat;
    use caxplan_adapter::ActionSet;
    use caxplan_adapter::conformance::{Case, check};
    use caxplan_model::FailureKind;
    use serde_json::json;

    #[tokio::test]
    async fn conforms() {
        check(
            &ActionSet::new("assert").with::<AssertThat>(),
            &[
                Case::succeeds("assert.that", json!({ "that": true })),
                Case::succeeds("assert.that", json!({ "that": [true, true] })),
                Case::fails("assert.that", json!({ "that": false }), FailureKind::Expectation),
                Case::fails(
                    "assert.that",
                    json!({ "that": [true, false], "message": "no" }),
                    FailureKind::Expectation,
                ),
            ],
        )
        .await;
    }
}
