//! Putting an object in place, and removing one.

use super::head::{Object, SHA256, WRITTEN_BY, head};
use super::local::{Hashes, Source};
use super::upload::{UploadPlan, upload};
use crate::client::{CLEAN_UP_MAX, Client, Failure, Request};
use crate::place::Place;
use base64::Engine as _;
use bytes::Bytes;
use http::Method;
use std::collections::BTreeMap;

/// What is put: a text of the plan's or a file, with its hashes.
pub(crate) struct Content {
    pub(crate) source: Source,
    pub(crate) hashes: Hashes,
}

/// How an object shall be.
pub(crate) struct Wanted {
    pub(crate) content_type: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Names this step of this run in the object's metadata.
    pub(crate) marker: String,
    pub(crate) condition: Condition,
    pub(crate) plan: UploadPlan,
}

/// What must be so when it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    None,
    /// Nothing lies there.
    Absent,
    /// What lies there has this etag.
    Etag(String),
}

impl Condition {
    pub(super) fn add<'a>(&self, request: Request<'a>) -> Request<'a> {
        match self {
            Self::None => request,
            Self::Absent => request.header("if-none-match", "*"),
            Self::Etag(etag) => request.header("if-match", etag.clone()),
        }
    }
}

impl Wanted {
    /// The headers that the object keeps.
    pub(super) fn add<'a>(&self, mut request: Request<'a>, place: &Place, sha256: &[u8; 32]) -> Request<'a> {
        let content_type = self
            .content_type
            .clone()
            .unwrap_or_else(|| type_of(&place.key).to_owned());
        request = request.header("content-type", content_type);
        for (name, value) in &self.metadata {
            request = request.metadata(name, value);
        }
        request
            .metadata(SHA256, hex::encode(sha256))
            .metadata(WRITTEN_BY, &self.marker)
    }
}

/// The type that the ending of a key speaks of.
fn type_of(key: &str) -> &'static str {
    let name = key.rsplit('/').next().unwrap_or(key);
    match name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase())
        .as_deref()
    {
        Some("json") => "application/json",
        Some("yaml" | "yml") => "application/yaml",
        Some("xml") => "application/xml",
        Some("txt" | "log" | "md" | "conf") => "text/plain; charset=utf-8",
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("css") => "text/css",
        Some("csv") => "text/csv",
        Some("js") => "text/javascript",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("pdf") => "application/pdf",
        Some("gz" | "tgz") => "application/gzip",
        Some("zip") => "application/zip",
        Some("wasm") => "application/wasm",
        Some(_) | None => "application/octet-stream",
    }
}

/// How often an object is put, if answers are lost and it is not there.
const PUTS_MAX: u32 = 3;

/// Puts an object in place, in one part or many, and gives its state.
///
/// An answer that was lost is looked for: if the object is there as this step wrote it, all is well; if it is not, it is
/// put again, which does no harm even if the first request is still under way. A failure that is `in_doubt` is one where
/// that could not be told.
pub(crate) async fn put(
    client: &Client,
    place: &Place,
    content: &Content,
    wanted: &Wanted,
) -> Result<Object, Failure> {
    let mut puts = 1;
    loop {
        let written = if content.hashes.bytes > wanted.plan.part_bytes {
            upload(client, place, content, wanted).await
        } else {
            let body = content.source.read(content.hashes.bytes).await?;
            put_at_once(client, place, body, &content.hashes, wanted).await
        };
        // A request that was carried out, and whose answer was lost, lets its own repetition meet its own object.
        let failure = match written {
            Ok(object) => return Ok(object),
            Err(failure) if failure.in_doubt || failure.is_unmet_condition() => failure,
            Err(failure) => return Err(failure),
        };
        let is_stopped = client.cancel().is_cancelled();
        let seen = if is_stopped {
            let looking = client.unstoppable();
            tokio::time::timeout(CLEAN_UP_MAX, head(&looking, place, None))
                .await
                .ok()
        } else {
            Some(head(client, place, None).await)
        };
        let is_own = |object: &Object| {
            object.is_written_by(&wanted.marker)
                && object.sha256() == Some(&hex::encode(content.hashes.sha256))
        };
        match seen {
            Some(Ok(Some(object))) if is_own(&object) => return Ok(object),
            Some(Ok(_)) if failure.in_doubt && !is_stopped && puts < PUTS_MAX => {
                client.note(&format!(
                    "{}: it is not there, so it is put again",
                    failure.cause.message
                ));
                puts += 1;
            }
            _ => return Err(failure),
        }
    }
}

async fn put_at_once(
    client: &Client,
    place: &Place,
    body: Bytes,
    hashes: &Hashes,
    wanted: &Wanted,
) -> Result<Object, Failure> {
    let request = Request::new(Method::PUT, place)
        .once()
        .header(
            "x-amz-checksum-sha256",
            base64::engine::general_purpose::STANDARD.encode(hashes.sha256),
        )
        .hashed_body(body, hashes.sha256);
    let answer = client
        .send(wanted.condition.add(wanted.add(request, place, &hashes.sha256)))
        .await?;
    let object = Object::just_put(&answer.headers, answer.header("etag"), hashes, &wanted.marker);
    // So that the connection can be used again.
    let _ = client.read(answer).await;
    Ok(object)
}

/// Removes an object; in a bucket with versions, its content stays as an old version. What is not there is well.
pub(crate) async fn delete(client: &Client, place: &Place) -> Result<(), Failure> {
    remove(client, Request::new(Method::DELETE, place)).await
}

/// Removes one version for good.
pub(crate) async fn delete_version(client: &Client, place: &Place, version: &str) -> Result<(), Failure> {
    remove(
        client,
        Request::new(Method::DELETE, place).query("versionId", version),
    )
    .await
}

async fn remove(client: &Client, request: Request<'_>) -> Result<(), Failure> {
    match client.send(request).await {
        Ok(answer) => {
            let _ = client.read(answer).await;
            Ok(())
        }
        Err(failure) if failure.code == "NoSuchKey" || failure.code == "NoSuchVersion" => Ok(()),
        Err(failure) => Err(failure),
    }
}
