//! Why a backup could not be made, verified or restored.

use std::path::{Path, PathBuf};

/// Why a backup could not be made, verified or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// What was asked for cannot be done.
    #[error("{0}")]
    Unsupported(String),
    /// There is no such backup.
    #[error("there is no backup {id} in {folder}")]
    NotFound {
        /// Which was asked for.
        id: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The backup is not what it was when it was made.
    #[error("the backup {path} is damaged: {}", problems.join("; "))]
    Damaged {
        /// Its file.
        path: PathBuf,
        /// Everything that does not fit.
        problems: Vec<String>,
    },
    /// A restore would overwrite something.
    #[error("{target} is not empty: a backup is restored into an empty folder only. Move it away first")]
    NotEmpty {
        /// Where it was to go.
        target: PathBuf,
    },
    /// The node's store could not be copied.
    #[error("cannot copy the node's store: {0}")]
    Store(#[from] caxton_host::StoreError),
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl BackupError {
    /// For `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
