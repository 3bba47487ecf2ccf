//! What an undo needs: what lay under a key before, and how to get it back.

use super::copy::{COPY_BYTES_MAX, copy};
use super::head::{Object, head};
use super::write::{Condition, delete, delete_version};
use crate::client::{Client, Failure, Request, marker, xml};
use crate::place::Place;
use crate::units::shown;
use caxplan_adapter::Call;
use caxplan_model::{Cause, FailureEffect, FailureKind, Outcome, Value};
use http::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The prefix, in each bucket, of what is kept aside for undoing where there are no versions.
pub(crate) const ASIDE: &str = ".caxplan-undo/";

/// The largest object that is kept aside: what the service copies by one request.
pub(crate) const UNDO_BYTES_MAX: u64 = COPY_BYTES_MAX;

/// How many versions a step can have made by its attempts.
const OWN_VERSIONS_MAX: usize = 20;

/// What lay under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "snake_case")]
pub(crate) enum Before {
    /// Nothing.
    Absent,
    /// A version, which the bucket keeps.
    Version { version: String, bytes: u64 },
    /// An object that is copied aside before the step changes it.
    Aside { key: String, etag: String, bytes: u64 },
    /// An object that cannot be brought back.
    Lost { bytes: u64, why: String },
}

impl Before {
    /// What lies there now, as an undo will want it. `keep` says whether it may be copied aside.
    pub(crate) async fn of(
        client: &Client,
        call: &Call,
        place: &Place,
        now: Option<&Object>,
        keep: bool,
    ) -> Result<Self, Failure> {
        let Some(object) = now else {
            return Ok(Self::Absent);
        };
        let bytes = object.bytes;
        let version = match object.version.as_deref() {
            // What was there before the bucket had versions: a new one replaces it if they are suspended.
            Some("null") if !has_versions(client, place).await => None,
            version => version,
        };
        Ok(match version {
            Some(version) => Self::Version {
                version: version.to_owned(),
                bytes,
            },
            None if !keep => Self::Lost {
                bytes,
                why: "the plan says `undo_copy: false`".to_owned(),
            },
            None if bytes > UNDO_BYTES_MAX => Self::Lost {
                bytes,
                why: format!("more than {} are not kept aside", shown(UNDO_BYTES_MAX)),
            },
            None => Self::Aside {
                key: aside_key(call, place),
                etag: object.etag.clone(),
                bytes,
            },
        })
    }

    /// Copies aside what must be.
    pub(crate) async fn keep(
        &self,
        client: &Client,
        place: &Place,
        now: Option<&Object>,
    ) -> Result<(), Failure> {
        let (Self::Aside { key, .. }, Some(object)) = (self, now) else {
            return Ok(());
        };
        let aside = place.at(key.clone());
        // An earlier attempt has done it: what lies there now may be its work.
        if head(client, &aside, None).await?.is_some() {
            return Ok(());
        }
        copy(client, place, object, &aside, None, &Condition::None)
            .await
            // It is not to be seen.
            .map_err(|failure| Failure {
                in_doubt: false,
                ..failure
            })?;
        Ok(())
    }

    /// What an undo will do, for a forecast.
    pub(crate) fn promise(&self) -> String {
        match self {
            Self::Absent => "an undo removes it".to_owned(),
            Self::Version { .. } => "the bucket keeps the old version, to which an undo goes back".to_owned(),
            Self::Aside { .. } => {
                format!("the old object is copied to `{ASIDE}…` first, from where an undo restores it")
            }
            Self::Lost { why, .. } => format!("it cannot be undone: the bucket has no versions, and {why}"),
        }
    }
}

/// Where an object is kept aside.
fn aside_key(call: &Call, place: &Place) -> String {
    // A run's step has one such place for each key, in all its attempts.
    format!("{ASIDE}{}/{}", marker(call), place.key)
}

/// Whether writing to the bucket makes new versions. If it cannot be told, it is taken not to.
async fn has_versions(client: &Client, place: &Place) -> bool {
    let bucket = place.at("");
    let asked: Result<(_, xml::Versioning), _> = client
        .ask(Request::new(Method::GET, &bucket).query("versioning", ""))
        .await;
    asked.is_ok_and(|(_, versioning)| versioning.status.as_deref() == Some("Enabled"))
}

/// Brings back what lay under a key before this step, which wrote (or removed) what lies there now.
///
/// Idempotent. What something else wrote there since is left alone, and said to be a conflict.
pub(crate) async fn restore(client: &Client, call: &Call, place: &Place, before: &Before) -> Outcome {
    match try_restore(client, call, place, before).await {
        Ok(true) => Outcome::Changed { output: Value::Null },
        Ok(false) => Outcome::Unchanged { output: Value::Null },
        Err(failure) => failure.outcome(FailureEffect::Possible),
    }
}

