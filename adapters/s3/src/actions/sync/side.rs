//! One side of a copy: a folder of this machine, or a prefix.

use crate::actions::globs::Globs;
use crate::client::Client;
use crate::place::Place;
use crate::store::list;
use crate::store::local::{blocking, explain};
use caxplan_model::{Cause, FailureKind};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// One side of a copy.
pub(super) enum Side {
    Local(PathBuf),
    Remote(Place),
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(folder) => write!(f, "{}", folder.display()),
            Self::Remote(place) => write!(f, "{place}"),
        }
    }
}

/// A file or an object, as far as a look at its folder or a listing tells.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) bytes: u64,
    pub(super) modified: Timestamp,
    /// Of an object, with its quotes.
    pub(super) etag: Option<String>,
}

/// By the path below the folder, with `/` between its parts.
pub(super) type Items = BTreeMap<String, Item>;

impl Side {
    pub(super) fn local(folder: PathBuf) -> Self {
        Self::Local(folder)
    }

    pub(super) fn remote(text: &str) -> Result<Self, Cause> {
        Ok(Self::Remote(Place::parse(text)?.folder()))
    }

    /// Whether one lies in the other, so that a copy would meet its own work.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Remote(one), Self::Remote(other)) => {
                one.bucket == other.bucket
                    && (one.key.starts_with(&other.key) || other.key.starts_with(&one.key))
            }
            _ => false,
        }
    }

    /// All that lies there but what is excluded. A source must be there; a destination need not.
    pub(super) async fn read(
        &self,
        client: &Client,
        exclude: &Globs,
        is_source: bool,
    ) -> Result<Items, Cause> {
        match self {
            Self::Remote(place) => {
                let (listed, _) = list(client, place, None).await?;
                let mut items = Items::new();
                for object in listed {
                    let path = &object.key[place.key.len()..];
                    // A folder's placeholder is no object of its own.
                    if path.is_empty() || path.ends_with('/') || exclude.matches(path) {
                        continue;
                    }
                    let item = Item {
                        bytes: object.bytes,
                        modified: object.modified,
                        etag: Some(object.etag),
                    };
                    items.insert(path.to_owned(), item);
                }
                Ok(items)
            }
            Self::Local(folder) => {
                let (items, notes) = {
                    let (folder, exclude) = (folder.clone(), exclude.clone());
                    blocking(move || read_folder(&folder, &exclude, is_source)).await?
                };
                for note in notes {
                    client.note(&note);
                }
                Ok(items)
            }
        }
    }
}

/// Walks a folder, and notes what is left out.
fn read_folder(root: &Path, exclude: &Globs, is_source: bool) -> Result<(Items, Vec<String>), Cause> {
    let mut items = Items::new();
    let mut notes = Vec::new();
    match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            return Err(Cause::new(
                FailureKind::Conflict,
                format!("{} is no folder", root.display()),
            ));
        }
        Err(error) if error.kind() == ErrorKind::NotFound && !is_source => return Ok((items, notes)),
        Err(error) => return Err(explain("read", root, &error)),
    }
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let folder = root.join(&below);
        let entries = fs::read_dir(&folder).map_err(|error| explain("read", &folder, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| explain("read", &folder, &error))?;
            let below = below.join(entry.file_name());
            let path = entry.path();
            let Some(name) = below.to_str() else {
                return Err(Cause::new(
                    FailureKind::Invalid,
                    format!("the name of {} is no text (UTF-8)", path.display()),
                )
                .with_hint("rename it, or exclude its folder"));
            };
            if exclude.matches(name) {
                continue;
            }
            let kind = entry
                .file_type()
                .map_err(|error| explain("read", &path, &error))?;
            if kind.is_dir() {
                folders.push(below);
                continue;
            }
            // A link to a file is read as that file; one to a folder could lead in a circle.
            let metadata = match fs::metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) if kind.is_symlink() && error.kind() == ErrorKind::NotFound => {
                    notes.push(format!("left out: {} is a link to nothing", path.display()));
                    continue;
                }
                // It went away while we looked.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(explain("read", &path, &error)),
            };
            if !metadata.is_file() {
                let what = if metadata.is_dir() {
                    "a link to a folder"
                } else {
                    "no plain file"
                };
                notes.push(format!("left out: {} is {what}", path.display()));
                continue;
            }
            let modified = metadata
                .modified()
                .ok()
                .and_then(|time| Timestamp::try_from(time).ok());
            let item = Item {
                bytes: metadata.len(),
                modified: modified.unwrap_or(Timestamp::UNIX_EPOCH),
                etag: None,
            };
            items.insert(name.to_owned(), item);
        }
    }
    Ok((items, notes))
}

/// The file below `root` that an object's path means. A path that could lead out of it is refused: keys are written by
/// others, and may be anything.
pub(super) fn file_below(root: &Path, path: &str) -> Result<PathBuf, Cause> {
    let refused = |why: String| {
        Cause::new(
            FailureKind::Invalid,
            format!(
                "the object `{path}` cannot be a file below {}: {why}",
                root.display()
            ),
        )
        .with_hint("exclude it")
    };
    let parts: Vec<&str> = path.split('/').collect();
    let is_plain = |part: &&str| {
        !part.contains('\0')
            && matches!(Path::new(part).components().collect::<Vec<_>>()[..], [Component::Normal(name)] if name == *part)
    };
    if !parts.iter().all(is_plain) {
        return Err(refused(
            "a part of its key is empty, `.` or `..`, or has a zero byte".to_owned(),
        ));
    }
    let mut file = root.to_owned();
    for (at, part) in parts.iter().enumerate() {
        file.push(part);
        let is_link = fs::symlink_metadata(&file).is_ok_and(|metadata| metadata.is_symlink());
        if is_link && at + 1 < parts.len() {
            return Err(refused(format!(
                "{} is a link, which may lead elsewhere",
                file.display()
            )));
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leads_out_of_the_folder() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("file")).unwrap();
        for bad in [
            "../x",
            "a/../../x",
            "/x",
            "a//x",
            "a/./x",
            ".",
            "..",
            "",
            "a/",
            "a\0b",
            "link/passwd",
        ] {
            let refused = file_below(root.path(), bad).unwrap_err();
            assert_eq!(refused.kind, FailureKind::Invalid, "{bad}");
        }
        for good in ["x", "a/b/c", "..x", "a/...", "a\\b", "file"] {
            assert!(
                file_below(root.path(), good).unwrap().starts_with(root.path()),
                "{good}"
            );
        }
    }

    #[test]
    fn a_folder_is_walked() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        for file in ["x", "a/y", "a/b/z", "a/b/z.tmp"] {
            fs::write(root.path().join(file), file).unwrap();
        }
        std::os::unix::fs::symlink("x", root.path().join("to-file")).unwrap();
        std::os::unix::fs::symlink("a", root.path().join("to-folder")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("to-nothing")).unwrap();
        let exclude = Globs::new(&["*.tmp".to_owned()]).unwrap();
        let (items, notes) = read_folder(root.path(), &exclude, true).unwrap();
        assert_eq!(items.keys().collect::<Vec<_>>(), ["a/b/z", "a/y", "to-file", "x"]);
        assert_eq!(notes.len(), 2, "{notes:?}");
        let missing = root.path().join("missing");
        assert!(read_folder(&missing, &exclude, false).unwrap().0.is_empty());
        assert_eq!(
            read_folder(&missing, &exclude, true).unwrap_err().kind,
            FailureKind::NotFound
        );
    }
}
