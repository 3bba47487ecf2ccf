//! What lay under a name before a step, and putting it back.
//!
//! A file that is replaced gets a second name beside it, `.NAME.caxplan-….old`, before the new one takes its place; what is
//! removed is renamed to it. An undo renames it back. The second name stays until a later run puts something under the same
//! name ([`tidy`]).

use super::fault::{Fault, nothing_done, perhaps_done};
use super::place::{Attributes, Beside, Kind, Meta, Place, join};
use caxplan_model::{Cause, FailureKind, Outcome, Value};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file of at most this many bytes is remembered by its hash too, at any rate.
const HASH_MAX: u64 = 8 << 20;

/// How old a half-written file of another run is, in seconds, before nobody is taken to be writing it.
const PART_AGE_MAX: u32 = 24 * 60 * 60;

/// What lay under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Before {
    /// Nothing.
    Absent {},
    /// A file.
    File {
        bytes: u64,
        /// Unless it is large and its length alone told it from the new one.
        sha256: Option<String>,
        modified: u32,
        mode: u32,
        owner: (u32, u32),
        /// The name under which it is kept once it is replaced.
        kept: String,
    },
    /// A link.
    Link { target: String },
    /// A folder.
    Folder {
        mode: u32,
        owner: (u32, u32),
        /// The name under which it is kept if it is removed.
        kept: String,
    },
    /// A folder whose content is changed.
    Tree {
        /// Tells its content from another.
        digest: String,
        /// The folder in which is kept what is replaced or removed, with a manifest.
        kept: String,
    },
}

impl Before {
    /// Reads it. `needs_hash` says whether the hash of a file is worth its time.
    pub(super) async fn of(
        place: &dyn Place,
        path: &str,
        now: Option<&Meta>,
        beside: &Beside,
        needs_hash: bool,
    ) -> Result<Self, Fault> {
        let Some(now) = now else {
            return Ok(Self::Absent {});
        };
        Ok(match now.kind {
            Kind::File => Self::File {
                bytes: now.bytes,
                sha256: match needs_hash || now.bytes <= HASH_MAX {
                    true => Some(place.sha256(path, None).await?),
                    false => None,
                },
                modified: now.modified,
                mode: now.mode,
                owner: now.owner,
                kept: beside.old(),
            },
            Kind::Link => Self::Link {
                target: place.target(path).await?,
            },
            Kind::Folder => Self::Folder {
                mode: now.mode,
                owner: now.owner,
                kept: beside.old(),
            },
            Kind::Other => {
                return Err(Fault::new(
                    FailureKind::Conflict,
                    format!(
                        "{} is neither a file, nor a folder, nor a link",
                        place.shown(path)
                    ),
                ));
            }
        })
    }

    /// As an undo gets it.
    pub(super) fn parse<T: serde::de::DeserializeOwned>(path: &str, before: &Value) -> Result<T, Cause> {
        serde_json::from_value(before.clone()).map_err(|error| {
            Cause::new(
                FailureKind::Invalid,
                format!("what {path} was before is not known: {error}"),
            )
        })
    }

    pub(super) fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("it is plain data")
    }

    /// Whether a file is this one, as far as can be told.
    async fn is(&self, place: &dyn Place, path: &str, now: &Meta) -> Result<bool, Fault> {
        let Self::File {
            bytes,
            sha256,
            modified,
            ..
        } = self
        else {
            return Ok(false);
        };
        if now.kind != Kind::File || now.bytes != *bytes {
            return Ok(false);
        }
        match sha256 {
            Some(sha256) => Ok(*sha256 == place.sha256(path, None).await?),
            None => Ok(now.modified == *modified),
        }
    }
}

/// Brings `path` back to what it was. Idempotent.
pub(super) async fn restore(place: &dyn Place, path: &str, before: &Before) -> Outcome {
    match put_back(place, path, before).await {
        Ok(true) => Outcome::Changed { output: Value::Null },
        Ok(false) => Outcome::Unchanged { output: Value::Null },
        Err(outcome) => *outcome,
    }
}