async fn try_restore(client: &Client, call: &Call, place: &Place, before: &Before) -> Result<bool, Failure> {
    let marker = marker(call);
    let mut changed = false;
    // Attempts that were in doubt may have made several versions.
    for _ in 0..OWN_VERSIONS_MAX {
        let now = head(client, place, None).await?;
        match (before, &now) {
            (Before::Absent, None) => return Ok(changed),
            (Before::Version { version, .. }, Some(object)) if object.version.as_ref() == Some(version) => {
                return Ok(changed);
            }
            (Before::Lost { bytes, why }, _) => {
                return Err(Cause::new(
                    FailureKind::Conflict,
                    format!("{place} held {} that were not kept: {why}", shown(*bytes)),
                )
                .with_hint("restore it from a backup")
                .into());
            }
            (Before::Aside { key, etag, bytes }, _) => {
                return from_aside(
                    client,
                    place,
                    &place.at(key.clone()),
                    (etag, *bytes),
                    now.as_ref(),
                    &marker,
                )
                .await
                .map(|done| done || changed);
            }
            (Before::Absent | Before::Version { .. }, Some(object)) => {
                if !object.is_written_by(&marker) {
                    // An undo before this one may have copied the old version above one that it could not remove.
                    if let Before::Version { version, .. } = before {
                        let old = head(client, place, Some(version)).await?;
                        if old.is_some_and(|old| old.is_like(object)) {
                            return Ok(changed);
                        }
                    }
                    return Err(overwritten(place));
                }
                changed = true;
                if !remove_own(client, place, object).await? {
                    // It is locked: so the old content goes on top of it.
                    return on_top(client, place, before).await.map(|()| true);
                }
            }
            (Before::Version { version, .. }, None) => {
                changed = true;
                if !remove_marker(client, place).await? {
                    let old = head(client, place, Some(version))
                        .await?
                        .ok_or_else(|| lost(place, version))?;
                    copy(client, place, &old, place, None, &Condition::None).await?;
                    return Ok(true);
                }
            }
        }
    }
    Err(Cause::new(
        FailureKind::Conflict,
        format!("{place} has too many versions by this step to undo"),
    )
    .with_hint("look at them with `aws s3api list-object-versions`")
    .into())
}

fn overwritten(place: &Place) -> Failure {
    Cause::new(
        FailureKind::Conflict,
        format!("{place} was written by something else since: it is left as it is"),
    )
    .with_hint("restore it by hand if that is what you want")
    .into()
}

fn lost(place: &Place, version: &str) -> Failure {
    Cause::new(
        FailureKind::NotFound,
        format!("the version {version} of {place} is not there any more"),
    )
    .with_hint("a lifecycle rule may have removed it: restore it from a backup")
    .into()
}

/// Removes the version that this step wrote; false if it is locked.
async fn remove_own(client: &Client, place: &Place, object: &Object) -> Result<bool, Failure> {
    let Some(version) = &object.version else {
        delete(client, place).await?;
        return Ok(true);
    };
    match delete_version(client, place, version).await {
        Ok(()) => Ok(true),
        Err(failure) if failure.is_denied() => {
            let why = object
                .lock
                .holds(Timestamp::now())
                .unwrap_or_else(|| failure.cause.message.clone());
            client.note(&format!(
                "the version {version} of {place} stays, for it may not be removed: {why}"
            ));
            Ok(false)
        }
        Err(failure) => Err(failure),
    }
}

/// Restores the state that is to be seen, above a version that may not be removed.
async fn on_top(client: &Client, place: &Place, before: &Before) -> Result<(), Failure> {
    match before {
        Before::Version { version, .. } => {
            let old = head(client, place, Some(version))
                .await?
                .ok_or_else(|| lost(place, version))?;
            copy(client, place, &old, place, None, &Condition::None).await?;
        }
        Before::Absent | Before::Aside { .. } | Before::Lost { .. } => delete(client, place).await?,
    }
    Ok(())
}

/// Removes the mark that the object is deleted; false if there is none.
async fn remove_marker(client: &Client, place: &Place) -> Result<bool, Failure> {
    let bucket = place.at("");
    let request = Request::new(Method::GET, &bucket)
        .query("versions", "")
        .query("prefix", place.key.clone());
    let listed: Result<(_, xml::VersionPage), _> = client.ask(request).await;
    let page = match listed {
        Ok((_, page)) => page,
        Err(failure) if failure.is_denied() => return Ok(false),
        Err(failure) => return Err(failure),
    };
    let latest = page
        .delete_markers
        .iter()
        .find(|listed| listed.is_latest && listed.key == place.key);
    let Some(latest) = latest else { return Ok(false) };
    match delete_version(client, place, &latest.version_id).await {
        Ok(()) => Ok(true),
        Err(failure) if failure.is_denied() => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Copies back what was kept aside, and removes it there.
async fn from_aside(
    client: &Client,
    place: &Place,
    aside: &Place,
    was: (&str, u64),
    now: Option<&Object>,
    marker: &str,
) -> Result<bool, Failure> {
    let (etag, bytes) = was;
    let is_own = now.is_none_or(|object| object.is_written_by(marker));
    let kept = head(client, aside, None).await?;
    match (now, kept) {
        (Some(object), kept) if object.etag == etag && object.bytes == bytes => {
            if kept.is_some() {
                delete(client, aside).await?;
            }
            Ok(false)
        }
        // An undo before this one has copied it back. (A copy's etag may differ from the original's.)
        (Some(object), None) if !is_own && object.bytes == bytes => Ok(false),
        (Some(_), _) if !is_own => Err(overwritten(place)),
        (_, None) => Err(Cause::new(
            FailureKind::NotFound,
            format!("{aside}, which was kept for undoing, is not there"),
        )
        .with_hint("a lifecycle rule may have removed it: restore it from a backup")
        .into()),
        (_, Some(kept)) => {
            copy(client, aside, &kept, place, None, &Condition::None).await?;
            delete(client, aside).await?;
            Ok(true)
        }
    }
}
