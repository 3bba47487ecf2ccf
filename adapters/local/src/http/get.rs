//! `http.get`: reads from a service, or waits until it answers.

use super::send::{Send, SendError, TIMEOUT_DEFAULT, output_schema, send};
use crate::Scalar;
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, Duration, FailureEffect, FailureKind, Outcome, Value};
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// The pause before the next try.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// Arguments of `http.get`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpGet {
    /// The address.
    pub url: String,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Scalar>,
    /// The statuses that mean success; any of 200 to 299 if absent.
    #[serde(default)]
    pub expect_status: Vec<u16>,
    /// How long one answer may take.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// How long to try again until the service answers as expected; one try if absent.
    #[serde(default)]
    pub within: Duration,
}

fn default_timeout() -> Duration {
    TIMEOUT_DEFAULT
}

impl HttpGet {
    async fn get(&self, context: &Context) -> Result<Value, SendError> {
        let deadline = Instant::now() + self.within.as_std();
        let request = Send {
            method: Method::GET,
            url: &self.url,
            headers: &self.headers,
            body: None,
            expect_status: &self.expect_status,
            timeout: self.timeout,
            idempotency_key: None,
        };
        loop {
            match send(&request).await {
                Err(error) if error.cause.kind != FailureKind::Invalid && Instant::now() < deadline => {
                    context.note(&error.cause.message);
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }
}

#[async_trait]
impl Action for HttpGet {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output_schema(),
            examples: vec![json!({ "url": "http://127.0.0.1:8080/v1/health", "within": "30s" })],
            ..reads::<Self>(
                "http.get",
                "Reads from a service by HTTP, or waits until it answers",
            )
        }
    }

    async fn forecast(&self, _: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(Forecast {
            change: Change::WouldNot,
            summary: format!("reads {}", self.url),
            before: Value::Null,
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        tokio::select! {
            answer = self.get(context) => match answer {
                Ok(output) => Outcome::Unchanged { output },
                Err(error) => Outcome::Failed {
                    cause: error.cause,
                    effect: FailureEffect::None,
                },
            },
            () = context.cancel.cancelled() => Outcome::failed(
                FailureKind::Cancelled,
                format!("GET {} was stopped before it was answered", self.url),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::http::{HttpGet, HttpRequest};
    use caxplan_adapter::conformance::{Case, call, check};
    use caxplan_adapter::{ActionSet, Adapter as _, Context};
    use caxplan_model::FailureKind;
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A service that answers `/N` with status N and echoes what it got.
    async fn service() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut bytes = vec![0; 4096];
                    let mut length = 0;
                    // Small requests: all there when the head is, or with the next packet.
                    while !bytes[..length].ends_with(b"\r\n\r\n") && !bytes[..length].ends_with(b"}") {
                        match stream.read(&mut bytes[length..]).await {
                            Ok(0) | Err(_) => return,
                            Ok(more) => length += more,
                        }
                    }
                    let request = String::from_utf8_lossy(&bytes[..length]).into_owned();
                    let status = request.split(['/', ' ']).nth(2).unwrap_or("500").to_owned();
                    let body = json!({ "got": request }).to_string();
                    let head = format!("HTTP/1.1 {status} Whatever\r\nconnection: close\r\n");
                    let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        format!("http://{address}")
    }

    fn adapter() -> ActionSet {
        ActionSet::new("http").with::<HttpGet>().with::<HttpRequest>()
    }

    #[tokio::test]
    async fn conforms() {
        let at = service().await;
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let closed_at = format!("http://{}", closed.local_addr().expect("it is bound"));
        drop(closed);
        let get = |status: u16| json!({ "url": format!("{at}/{status}") });
        let waiting = json!({ "url": format!("{at}/503"), "within": "1h" });
        check(
            &adapter(),
            &[
                Case::succeeds("http.get", get(200)),
                Case::succeeds(
                    "http.get",
                    json!({ "url": format!("{at}/404"), "expect_status": [404] }),
                ),
                Case::succeeds(
                    "http.request",
                    json!({ "url": format!("{at}/201"), "body": { "a": 1 } }),
                ),
                Case::fails("http.get", get(403), FailureKind::Denied),
                Case::fails("http.get", get(404), FailureKind::NotFound),
                Case::fails("http.get", get(500), FailureKind::Expectation),
                Case::fails("http.get", json!({ "url": closed_at }), FailureKind::Unavailable),
                Case::fails("http.get", json!({ "url": "no address" }), FailureKind::Invalid),
                Case::runs_until_cancelled("http.get", waiting),
            ],
        )
        .await;
    }

    #[tokio::test]
    async fn a_request_carries_what_it_was_given() {
        let with = json!({
            "method": "PUT",
            "url": format!("{}/200", service().await),
            "headers": { "X-Retries": 3 },
            "body": { "a": [1, true] },
        });
        let outcome = adapter()
            .perform(&call("http.request", &with), &Context::detached("."))
            .await;
        let got = outcome
            .output()
            .map(|output| output["json"]["got"].clone())
            .unwrap_or_default();
        let got = got.as_str().unwrap_or_default().to_lowercase();
        for part in [
            "put /200 ",
            "x-retries: 3",
            "content-type: application/json",
            "idempotency-key: 01conformance/conformance/step",
            r#"{"a":[1,true]}"#,
        ] {
            assert!(got.contains(part), "no {part:?} in {got:?} of {outcome:?}");
        }
    }
}
