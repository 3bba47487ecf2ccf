//! What is to be copied and deleted, so that one side becomes like the other.
//!
//! Two contents are the same if their sizes are, and: the etag is the MD5 of the other one; else the SHA-256 that was
//! noted in the metadata; else, where neither says anything, the destination is not older than the source.

use super::side::{Item, Items, Side, file_below};
use crate::client::{Client, Failure};
use crate::store::local::{Hashes, Source};
use crate::store::{head, is_md5};
use caxplan_model::Cause;
use futures_util::{StreamExt as _, TryStreamExt as _};

/// What is to be done.
pub(super) struct Work {
    pub(super) copies: Vec<Copy>,
    /// Paths at the destination that the source does not have.
    pub(super) deletes: Vec<String>,
    /// How many are as wanted.
    pub(super) unchanged: usize,
}

/// One object or file to copy.
#[derive(Clone)]
pub(super) struct Copy {
    pub(super) path: String,
    pub(super) bytes: u64,
    /// Of the source, if it is an object.
    pub(super) etag: Option<String>,
}

impl Work {
    pub(super) fn is_empty(&self) -> bool {
        self.copies.is_empty() && self.deletes.is_empty()
    }
}

/// Compares both sides.
pub(super) async fn compare(
    client: &Client,
    (from, source): (&Side, Items),
    (to, mut destination): (&Side, Items),
    delete: bool,
    parallel: usize,
) -> Result<Work, Cause> {
    let pairs: Vec<(String, Item, Option<Item>)> = source
        .into_iter()
        .map(|(path, item)| {
            let there = destination.remove(&path);
            (path, item, there)
        })
        .collect();
    if let Side::Local(root) = to {
        // Before anything is done, not when it is its turn.
        for (path, ..) in &pairs {
            file_below(root, path)?;
        }
    }
    let total = pairs.len();
    let differing: Vec<Option<Copy>> = futures_util::stream::iter(pairs)
        .map(|(path, item, there)| async move {
            let is_same = match &there {
                Some(there) if there.bytes == item.bytes => {
                    is_same(client, &path, (from, &item), (to, there)).await?
                }
                Some(_) | None => false,
            };
            Ok::<_, Failure>((!is_same).then_some(Copy {
                path,
                bytes: item.bytes,
                etag: item.etag,
            }))
        })
        .buffered(parallel)
        .try_collect()
        .await?;
    let copies: Vec<Copy> = differing.into_iter().flatten().collect();
    Ok(Work {
        unchanged: total - copies.len(),
        copies,
        deletes: if delete {
            destination.into_keys().collect()
        } else {
            Vec::new()
        },
    })
}

/// Whether two of the same size have the same content.
async fn is_same(
    client: &Client,
    path: &str,
    (from, item): (&Side, &Item),
    (to, there): (&Side, &Item),
) -> Result<bool, Failure> {
    let is_not_older = there.modified >= item.modified;
    match (from, to) {
        (Side::Local(root), Side::Remote(place)) => {
            let hashes = hash(client, root, path).await?;
            compare_object(
                client,
                &place.at(format!("{}{path}", place.key)),
                there,
                hashes,
                is_not_older,
            )
            .await
        }
        (Side::Remote(place), Side::Local(root)) => {
            let hashes = hash(client, root, path).await?;
            compare_object(
                client,
                &place.at(format!("{}{path}", place.key)),
                item,
                hashes,
                is_not_older,
            )
            .await
        }
        (Side::Remote(one), Side::Remote(other)) => {
            if item.etag == there.etag {
                return Ok(true);
            }
            // Two MD5 that differ are of different contents.
            if item.etag.as_deref().and_then(is_md5).is_some()
                && there.etag.as_deref().and_then(is_md5).is_some()
            {
                return Ok(false);
            }
            let (one, other) = (
                one.at(format!("{}{path}", one.key)),
                other.at(format!("{}{path}", other.key)),
            );
            let (one, other) = (head(client, &one, None).await?, head(client, &other, None).await?);
            let hashes = one
                .as_ref()
                .and_then(|one| one.sha256())
                .zip(other.as_ref().and_then(|other| other.sha256()));
            Ok(hashes.map_or(is_not_older, |(one, other)| one == other))
        }
        (Side::Local(_), Side::Local(_)) => Ok(false),
    }
}

async fn hash(client: &Client, root: &std::path::Path, path: &str) -> Result<Hashes, Cause> {
    Source::open(&root.join(path))?.hash(true, client.cancel()).await
}

async fn compare_object(
    client: &Client,
    place: &crate::place::Place,
    listed: &Item,
    file: Hashes,
    is_not_older: bool,
) -> Result<bool, Failure> {
    let md5 = listed.etag.as_deref().and_then(is_md5);
    if md5.is_some() && md5 == file.md5.map(hex::encode).as_deref() {
        return Ok(true);
    }
    let object = head(client, place, None).await?;
    // Not every listing has etags.
    let md5 = md5.or_else(|| object.as_ref().and_then(|object| object.md5()));
    Ok(match object.as_ref().and_then(|object| object.sha256()) {
        Some(sha256) => sha256 == hex::encode(file.sha256),
        None if md5.is_some() && md5 == file.md5.map(hex::encode).as_deref() => true,
        // An etag that is no hash says nothing; one that looks like an MD5 may be of an encrypted object.
        None => md5.is_none() && is_not_older,
    })
}
