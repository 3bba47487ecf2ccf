//! Uploads in parts.

use super::copy::check_written;
use super::head::Object;
use super::progress::Progress;
use super::write::{Condition, Content, Wanted};
use crate::client::{CLEAN_UP_MAX, Client, Failure, Request, xml};
use crate::place::Place;
use crate::units::{GIB, MIB, counted, shown};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use caxplan_model::{Cause, FailureKind};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// How much one part has if nothing else is said.
pub(crate) const PART_BYTES_DEFAULT: u64 = 16 * MIB;

/// The protocol's limits.
const PART_BYTES_MIN: u64 = 5 * MIB;
const PART_BYTES_MAX: u64 = 5 * GIB;
const PARTS_MAX: u64 = 10_000;

/// The most parts under way at a time.
pub(crate) const PARALLEL_MAX: usize = 64;

/// An unfinished upload of the same key is taken for an orphan when it is this old.
const ORPHAN_AGE: SignedDuration = SignedDuration::from_hours(24);

/// How an object is cut into parts. In memory are at most `parallel` parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UploadPlan {
    pub(crate) part_bytes: u64,
    pub(crate) parallel: usize,
}

impl UploadPlan {
    /// A plan for an object of this size: parts are larger than asked for where there would be too many.
    pub(crate) fn new(part_bytes: u64, parallel: usize, total: u64) -> Result<Self, Cause> {
        if !(PART_BYTES_MIN..=PART_BYTES_MAX).contains(&part_bytes) {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!(
                    "parts of {} are not possible: services take 5 MiB to 5 GiB",
                    shown(part_bytes)
                ),
            ));
        }
        if !(1..=PARALLEL_MAX).contains(&parallel) {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!("`concurrency: {parallel}` is not possible: 1 to {PARALLEL_MAX} parts go at a time"),
            ));
        }
        let part_bytes = part_bytes.max(total.div_ceil(PARTS_MAX));
        if part_bytes > PART_BYTES_MAX {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!("{} are more than an object can have", shown(total)),
            ));
        }
        Ok(Self { part_bytes, parallel })
    }
}

/// An upload that was begun.
pub(super) struct Parts<'a> {
    place: &'a Place,
    id: String,
}

impl<'a> Parts<'a> {
    /// Begins an upload by this request. If its answer is lost, there may be an orphan without parts, which costs
    /// nothing.
    pub(super) async fn begin(
        client: &Client,
        place: &'a Place,
        request: Request<'_>,
    ) -> Result<Self, Failure> {
        let begun: Result<(_, xml::UploadBegun), _> = client.ask(request).await;
        // Nothing is done by it that could be seen.
        let (_, begun) = begun.map_err(|failure| Failure {
            in_doubt: false,
            ..failure
        })?;
        Ok(Self {
            place,
            id: begun.upload_id,
        })
    }

    /// The request that sends a part; the first has the number 0.
    pub(super) fn request(&self, number: u64) -> Request<'_> {
        Request::new(Method::PUT, self.place)
            .query("partNumber", (number + 1).to_string())
            .query("uploadId", self.id.clone())
    }

    /// Ends the upload: removes its parts if it failed, also when the step was told to stop. If it is in doubt whether it
    /// was completed, they are left: to remove them could not undo that, and would hide it.
    pub(super) async fn end<T>(&self, client: &Client, ended: Result<T, Failure>) -> Result<T, Failure> {
        let failure = match ended {
            Ok(done) => return Ok(done),
            Err(failure) if failure.in_doubt => return Err(failure),
            Err(failure) => failure,
        };
        let cleaner = client.unstoppable();
        let abort = cleaner.send(Request::new(Method::DELETE, self.place).query("uploadId", self.id.clone()));
        let aborted = match tokio::time::timeout(CLEAN_UP_MAX, abort).await {
            Ok(Ok(_)) => true,
            Ok(Err(abort)) => abort.code == "NoSuchUpload",
            Err(_) => false,
        };
        if !aborted {
            client.note(&format!(
                "the parts of the upload {} of {} could not be removed: a lifecycle rule (AbortIncompleteMultipartUpload) \
                 does it, or `aws s3api abort-multipart-upload`",
                self.id, self.place
            ));
        }
        Err(failure)
    }
}

/// Uploads a content in parts, and removes them again if it fails.
pub(super) async fn upload(
    client: &Client,
    place: &Place,
    content: &Content,
    wanted: &Wanted,
) -> Result<Object, Failure> {
    remove_orphans(client, place).await;
    let request = Request::new(Method::POST, place)
        .query("uploads", "")
        .header("x-amz-checksum-algorithm", "SHA256");
    let parts = Parts::begin(client, place, wanted.add(request, place, &content.hashes.sha256)).await?;
    let sent = async {
        let etags = send_parts(client, place, content, wanted.plan, &parts).await?;
        // The metadata promises a hash that was computed before: so nothing may have changed since.
        content.source.check_unchanged()?;
        let (headers, etag) = complete(client, place, &parts, &etags, &wanted.condition).await?;
        Ok(Object::just_put(
            &headers,
            Some(&etag),
            &content.hashes,
            &wanted.marker,
        ))
    }
    .await;
    parts.end(client, sent).await
}

