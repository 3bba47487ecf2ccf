//! One request and its answer.

use crate::Scalar;
use caxplan_model::{Cause, Duration, FailureKind, Map, Value};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, Method, Response, StatusCode, Url, redirect};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use tokio::time::Instant;

/// How much of an answer's body is put out; conditions on it see all of it.
const BODY_SHOWN_MAX: usize = 64 << 10;

/// The largest answer that is read. A service that answers with more is not one that a plan should read.
const BODY_MAX: usize = 8 << 20;

/// How often a request that reads is sent on to another address.
pub(super) const REDIRECTS_MAX: u32 = 10;

/// The time limit of a request that has none of its own.
pub(super) const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// One request.
pub(super) struct Send<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) headers: &'a BTreeMap<String, Scalar>,
    /// The body and its type, if there is one.
    pub(super) body: Option<(String, &'static str)>,
    /// For the answer, with all that it is sent on to.
    pub(super) timeout: Duration,
    /// How often it may be sent on to another address.
    pub(super) redirects: u32,
    /// A file of certificates to trust instead of the system's.
    pub(super) ca: Option<PathBuf>,
    pub(super) idempotency_key: Option<String>,
}

/// An answer, whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// By lower-case name.
    pub(super) headers: Map,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON, if it is.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// For the output of a step: `{status, headers, body, json}`. Of a large body only the beginning, and no JSON.
    pub(super) fn output(&self) -> Value {
        let shown = &self.body[..self.body.len().min(BODY_SHOWN_MAX)];
        let is_whole = shown.len() == self.body.len();
        json!({
            "status": self.status.as_u16(),
            "headers": self.headers,
            "body": String::from_utf8_lossy(shown),
            "json": self.json().filter(|_| is_whole),
        })
    }
}

/// Why a request failed.
pub(super) struct SendError {
    pub(super) cause: Cause,
    /// Whether it may have reached the service.
    pub(super) may_have_arrived: bool,
}

impl From<Cause> for SendError {
    /// Nothing was sent.
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            may_have_arrived: false,
        }
    }
}

impl Send<'_> {
    /// `GET http://…`, for messages.
    pub(super) fn what(&self) -> String {
        format!("{} {}", self.method, self.url)
    }
}

/// Sends it and reads the answer, whatever its status.
pub(super) async fn send(request: &Send<'_>) -> Result<Answer, SendError> {
    let client = client(request)?;
    let mut headers = headers(request.headers)?;
    let mut url = Url::parse(request.url).map_err(|error| {
        Cause::new(
            FailureKind::Invalid,
            format!("`{}` is no address: {error}", request.url),
        )
    })?;
    let until = Instant::now() + request.timeout.as_std();
    let mut sent_on = 0;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut builder = client.request(request.method.clone(), url.clone()).timeout(left);
        if let Some(key) = &request.idempotency_key {
            builder = builder.header("idempotency-key", key);
        }
        if let Some((body, kind)) = &request.body {
            builder = builder.header("content-type", *kind).body(body.clone());
        }
        let response = builder
            .headers(headers.clone())
            .send()
            .await
            .map_err(|error| explain(request, error))?;
        let next = if response.status().is_redirection() && sent_on < request.redirects {
            next_address(request, &url, &response)?
        } else {
            None
        };
        let Some(next) = next else {
            return read(request, response).await;
        };
        if next.origin() != url.origin() {
            // What was meant for one service is not handed to another.
            headers.clear();
        }
        url = next;
        sent_on += 1;
    }
}

/// Where a redirection points to, if to anywhere.
fn next_address(request: &Send<'_>, from: &Url, response: &Response) -> Result<Option<Url>, SendError> {
    let Some(location) = response.headers().get(LOCATION) else {
        return Ok(None);
    };
    let refuse = |reason: String| {
        SendError::from(Cause::new(
            FailureKind::Denied,
            format!("{} was sent on to {reason}", request.what()),
        ))
    };
    let shown = String::from_utf8_lossy(location.as_bytes()).into_owned();
    let next = from
        .join(&shown)
        .map_err(|error| refuse(format!("`{shown}`, which is no address: {error}")))?;
    if from.scheme() == "https" && next.scheme() != "https" {
        return Err(refuse(format!("{next}, which is not encrypted")));
    }
    Ok(Some(next))
}

