//! Copies that the service makes by itself.

use super::head::{Object, WRITTEN_BY, head};
use super::upload::{Parts, complete};
use super::write::Condition;
use crate::client::{Client, Failure, Request, xml};
use crate::place::{Place, encoded};
use crate::units::GIB;
use caxplan_model::{Cause, FailureKind};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::Method;

/// The largest object that is copied by one request: the protocol's limit.
pub(crate) const COPY_BYTES_MAX: u64 = 5 * GIB;

/// How much one part of a larger copy has.
const PART_BYTES: u64 = GIB;

/// How many parts are copied at a time.
const PARALLEL: usize = 4;

/// Copies an object as it is now (`object`), or the version that it is, with all its metadata. With a `marker`, the copy
/// names the run and step that made it; without, it is like the original in all.
pub(crate) async fn copy(
    client: &Client,
    from: &Place,
    object: &Object,
    to: &Place,
    marker: Option<&str>,
    condition: &Condition,
) -> Result<Object, Failure> {
    copy_in_parts_of(
        client,
        from,
        object,
        to,
        marker,
        condition,
        COPY_BYTES_MAX,
        PART_BYTES,
    )
    .await
}

#[allow(clippy::too_many_arguments)]
async fn copy_in_parts_of(
    client: &Client,
    from: &Place,
    object: &Object,
    to: &Place,
    marker: Option<&str>,
    condition: &Condition,
    at_once_max: u64,
    part_bytes: u64,
) -> Result<Object, Failure> {
    let copied = if object.bytes <= at_once_max {
        at_once(client, from, object, to, marker, condition).await
    } else {
        in_parts(client, from, object, to, marker, condition, part_bytes).await
    };
    match copied {
        Ok(()) => {}
        Err(failure) if failure.in_doubt || failure.is_unmet_condition() => {
            // As with a put: it may be there all the same.
            let is_there = |copy: &Object| marker.is_some_and(|marker| copy.is_written_by(marker));
            match head(client, to, None).await {
                Ok(Some(copy)) if is_there(&copy) => return Ok(copy),
                Ok(_) | Err(_) => return Err(failure),
            }
        }
        Err(failure) => return Err(failure),
    }
    let copy = head(client, to, None).await.map_err(|failure| Failure {
        in_doubt: true,
        ..failure
    })?;
    copy.ok_or_else(|| {
        Cause::new(
            FailureKind::Conflict,
            format!("{to} was written, and is not there any more"),
        )
        .into()
    })
}

fn source(from: &Place, object: &Object) -> String {
    let mut source = format!("/{}/{}", from.bucket, encoded(&from.key, true));
    if let Some(version) = &object.version {
        source.push_str("?versionId=");
        source.push_str(&encoded(version, false));
    }
    source
}

/// The headers that make the copy's metadata those of the original.
fn with_metadata<'a>(mut request: Request<'a>, object: &Object, marker: Option<&str>) -> Request<'a> {
    for (name, value) in &object.kept {
        request = request.header(name, value.clone());
    }
    for (name, value) in object
        .metadata
        .iter()
        .filter(|(name, _)| marker.is_none() || *name != WRITTEN_BY)
    {
        request = request.metadata(name, value.clone());
    }
    if let Some(marker) = marker {
        request = request.metadata(WRITTEN_BY, marker);
    }
    request
}

async fn at_once(
    client: &Client,
    from: &Place,
    object: &Object,
    to: &Place,
    marker: Option<&str>,
    condition: &Condition,
) -> Result<(), Failure> {
    let mut request = Request::new(Method::PUT, to)
        .once()
        .header("x-amz-copy-source", source(from, object))
        .header("x-amz-copy-source-if-match", object.etag.clone());
    if marker.is_some() {
        request = with_metadata(
            request.header("x-amz-metadata-directive", "REPLACE"),
            object,
            marker,
        );
    }
    let (_, written): (_, xml::Written) = client.ask(condition.add(request)).await.map_err(|failure| {
        if failure.is_unmet_condition() && *condition == Condition::None {
            changed(from)
        } else {
            failure
        }
    })?;
    check_written(&written, to)
}

/// Some requests are answered with status 200 before they are carried out, and a failure then comes in the body. It is one
/// of the service, and not known to have done nothing.
pub(super) fn check_written(written: &xml::Written, to: &Place) -> Result<(), Failure> {
    match (&written.etag, &written.code) {
        (Some(_), None) => Ok(()),
        (_, code) => {
            let code = code.clone().unwrap_or_default();
            let message = written.message.clone().unwrap_or_default();
            let cause = Cause::new(FailureKind::Unavailable, format!("PUT {to}: {code}: {message}"));
            Err(Failure {
                in_doubt: true,
                ..cause.into()
            })
        }
    }
}

fn changed(from: &Place) -> Failure {
    Cause::new(
        FailureKind::Conflict,
        format!("{from} changed while it was copied"),
    )
    .into()
}

async fn in_parts(
    client: &Client,
    from: &Place,
    object: &Object,
    to: &Place,
    marker: Option<&str>,
    condition: &Condition,
    part_bytes: u64,
) -> Result<(), Failure> {
    let request = with_metadata(
        Request::new(Method::POST, to).query("uploads", ""),
        object,
        marker,
    );
    let parts = Parts::begin(client, to, request).await?;
    let copied = async {
        let count = object.bytes.div_ceil(part_bytes);
        let etags: Vec<(String, Option<[u8; 32]>)> = futures_util::stream::iter(0..count)
            .map(|number| {
                let parts = &parts;
                async move {
                    let first = number * part_bytes;
                    let last = (first + part_bytes).min(object.bytes) - 1;
                    let request = parts
                        .request(number)
                        .header("x-amz-copy-source", source(from, object))
                        .header("x-amz-copy-source-if-match", object.etag.clone())
                        .header("x-amz-copy-source-range", format!("bytes={first}-{last}"));
                    let (_, written): (_, xml::Written) = client.ask(request).await.map_err(|failure| {
                        if failure.is_unmet_condition() {
                            changed(from)
                        } else {
                            failure
                        }
                    })?;
                    check_written(&written, to)?;
                    Ok::<_, Failure>((written.etag.unwrap_or_default(), None))
                }
            })
            .buffered(PARALLEL)
            .try_collect()
            .await
            .map_err(|failure: Failure| Failure {
                in_doubt: false,
                ..failure
            })?;
        complete(client, to, &parts, &etags, condition).await.map(|_| ())
    }
    .await;
    parts.end(client, copied).await
}