async fn put_back(place: &dyn Place, path: &str, before: &Before) -> Result<bool, super::fault::Ended> {
    let now = place.look(path).await.map_err(nothing_done)?;
    let kind = now.as_ref().map(|now| now.kind);
    let in_the_way = || {
        nothing_done(Cause::new(
            FailureKind::Conflict,
            format!(
                "{} is something else now than what the step made of it",
                place.shown(path)
            ),
        ))
    };
    match before {
        Before::Absent {} => match kind {
            None => Ok(false),
            Some(Kind::File | Kind::Link) => {
                place.remove(path).await.map_err(perhaps_done)?;
                Ok(true)
            }
            // Only an empty one: what lies in it is not ours.
            Some(Kind::Folder) => {
                place.remove_folder(path).await.map_err(perhaps_done)?;
                Ok(true)
            }
            Some(Kind::Other) => Err(in_the_way()),
        },
        Before::Link { target } => {
            if kind == Some(Kind::Link) && place.target(path).await.map_err(nothing_done)? == *target {
                return Ok(false);
            }
            if kind == Some(Kind::Folder) {
                return Err(in_the_way());
            }
            replace_by_link(place, path, target).await.map_err(perhaps_done)?;
            Ok(true)
        }
        Before::File {
            mode, owner, kept, ..
        } => {
            if kind == Some(Kind::Folder) {
                return Err(in_the_way());
            }
            let is_kept = place.look(kept).await.map_err(nothing_done)?.is_some();
            let mut changed = is_kept;
            if is_kept {
                place.rename(kept, path).await.map_err(perhaps_done)?;
                // If both are names of one file, as after a crash between naming and replacing, a rename does nothing.
                place.remove(kept).await.map_err(perhaps_done)?;
            } else {
                let is_there = match &now {
                    Some(now) => before.is(place, path, now).await.map_err(nothing_done)?,
                    None => false,
                };
                if !is_there {
                    return Err(not_kept(place, path));
                }
            }
            changed |= set_back(place, path, *mode, *owner).await.map_err(perhaps_done)?;
            Ok(changed)
        }
        Before::Folder { mode, owner, kept } => {
            let is_kept = place.look(kept).await.map_err(nothing_done)?.is_some();
            let mut changed = is_kept && kind.is_none();
            match (kind, is_kept) {
                (None, true) => place.rename(kept, path).await.map_err(perhaps_done)?,
                (None, false) => return Err(not_kept(place, path)),
                (Some(Kind::Folder), false) => {}
                (Some(_), _) => return Err(in_the_way()),
            }
            changed |= set_back(place, path, *mode, *owner).await.map_err(perhaps_done)?;
            Ok(changed)
        }
        Before::Tree { .. } => Err(nothing_done(Fault::new(
            FailureKind::Invalid,
            format!(
                "{} was a folder whose content the step changed",
                place.shown(path)
            ),
        ))),
    }
}

fn not_kept(place: &dyn Place, path: &str) -> super::fault::Ended {
    nothing_done(
        Cause::new(
            FailureKind::Conflict,
            format!("what {} was before is not kept any more", place.shown(path)),
        )
        .with_hint(
            "a later run has put something there, or somebody has tidied up: restore it from a backup",
        ),
    )
}

async fn set_back(place: &dyn Place, path: &str, mode: u32, owner: (u32, u32)) -> Result<bool, Fault> {
    let Some(now) = place.look(path).await? else {
        return Ok(false);
    };
    let attributes = Attributes {
        mode: (now.mode != mode || now.owner != owner).then_some(mode),
        owner: (now.owner != owner).then_some(owner),
        modified: None,
    };
    if attributes == Attributes::default() {
        return Ok(false);
    }
    place.set(path, attributes).await?;
    Ok(true)
}

/// Puts a link under a name in one step.
pub(super) async fn replace_by_link(place: &dyn Place, path: &str, target: &str) -> Result<(), Fault> {
    let half = format!("{path}.caxplan-new");
    place.remove(&half).await?;
    place.link(&half, target).await?;
    let renamed = place.rename(&half, path).await;
    if renamed.is_err() {
        let _ = place.remove(&half).await;
    }
    renamed
}

/// Removes what other runs have left beside a path: what they kept, and what they left half-written long ago. It is only
/// tidied; what cannot be removed stays.
pub(super) async fn tidy(place: &dyn Place, beside: &Beside) {
    let Ok(entries) = place.list(beside.folder()).await else {
        return;
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    for (name, meta) in entries {
        let old_enough = now.saturating_sub(u64::from(meta.modified)) > u64::from(PART_AGE_MAX);
        let path = join(beside.folder(), &name);
        match beside.leftover(&name) {
            Some("part") if !old_enough => {}
            Some(_) => {
                let _ = remove_all(place, &path, &meta).await;
            }
            None => {}
        }
    }
}

/// How deep folders are looked into.
const DEPTH_MAX: usize = 100;

/// Removes a file, or a folder with all that lies in it. Links are not followed.
pub(super) async fn remove_all(place: &dyn Place, path: &str, meta: &Meta) -> Result<(), Fault> {
    if meta.kind != Kind::Folder {
        return place.remove(path).await;
    }
    // Each folder is looked into, then removed after all that was found in it.
    let mut folders = vec![path.to_owned()];
    let mut at = 0;
    while let Some(folder) = folders.get(at).cloned() {
        at += 1;
        if folder.matches('/').count() > path.matches('/').count() + DEPTH_MAX {
            return Err(Fault::new(
                FailureKind::Other,
                format!("{} is more than {DEPTH_MAX} folders deep", place.shown(&folder)),
            ));
        }
        for (name, meta) in place.list(&folder).await? {
            let inner = join(&folder, &name);
            match meta.kind {
                Kind::Folder => folders.push(inner),
                Kind::File | Kind::Link | Kind::Other => place.remove(&inner).await?,
            }
        }
    }
    for folder in folders.iter().rev() {
        place.remove_folder(folder).await?;
    }
    Ok(())
}
