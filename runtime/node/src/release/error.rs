//! Why a release was not taken.

use std::path::{Path, PathBuf};

/// Why a release was not taken. Unless said otherwise, the node runs on as before.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The archive could not be fetched.
    #[error("cannot fetch the release from {source_address}: {reason}")]
    Fetch {
        /// From where.
        source_address: String,
        /// Why.
        reason: String,
    },
    /// Some bytes are not those that were promised.
    #[error("the {what} has the SHA-256 {actual}, but {expected} was promised")]
    Checksum {
        /// Which bytes.
        what: &'static str,
        /// What was promised.
        expected: String,
        /// What was found.
        actual: String,
    },
    /// The archive is no release.
    #[error("this is no release archive: {reason}")]
    Archive {
        /// What is wrong.
        reason: String,
    },
    /// The release is another one than was asked for.
    #[error("the release says it is version {actual}, but {expected} was asked for")]
    Version {
        /// What was asked for.
        expected: String,
        /// What it says.
        actual: String,
    },
    /// The new binary does not do what a release must before it may take over.
    #[error("the new binary failed at `{command}`: {output}")]
    Binary {
        /// What it was asked to do.
        command: String,
        /// What it said.
        output: String,
    },
    /// Another upgrade is under way.
    #[error("another upgrade of this node is under way ({phase})")]
    Busy {
        /// How it stands.
        phase: String,
    },
    /// There is no release to go back to.
    #[error("there is no earlier release on this node to go back to")]
    NoPrevious,
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

impl ReleaseError {
    /// For `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
