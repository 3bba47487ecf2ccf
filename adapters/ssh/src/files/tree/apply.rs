//! What was staged gets its names, what it replaces is kept, and an undo puts that back.

use super::listing::{Changes, New, digest, scan};
use super::{Job, Way, transfer};
use crate::files::before::{Before, remove_all, replace_by_link, restore};
use crate::files::fault::{Ended, Fault, nothing_done, perhaps_done};
use crate::files::place::{Attributes, Beside, Kind, Meta, Place, join};
use caxplan_adapter::Call;
use caxplan_model::{Cause, FailureKind, Outcome, Value};
use futures_util::future::BoxFuture;
use futures_util::stream;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How many names are changed at a time.
const PARALLEL: usize = 64;

/// The largest manifest that is read: a million names of 256 bytes.
const MANIFEST_MAX: usize = 256 << 20;

/// What an undo needs, in the folder with what is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// Folders that were not there, the outermost first.
    folders: BTreeSet<String>,
    /// Files and links that were not there.
    created: BTreeSet<String>,
    /// What was replaced or removed, with the name under which it is kept.
    kept: BTreeMap<String, String>,
    /// Links that were replaced, and where they led.
    links: BTreeMap<String, String>,
    /// Mode and owner of what kept its content.
    attributes: BTreeMap<String, (u32, (u32, u32))>,
}

impl Manifest {
    const NAME: &str = "manifest.json";

    async fn read(place: &dyn Place, old: &str) -> Result<Option<Self>, Fault> {
        let path = join(old, Self::NAME);
        if place.look(&path).await?.is_none() {
            return Ok(None);
        }
        let bytes = place.read(&path, MANIFEST_MAX).await?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Fault::new(
                FailureKind::Invalid,
                format!("{} cannot be read: {error}", place.shown(&path)),
            )
        })
    }

    /// Writes down, durably, what is about to change. What an earlier attempt of the step wrote down stays: it saw what was
    /// there before both.
    pub(super) async fn keep(
        place: &dyn Place,
        job: &Job,
        changes: &Changes,
        old: &str,
    ) -> Result<Self, Fault> {
        let mut manifest = Self::read(place, old).await?.unwrap_or_default();
        if place.look(old).await?.is_none() {
            place.make_folder(old, 0o700).await?;
        }
        for folder in &changes.folders {
            if !manifest.knows(&folder.path) {
                manifest.folders.insert(folder.path.clone());
            }
        }
        for new in changes.files.iter().chain(&changes.links) {
            if manifest.knows(&new.path) {
                continue;
            }
            match new.replaces {
                None => {
                    manifest.created.insert(new.path.clone());
                }
                Some(Kind::Link) => {
                    let target = place.target(&join(&job.to, &new.path)).await?;
                    manifest.links.insert(new.path.clone(), target);
                }
                Some(Kind::File | Kind::Folder | Kind::Other) => manifest.name(&new.path),
            }
        }
        for (path, _) in &changes.removed {
            if !manifest.knows(path) {
                manifest.name(path);
            }
        }
        for (path, _) in &changes.attributes {
            if !manifest.knows(path)
                && let Some(now) = place.look(&join(&job.to, path)).await?
            {
                manifest.attributes.insert(path.clone(), (now.mode, now.owner));
            }
        }
        let bytes = serde_json::to_vec(&manifest).expect("it is plain data");
        let half = join(old, "manifest.new");
        place.write(&half, &bytes).await?;
        place.rename(&half, &join(old, Self::NAME)).await?;
        place.settle(old).await;
        Ok(manifest)
    }

    fn knows(&self, path: &str) -> bool {
        self.kept.contains_key(path)
            || self.links.contains_key(path)
            || self.attributes.contains_key(path)
            || self.created.contains(path)
            || self.folders.contains(path)
    }

    fn name(&mut self, path: &str) {
        let name = self.kept.len().to_string();
        self.kept.insert(path.to_owned(), name);
    }
}

/// Does many things, some at a time.
async fn each(works: Vec<BoxFuture<'_, Result<(), Fault>>>) -> Result<(), Fault> {
    stream::iter(works)
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await
}

