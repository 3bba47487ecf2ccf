//! `notify.webhook`: tells somebody by a webhook.

use super::expect::Expect;
use super::request::{HttpMethod, change};
use super::send::Send;
use crate::Scalar;
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, Duration, Outcome, UndoSupport, Value};
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Arguments of `notify.webhook`: an address, and what to send there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["json"] }, { "required": ["text"] }]))]
pub struct NotifyWebhook {
    /// The address.
    pub url: String,
    /// The method; POST if absent.
    #[serde(default)]
    pub method: HttpMethod,
    /// Headers. `Idempotency-Key` is set to a value that is the same for each attempt: after a crash it may be told
    /// twice, and a service that heeds the key sees by it that it is the same.
    #[serde(default)]
    pub headers: BTreeMap<String, Scalar>,
    /// What to send, as JSON. Slack and others like it take `{text: …}`.
    #[serde(default)]
    pub json: Value,
    /// What to send, as a plain text.
    #[serde(default)]
    pub text: Option<String>,
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

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

impl NotifyWebhook {
    fn method(&self) -> Method {
        self.method.method()
    }
}

#[async_trait]
impl Action for NotifyWebhook {
    fn spec() -> ActionSpec {
        ActionSpec {
            // To be told twice does no harm, and not to be told does.
            idempotent: true,
            undo: UndoSupport::NotNeeded,
            output: json!({
                "type": "object",
                "properties": { "status": { "type": "integer", "description": "The status of the answer." } },
                "required": ["status"],
            }),
            examples: vec![json!({
                "url": "https://chat.example/hooks/ops",
                "json": { "text": "{{ run.name }} has begun" },
            })],
            ..changes::<Self>(
                "notify.webhook",
                "Tells somebody by a webhook: Slack, a pager, a service of your own",
            )
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        self.expect.check()?;
        Ok(Forecast {
            change: Change::Would,
            summary: "would tell somebody by a webhook".to_owned(),
            before: Value::Null,
        })
    }

    async fn perform(&self, call: &Call, context: &Context) -> Outcome {
        let body = match &self.text {
            Some(text) => (text.clone(), "text/plain; charset=utf-8"),
            None => (self.json.to_string(), "application/json"),
        };
        let request = Send {
            method: self.method(),
            url: &self.url,
            headers: &self.headers,
            body: Some(body),
            timeout: self.timeout,
            redirects: 0,
            ca: self.ca.as_ref().map(|ca| context.plan_dir.join(ca)),
            idempotency_key: Some(call.idempotency_key()),
        };
        match self.expect.check() {
            Ok(()) => {
                change(
                    &request,
                    &self.expect,
                    context,
                    |answer| json!({ "status": answer.status.as_u16() }),
                )
                .await
            }
            Err(cause) => Outcome::failed(cause.kind, cause.message),
        }
    }
}
