//! The files of this machine.

use super::fault::Fault;
use super::place::{Attributes, Kind, MODE_MASK, Meta, Place, join};
use super::stream::{Source, blocking, local_fault};
use caxplan_adapter::async_trait;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The files of this machine, as the engine's user sees them.
pub(super) struct Local;

/// Does something in the file system. These calls are short, so the runtime's own thread does them.
fn act<T>(verb: &str, path: &str, done: io::Result<T>) -> Result<T, Fault> {
    done.map_err(|error| local_fault(&format!("cannot {verb} {path}"), &error))
}

fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

pub(super) fn meta_of(metadata: &fs::Metadata) -> Meta {
    let kind = metadata.file_type();
    Meta {
        kind: match () {
            () if kind.is_file() => Kind::File,
            () if kind.is_dir() => Kind::Folder,
            () if kind.is_symlink() => Kind::Link,
            () => Kind::Other,
        },
        bytes: metadata.len(),
        mode: metadata.permissions().mode() & MODE_MASK,
        owner: (metadata.uid(), metadata.gid()),
        modified: u32::try_from(metadata.mtime().max(0)).unwrap_or(u32::MAX),
    }
}

#[async_trait]
impl Place for Local {
    fn shown(&self, path: &str) -> String {
        path.to_owned()
    }

    async fn look(&self, path: &str) -> Result<Option<Meta>, Fault> {
        match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(meta_of(&metadata))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => act("look at", path, Err(error)),
        }
    }

    async fn look_through(&self, path: &str) -> Result<Option<Meta>, Fault> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(meta_of(&metadata))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => act("look at", path, Err(error)),
        }
    }

    async fn target(&self, path: &str) -> Result<String, Fault> {
        let target = act("read the link", path, fs::read_link(path))?;
        Ok(target.to_string_lossy().into_owned())
    }

    async fn list(&self, path: &str) -> Result<Vec<(String, Meta)>, Fault> {
        let listed = fs::read_dir(path).and_then(|entries| {
            entries
                .map(|entry| {
                    let entry = entry?;
                    let name = entry.file_name().into_string().map_err(|name| {
                        io::Error::other(format!("the name {} is no UTF-8", name.to_string_lossy()))
                    })?;
                    Ok((name, meta_of(&entry.metadata()?)))
                })
                .collect()
        });
        act("list", path, listed)
    }

    async fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(bytes_max as u64).read_to_end(&mut bytes));
        act("read", path, read).map(|_| bytes)
    }

    async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Fault> {
        let written = unless_gone(fs::remove_file(path)).and_then(|()| {
            let mut file = File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(bytes)?;
            file.sync_all()
        });
        act("write", path, written)
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), Fault> {
        act("rename", from, fs::rename(from, to))
    }

    async fn keep(&self, from: &str, to: &str) -> Result<(), Fault> {
        if self.look(to).await?.is_some() {
            return Ok(());
        }
        if fs::hard_link(from, to).is_ok() {
            return Ok(());
        }
        let (from, to) = (from.to_owned(), to.to_owned());
        blocking(move || {
            let half = format!("{to}.new");
            let copied = fs::copy(&from, &half).and_then(|_| fs::rename(&half, &to));
            if copied.is_err() {
                let _ = fs::remove_file(&half);
            }
            act("keep", &from, copied)
        })
        .await
    }

    async fn remove(&self, path: &str) -> Result<(), Fault> {
        act("remove", path, unless_gone(fs::remove_file(path)))
    }

    async fn remove_folder(&self, path: &str) -> Result<(), Fault> {
        act("remove the folder", path, unless_gone(fs::remove_dir(path)))
    }

    async fn make_folder(&self, path: &str, mode: u32) -> Result<(), Fault> {
        act(
            "make the folder",
            path,
            fs::DirBuilder::new().mode(mode).create(path),
        )
    }

    async fn link(&self, path: &str, target: &str) -> Result<(), Fault> {
        act("make the link", path, std::os::unix::fs::symlink(target, path))
    }

    async fn set(&self, path: &str, attributes: Attributes) -> Result<(), Fault> {
        let set = (|| {
            if let Some((user, group)) = attributes.owner {
                std::os::unix::fs::lchown(path, Some(user), Some(group))?;
            }
            // Before the mode: with another one it may not be opened any more.
            if let Some(modified) = attributes.modified {
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(modified));
                File::open(path)?.set_modified(time)?;
            }
            if let Some(mode) = attributes.mode {
                fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
            }
            Ok(())
        })();
        act("set owner, mode or time of", path, set)
    }

    async fn sha256(&self, path: &str, bytes: Option<u64>) -> Result<String, Fault> {
        use sha2::Digest as _;
        let source = Source::File(path.into());
        Ok(hex::encode(
            source.hash_until(bytes.unwrap_or(u64::MAX)).await?.finalize(),
        ))
    }

    async fn sha256_many(&self, folder: &str, paths: &[String]) -> Result<BTreeMap<String, String>, Fault> {
        let mut hashes = BTreeMap::new();
        for path in paths {
            match self.sha256(&join(folder, path), None).await {
                Ok(hash) => {
                    hashes.insert(path.clone(), hash);
                }
                Err(Fault::Refused(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(hashes)
    }

    async fn settle(&self, folder: &str) {
        // Where that cannot be done the names are durable a little later.
        let _ = File::open(Path::new(folder)).and_then(|folder| folder.sync_all());
    }
}
