//! What can go wrong with the store.

use caxton_model::{AgentName, Epoch};
use std::path::PathBuf;
use std::sync::Arc;

/// Why the store did not do something. Whatever the error: nothing of the call it answers was kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the store open.
    #[error("{} is in use by another process; stop that one first", path.display())]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// A folder, a file or a thread cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// It was written by a newer release.
    #[error("the store has format {found}, and this release knows up to {known}; run a newer release")]
    Format {
        /// The file's format.
        found: i64,
        /// The newest that this release reads.
        known: i64,
    },
    /// The disk is full. Reads still work; writes work again once there is space.
    #[error("the disk is full; free some space")]
    DiskFull,
    /// The outbox has reached its limit. Try again when some of it has been delivered.
    #[error("the outbox is full ({limit} messages wait for delivery)")]
    OutboxFull {
        /// The limit.
        limit: u64,
    },
    /// The agent runs, or ran, under a newer epoch.
    #[error("agent {agent} has epoch {} here, which is newer than {}", current.0, asked.0)]
    StaleEpoch {
        /// Which agent.
        agent: AgentName,
        /// What was asked for.
        asked: Epoch,
        /// What holds.
        current: Epoch,
    },
    /// The database said no: an I/O error, say, or a damaged file.
    #[error("the database failed: {0}")]
    Database(Arc<rusqlite::Error>),
    /// What was read is not what was written.
    #[error("the store holds a record that cannot be read: {0}")]
    Record(Arc<serde_json::Error>),
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull,
            Some(_) | None => Self::Database(Arc::new(error)),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Record(Arc::new(error))
    }
}
