//! Sending a request until it is answered.

use super::failure::{Failure, explain};
use super::xml::{self, ErrorDocument};
use super::{CONNECT_MAX, Client};
use crate::credentials::reason;
use crate::place::Place;
use bytes::Bytes;
use caxplan_model::{Cause, FailureKind};
use futures_util::StreamExt as _;
use http::{HeaderMap, Method, StatusCode};
use object_store::aws::AwsAuthorizer;
use object_store::client::{HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponseBody};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// How often a request is sent at most: with the pauses between, for about six seconds. Longer waits are the step's
/// own `retry:`.
const TRIES_MAX: u32 = 6;

/// The first pause; each is twice the one before.
const PAUSE_FIRST: Duration = Duration::from_millis(200);

/// The largest answer that is read whole: a page of a listing has some 500 kB.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A request, not signed yet.
pub(crate) struct Request<'a> {
    method: Method,
    place: &'a Place,
    query: Vec<(&'a str, String)>,
    headers: Vec<(&'static str, String)>,
    named_headers: Vec<(String, String)>,
    body: Bytes,
    sha256: Option<[u8; 32]>,
    /// Whether sending it again after an answer was lost does no harm.
    repeatable: bool,
}

impl<'a> Request<'a> {
    /// A request that may be sent again if no answer came: one that reads, or whose repetition leaves the same state.
    pub(crate) fn new(method: Method, place: &'a Place) -> Self {
        Self {
            method,
            place,
            query: Vec::new(),
            headers: Vec::new(),
            named_headers: Vec::new(),
            body: Bytes::new(),
            sha256: None,
            repeatable: true,
        }
    }

    /// It is sent once: if its answer is lost, the failure says that it is in doubt.
    #[must_use]
    pub(crate) fn once(mut self) -> Self {
        self.repeatable = false;
        self
    }

    #[must_use]
    pub(crate) fn query(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A header of the user's metadata.
    #[must_use]
    pub(crate) fn metadata(mut self, name: &str, value: impl Into<String>) -> Self {
        self.named_headers
            .push((format!("x-amz-meta-{}", name.to_ascii_lowercase()), value.into()));
        self
    }

    /// A body; its SHA-256 is signed.
    #[must_use]
    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.sha256 = Some(Sha256::digest(&body).into());
        self.body = body;
        self
    }

    /// A body whose SHA-256 is known.
    #[must_use]
    pub(crate) fn hashed_body(mut self, body: Bytes, sha256: [u8; 32]) -> Self {
        self.sha256 = Some(sha256);
        self.body = body;
        self
    }

    fn unsigned(&self, client: &Client) -> Result<HttpRequest, Cause> {
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(client.url(self.place, &self.query));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        for (name, value) in &self.named_headers {
            request = request.header(name, value);
        }
        if !self.body.is_empty() || matches!(self.method, Method::PUT | Method::POST) {
            request = request.header(http::header::CONTENT_LENGTH, self.body.len());
        }
        request
            .body(HttpRequestBody::from(self.body.clone()))
            .map_err(|error| {
                Cause::new(
                    FailureKind::Invalid,
                    format!("cannot ask for {}: {error}", self.place),
                )
                .with_hint("metadata, content types and keys must be printable text")
            })
    }
}

/// A successful answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: HttpResponseBody,
    what: String,
}

impl Answer {
    /// A header's value, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as it comes.
    pub(crate) fn into_stream(self) -> futures_util::stream::BoxStream<'static, Result<Bytes, HttpError>> {
        self.body.bytes_stream()
    }
}

