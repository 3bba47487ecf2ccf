//! The state of one object.

use super::local::Hashes;
use crate::client::{Client, Failure, Request};
use crate::place::Place;
use caxplan_model::{Cause, FailureKind};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// The metadata that holds an object's SHA-256, in hexadecimal digits.
pub(crate) const SHA256: &str = "sha256";

/// The metadata that names the run and step that wrote an object.
pub(crate) const WRITTEN_BY: &str = "caxplan-step";

/// What a service keeps beside the content, and a copy with other metadata must be given again.
const KEPT: [&str; 5] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
];

/// An object as it is now.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) bytes: u64,
    /// With its quotes, as conditions want it.
    pub(crate) etag: String,
    /// Absent in a bucket that never had versions.
    pub(crate) version: Option<String>,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) lock: Lock,
    /// The user's metadata, names in small letters.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Those of [`KEPT`] that it has.
    pub(crate) kept: Vec<(&'static str, String)>,
}

/// What keeps an object from being removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Lock {
    /// `GOVERNANCE` or `COMPLIANCE`, and until when.
    pub(crate) retention: Option<(String, String)>,
    pub(crate) legal_hold: bool,
}

impl Lock {
    fn of(headers: &HeaderMap) -> Self {
        let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let mode = get("x-amz-object-lock-mode");
        let until = get("x-amz-object-lock-retain-until-date");
        Self {
            retention: mode
                .zip(until)
                .map(|(mode, until)| (mode.to_owned(), until.to_owned())),
            legal_hold: get("x-amz-object-lock-legal-hold")
                .is_some_and(|hold| hold.eq_ignore_ascii_case("ON")),
        }
    }

    /// Says what locks it now; nothing if nothing does.
    pub(crate) fn holds(&self, now: Timestamp) -> Option<String> {
        if self.legal_hold {
            return Some("under a legal hold".to_owned());
        }
        let (mode, until) = self.retention.as_ref()?;
        let is_over = until.parse::<Timestamp>().is_ok_and(|until| until <= now);
        (!is_over).then(|| format!("locked until {until} ({mode})"))
    }
}

impl Object {
    fn of(headers: &HeaderMap, bytes: u64) -> Self {
        let get = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        Self {
            bytes,
            etag: get("etag").unwrap_or_default(),
            version: get("x-amz-version-id"),
            modified: get("last-modified")
                .and_then(|text| jiff::fmt::rfc2822::parse(&text).ok())
                .map(|time| time.timestamp()),
            lock: Lock::of(headers),
            metadata: headers
                .iter()
                .filter_map(|(name, value)| {
                    let name = name.as_str().strip_prefix("x-amz-meta-")?;
                    Some((name.to_owned(), value.to_str().ok()?.to_owned()))
                })
                .collect(),
            kept: KEPT.iter().filter_map(|name| Some((*name, get(name)?))).collect(),
        }
    }

    /// What this step has just put: what the answer to it tells, and what was asked for.
    pub(super) fn just_put(headers: &HeaderMap, etag: Option<&str>, hashes: &Hashes, marker: &str) -> Self {
        let noted = [
            (SHA256, hex::encode(hashes.sha256)),
            (WRITTEN_BY, marker.to_owned()),
        ];
        Self {
            etag: etag.unwrap_or_default().to_owned(),
            metadata: noted.map(|(name, value)| (name.to_owned(), value)).into(),
            ..Self::of(headers, hashes.bytes)
        }
    }

    /// What a listing tells of it.
    pub(crate) fn listed(bytes: u64, etag: &str) -> Self {
        Self {
            etag: etag.to_owned(),
            ..Self::of(&HeaderMap::new(), bytes)
        }
    }

    /// Its SHA-256 as it was noted when it was written.
    pub(crate) fn sha256(&self) -> Option<&str> {
        self.metadata
            .get(SHA256)
            .map(String::as_str)
            .filter(|sha256| sha256.len() == 64)
    }

    /// Its MD5, if the etag is one: of objects that were written in one part and are not encrypted by a key service.
    pub(crate) fn md5(&self) -> Option<&str> {
        is_md5(&self.etag)
    }

    /// Whether its MD5 is all that can tell it from a content of this length. An MD5 takes longer than a SHA-256 here.
    pub(crate) fn is_told_by_md5(&self, bytes: u64) -> bool {
        self.sha256().is_none() && self.md5().is_some() && self.bytes == bytes
    }

    /// Whether both have the same content, as far as can be told.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let is_same_hash = self.sha256().is_some() && self.sha256() == other.sha256();
        self.bytes == other.bytes && (is_same_hash || self.etag == other.etag)
    }

    /// Whether this step of this run wrote it.
    pub(crate) fn is_written_by(&self, marker: &str) -> bool {
        self.metadata.get(WRITTEN_BY).is_some_and(|by| by == marker)
    }

    pub(crate) fn content_type(&self) -> Option<&str> {
        self.kept
            .iter()
            .find(|(name, _)| *name == "content-type")
            .map(|(_, value)| value.as_str())
    }
}

/// The MD5 that an etag may be.
pub(crate) fn is_md5(etag: &str) -> Option<&str> {
    let etag = etag.trim_matches('"');
    (etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(etag)
}

/// Looks at an object, or one version of it; `None` if it is not there.
pub(crate) async fn head(
    client: &Client,
    place: &Place,
    version: Option<&str>,
) -> Result<Option<Object>, Failure> {
    let mut request = Request::new(Method::HEAD, place);
    if let Some(version) = version {
        request = request.query("versionId", version);
    }
    match client.send(request).await {
        Ok(answer) => {
            let bytes = answer
                .header("content-length")
                .and_then(|bytes| bytes.parse().ok());
            let bytes = bytes.ok_or_else(|| {
                Cause::new(
                    FailureKind::Other,
                    format!("HEAD {place}: the answer has no length"),
                )
            })?;
            Ok(Some(Object::of(&answer.headers, bytes)))
        }
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Fails if the bucket is known not to be there: without an object, it is the reason why there is none.
pub(crate) async fn check_bucket(client: &Client, place: &Place) -> Result<(), Failure> {
    match client.send(Request::new(Method::HEAD, &place.at(""))).await {
        Err(failure) if failure.is_not_found() => {
            let cause = Cause::new(
                FailureKind::NotFound,
                format!("there is no bucket `{}`", place.bucket),
            )
            .with_hint("create the bucket first, or correct its name");
            Err(cause.into())
        }
        // Who may write objects need not have the right to see the bucket.
        Ok(_) | Err(_) => Ok(()),
    }
}
