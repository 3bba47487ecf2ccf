//! `http.request`: a request that may change something.

use super::expect::Expect;
use super::get::default_timeout;
use super::send::{Answer, Send, SendError, output_schema, send};
use crate::Scalar;
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, Duration, FailureEffect, FailureKind, Outcome, Value};
use reqwest::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// What the answer must be like; any success if absent.
    #[serde(default)]
    pub expect: Expect,
    /// How long the answer may take.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// A file of certificates in PEM, relative to the plan's folder: trusted instead of the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
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

impl HttpMethod {
    pub(super) fn method(self) -> Method {
        match self {
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

impl HttpRequest {
    fn method(&self) -> Method {
        self.method.method()
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
        self.expect.check()?;
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
            timeout: self.timeout,
            // A request that changes something is not sent on: it was meant for this address.
            redirects: 0,
            ca: self.ca.as_ref().map(|ca| context.plan_dir.join(ca)),
            idempotency_key: Some(call.idempotency_key()),
        };
        match self.expect.check() {
            Ok(()) => change(&request, &self.expect, context, Answer::output).await,
            Err(cause) => Outcome::Failed {
                cause,
                effect: FailureEffect::None,
            },
        }
    }
}

/// The outcome of a request that may change something; a cancel ends it.
pub(super) async fn change(
    request: &Send<'_>,
    expect: &Expect,
    context: &Context,
    output: impl FnOnce(&Answer) -> Value,
) -> Outcome {
    let work = async {
        let answer = send(request).await?;
        expect.met(&request.what(), &answer)?;
        Ok::<_, SendError>(answer)
    };
    tokio::select! {
        answer = work => match answer {
            Ok(answer) => Outcome::Changed { output: output(&answer) },
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
            format!("{} was stopped before it was answered", request.what()),
        ),
    }
}