impl Client {
    /// Sends a request until it is answered, at most six times, and gives a successful answer.
    ///
    /// Cancel safety: returns soon once the step is told to stop; whether the request was carried out may then be in
    /// doubt, and the failure says so.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Answer, Failure> {
        request.place.check()?;
        let what = format!("{} {}", request.method, request.place);
        let mut pause = PAUSE_FIRST;
        for attempt in 1_u32.. {
            let failure = match self.try_once(&request, &what).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let is_last = attempt == TRIES_MAX || self.cancel().is_cancelled();
            let may_repeat =
                failure.cause.kind == FailureKind::Unavailable && (request.repeatable || !failure.in_doubt);
            if is_last || !may_repeat {
                return Err(failure);
            }
            self.note(&format!(
                "{}: again in {:.1} s ({attempt} of {} tries made)",
                failure.cause.message,
                pause.as_secs_f32(),
                TRIES_MAX
            ));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.cancel().cancelled() => return Err(failure),
            }
            pause *= 2;
        }
        unreachable!("the last try returns")
    }

    /// Sends a request and reads the document that answers it.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
    ) -> Result<(HeaderMap, T), Failure> {
        let once = !request.repeatable;
        let answer = self.send(request).await?;
        let what = answer.what.clone();
        let headers = answer.headers.clone();
        let body = self.read(answer).await.map_err(|failure| Failure {
            in_doubt: once,
            ..failure
        })?;
        let document = xml::read(&body).map_err(|error| {
            let cause = Cause::new(
                FailureKind::Other,
                format!("{what}: the answer is not understood: {error}"),
            )
            .with_hint("is the endpoint that of an object store?");
            Failure {
                in_doubt: once,
                ..cause.into()
            }
        })?;
        Ok((headers, document))
    }

    /// Reads the whole body of an answer that is a document, or is to be thrown away.
    pub(crate) async fn read(&self, answer: Answer) -> Result<Bytes, Failure> {
        let mut stream = answer.body.bytes_stream();
        let mut body = Vec::new();
        loop {
            let chunk = tokio::select! {
                chunk = stream.next() => chunk,
                () = self.cancel().cancelled() => return Err(cancelled(&answer.what).into()),
            };
            match chunk {
                None => return Ok(body.into()),
                Some(Err(error)) => return Err(broken(&answer.what, &error).into()),
                Some(Ok(chunk)) if body.len() + chunk.len() > ANSWER_BYTES_MAX => {
                    let what = &answer.what;
                    return Err(
                        Cause::new(FailureKind::Other, format!("{what}: the answer is too long")).into(),
                    );
                }
                Some(Ok(chunk)) => body.extend_from_slice(&chunk),
            }
        }
    }

    async fn try_once(&self, request: &Request<'_>, what: &str) -> Result<Answer, Failure> {
        if self.cancel().is_cancelled() {
            return Err(cancelled(what).into());
        }
        let credential = tokio::select! {
            credential = self.credentials.get(&self.context) => credential?,
            () = self.cancel().cancelled() => return Err(cancelled(what).into()),
        };
        let mut signed = request.unsigned(self)?;
        AwsAuthorizer::new(&credential, "s3", &self.credentials.region)
            .try_authorize(&mut signed, request.sha256.as_ref().map(<[u8; 32]>::as_slice))
            .map_err(|error| {
                Cause::new(FailureKind::Invalid, format!("{what}: cannot be signed: {error}"))
            })?;
        let response = tokio::select! {
            response = self.http.execute(signed) => response,
            () = self.cancel().cancelled() => {
                return Err(Failure { in_doubt: !request.method.is_safe(), ..cancelled(what).into() });
            }
        };
        let response = response.map_err(|error| lost(what, request, &error))?;
        let (parts, body) = response.into_parts();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body,
            what: what.to_owned(),
        };
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(self.refusal(what, answer).await)
    }

    async fn refusal(&self, what: &str, answer: Answer) -> Failure {
        let (status, headers) = (answer.status, answer.headers.clone());
        // A refusal without a readable text is one all the same.
        let document = match self.read(answer).await {
            Ok(body) => xml::read(&body).unwrap_or_default(),
            Err(_) => ErrorDocument::default(),
        };
        let whose = &self.credentials.source;
        explain(what, whose, &self.credentials.region, status, &headers, &document)
    }
}

pub(crate) fn cancelled(what: &str) -> Cause {
    Cause::new(FailureKind::Cancelled, format!("{what}: stopped"))
}

/// A body that ended early.
pub(crate) fn broken(what: &str, error: &HttpError) -> Cause {
    Cause::new(
        FailureKind::Unavailable,
        format!("{what}: the answer broke off: {}", reason(error)),
    )
}

/// No answer came.
fn lost(what: &str, request: &Request<'_>, error: &HttpError) -> Failure {
    let why = reason(error);
    if error.kind() == HttpErrorKind::Connect {
        let text = format!("{what}: no connection: {why}");
        let is_certificate = why.contains("certificate") || why.contains("UnknownIssuer");
        let cause = if is_certificate {
            // Trying again would not help.
            Cause::new(FailureKind::Denied, text)
                .with_hint("a service with its own authority needs `ca_file`")
        } else {
            Cause::new(FailureKind::Unavailable, text).with_hint(format!(
                "is the endpoint right, and the service up? A connection may take {} s",
                CONNECT_MAX.as_secs()
            ))
        };
        return cause.into();
    }
    let cause = Cause::new(FailureKind::Unavailable, format!("{what}: no answer: {why}"));
    Failure {
        in_doubt: !request.method.is_safe(),
        ..cause.into()
    }
}
