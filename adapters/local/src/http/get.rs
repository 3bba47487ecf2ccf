//! `http.get`: reads from a service.

use super::expect::{Expect, Paths};
use super::send::{REDIRECTS_MAX, Send, SendError, TIMEOUT_DEFAULT, output_schema, send};
use crate::Scalar;
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, Duration, FailureEffect, FailureKind, Outcome, Value};
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Arguments of `http.get`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpGet {
    /// The address.
    pub url: String,
    /// Headers. They are not sent on to another service.
    #[serde(default)]
    pub headers: BTreeMap<String, Scalar>,
    /// What the answer must be like; any success if absent.
    #[serde(default)]
    pub expect: Expect,
    /// Values to pick out of the body, by name: JSONPaths (RFC 9535). They stand in the output under `selected`.
    #[serde(default)]
    pub select: BTreeMap<String, String>,
    /// How long the answer may take.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// How often it may be sent on to another address; never from an encrypted one to one that is not.
    #[serde(default = "default_redirects")]
    pub redirects: u32,
    /// A file of certificates in PEM, relative to the plan's folder: trusted instead of the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

pub(super) fn default_timeout() -> Duration {
    TIMEOUT_DEFAULT
}

pub(super) fn default_redirects() -> u32 {
    REDIRECTS_MAX
}

impl HttpGet {
    async fn get(&self, context: &Context) -> Result<Value, SendError> {
        let paths = Paths::of(self.select.iter())?;
        self.expect.check()?;
        let request = Send {
            method: Method::GET,
            url: &self.url,
            headers: &self.headers,
            body: None,
            timeout: self.timeout,
            redirects: self.redirects,
            ca: self.ca.as_ref().map(|ca| context.plan_dir.join(ca)),
            idempotency_key: None,
        };
        let answer = send(&request).await?;
        self.expect.met(&request.what(), &answer)?;
        let mut output = answer.output();
        if !self.select.is_empty() {
            let json = answer.json().unwrap_or_default();
            output["selected"] = Value::Object(paths.select(&json));
        }
        Ok(output)
    }
}

#[async_trait]
impl Action for HttpGet {
    fn spec() -> ActionSpec {
        let mut output = output_schema();
        output["properties"]["selected"] = json!({
            "type": "object",
            "description": "What `select` found: a value, a list of several, null if nothing.",
        });
        ActionSpec {
            output,
            examples: vec![
                json!({ "url": "http://127.0.0.1:8080/v1/health" }),
                json!({
                    "url": "https://registry.example/v1/releases",
                    "expect": { "json": { "$.frozen": false } },
                    "select": { "latest": "$.releases[0].version" },
                }),
            ],
            ..reads::<Self>("http.get", "Reads from a service by HTTP")
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        self.expect.check()?;
        Paths::of(self.select.iter())?;
        Ok(Forecast {
            change: Change::WouldNot,
            summary: format!("reads {}", self.url),
            before: Value::Null,
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        read_only("GET", &self.url, context, self.get(context)).await
    }
}

/// The outcome of something that only reads; a cancel ends it.
pub(super) async fn read_only(
    verb: &str,
    url: &str,
    context: &Context,
    work: impl Future<Output = Result<Value, SendError>>,
) -> Outcome {
    tokio::select! {
        answer = work => match answer {
            Ok(output) => Outcome::Unchanged { output },
            Err(error) => Outcome::Failed {
                cause: error.cause,
                effect: FailureEffect::None,
            },
        },
        () = context.cancel.cancelled() => Outcome::failed(
            FailureKind::Cancelled,
            format!("{verb} {url} was stopped before it was answered"),
        ),
    }
}
