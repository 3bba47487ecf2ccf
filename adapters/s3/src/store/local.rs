//! Files of this machine: read for uploads, written in one step by downloads.

use bytes::Bytes;
use caxplan_model::{Cause, FailureKind};
use md5::Md5;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// The mode of a new file.
const MODE_DEFAULT: u32 = 0o644;

/// How much is read at a time when hashing.
const BLOCK: usize = 1 << 20;

/// What to upload.
#[derive(Clone)]
pub(crate) enum Source {
    Text(Bytes),
    File(OpenFile),
}

/// A file that was opened once: another one under its name, meanwhile, is not read.
#[derive(Clone)]
pub(crate) struct OpenFile {
    file: Arc<File>,
    path: PathBuf,
    seen: Seen,
}

/// What tells whether a file has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    bytes: u64,
    modified: (i64, i64),
}

impl Seen {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// What a content is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hashes {
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
    /// Only computed where an etag is compared.
    pub(crate) md5: Option<[u8; 16]>,
}

impl Source {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Opens a file; a folder, a pipe or a device is refused.
    pub(crate) fn open(path: &Path) -> Result<Self, Cause> {
        // First: opening a pipe would wait for ever.
        let metadata = fs::metadata(path).map_err(|error| explain("read", path, &error))?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() {
                "a folder"
            } else {
                "no plain file"
            };
            return Err(
                Cause::new(FailureKind::Invalid, format!("{} is {what}", path.display()))
                    .with_hint("`s3.sync` copies folders"),
            );
        }
        let file = File::open(path).map_err(|error| explain("read", path, &error))?;
        let seen = Seen::of(&file).map_err(|error| explain("read", path, &error))?;
        Ok(Self::File(OpenFile {
            file: Arc::new(file),
            path: path.to_owned(),
            seen,
        }))
    }

    /// What was just written, `bytes` of it.
    pub(crate) fn written(file: &NewFile, path: &Path, bytes: u64) -> Self {
        let seen = Seen {
            bytes,
            modified: (0, 0),
        };
        Self::File(OpenFile {
            file: Arc::clone(&file.file),
            path: path.to_owned(),
            seen,
        })
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::File(file) => file.seen.bytes,
        }
    }

    /// Reads it through.
    pub(crate) async fn hash(&self, with_md5: bool, cancel: &CancellationToken) -> Result<Hashes, Cause> {
        match self {
            Self::Text(text) => Ok(Hashes {
                bytes: text.len() as u64,
                sha256: Sha256::digest(text).into(),
                md5: with_md5.then(|| md5_of(text)),
            }),
            Self::File(OpenFile { file, path, seen }) => {
                let (file, path, bytes, cancel) =
                    (Arc::clone(file), path.clone(), seen.bytes, cancel.clone());
                blocking(move || hash_file(&file, &path, bytes, with_md5, &cancel)).await
            }
        }
    }

    /// Reads all of it, `bytes` as they were counted.
    pub(crate) async fn read(&self, bytes: u64) -> Result<Bytes, Cause> {
        self.read_part(0, bytes).await
    }

    /// Reads a part. A file that is shorter now has changed.
    pub(crate) async fn read_part(&self, at: u64, bytes: u64) -> Result<Bytes, Cause> {
        // A part is at most what was asked for by a step that fits in memory.
        let length =
            usize::try_from(bytes).map_err(|_| Cause::new(FailureKind::Invalid, "the part is too large"))?;
        match self {
            Self::Text(text) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                Ok(text.slice(from.min(text.len())..from.saturating_add(length).min(text.len())))
            }
            Self::File(OpenFile { file, path, .. }) => {
                let (file, path) = (Arc::clone(file), path.clone());
                blocking(move || {
                    let mut part = vec![0; length];
                    file.read_exact_at(&mut part, at)
                        .map_err(|error| match error.kind() {
                            io::ErrorKind::UnexpectedEof => changed(&path),
                            _ => explain("read", &path, &error),
                        })?;
                    Ok(part.into())
                })
                .await
            }
        }
    }

    /// Fails if the file was written to since it was opened.
    pub(crate) fn check_unchanged(&self) -> Result<(), Cause> {
        match self {
            Self::Text(_) => Ok(()),
            Self::File(OpenFile { file, path, seen }) => match Seen::of(file) {
                Ok(now) if now == *seen => Ok(()),
                Ok(_) => Err(changed(path)),
                Err(error) => Err(explain("read", path, &error)),
            },
        }
    }
}

fn changed(path: &Path) -> Cause {
    Cause::new(
        FailureKind::Conflict,
        format!("{} changed while it was read", path.display()),
    )
    .with_hint("put a copy that nothing writes to, or a snapshot")
}