async fn send_parts(
    client: &Client,
    place: &Place,
    content: &Content,
    plan: UploadPlan,
    parts: &Parts<'_>,
) -> Result<Vec<(String, Option<[u8; 32]>)>, Failure> {
    let total = content.hashes.bytes;
    let progress = Progress::new(client, "uploaded", total);
    let count = total.div_ceil(plan.part_bytes);
    let sent = futures_util::stream::iter(0..count).map(|number| {
        let progress = &progress;
        async move {
            let at = number * plan.part_bytes;
            let part = content
                .source
                .read_part(at, plan.part_bytes.min(total - at))
                .await?;
            let bytes = part.len() as u64;
            let hashed = part.clone();
            let sha256: [u8; 32] = super::local::blocking(move || Ok(Sha256::digest(&hashed).into())).await?;
            let request = parts
                .request(number)
                .header("x-amz-checksum-sha256", BASE64.encode(sha256))
                .hashed_body(part, sha256);
            let answer = client.send(request).await?;
            let etag = answer.header("etag").map(str::to_owned).ok_or_else(|| {
                Cause::new(
                    FailureKind::Other,
                    format!("PUT {place}: the answer to part {} has no etag", number + 1),
                )
            })?;
            let _ = client.read(answer).await;
            progress.add(bytes);
            Ok::<_, Failure>((etag, Some(sha256)))
        }
    });
    sent.buffered(plan.parallel)
        .try_collect()
        .await
        // Parts are not to be seen before the upload is completed.
        .map_err(|failure: Failure| Failure {
            in_doubt: false,
            ..failure
        })
}

/// Makes an object of the parts; gives the answer's headers and the etag.
pub(super) async fn complete(
    client: &Client,
    place: &Place,
    parts: &Parts<'_>,
    etags: &[(String, Option<[u8; 32]>)],
    condition: &Condition,
) -> Result<(HeaderMap, String), Failure> {
    let mut document =
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">".to_owned();
    for (at, (etag, sha256)) in etags.iter().enumerate() {
        // Writing to a String does not fail.
        let _ = write!(
            document,
            "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag>",
            at + 1,
            xml::escaped(etag)
        );
        if let Some(sha256) = sha256 {
            let _ = write!(
                document,
                "<ChecksumSHA256>{}</ChecksumSHA256>",
                BASE64.encode(sha256)
            );
        }
        document.push_str("</Part>");
    }
    document.push_str("</CompleteMultipartUpload>");
    let request = Request::new(Method::POST, place)
        .once()
        .query("uploadId", parts.id.clone())
        .header("content-type", "application/xml")
        .body(document.into());
    let (headers, written): (_, xml::Written) = client.ask(condition.add(request)).await?;
    check_written(&written, place)?;
    Ok((headers, written.etag.unwrap_or_default()))
}

/// Removes parts that an engine which died left of the same key, if they are old enough that nobody can be at it.
async fn remove_orphans(client: &Client, place: &Place) {
    let bucket = place.at("");
    let request = Request::new(Method::GET, &bucket)
        .query("uploads", "")
        .query("prefix", place.key.clone());
    // Not all services have this, nor all users the right to it; then a lifecycle rule must do.
    let listed: Result<(_, xml::Uploads), _> = client.ask(request).await;
    let Ok((_, listed)) = listed else { return };
    for (id, age) in orphans(&listed, &place.key, Timestamp::now()) {
        if age < ORPHAN_AGE {
            client.note(&format!(
                "another upload of {place} was begun {} min ago and is not finished; if nobody is at it, its parts are \
                 removed when it is a day old",
                age.as_mins()
            ));
            continue;
        }
        let abort = Request::new(Method::DELETE, place).query("uploadId", id);
        if client.send(abort).await.is_ok() {
            client.note(&format!(
                "removed the parts of an upload of {place} that was left unfinished {} ago",
                days(age)
            ));
        }
    }
}

fn days(age: SignedDuration) -> String {
    counted(usize::try_from(age.as_hours() / 24).unwrap_or(0), "day")
}

/// The unfinished uploads of exactly this key, with their ages.
fn orphans(listed: &xml::Uploads, key: &str, now: Timestamp) -> Vec<(String, SignedDuration)> {
    let ours = listed.uploads.iter().filter(|upload| upload.key == key);
    ours.filter_map(|upload| {
        let begun: Timestamp = upload.initiated.parse().ok()?;
        Some((upload.upload_id.clone(), now.duration_since(begun)))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fit_the_limits() {
        let plan = |part_bytes, total| UploadPlan::new(part_bytes, 4, total).map(|plan| plan.part_bytes);
        assert_eq!(plan(16 * MIB, GIB), Ok(16 * MIB));
        let huge = plan(5 * MIB, 1 << 40).unwrap();
        assert!((1_u64 << 40).div_ceil(huge) <= PARTS_MAX, "{huge}");
        for (part_bytes, parallel) in [(MIB, 4), (6 * GIB, 4), (16 * MIB, 0), (16 * MIB, 65)] {
            let refused = UploadPlan::new(part_bytes, parallel, 1).unwrap_err();
            assert_eq!(refused.kind, FailureKind::Invalid);
        }
    }

    #[test]
    fn only_uploads_of_the_same_key_are_looked_at() {
        let upload = |key: &str, initiated: &str| xml::UploadListed {
            key: key.to_owned(),
            upload_id: format!("{key} {initiated}"),
            initiated: initiated.to_owned(),
        };
        let listed = xml::Uploads {
            uploads: vec![
                upload("a", "2026-01-01T00:00:00.000Z"),
                upload("a", "2026-01-03T23:00:00Z"),
                upload("ab", "2026-01-01T00:00:00Z"),
                upload("a", "soon"),
            ],
        };
        let ages: Vec<i64> = orphans(&listed, "a", "2026-01-04T00:00:00Z".parse().unwrap())
            .into_iter()
            .map(|(_, age)| age.as_hours())
            .collect();
        assert_eq!(ages, [72, 1]);
    }
}
