//! `http.wait`: waits until a service answers as it should.

use super::expect::Expect;
use super::get::{default_redirects, read_only};
use super::send::{Send, SendError, output_schema, send};
use crate::Scalar;
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, Duration, FailureKind, Outcome, Value};
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokio::time::Instant;

/// The least pause between two tries: a service that comes up is not to be hindered.
const EVERY_MIN: std::time::Duration = std::time::Duration::from_millis(10);

/// Arguments of `http.wait`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpWait {
    /// The address.
    pub url: String,
    /// Headers. They are not sent on to another service.
    #[serde(default)]
    pub headers: BTreeMap<String, Scalar>,
    /// What the answer must be like; any success if absent.
    #[serde(default)]
    pub until: Expect,
    /// The pause between two tries.
    #[serde(default = "default_every")]
    pub every: Duration,
    /// How long to try in all. The last try may begin at its very end.
    #[serde(default = "default_within")]
    pub within: Duration,
    /// How long one answer may take.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// How often it may be sent on to another address; never from an encrypted one to one that is not.
    #[serde(default = "default_redirects")]
    pub redirects: u32,
    /// A file of certificates in PEM, relative to the plan's folder: trusted instead of the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

fn default_every() -> Duration {
    Duration::from_secs(1)
}

fn default_within() -> Duration {
    Duration::from_secs(60)
}

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

impl HttpWait {
    async fn wait(&self, context: &Context) -> Result<Value, SendError> {
        self.until.check()?;
        let deadline = Instant::now() + self.within.as_std();
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
        let what = request.what();
        let mut said = String::new();
        for tries in 1_u64.. {
            let seen = match send(&request).await {
                Ok(answer) => self.until.met(&what, &answer).map(|()| answer),
                Err(error) => Err(error),
            };
            let error = match seen {
                Ok(answer) => {
                    let mut output = answer.output();
                    output["tries"] = json!(tries);
                    return Ok(output);
                }
                // The request itself is wrong: waiting does not help.
                Err(error) if error.cause.kind == FailureKind::Invalid && error.cause.detail.is_null() => {
                    return Err(error);
                }
                Err(error) => error,
            };
            if Instant::now() >= deadline {
                let times = if tries == 1 { "try" } else { "tries" };
                let message = format!(
                    "not as wanted within {} ({tries} {times}); at last: {}",
                    self.within, error.cause.message
                );
                let cause = Cause {
                    message,
                    ..error.cause
                };
                return Err(cause.into());
            }
            if error.cause.message != said {
                context.note(&error.cause.message);
                said = error.cause.message;
            }
            let pause = self.every.as_std().max(EVERY_MIN);
            tokio::time::sleep_until((Instant::now() + pause).min(deadline)).await;
        }
        unreachable!("the numbers of tries do not end before the deadline")
    }
}

#[async_trait]
impl Action for HttpWait {
    fn spec() -> ActionSpec {
        let mut output = output_schema();
        output["properties"]["tries"] = json!({ "type": "integer", "description": "How many it took." });
        ActionSpec {
            output,
            examples: vec![json!({
                "url": "http://127.0.0.1:8080/v1/health",
                "until": { "status": 200, "json": { "$.status": "ready" } },
                "every": "2s",
                "within": "5m",
            })],
            ..reads::<Self>("http.wait", "Waits until a service answers by HTTP as it should")
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        self.until.check()?;
        Ok(Forecast {
            change: Change::WouldNot,
            summary: format!("waits for {}, for {} at most", self.url, self.within),
            before: Value::Null,
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        read_only("GET", &self.url, context, self.wait(context)).await
    }
}
