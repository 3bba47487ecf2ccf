//! Removing runs, and what stays of them.

use super::graph::PARTS;
use super::{Journal, JournalError, column};
use caxplan_model::{Digest, RunEnd, RunId, Timestamp};
use rusqlite::{OptionalExtension as _, Row, TransactionBehavior, params};
use std::path::PathBuf;

/// What stays of a run that was removed: enough to say that it was there, how it ended, and whether a copy of its
/// records is whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Tombstone {
    /// The run.
    pub id: RunId,
    /// The plan's name.
    pub name: String,
    /// The plan's file, absolute.
    pub plan: PathBuf,
    /// When the run was created.
    pub created: Timestamp,
    /// How its last engine left it; `None` if it died.
    pub end: Option<RunEnd>,
    /// When it left it.
    pub ended: Option<Timestamp>,
    /// How many records there were.
    pub records: u64,
    /// The hash of the last one, which vouches for all of them.
    pub hash: Digest,
    /// When the run was removed.
    pub pruned: Timestamp,
    /// Who removed it (`user@host`).
    pub by: String,
}

/// What it took to give the space of removed runs back to the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reclaimed {
    /// How many bytes the file has become smaller by.
    pub bytes: u64,
    /// How many bytes are free in the file, for runs to come.
    pub reusable: u64,
}

/// Made when the first run is removed: a journal without it is as good.
pub(super) const TOMBSTONES: &str = "
CREATE TABLE IF NOT EXISTS tombstones (
    id      TEXT PRIMARY KEY,
    name    TEXT NOT NULL,
    plan    TEXT NOT NULL,
    created INTEGER NOT NULL,
    status  TEXT NOT NULL,
    ended   INTEGER,
    records INTEGER NOT NULL,
    hash    BLOB NOT NULL,
    pruned  INTEGER NOT NULL,
    by      TEXT NOT NULL
) STRICT;";

/// How many pages are given back in one transaction: an engine that wants to write waits for milliseconds only.
const PAGES_PER_TURN: u32 = 256;

const COLUMNS: &str = "id, name, plan, created, status, ended, records, hash, pruned, by";

