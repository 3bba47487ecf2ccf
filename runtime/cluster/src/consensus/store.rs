//! The file that holds what consensus must not forget.

use super::types::{LogId, RaftId};
use crate::ClusterError;
use chacha20poly1305::aead::rand_core::{OsRng, RngCore as _};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The version of the file's layout.
const LAYOUT: i64 = 1;

/// A start of a node counts its generation up by at least so much: in between it may have renewed it a few
/// times by itself.
const GENERATION_STEP: u64 = 1_000;

/// How long a predecessor in this place may take to close the file.
const OPEN_WAIT: Duration = Duration::from_secs(2);

/// The file that holds what consensus must not forget: `raft.db` in the node's data folder. One process has
/// it open at a time. What was written is on the disk when the call returns. Entries and values are JSON:
/// SQLite's own tool shows them to a person.
pub(crate) struct Store {
    path: PathBuf,
    raft_id: RaftId,
    /// `None` once closed.
    connection: Mutex<Option<Connection>>,
}

/// Named single values.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    Vote,
    Committed,
    Purged,
}

impl Key {
    fn name(self) -> &'static str {
        match self {
            Self::Vote => "vote",
            Self::Committed => "committed",
            Self::Purged => "purged",
        }
    }
}

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("a value is not readable: {0}")]
    Value(#[from] serde_json::Error),
    #[error("the file has layout {found}, this release knows {LAYOUT}")]
    Layout { found: i64 },
    #[error("it is closed")]
    Closed,
    #[error("the writing task ended early")]
    Interrupted,
}

impl Store {
    /// Opens or creates the file, and takes it for this process alone.
    pub(crate) fn open(data_dir: &Path) -> Result<Arc<Self>, ClusterError> {
        let path = data_dir.join("raft.db");
        Self::try_open(&path)
            .map(|(connection, raft_id)| {
                Arc::new(Self {
                    path: path.clone(),
                    raft_id,
                    connection: Mutex::new(Some(connection)),
                })
            })
            .map_err(|error| ClusterError::Storage {
                path,
                reason: error.to_string(),
            })
    }