fn hash_file(
    file: &File,
    path: &Path,
    bytes: u64,
    with_md5: bool,
    cancel: &CancellationToken,
) -> Result<Hashes, Cause> {
    let mut sha256 = Sha256::new();
    let mut md5 = with_md5.then(<Md5 as md5::Digest>::new);
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    while at < bytes {
        if cancel.is_cancelled() {
            return Err(Cause::new(
                FailureKind::Cancelled,
                format!("reading {}: stopped", path.display()),
            ));
        }
        let read = file
            .read_at(&mut block, at)
            .map_err(|error| explain("read", path, &error))?;
        if read == 0 {
            return Err(changed(path));
        }
        let read_bytes = &block[..read];
        sha256.update(read_bytes);
        if let Some(md5) = &mut md5 {
            md5::Digest::update(md5, read_bytes);
        }
        at += read as u64;
    }
    Ok(Hashes {
        bytes: at,
        sha256: sha256.finalize().into(),
        md5: md5.map(|md5| md5::Digest::finalize(md5).into()),
    })
}

fn md5_of(bytes: &[u8]) -> [u8; 16] {
    <Md5 as md5::Digest>::digest(bytes).into()
}

/// A file that is being written beside its final name; it is removed unless it is installed.
pub(crate) struct NewFile {
    pub(crate) file: Arc<File>,
    temporary: PathBuf,
    path: PathBuf,
    installed: bool,
}

/// Tells temporary files of one process apart.
static TEMPORARY: AtomicU64 = AtomicU64::new(0);

impl NewFile {
    /// Begins to write what shall lie at `path`. Its folder must be there.
    pub(crate) fn create(path: &Path) -> Result<Self, Cause> {
        // A link stays a link: its target is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if path.is_dir() {
            return Err(Cause::new(
                FailureKind::Conflict,
                format!("{} is a folder", path.display()),
            ));
        }
        let name = path.file_name().ok_or_else(|| {
            Cause::new(
                FailureKind::Invalid,
                format!("{} has no file name", path.display()),
            )
        })?;
        let temporary = folder_of(&path).join(format!(
            ".{}.{}-{}.part",
            name.to_string_lossy(),
            std::process::id(),
            TEMPORARY.fetch_add(1, Ordering::Relaxed)
        ));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(|error| explain("write", &temporary, &error))?;
        Ok(Self {
            file: Arc::new(file),
            temporary,
            path,
            installed: false,
        })
    }

    /// Makes it durable and gives it its name. A reader sees the old file or the new one, never a part.
    pub(crate) fn install(mut self) -> Result<(), Cause> {
        let mode = fs::metadata(&self.path).map_or(MODE_DEFAULT, |now| now.permissions().mode() & 0o7777);
        let install = || {
            if let Ok(now) = fs::metadata(&self.path) {
                // Whoever owns what is replaced goes on owning it, where we may say so.
                let _ = std::os::unix::fs::fchown(&self.file, Some(now.uid()), Some(now.gid()));
            }
            self.file.set_permissions(fs::Permissions::from_mode(mode))?;
            self.file.sync_all()?;
            fs::rename(&self.temporary, &self.path)?;
            File::open(folder_of(&self.path))?.sync_all()
        };
        install().map_err(|error| explain("write", &self.path, &error))?;
        self.installed = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.installed {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// The folder that a path lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Reads a file whole if it has at most `max` bytes; `None` if it is not there.
pub(crate) fn read_small(path: &Path, max: u64) -> Result<Option<Result<Vec<u8>, u64>>, Cause> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(explain("read", path, &error)),
    };
    let metadata = file.metadata().map_err(|error| explain("read", path, &error))?;
    if !metadata.is_file() {
        return Err(Cause::new(
            FailureKind::Conflict,
            format!("{} is no file", path.display()),
        ));
    }
    if metadata.len() > max {
        return Ok(Some(Err(metadata.len())));
    }
    let mut bytes = Vec::new();
    file.take(max)
        .read_to_end(&mut bytes)
        .map_err(|error| explain("read", path, &error))?;
    Ok(Some(Ok(bytes)))
}

pub(crate) fn explain(verb: &str, path: &Path, error: &io::Error) -> Cause {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => FailureKind::NotFound,
        io::ErrorKind::PermissionDenied => FailureKind::Denied,
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => FailureKind::Conflict,
        _ => FailureKind::Other,
    };
    Cause::new(kind, format!("cannot {verb} {}: {error}", path.display()))
}

/// Runs what waits for a disk or computes for long where it holds nobody up.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Cause> + Send + 'static,
) -> Result<T, Cause> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Cause::new(
            FailureKind::Other,
            format!("reading or writing a file ended badly: {error}"),
        )),
    }
}
