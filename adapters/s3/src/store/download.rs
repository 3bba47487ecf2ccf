//! Downloads.

use super::head::Object;
use super::local::{Hashes, NewFile, Source, blocking};
use super::progress::Progress;
use crate::client::{Client, Failure, Request};
use crate::place::Place;
use crate::units::MIB;
use bytes::Bytes;
use caxplan_model::{Cause, FailureKind};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::Method;
use sha2::{Digest as _, Sha256};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// How much is fetched by one request.
const PART_BYTES: u64 = 16 * MIB;

/// How many requests are under way at a time; so many parts are in memory.
const PARALLEL: usize = 4;

/// How often one part may break off before it is given up.
const BREAKS_MAX: u32 = 5;

/// What came.
pub(crate) struct Downloaded {
    pub(crate) file: NewFile,
    pub(crate) hashes: Hashes,
    /// The SHA-256 that was noted when the object was put, as the service says.
    pub(crate) noted: Option<String>,
}

/// Fetches an object as it is now (or the version that it is) into a file beside `dest`. Nothing lies under the final name
/// until the caller has looked at the hashes and installs the file.
pub(crate) async fn download(
    client: &Client,
    place: &Place,
    object: &Object,
    dest: &Path,
) -> Result<Downloaded, Failure> {
    let path = dest.to_owned();
    let file = blocking(move || NewFile::create(&path)).await?;
    let progress = Progress::new(client, "downloaded", object.bytes);
    let parts = futures_util::stream::iter(0..object.bytes.div_ceil(PART_BYTES)).map(|number| {
        let (progress, target) = (&progress, Arc::clone(&file.file));
        async move {
            let first = number * PART_BYTES;
            let (part, noted) =
                fetch(client, place, object, first, PART_BYTES.min(object.bytes - first)).await?;
            let (bytes, shown) = (part.len() as u64, dest.to_owned());
            blocking(move || {
                target
                    .write_all_at(&part, first)
                    .map_err(|error| super::local::explain("write", &shown, &error))
            })
            .await?;
            progress.add(bytes);
            Ok::<_, Failure>(noted)
        }
    });
    let noted: Vec<Option<String>> = parts.buffer_unordered(PARALLEL).try_collect().await?;
    let noted = noted
        .into_iter()
        .flatten()
        .next()
        .or_else(|| object.sha256().map(str::to_owned));
    let hashes = Source::written(&file, dest, object.bytes)
        .hash(false, client.cancel())
        .await?;
    Ok(Downloaded { file, hashes, noted })
}

/// Fetches `length` bytes from `first` on, and the object's noted SHA-256. An answer that breaks off is asked for again from where it did.
async fn fetch(
    client: &Client,
    place: &Place,
    object: &Object,
    first: u64,
    length: u64,
) -> Result<(Bytes, Option<String>), Failure> {
    let wanted =
        usize::try_from(length).map_err(|_| Cause::new(FailureKind::Invalid, "the part is too large"))?;
    let mut part = Vec::with_capacity(wanted);
    let mut breaks = 0;
    loop {
        let from = first + part.len() as u64;
        let mut request = Request::new(Method::GET, place);
        if !(from == 0 && length == object.bytes) {
            request = request.header("range", format!("bytes={from}-{}", first + length - 1));
        }
        // What is put together must be of one object.
        request = match &object.version {
            Some(version) => request.query("versionId", version.clone()),
            None if object.etag.is_empty() => request,
            None => request.header("if-match", object.etag.clone()),
        };
        let answer = client.send(request).await.map_err(|failure| {
            if failure.is_unmet_condition() {
                Cause::new(
                    FailureKind::Conflict,
                    format!("{place} changed while it was downloaded"),
                )
                .with_hint("a `retry:` of the step gets the new one")
                .into()
            } else {
                failure
            }
        })?;
        if from != 0 && answer.status != http::StatusCode::PARTIAL_CONTENT {
            let cause = Cause::new(
                FailureKind::Other,
                format!("GET {place}: the service sends no parts of objects"),
            );
            return Err(cause.into());
        }
        let noted = answer
            .header("x-amz-meta-sha256")
            .filter(|noted| noted.len() == 64)
            .map(str::to_owned);
        let mut stream = answer.into_stream();
        let why = loop {
            let chunk = tokio::select! {
                chunk = stream.next() => chunk,
                () = client.cancel().cancelled() => {
                    return Err(Cause::new(FailureKind::Cancelled, format!("GET {place}: stopped")).into());
                }
            };
            match chunk {
                Some(Ok(chunk)) if part.len() + chunk.len() > wanted => {
                    break "more came than was asked for".to_owned();
                }
                Some(Ok(chunk)) => part.extend_from_slice(&chunk),
                None if part.len() == wanted => return Ok((part.into(), noted)),
                None => break "it ended early".to_owned(),
                Some(Err(error)) => break crate::credentials::reason(&error),
            }
        };
        // A connection that broke at the very end has brought all.
        if part.len() == wanted {
            return Ok((part.into(), noted));
        }
        breaks += 1;
        let at = first + part.len() as u64;
        let text = format!(
            "GET {place}: the answer broke off after {at} of {} bytes: {why}",
            object.bytes
        );
        if breaks == BREAKS_MAX {
            return Err(Cause::new(FailureKind::Unavailable, text).into());
        }
        client.note(&format!("{text}: going on from there"));
    }
}

/// Downloads an object only to compute its SHA-256. In memory are a few parts.
pub(crate) async fn digest(client: &Client, place: &Place, object: &Object) -> Result<[u8; 32], Failure> {
    let progress = Progress::new(client, "verified", object.bytes);
    let mut parts = futures_util::stream::iter(0..object.bytes.div_ceil(PART_BYTES))
        .map(|number| {
            let first = number * PART_BYTES;
            fetch(client, place, object, first, PART_BYTES.min(object.bytes - first))
        })
        .buffered(PARALLEL);
    let mut sha256 = Sha256::new();
    while let Some((part, _)) = parts.try_next().await? {
        let bytes = part.len() as u64;
        sha256 = blocking(move || {
            sha256.update(&part);
            Ok(sha256)
        })
        .await?;
        progress.add(bytes);
    }
    Ok(sha256.finalize().into())
}