    fn try_open(path: &Path) -> Result<(Connection, RaftId), StoreError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(OPEN_WAIT)?;
        // In this order: exclusive before WAL keeps the index of the log in memory, and other processes out.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let transaction = connection.transaction()?;
        let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found == 0 {
            transaction.execute_batch(
                "CREATE TABLE log (position INTEGER PRIMARY KEY, entry TEXT NOT NULL) STRICT;
                 CREATE TABLE value (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
                 CREATE TABLE snapshot (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), meta TEXT NOT NULL, state TEXT NOT NULL) STRICT;",
            )?;
            write(&transaction, "raft_id", &RaftId(OsRng.next_u64()))?;
            transaction.pragma_update(None, "user_version", LAYOUT)?;
        } else if found != LAYOUT {
            return Err(StoreError::Layout { found });
        }
        let raft_id = read(&transaction, "raft_id")?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        transaction.commit()?;
        Ok((connection, raft_id))
    }

    pub(super) fn raft_id(&self) -> RaftId {
        self.raft_id
    }

    /// A number for this start of the node, higher than that of any start before. Durable.
    pub(crate) fn next_generation(&self, now_ms: u64) -> Result<u64, ClusterError> {
        self.with(|connection| {
            let last: u64 = read(connection, "generation")?.unwrap_or(0);
            let next = now_ms.max(last + GENERATION_STEP);
            write(connection, "generation", &next)?;
            Ok(next)
        })
        .map_err(|error| self.error(&error))
    }

    /// Closes the file; whatever comes afterwards fails. Frees it for the next process.
    pub(crate) fn close(&self) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn error(&self, error: &dyn std::fmt::Display) -> ClusterError {
        ClusterError::Storage {
            path: self.path.clone(),
            reason: error.to_string(),
        }
    }

    /// Does some work on a thread that may wait for the disk. It runs to its end even if the future is
    /// dropped.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(self);
        tokio::task::spawn_blocking(move || store.with(work))
            .await
            .map_err(|_| StoreError::Interrupted)?
    }

    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(connection.as_mut().ok_or(StoreError::Closed)?)
    }

    pub(super) async fn get<T: DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
        key: Key,
    ) -> Result<Option<T>, StoreError> {
        self.run(move |connection| read(connection, key.name())).await
    }

    pub(super) async fn set<T: Serialize>(self: &Arc<Self>, key: Key, value: &T) -> Result<(), StoreError> {
        let text = serde_json::to_string(value)?;
        self.run(move |connection| write_text(connection, key.name(), &text))
            .await
    }

    /// Appends entries, given as positions and texts, in one transaction.
    pub(super) async fn append(self: &Arc<Self>, entries: Vec<(u64, String)>) -> Result<(), StoreError> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            {
                let mut insert =
                    transaction.prepare_cached("INSERT INTO log (position, entry) VALUES (?1, ?2)")?;
                for (position, text) in &entries {
                    insert.execute(params![sql_position(*position), text])?;
                }
            }
            transaction.commit()?;
            Ok(())
        })
        .await
    }

    /// The entries at `from` and after, before `until`.
    pub(super) async fn entries(self: &Arc<Self>, from: u64, until: u64) -> Result<Vec<String>, StoreError> {
        self.run(move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT entry FROM log WHERE position >= ?1 AND position < ?2 ORDER BY position",
            )?;
            let rows =
                select.query_map(params![sql_position(from), sql_position(until)], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(super) async fn last_entry(self: &Arc<Self>) -> Result<Option<String>, StoreError> {
        self.run(|connection| {
            let last = "SELECT entry FROM log ORDER BY position DESC LIMIT 1";
            Ok(connection.query_row(last, [], |row| row.get(0)).optional()?)
        })
        .await
    }

    /// Removes the entries at `from` and after.
    pub(super) async fn truncate(self: &Arc<Self>, from: u64) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection.execute(
                "DELETE FROM log WHERE position >= ?1",
                params![sql_position(from)],
            )?;
            Ok(())
        })
        .await
    }

    /// Removes the entries up to `until`, this one included, and remembers that.
    pub(super) async fn purge(self: &Arc<Self>, until: LogId) -> Result<(), StoreError> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "DELETE FROM log WHERE position <= ?1",
                params![sql_position(until.index)],
            )?;
            write(&transaction, Key::Purged.name(), &until)?;
            transaction.commit()?;
            Ok(())
        })
        .await
    }

    /// Replaces the snapshot.
    pub(super) async fn set_snapshot(
        self: &Arc<Self>,
        meta: String,
        state: String,
    ) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection.execute(
                "INSERT OR REPLACE INTO snapshot (only_one, meta, state) VALUES (1, ?1, ?2)",
                params![meta, state],
            )?;
            Ok(())
        })
        .await
    }

    /// Meta data and state of the snapshot.
    pub(super) async fn snapshot(self: &Arc<Self>) -> Result<Option<(String, String)>, StoreError> {
        self.run(|connection| {
            let select = "SELECT meta, state FROM snapshot";
            Ok(connection
                .query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?)
        })
        .await
    }
}

fn read<T: DeserializeOwned>(connection: &Connection, name: &str) -> Result<Option<T>, StoreError> {
    let select = "SELECT value FROM value WHERE name = ?1";
    let text: Option<String> = connection
        .query_row(select, params![name], |row| row.get(0))
        .optional()?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

fn write<T: Serialize>(connection: &Connection, name: &str, value: &T) -> Result<(), StoreError> {
    write_text(connection, name, &serde_json::to_string(value)?)
}

fn write_text(connection: &Connection, name: &str, text: &str) -> Result<(), StoreError> {
    connection.execute(
        "INSERT OR REPLACE INTO value (name, value) VALUES (?1, ?2)",
        params![name, text],
    )?;
    Ok(())
}

/// SQLite's integers are signed. A log does not get that long; beyond, it ends.
fn sql_position(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
