//! What lies in a folder, and what must change for it to be as another.

use super::{Job, OWN, Way};
use crate::files::fault::Fault;
use crate::files::place::{Attributes, Kind, Place, join};
use crate::files::stream::size;
use caxplan_model::FailureKind;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// How many names a folder may hold with all that lies in it.
const ITEMS_MAX: usize = 1_000_000;

/// How many folders are read at a time.
const PARALLEL: usize = 16;

/// One name.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) bytes: u64,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) modified: u32,
    /// Where a link leads.
    pub(super) target: Option<String>,
}

/// All names by their paths within the folder. A folder stands before what lies in it.
pub(super) type Listing = BTreeMap<String, Item>;

/// Reads a folder with all that lies in it. Links are not followed.
pub(super) async fn scan(place: &dyn Place, root: &str) -> Result<Listing, Fault> {
    let own = format!(".{OWN}.caxplan-");
    let mut found = Listing::new();
    let mut waiting = vec![String::new()];
    let mut reading = FuturesUnordered::new();
    loop {
        while reading.len() < PARALLEL
            && let Some(folder) = waiting.pop()
        {
            reading.push(async move {
                let mut inside = Vec::new();
                for (name, meta) in place.list(&join(root, &folder)).await? {
                    let path = if folder.is_empty() {
                        name.clone()
                    } else {
                        format!("{folder}/{name}")
                    };
                    check_name(place, root, &path, &name)?;
                    let target = match meta.kind {
                        Kind::Link => Some(place.target(&join(root, &path)).await?),
                        Kind::File | Kind::Folder => None,
                        Kind::Other => {
                            return Err(Fault::new(
                                FailureKind::Conflict,
                                format!(
                                    "{} is neither a file, nor a folder, nor a link",
                                    place.shown(&join(root, &path))
                                ),
                            ));
                        }
                    };
                    let item = Item {
                        kind: meta.kind,
                        bytes: if meta.kind == Kind::File { meta.bytes } else { 0 },
                        mode: meta.mode,
                        owner: meta.owner,
                        modified: meta.modified,
                        target,
                    };
                    inside.push((path, item));
                }
                Ok::<_, Fault>(inside)
            });
        }
        let Some(inside) = reading.next().await else {
            return Ok(found);
        };
        for (path, item) in inside? {
            if path.starts_with(&own) {
                continue;
            }
            if item.kind == Kind::Folder {
                waiting.push(path.clone());
            }
            found.insert(path, item);
            if found.len() > ITEMS_MAX {
                return Err(Fault::new(
                    FailureKind::Invalid,
                    format!("{} holds more than {ITEMS_MAX} names", place.shown(root)),
                ));
            }
        }
    }
}

/// A name from a host is not trusted to be one, and one that is no UTF-8 has lost what it was.
fn check_name(place: &dyn Place, root: &str, path: &str, name: &str) -> Result<(), Fault> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0', char::REPLACEMENT_CHARACTER]) {
        return Err(Fault::new(
            FailureKind::Conflict,
            format!(
                "{} has a name that cannot be transferred",
                place.shown(&join(root, path))
            ),
        ));
    }
    Ok(())
}

/// Tells one content of a folder from another.
pub(super) fn digest(listing: &Listing) -> String {
    let mut hash = Sha256::new();
    for (path, item) in listing {
        // A folder's time changes with what lies in it for a while.
        let modified = if item.kind == Kind::File { item.modified } else { 0 };
        hash.update(format!(
            "{path}\0{:?} {} {:o} {:?} {modified} {:?}\n",
            item.kind, item.bytes, item.mode, item.owner, item.target
        ));
    }
    hex::encode(hash.finalize())
}

/// A file, folder or link to make.
#[derive(Clone, Debug)]
pub(super) struct New {
    pub(super) path: String,
    pub(super) item: Item,
    /// What it replaces, if anything.
    pub(super) replaces: Option<Kind>,
}

/// What must change.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) folders: Vec<New>,
    pub(super) files: Vec<New>,
    pub(super) links: Vec<New>,
    /// What keeps its content.
    pub(super) attributes: Vec<(String, Attributes)>,
    /// What goes, each with all that lies in it.
    pub(super) removed: Vec<(String, Kind)>,
    /// The length of all files that are transferred.
    pub(super) bytes: u64,
}

impl Changes {
    /// All of it, where nothing is.
    pub(super) fn all(ours: &Listing, job: &Job) -> Self {
        let mut changes = Self::default();
        for (path, item) in ours {
            changes.add(path, item, None, job);
        }
        changes
    }

