//! One request and its answer.

use crate::Scalar;
use caxplan_model::{Cause, Duration, FailureKind, Value};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// How much of an answer's body is kept.
const BODY_MAX: usize = 64 << 10;

/// How much of an unexpected answer's body a message shows, in characters.
const EXCERPT_MAX: usize = 200;

/// The time limit of a request that has none of its own.
pub(super) const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// One request.
pub(super) struct Send<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) headers: &'a BTreeMap<String, Scalar>,
    /// The body and its type, if there is one.
    pub(super) body: Option<(String, &'static str)>,
    /// Statuses that are a success; any of 200–299 if empty.
    pub(super) expect_status: &'a [u16],
    pub(super) timeout: Duration,
    pub(super) idempotency_key: Option<String>,
}

/// Why a request failed.
pub(super) struct SendError {
    pub(super) cause: Cause,
    /// Whether it may have reached the service.
    pub(super) may_have_arrived: bool,
}

impl SendError {
    fn before(kind: FailureKind, message: String) -> Self {
        Self {
            cause: Cause::new(kind, message),
            may_have_arrived: false,
        }
    }
}

/// Sends it and reads the answer: `{status, headers, body, json}`.
pub(super) async fn send(request: &Send<'_>) -> Result<Value, SendError> {
    let client = client()
        .map_err(|error| SendError::before(FailureKind::Other, format!("no HTTP client: {error}")))?;
    let mut builder = client
        .request(request.method.clone(), request.url)
        .timeout(request.timeout.as_std());
    if let Some(key) = &request.idempotency_key {
        builder = builder.header("idempotency-key", key);
    }
    if let Some((body, kind)) = &request.body {
        builder = builder.header("content-type", *kind).body(body.clone());
    }
    let response = builder
        .headers(headers(request.headers)?)
        .send()
        .await
        .map_err(|error| explain(request, error))?;
    let status = response.status();
    let answer = read(request, response).await?;
    let expected = match request.expect_status {
        [] => status.is_success(),
        some => some.contains(&status.as_u16()),
    };
    if expected {
        return Ok(answer);
    }
    let body = answer["body"].as_str().unwrap_or_default().trim();
    let excerpt: String = body.chars().take(EXCERPT_MAX).collect();
    let message = format!("{} {} answered {status}: {excerpt}", request.method, request.url);
    Err(SendError {
        cause: Cause::new(kind_of(status), message).with_detail(answer),
        may_have_arrived: true,
    })
}

/// The client of this process, made when it is first used: reading the system's certificates takes a while.
fn client() -> Result<&'static Client, reqwest::Error> {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client);
    }
    let client = Client::builder().build()?;
    Ok(CLIENT.get_or_init(|| client))
}

fn headers(given: &BTreeMap<String, Scalar>) -> Result<HeaderMap, SendError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let refuse = || {
            SendError::before(
                FailureKind::Invalid,
                format!("`{name}` is no header that can be sent"),
            )
        };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse())?;
        let value = HeaderValue::from_str(&value.to_string()).map_err(|_| refuse())?;
        headers.insert(key, value);
    }
    Ok(headers)
}

async fn read(request: &Send<'_>, mut response: Response) -> Result<Value, SendError> {
    let status = response.status().as_u16();
    let headers: caxplan_model::Map = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let mut body = Vec::new();
    while body.len() < BODY_MAX {
        match response.chunk().await.map_err(|error| explain(request, error))? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    body.truncate(BODY_MAX);
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok(json!({
        "status": status,
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
        "json": json,
    }))
}

fn explain(request: &Send<'_>, error: reqwest::Error) -> SendError {
    let kind = if error.is_builder() {
        FailureKind::Invalid
    } else if error.is_timeout() && !error.is_connect() {
        FailureKind::Timeout
    } else {
        FailureKind::Unavailable
    };
    let may_have_arrived = !(error.is_builder() || error.is_connect());
    let error = error.without_url();
    let mut reason: &dyn std::error::Error = &error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    SendError {
        cause: Cause::new(kind, format!("{} {}: {reason}", request.method, request.url)),
        may_have_arrived,
    }
}

fn kind_of(status: StatusCode) -> FailureKind {
    match status.as_u16() {
        401 | 403 => FailureKind::Denied,
        404 | 410 => FailureKind::NotFound,
        409 | 412 => FailureKind::Conflict,
        400 | 422 => FailureKind::Invalid,
        408 | 429 | 502 | 503 | 504 => FailureKind::Unavailable,
        _ => FailureKind::Expectation,
    }
}

/// The schema of the output of all actions here.
pub(super) fn output_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "status": { "type": "integer" },
            "headers": { "type": "object" },
            "body": { "type": "string" },
            "json": {},
        },
        "required": ["status", "headers", "body", "json"],
    })
}
