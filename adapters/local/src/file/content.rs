//! What lies under a path, and putting it there in one step.

use caxplan_model::{Cause, FailureKind, Outcome, Value};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The largest file that is read or remembered for an undo.
pub(super) const CONTENT_MAX: u64 = 1 << 20;

/// The permission bits that count.
pub(super) const MODE_MASK: u32 = 0o7777;

/// What lies under a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(super) enum Content {
    /// Nothing.
    Absent,
    /// A file of text that can be put back.
    Text {
        text: String,
        mode: u32,
        /// Its user and group, by number.
        #[serde(default)]
        owner: Option<(u32, u32)>,
    },
    /// A file that cannot be put back: too large, or no text.
    Other { bytes: u64 },
}

impl Content {
    /// Reads what lies under `path`. What is neither a file nor a link to one is an error.
    pub(super) fn of(path: &Path) -> Result<Self, Cause> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Absent),
            Err(error) => return Err(explain("read", path, &error)),
        };
        let metadata = file.metadata().map_err(|error| explain("read", path, &error))?;
        if !metadata.is_file() {
            return Err(Cause::new(
                FailureKind::Conflict,
                format!("{} is no file", path.display()),
            ));
        }
        let mut bytes = Vec::new();
        file.take(CONTENT_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| explain("read", path, &error))?;
        let is_whole = bytes.len() as u64 <= CONTENT_MAX;
        Ok(match String::from_utf8(bytes) {
            Ok(text) if is_whole => Self::Text {
                text,
                mode: metadata.permissions().mode() & MODE_MASK,
                owner: Some((metadata.uid(), metadata.gid())),
            },
            Ok(_) | Err(_) => Self::Other {
                bytes: metadata.len(),
            },
        })
    }

    /// Brings `path` to this state. A reader sees the old file or the new one, never a part.
    pub(super) fn put(&self, path: &Path) -> Result<(), Cause> {
        match self {
            Self::Absent => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(explain("remove", path, &error)),
                Ok(()) | Err(_) => Ok(()),
            },
            Self::Text { text, mode, owner } => {
                // Whoever owns what is replaced goes on owning it.
                let owner = owner.or_else(|| {
                    let now = fs::metadata(path).ok()?;
                    Some((now.uid(), now.gid()))
                });
                install(path, *mode, owner, |file| file.write_all(text.as_bytes()))
                    .map_err(|error| explain("write", path, &error))
            }
            Self::Other { bytes } => Err(Cause::new(
                FailureKind::Conflict,
                format!(
                    "{} held {bytes} bytes that were not kept: more than {CONTENT_MAX}, or no text",
                    path.display()
                ),
            )
            .with_hint("restore it from a backup")),
        }
    }
}

/// Tells temporary files of one process apart.
static TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// Fills a file beside `path`, makes it durable, and moves it there. `owner` is its user and group; the engine's own if
/// absent.
pub(super) fn install(
    path: &Path,
    mode: u32,
    owner: Option<(u32, u32)>,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    // A link stays a link: its target is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = folder_of(&path);
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name"))?;
    let temporary = folder.join(format!(
        ".{}.{}-{}.tmp",
        name.to_string_lossy(),
        std::process::id(),
        TEMPORARY.fetch_add(1, Ordering::Relaxed)
    ));
    let written = (|| {
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        fill(&mut file)?;
        let made = file.metadata()?;
        if let Some((user, group)) = owner.filter(|owner| *owner != (made.uid(), made.gid())) {
            std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
        }
        // After the owner: a change of it takes special bits away.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The folder that a path lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// A mode as plans write it, in octal digits.
pub(super) fn mode_of(text: &str) -> Result<u32, Cause> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= MODE_MASK)
        .ok_or_else(|| {
            Cause::new(
                FailureKind::Invalid,
                format!("`{text}` is no mode such as \"0644\""),
            )
        })
}

pub(super) fn explain(verb: &str, path: &Path, error: &io::Error) -> Cause {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => FailureKind::NotFound,
        io::ErrorKind::PermissionDenied => FailureKind::Denied,
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => FailureKind::Conflict,
        _ => FailureKind::Other,
    };
    Cause::new(kind, format!("cannot {verb} {}: {error}", path.display()))
}

/// What lay there before an action of this kind, as its forecast kept it.
pub(super) fn remembered<T: serde::de::DeserializeOwned>(path: &Path, before: &Value) -> Result<T, Cause> {
    serde_json::from_value(before.clone()).map_err(|error| {
        Cause::new(
            FailureKind::Invalid,
            format!("what {} held before is not known: {error}", path.display()),
        )
    })
}

/// Restores what `before` says, a [`Content`].
pub(super) fn restore(path: &Path, before: &Value) -> Outcome {
    let before: Content = match remembered(path, before) {
        Ok(before) => before,
        Err(cause) => return Outcome::failed(cause.kind, cause.message),
    };
    match Content::of(path) {
        Ok(now) if now == before => return Outcome::Unchanged { output: Value::Null },
        Ok(_) | Err(_) => {}
    }
    match before.put(path) {
        Ok(()) => Outcome::Changed { output: Value::Null },
        Err(cause) => Outcome::Failed {
            cause,
            effect: caxplan_model::FailureEffect::Possible,
        },
    }
}
