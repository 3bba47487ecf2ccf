//! `http.request`: a request that may change something.

use super::send::{Send, TIMEOUT_DEFAULT, output_schema, send};
use crate::Scalar;
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, Duration, FailureEffect, FailureKind, Outcome, Value};
use reqwest::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// Arguments of `http.request`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpRequest {
    /// The method; POST if absent.
    #[serde(default)]
    pub method: HttpMethod,
    /// The address.
    pub url: String,
    /// Headers. `Idempotency-Key` is set to a value that is the same for each attempt of a step.
    #[serde(default)]
    pub headers: BTreeMap<String, Scalar>,
    /// The body: a text as it is, anything else as JSON.
    #[serde(default)]
    pub body: Value,
    /// The statuses that mean success; any of 200 to 299 if absent.
    #[serde(default)]
    pub expect_status: Vec<u16>,
    /// How long the answer may take.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
}

/// The methods that ask for a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// Asks a resource to take something.
    #[default]
    Post,
    /// Replaces a resource.
    Put,
    /// Changes a part of a resource.
    Patch,
    /// Removes a resource.
    Delete,
}

fn default_timeout() -> Duration {
    TIMEOUT_DEFAULT
}

impl HttpRequest {
    fn method(&self) -> Method {
        match self.method {
            HttpMethod::Post => Method::POST,
            HttpMethod::Put => Method::PUT,
            HttpMethod::Patch => Method::PATCH,
            HttpMethod::Delete => Method::DELETE,
        }
    }

    fn body(&self) -> Option<(String, &'static str)> {
        match &self.body {
            Value::Null => None,
            Value::String(text) => Some((text.clone(), "text/plain; charset=utf-8")),
            json @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                Some((json.to_string(), "application/json"))
            }
        }
    }
}

#[async_trait]
impl Action for HttpRequest {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output_schema(),
            examples: vec![json!({
                "url": "https://alerts.example/silences",
                "body": { "service": "caxton", "minutes": 30 },
            })],
            ..changes::<Self>("http.request", "Asks a service by HTTP to change something")
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(Forecast {
            change: Change::Would,
            summary: format!("would send {} {}", self.method(), self.url),
            before: Value::Null,
        })
    }

    async fn perform(&self, call: &Call, context: &Context) -> Outcome {
        let request = Send {
            method: self.method(),
            url: &self.url,
            headers: &self.headers,
            body: self.body(),
            expect_status: &self.expect_status,
            timeout: self.timeout,
            idempotency_key: Some(call.idempotency_key()),
        };
        tokio::select! {
            answer = send(&request) => match answer {
                Ok(output) => Outcome::Changed { output },
                Err(error) => Outcome::Failed {
                    cause: error.cause,
                    effect: if error.may_have_arrived {
                        FailureEffect::Possible
                    } else {
                        FailureEffect::None
                    },
                },
            },
            () = context.cancel.cancelled() => Outcome::failed_midway(
                FailureKind::Cancelled,
                format!("{} {} was stopped before it was answered", self.method(), self.url),
            ),
        }
    }
}