/// Puts links under their names.
fn link_all<'a>(
    place: &'a dyn Place,
    root: &'a str,
    links: &'a [New],
) -> Vec<BoxFuture<'a, Result<(), Fault>>> {
    let mut works = Vec::new();
    for link in links {
        let work = async move {
            let target = link.item.target.as_deref().unwrap_or_default();
            replace_by_link(place, &join(root, &link.path), target).await
        };
        works.push(work.boxed());
    }
    works
}

/// Makes folders, outer ones first.
async fn make_folders(place: &dyn Place, root: &str, folders: &[New]) -> Result<(), Fault> {
    for folder in folders {
        let path = join(root, &folder.path);
        match place.make_folder(&path, folder.item.mode | 0o700).await {
            Err(fault @ Fault::Refused(_)) if place.look(&path).await?.is_none() => return Err(fault),
            Err(Fault::Refused(_)) | Ok(()) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

/// Gives folders their modes and owners, now that all lies in them.
async fn finish_folders(place: &dyn Place, job: &Job, root: &str, folders: &[New]) -> Result<(), Fault> {
    for folder in folders.iter().rev() {
        finish_folder(place, job, &join(root, &folder.path), folder.item.mode).await?;
    }
    Ok(())
}

async fn finish_folder(place: &dyn Place, job: &Job, path: &str, mode: u32) -> Result<(), Fault> {
    let Some(now) = place.look(path).await? else {
        return Ok(());
    };
    let owner = Some(job.owner.over(now.owner)).filter(|owner| *owner != now.owner);
    if now.mode != mode || owner.is_some() {
        let attributes = Attributes {
            mode: Some(mode),
            owner,
            modified: None,
        };
        place.set(path, attributes).await?;
    }
    Ok(())
}

/// Fills a folder that nobody looks into yet.
pub(super) async fn fill(way: Way<'_>, job: &Job, changes: &Changes, root: &Meta) -> Result<(), Fault> {
    let place = way.dest();
    for (path, _) in &changes.removed {
        let path = join(&job.to, path);
        if let Some(meta) = place.look(&path).await? {
            remove_all(place, &path, &meta).await?;
        }
    }
    make_folders(place, &job.to, &changes.folders).await?;
    transfer::in_place(way, job, &changes.files, &job.to).await?;
    each(link_all(place, &job.to, &changes.links)).await?;
    for (path, attributes) in &changes.attributes {
        place.set(&join(&job.to, path), *attributes).await?;
    }
    finish_folders(place, job, &job.to, &changes.folders).await?;
    finish_folder(place, job, &job.to, root.mode).await
}

/// Gives what was staged its names.
pub(super) async fn apply(
    place: &dyn Place,
    job: &Job,
    changes: &Changes,
    manifest: &Manifest,
    old: &str,
    staging: &str,
) -> Result<(), Fault> {
    let root = &job.to;
    make_folders(place, root, &changes.folders).await?;
    // What is replaced first has two names, so at each moment there is the old file or the new one.
    let mut works = Vec::new();
    for new in changes.files.iter().chain(&changes.links) {
        if new.replaces == Some(Kind::File)
            && let Some(name) = manifest.kept.get(&new.path)
        {
            works.push(async move { place.keep(&join(root, &new.path), &join(old, name)).await }.boxed());
        }
    }
    each(works).await?;
    let mut works = Vec::new();
    for (number, new) in changes.files.iter().enumerate() {
        let from = join(staging, &number.to_string());
        works.push(async move { place.rename(&from, &join(root, &new.path)).await }.boxed());
    }
    each(works).await?;
    each(link_all(place, root, &changes.links)).await?;
    for (path, _) in &changes.removed {
        let from = join(root, path);
        let to = manifest.kept.get(path).map(|name| join(old, name));
        match to {
            Some(to) if place.look(&to).await?.is_none() => place.rename(&from, &to).await?,
            // An earlier attempt kept what was there before.
            Some(_) | None => {
                if let Some(meta) = place.look(&from).await? {
                    remove_all(place, &from, &meta).await?;
                }
            }
        }
    }
    let mut works = Vec::new();
    for (path, attributes) in &changes.attributes {
        works.push(async move { place.set(&join(root, path), *attributes).await }.boxed());
    }
    each(works).await?;
    finish_folders(place, job, root, &changes.folders).await
}

/// Brings a folder back to what it was. Idempotent. One that was not there is not removed but renamed, for more than the
/// step put there may lie in it by now: to `.NAME.caxplan-….old` beside it.
pub(in crate::files) async fn undo(place: &dyn Place, root: &str, before: &Before, call: &Call) -> Outcome {
    let work = async {
        match before {
            Before::Absent {} => unmake(place, root, call).await,
            Before::Tree { digest, kept } => put_back(place, root, digest, kept).await,
            Before::File { .. } | Before::Link { .. } | Before::Folder { .. } => {
                Ok(restore(place, root, before).await)
            }
        }
    };
    work.await.unwrap_or_else(|ended| *ended)
}

/// Takes a folder away that was not there before: it and what lies in it are kept beside it. Idempotent.
pub(in crate::files) async fn unmake(place: &dyn Place, root: &str, call: &Call) -> Result<Outcome, Ended> {
    let unchanged = Outcome::Unchanged { output: Value::Null };
    if place.look(root).await.map_err(nothing_done)?.is_none() {
        return Ok(unchanged);
    }
    let Some(beside) = Beside::of(root, call) else {
        return Ok(unchanged);
    };
    let kept = beside.old();
    if let Some(left) = place.look(&kept).await.map_err(nothing_done)? {
        remove_all(place, &kept, &left).await.map_err(perhaps_done)?;
    }
    place.rename(root, &kept).await.map_err(perhaps_done)?;
    place.settle(beside.folder()).await;
    Ok(Outcome::Changed { output: Value::Null })
}

async fn put_back(place: &dyn Place, root: &str, digest_before: &str, old: &str) -> Result<Outcome, Ended> {
    let Some(manifest) = Manifest::read(place, old).await.map_err(nothing_done)? else {
        let now = scan(place, root).await.map_err(nothing_done)?;
        if digest(&now) == digest_before {
            return Ok(Outcome::Unchanged { output: Value::Null });
        }
        return Err(nothing_done(
            Cause::new(
                FailureKind::Conflict,
                format!("what {} was before is not kept any more", place.shown(root)),
            )
            .with_hint(
                "a later run has put something there, or somebody has tidied up: restore it from a backup",
            ),
        ));
    };
    let restored = async {
        let mut works = Vec::new();
        for path in &manifest.created {
            works.push(async move { place.remove(&join(root, path)).await }.boxed());
        }
        each(works).await?;
        let mut works = Vec::new();
        for (path, name) in &manifest.kept {
            works.push(put_back_one(place, join(old, name), join(root, path)).boxed());
        }
        each(works).await?;
        for (path, target) in &manifest.links {
            replace_by_link(place, &join(root, path), target).await?;
        }
        let mut works = Vec::new();
        for (path, (mode, owner)) in &manifest.attributes {
            let attributes = Attributes {
                mode: Some(*mode),
                owner: Some(*owner),
                modified: None,
            };
            works.push(async move { place.set(&join(root, path), attributes).await }.boxed());
        }
        each(works).await?;
        for folder in manifest.folders.iter().rev() {
            let path = join(root, folder);
            // What else lies in it by now is not ours.
            if place.look(&path).await?.is_some() && place.list(&path).await?.is_empty() {
                place.remove_folder(&path).await?;
            }
        }
        if let Some(meta) = place.look(old).await? {
            remove_all(place, old, &meta).await?;
        }
        place.settle(root).await;
        Ok::<_, Fault>(())
    };
    restored.await.map_err(perhaps_done)?;
    Ok(Outcome::Changed { output: Value::Null })
}

async fn put_back_one(place: &dyn Place, kept: String, path: String) -> Result<(), Fault> {
    if place.look(&kept).await?.is_none() {
        return Ok(());
    }
    place.rename(&kept, &path).await?;
    // Two names of one file, as after a crash between keeping and replacing: then a rename does nothing.
    if place.look(&kept).await?.is_some() {
        place.remove(&kept).await?;
    }
    Ok(())
}
