//! A file system to act on: a host's, or this machine's.

use super::fault::Fault;
use caxplan_adapter::{Call, async_trait};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The permission bits that count.
pub(super) const MODE_MASK: u32 = 0o7777;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
    /// A device, a pipe, a socket.
    Other,
}

/// What is known of a name without reading what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) kind: Kind,
    pub(super) bytes: u64,
    pub(super) mode: u32,
    /// User and group, by number.
    pub(super) owner: (u32, u32),
    /// Seconds since 1970.
    pub(super) modified: u32,
}

/// What shall be set of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) mode: Option<u32>,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) modified: Option<u32>,
}

/// A file system. Paths are absolute and UTF-8. What is done is one step of the file system, if not said otherwise.
#[async_trait]
pub(super) trait Place: Send + Sync {
    /// For people: `web-1:/etc/motd`, or the path alone.
    fn shown(&self, path: &str) -> String;

    /// What lies there; a link is not followed. `None` if there is nothing.
    async fn look(&self, path: &str) -> Result<Option<Meta>, Fault>;

    /// The same of what a link leads to.
    async fn look_through(&self, path: &str) -> Result<Option<Meta>, Fault>;

    /// Where a link points.
    async fn target(&self, path: &str) -> Result<String, Fault>;

    /// What lies in a folder, in no order.
    async fn list(&self, path: &str) -> Result<Vec<(String, Meta)>, Fault>;

    /// The first `bytes_max` bytes of a file.
    async fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, Fault>;

    /// Writes a new file that only its owner may read, and makes it durable. What lies there is removed first.
    async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Fault>;

    /// Renames; what lies under `to` is replaced.
    async fn rename(&self, from: &str, to: &str) -> Result<(), Fault>;

    /// Gives a file a second name, or makes a copy where that cannot be had. A `to` that is there stays.
    async fn keep(&self, from: &str, to: &str) -> Result<(), Fault>;

    /// Removes a file or a link; it need not be there.
    async fn remove(&self, path: &str) -> Result<(), Fault>;

    /// Removes an empty folder; it need not be there.
    async fn remove_folder(&self, path: &str) -> Result<(), Fault>;

    /// Makes a folder with this mode, in one that is there.
    async fn make_folder(&self, path: &str, mode: u32) -> Result<(), Fault>;

    /// Makes a link.
    async fn link(&self, path: &str, target: &str) -> Result<(), Fault>;

    /// Sets what is given: owner first, for a change of it takes special bits of the mode away.
    async fn set(&self, path: &str, attributes: Attributes) -> Result<(), Fault>;

    /// The SHA-256 of the first `bytes` of a file, or of all of it, in hexadecimal digits.
    async fn sha256(&self, path: &str, bytes: Option<u64>) -> Result<String, Fault>;

    /// The SHA-256 of many files of a folder, by their paths in it. Of one that cannot be read there is none.
    async fn sha256_many(&self, folder: &str, paths: &[String]) -> Result<BTreeMap<String, String>, Fault>;

    /// Makes a folder's names durable, as far as the file system can.
    async fn settle(&self, folder: &str);
}

/// A path of names.
pub(super) fn join(folder: &str, name: &str) -> String {
    if name.is_empty() {
        return folder.to_owned();
    }
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// The folder and the name of an absolute path; `None` for the root.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    let (folder, name) = path.trim_end_matches('/').rsplit_once('/')?;
    Some((if folder.is_empty() { "/" } else { folder }, name))
}

/// The longest part of a name that goes into the name of something beside it: most file systems allow 255 bytes.
const NAME_MAX: usize = 200;

/// Whether a name is one under which a step of this call's run keeps something.
pub(super) fn is_kept(name: &str, call: &Call) -> bool {
    let of_run = format!(".caxplan-{}", short_hash(call.run.as_str()));
    name.starts_with('.') && name.ends_with(".old") && name.contains(&of_run)
}

/// Names for what lies beside a path for a while. They are the same for every attempt of a step of a run.
#[derive(Clone, Debug)]
pub(super) struct Beside {
    folder: String,
    /// `.NAME.caxplan-`, with which the names of all runs begin.
    prefix: String,
    /// Of the run.
    run: String,
    /// Of the step.
    step: String,
}

impl Beside {
    /// `None` for the root.
    pub(super) fn of(path: &str, call: &Call) -> Option<Self> {
        let (folder, name) = split(path)?;
        let name: Cow<'_, str> = if name.len() <= NAME_MAX {
            name.into()
        } else {
            let end = (0..=NAME_MAX)
                .rev()
                .find(|at| name.is_char_boundary(*at))
                .unwrap_or(0);
            format!("{}~{}", &name[..end], short_hash(name)).into()
        };
        Some(Self {
            folder: folder.to_owned(),
            prefix: format!(".{name}.caxplan-"),
            run: short_hash(call.run.as_str()),
            step: short_hash(&format!("{}/{}", call.run, call.step)),
        })
    }

    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// What is being written.
    pub(super) fn part(&self) -> String {
        self.named("part")
    }

    /// What was there before.
    pub(super) fn old(&self) -> String {
        self.named("old")
    }

    fn named(&self, kind: &str) -> String {
        join(
            &self.folder,
            &format!("{}{}{}.{kind}", self.prefix, self.run, self.step),
        )
    }

    /// What kind of leftover of another run of the same path a name is: `part` or `old`.
    pub(super) fn leftover<'a>(&self, name: &'a str) -> Option<&'a str> {
        let (hash, kind) = name.strip_prefix(&self.prefix)?.split_once('.')?;
        let is_ours = hash.starts_with(&self.run);
        (hash.len() == 2 * HASH_LENGTH && !is_ours && matches!(kind, "part" | "old")).then_some(kind)
    }
}

/// How many hexadecimal digits tell runs, and steps of a run, apart.
const HASH_LENGTH: usize = 8;

fn short_hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..HASH_LENGTH / 2])
}

#[cfg(test)]
mod tests {
    use super::{join, split};

    #[test]
    fn paths_come_apart_and_together() {
        for (path, folder, name) in [("/a/b", "/a", "b"), ("/a", "/", "a"), ("/a/b/", "/a", "b")] {
            assert_eq!(split(path), Some((folder, name)));
            assert_eq!(join(folder, name), path.trim_end_matches('/'));
        }
        assert_eq!(split("/"), None);
    }
}