    fn add(&mut self, path: &str, item: &Item, replaces: Option<Kind>, job: &Job) {
        let mut item = item.clone();
        if item.kind == Kind::File {
            item.mode = job.mode.unwrap_or(item.mode);
            self.bytes += item.bytes;
        }
        let list = match item.kind {
            Kind::Folder => &mut self.folders,
            Kind::File => &mut self.files,
            Kind::Link | Kind::Other => &mut self.links,
        };
        list.push(New {
            path: path.to_owned(),
            item,
            replaces,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.folders.is_empty()
            && self.files.is_empty()
            && self.links.is_empty()
            && self.attributes.is_empty()
            && self.removed.is_empty()
    }

    /// For people: numbers, and a few names below.
    pub(super) fn told(&self, listed_max: usize) -> String {
        let new = |list: &[New]| list.iter().filter(|new| new.replaces.is_none()).count();
        let changed = |list: &[New]| list.iter().filter(|new| new.replaces.is_some()).count();
        let counts = [
            (new(&self.files) + new(&self.links), "new"),
            (changed(&self.files) + changed(&self.links), "changed"),
            (self.folders.len(), "new folders"),
            (self.attributes.len(), "with another mode or owner"),
            (self.removed.len(), "removed"),
        ];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let mut text = format!("{} ({})", counts.join(", "), size(self.bytes));
        let names = self
            .files
            .iter()
            .chain(&self.links)
            .map(|new| (if new.replaces.is_some() { '~' } else { '+' }, &new.path))
            .chain(self.removed.iter().map(|(path, _)| ('-', path)));
        let all = names.clone().count();
        for (sign, path) in names.take(listed_max) {
            text.push_str(&format!("\n{sign}{}", path.escape_debug()));
        }
        if all > listed_max {
            text.push_str(&format!("\n… {} more", all - listed_max));
        }
        text
    }
}

/// What must change in `theirs`, under `job.to`, to be as `ours`, under `job.from`. A file of the same length and time of
/// change is the same, unless `checksum` asks for more; one of the same length and another time is compared by content.
pub(super) async fn compare(
    way: Way<'_>,
    job: &Job,
    ours: &Listing,
    theirs: &Listing,
    checksum: bool,
) -> Result<Changes, Fault> {
    let doubtful: Vec<String> = ours
        .iter()
        .filter(|(path, our)| {
            theirs.get(*path).is_some_and(|their| {
                our.kind == Kind::File
                    && their.kind == Kind::File
                    && our.bytes == their.bytes
                    && (checksum || our.modified != their.modified)
            })
        })
        .map(|(path, _)| path.clone())
        .collect();
    let mut same = BTreeSet::new();
    if !doubtful.is_empty() {
        let (here, there) = tokio::join!(
            way.source().sha256_many(&job.from, &doubtful),
            way.dest().sha256_many(&job.to, &doubtful)
        );
        let (here, there) = (here?, there?);
        same.extend(
            doubtful
                .into_iter()
                .filter(|path| here.contains_key(path) && here.get(path) == there.get(path)),
        );
    }
    let mut changes = Changes::default();
    for (path, our) in ours {
        let Some(their) = theirs.get(path) else {
            changes.add(path, our, None, job);
            continue;
        };
        match (our.kind, their.kind) {
            (Kind::Folder, Kind::Folder) => {
                let owner = Some(job.owner.over(their.owner)).filter(|owner| *owner != their.owner);
                if owner.is_some() {
                    let attributes = Attributes {
                        mode: Some(their.mode),
                        owner,
                        modified: None,
                    };
                    changes.attributes.push((path.clone(), attributes));
                }
            }
            (Kind::File, Kind::File) => {
                let is_same = our.bytes == their.bytes
                    && (same.contains(path) || (!checksum && our.modified == their.modified));
                let mode = job.mode.unwrap_or(our.mode);
                let owner = Some(job.owner.over(their.owner)).filter(|owner| *owner != their.owner);
                if !is_same {
                    changes.add(path, our, Some(their.kind), job);
                } else if mode != their.mode || owner.is_some() {
                    let attributes = Attributes {
                        mode: Some(mode),
                        owner,
                        modified: None,
                    };
                    changes.attributes.push((path.clone(), attributes));
                }
            }
            (Kind::Link, Kind::Link) if our.target == their.target => {}
            (Kind::File | Kind::Link, Kind::File | Kind::Link) => {
                changes.add(path, our, Some(their.kind), job);
            }
            (_, _) => {
                return Err(Fault::new(
                    FailureKind::Conflict,
                    format!(
                        "{} is a folder and {} is none",
                        if our.kind == Kind::Folder {
                            way.source().shown(&join(&job.from, path))
                        } else {
                            way.dest().shown(&join(&job.to, path))
                        },
                        if our.kind == Kind::Folder {
                            way.dest().shown(&join(&job.to, path))
                        } else {
                            way.source().shown(&join(&job.from, path))
                        },
                    ),
                ));
            }
        }
    }
    if job.delete {
        let mut going = BTreeSet::new();
        for (path, their) in theirs.iter().filter(|(path, _)| !ours.contains_key(*path)) {
            // What lies in a folder that goes, goes with it.
            let folder = path.rsplit_once('/').map(|(folder, _)| folder);
            let goes_with_it = folder.is_some_and(|folder| going.contains(folder));
            if their.kind == Kind::Folder {
                going.insert(path.as_str());
            }
            if goes_with_it {
                continue;
            }
            changes.removed.push((path.clone(), their.kind));
        }
    }
    Ok(changes)
}
