//! How the journal fails.

use caxplan_model::RunId;
use std::path::{Path, PathBuf};

/// How the journal fails. No failure leaves half a batch behind: what was not committed is not there.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk is full. Nothing of the batch was written.
    #[error("the disk that holds the journal {} is full", path.display())]
    Full {
        /// The journal's file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Another process has been writing for longer than the journal waits.
    #[error("the journal {} is locked by another process", path.display())]
    Busy {
        /// The journal's file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Anything else that SQLite or the disk has to say.
    #[error("the journal {} could not be used", path.display())]
    Storage {
        /// The journal's file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The journal was written by another version of this program.
    #[error("the journal {} has format {found}, this program reads format {}", path.display(), super::schema::VERSION)]
    Format {
        /// The journal's file.
        path: PathBuf,
        /// The format that it has.
        found: i64,
    },
    /// No run has such an id.
    #[error("no run `{0}`")]
    UnknownRun(String),
    /// The run was removed.
    #[error("run {} of `{}` was removed by {}, at {}", .0.id, .0.name, .0.by, crate::clock::utc(.0.pruned))]
    Pruned(Box<super::Tombstone>),
    /// There is no run at all.
    #[error("there are no runs yet")]
    NoRuns,
    /// Several runs have ids that begin so.
    #[error("`{prefix}` is the beginning of several runs: {}", list(candidates))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// The runs.
        candidates: Vec<RunId>,
    },
    /// What was read is not what was written.
    #[error("the journal of run {run} is damaged: {detail}")]
    Damaged {
        /// The run.
        run: RunId,
        /// What is wrong, and where.
        detail: String,
    },
}

impl JournalError {
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path, source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path, source },
            _ => Self::Storage { path, source },
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Full { path, .. } => {
                let folder = path.parent().unwrap_or(path);
                Some(format!(
                    "make space on the file system of {}; nothing that was acknowledged is lost",
                    folder.display()
                ))
            }
            Self::Busy { .. } => Some("try again when the other process has ended".to_owned()),
            Self::Storage { path, .. } => Some(format!(
                "check that {} exists, belongs to you and can be written",
                path.display()
            )),
            Self::Format { .. } => Some("use the version of caxplan that wrote it, or another CAXPLAN_STATE_DIR".to_owned()),
            Self::UnknownRun(_) | Self::NoRuns => Some("`caxplan runs` lists all runs".to_owned()),
            Self::Pruned(_) => Some("`caxplan runs --pruned` shows what is still known of it".to_owned()),
            Self::Ambiguous { .. } => Some("give more of the id".to_owned()),
            Self::Damaged { .. } => Some(
                "it was altered or the disk lost something; restore caxplan.db from a backup, or start a new run"
                    .to_owned(),
            ),
        }
    }
}

fn list(runs: &[RunId]) -> String {
    let names: Vec<&str> = runs.iter().map(RunId::as_str).collect();
    names.join(", ")
}