impl Journal {
    /// Removes a run, with its records, logs and requests, and leaves a tombstone: all of it, or nothing. The caller
    /// holds the run's lock, so that no engine is at work on it.
    pub fn prune(&mut self, run: &RunId, by: &str) -> Result<Tombstone, JournalError> {
        let now = crate::clock::now();
        let path = self.path.clone();
        let mut remove = || -> rusqlite::Result<Option<Tombstone>> {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(TOMBSTONES)?;
            let key: Option<i64> = transaction
                .query_row("SELECT key FROM runs WHERE id = ?1", [run.as_str()], |row| {
                    row.get(0)
                })
                .optional()?;
            let Some(key) = key else { return Ok(None) };
            transaction.execute(
                "INSERT INTO tombstones (id, name, plan, created, status, ended, records, hash, pruned, by)
                 SELECT id, name, plan, created, status, ended,
                        (SELECT count(*) FROM records WHERE run = key),
                        coalesce((SELECT hash FROM records WHERE run = key ORDER BY seq DESC LIMIT 1), zeroblob(32)),
                        ?2, ?3
                 FROM runs WHERE key = ?1",
                params![key, column::from_time(now), by],
            )?;
            transaction.execute_batch(PARTS)?;
            for table in ["logs", "requests", "records", "graph_parts"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [key])?;
            }
            transaction.execute("DELETE FROM runs WHERE key = ?1", [key])?;
            let sql = format!("SELECT {COLUMNS} FROM tombstones WHERE id = ?1");
            let tombstone = transaction.query_row(&sql, [run.as_str()], tombstone)?;
            transaction.commit()?;
            Ok(Some(tombstone))
        };
        remove()
            .map_err(|error| JournalError::of(&path, error))?
            .ok_or_else(|| JournalError::UnknownRun(run.to_string()))
    }

    /// What stays of the runs that were removed, the newest run first.
    pub fn tombstones(&self, limit: u32) -> Result<Vec<Tombstone>, JournalError> {
        let read = || -> rusqlite::Result<Vec<Tombstone>> {
            if !self.has_tombstones()? {
                return Ok(Vec::new());
            }
            self.connection
                .prepare(&format!(
                    "SELECT {COLUMNS} FROM tombstones ORDER BY id DESC LIMIT ?1"
                ))?
                .query_map([limit], tombstone)?
                .collect()
        };
        read().map_err(|error| self.error(error))
    }

    /// The one removed run whose id begins so.
    pub(super) fn tombstone_of(&self, prefix: &str) -> Result<Option<Tombstone>, JournalError> {
        let read = || -> rusqlite::Result<Vec<Tombstone>> {
            if !self.has_tombstones()? {
                return Ok(Vec::new());
            }
            let sql =
                format!("SELECT {COLUMNS} FROM tombstones WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2");
            self.connection
                .prepare(&sql)?
                .query_map([prefix], tombstone)?
                .collect()
        };
        let mut found = read().map_err(|error| self.error(error))?;
        Ok(if found.len() == 1 { found.pop() } else { None })
    }

    fn has_tombstones(&self) -> rusqlite::Result<bool> {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'tombstones'";
        self.connection.query_row(sql, [], |row| row.get(0))
    }

    /// Gives the space of removed runs back to the file system, a little at a time, so that engines at work can write in
    /// between. A journal that was made without the means for it is written anew as a whole if `alone`, that is, if no
    /// engine is at work; else its free space waits for runs to come.
    pub fn reclaim(&mut self, alone: bool) -> Result<Reclaimed, JournalError> {
        let reclaim = || -> rusqlite::Result<Reclaimed> {
            let number = |name: &str| -> rusqlite::Result<u64> {
                let value: i64 = self.connection.pragma_query_value(None, name, |row| row.get(0))?;
                Ok(column::to_count(value))
            };
            let page = number("page_size")?;
            let before = number("page_count")?;
            let is_incremental = number("auto_vacuum")? == 2;
            if is_incremental {
                loop {
                    let free = number("freelist_count")?;
                    if free == 0 {
                        break;
                    }
                    let sql = format!("PRAGMA incremental_vacuum({PAGES_PER_TURN})");
                    let mut statement = self.connection.prepare(&sql)?;
                    let mut rows = statement.query([])?;
                    while rows.next()?.is_some() {}
                    if number("freelist_count")? >= free {
                        break;
                    }
                }
            } else if alone {
                self.connection.pragma_update(None, "auto_vacuum", 2)?;
                self.connection.execute_batch("VACUUM")?;
            }
            // The file shrinks when what was written beside it is taken in. A reader can hinder that; then it shrinks
            // the next time.
            self.connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            let after = number("page_count")?;
            Ok(Reclaimed {
                bytes: before.saturating_sub(after) * page,
                reusable: number("freelist_count")? * page,
            })
        };
        reclaim().map_err(|error| self.error(error))
    }
}

fn tombstone(row: &Row<'_>) -> rusqlite::Result<Tombstone> {
    let status: String = row.get(4)?;
    let hash: Vec<u8> = row.get(7)?;
    Ok(Tombstone {
        id: RunId::new(row.get::<_, String>(0)?),
        name: row.get(1)?,
        plan: PathBuf::from(row.get::<_, String>(2)?),
        created: column::to_time(row.get(3)?),
        end: serde_json::from_value(status.into()).ok(),
        ended: row.get::<_, Option<i64>>(5)?.map(column::to_time),
        records: column::to_count(row.get(6)?),
        hash: hash.try_into().map_or(Digest::ZERO, Digest),
        pruned: column::to_time(row.get(8)?),
        by: row.get(9)?,
    })
}