/// The client for a request. The one that trusts what the system does is made when it is first used: reading the
/// system's certificates takes a while.
fn client(request: &Send<'_>) -> Result<Client, SendError> {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    let unmade = |error: reqwest::Error| Cause::new(FailureKind::Other, format!("no HTTP client: {error}"));
    let builder = || Client::builder().redirect(redirect::Policy::none());
    let Some(ca) = &request.ca else {
        if let Some(client) = CLIENT.get() {
            return Ok(client.clone());
        }
        let client = builder().build().map_err(unmade)?;
        return Ok(CLIENT.get_or_init(|| client).clone());
    };
    let shown = ca.display();
    let pem = std::fs::read(ca).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => FailureKind::NotFound,
            std::io::ErrorKind::PermissionDenied => FailureKind::Denied,
            _ => FailureKind::Other,
        };
        Cause::new(kind, format!("cannot read the certificates in {shown}: {error}"))
            .with_hint("`ca` is relative to the plan's folder")
    })?;
    let no_certificates = |why: String| {
        Cause::new(
            FailureKind::Invalid,
            format!("{shown} holds no certificates in PEM{why}"),
        )
    };
    let certificates =
        Certificate::from_pem_bundle(&pem).map_err(|error| no_certificates(format!(": {error}")))?;
    if certificates.is_empty() {
        return Err(no_certificates(String::new()).into());
    }
    let client = builder()
        .tls_certs_only(certificates)
        .build()
        .map_err(|error| no_certificates(format!(": {error}")))?;
    Ok(client)
}

fn headers(given: &BTreeMap<String, Scalar>) -> Result<HeaderMap, SendError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let refuse = || {
            Cause::new(
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

async fn read(request: &Send<'_>, mut response: Response) -> Result<Answer, SendError> {
    let status = response.status();
    let headers: Map = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| explain(request, error))? {
        if body.len() + chunk.len() > BODY_MAX {
            let message = format!(
                "{} answered with more than {} MiB",
                request.what(),
                BODY_MAX >> 20
            );
            return Err(SendError {
                cause: Cause::new(FailureKind::Conflict, message),
                may_have_arrived: true,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        headers,
        body,
    })
}

fn explain(request: &Send<'_>, error: reqwest::Error) -> SendError {
    let (is_builder, is_connect, is_timeout) = (error.is_builder(), error.is_connect(), error.is_timeout());
    let error = error.without_url();
    let mut reason: &dyn std::error::Error = &error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    let reason = reason.to_string();
    let is_distrusted = is_connect && reason.contains("certificate");
    let kind = if is_builder {
        FailureKind::Invalid
    } else if is_distrusted {
        FailureKind::Denied
    } else if is_timeout && !is_connect {
        FailureKind::Timeout
    } else {
        FailureKind::Unavailable
    };
    let mut cause = Cause::new(kind, format!("{}: {reason}", request.what()));
    if is_distrusted {
        cause = cause.with_hint("name the authority that signed its certificate: `ca: PATH`");
    }
    SendError {
        cause,
        may_have_arrived: !(is_builder || is_connect),
    }
}

pub(super) fn kind_of(status: StatusCode) -> FailureKind {
    match status.as_u16() {
        401 | 403 => FailureKind::Denied,
        404 | 410 => FailureKind::NotFound,
        409 | 412 => FailureKind::Conflict,
        400 | 422 => FailureKind::Invalid,
        408 | 425 | 429 | 502 | 503 | 504 => FailureKind::Unavailable,
        _ => FailureKind::Expectation,
    }
}

/// The schema of the output of actions that put out an answer.
pub(super) fn output_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "status": { "type": "integer", "description": "The status." },
            "headers": { "type": "object", "description": "The headers, by lower-case name." },
            "body": { "type": "string", "description": "The first 64 KiB of the body." },
            "json": { "description": "The body as JSON; null if it is none, or larger than 64 KiB." },
        },
        "required": ["status", "headers", "body", "json"],
    })
}
