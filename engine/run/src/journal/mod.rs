//! The journal: one SQLite file for all runs, in write-ahead mode, every commit synced to the disk.

mod column;
mod error;
mod graph;
mod ledger;
mod log;
mod prune;
mod request;
mod runs;
mod schema;

pub use error::JournalError;
pub use ledger::{Fate, Firing, Grant, Ledger, ScheduleKey};
pub use log::{LogChunk, LogCursor, stream_name};
pub use prune::{Reclaimed, Tombstone};
pub use request::{Request, StoredRequest};
pub use runs::{RunFilter, RunHead, RunName, RunSummary, StoredRun, Tail};

use crate::StateDir;
use caxplan_model::{Digest, Graph, Record, RecordSeq, RunId};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use std::path::{Path, PathBuf};

/// The journal of all runs. Other processes may read and write it at the same time; a run's records are appended by
/// the one engine that holds the run's lock.
pub struct Journal {
    connection: Connection,
    path: PathBuf,
}

/// What becomes durable together, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Records, in order.
    pub records: Vec<Record>,
    /// Output of steps.
    pub logs: Vec<LogChunk>,
    /// Requests that are answered by the records.
    pub handled: Vec<i64>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.logs.is_empty() && self.handled.is_empty()
    }
}

/// What is written of a run when it is created.
pub struct NewRun<'a> {
    /// Its id.
    pub id: &'a RunId,
    /// Its plan's file.
    pub plan: &'a Path,
    /// Its graph, without the values of secret parameters.
    pub graph: &'a Graph,
    /// The names of those parameters.
    pub secret_params: &'a [String],
    /// What jitter is drawn from.
    pub seed: u64,
    /// Who started it (`user@host`).
    pub by: &'a str,
}

/// How long a write waits for another process that is writing.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

impl Journal {
    /// Opens the journal of a state folder, and makes it if it is not there.
    pub fn open(dir: &StateDir) -> Result<Self, JournalError> {
        let path = dir.journal();
        let open = || -> rusqlite::Result<(Connection, i64)> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let mut connection = Connection::open_with_flags(&path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "synchronous", "full")?;
            let version = schema::prepare(&mut connection)?;
            Ok((connection, version))
        };
        let (connection, version) = open().map_err(|error| JournalError::of(&path, error))?;
        if version != schema::VERSION {
            return Err(JournalError::Format { path, found: version });
        }
        Ok(Self { connection, path })
    }

    /// The journal's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a run with its first record. Durable when this returns.
    pub fn create(&mut self, run: &NewRun<'_>) -> Result<(Record, Tail), JournalError> {
        let now = crate::clock::now();
        let to_text = |graph: &Graph| serde_json::to_string(graph).expect("a graph is plain data");
        let in_parts = graph::in_parts(run.graph);
        let text = match in_parts {
            true => to_text(&graph::head(run.graph)),
            false => to_text(run.graph),
        };
        let mut tail = Tail {
            key: 0,
            seq: 0,
            hash: Digest::ZERO,
        };
        let path = self.path.clone();
        let mut write = || -> rusqlite::Result<Record> {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut digest = Digest::of(text.as_bytes());
            transaction.execute(
                "INSERT INTO runs (id, name, plan, created, graph, digest, secret_params, pid, status)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'running')",
                params![
                    run.id.as_str(),
                    run.graph.header.name,
                    run.plan.to_string_lossy(),
                    column::from_time(now),
                    text,
                    digest.0.as_slice(),
                    serde_json::to_string(run.secret_params).expect("names are plain data"),
                    std::process::id(),
                ],
            )?;
            tail.key = transaction.last_insert_rowid();
            if in_parts {
                digest = graph::write(&transaction, tail.key, &text, run.graph)?;
                let sql = "UPDATE runs SET digest = ?2 WHERE key = ?1";
                transaction.execute(sql, params![tail.key, digest.0.as_slice()])?;
            }
            let created = Record::RunCreated {
                at: now,
                graph: digest,
                seed: run.seed,
                by: run.by.to_owned(),
            };
            append(&transaction, &mut tail, &created)?;
            transaction.commit()?;
            Ok(created)
        };
        let created = write().map_err(|error| JournalError::of(&path, error))?;
        Ok((created, tail))
    }

    /// Appends a batch to a run in one transaction and moves `tail`. Answers the number of the first record. On error
    /// nothing was written and `tail` is as before.
    pub fn commit(&mut self, run: &RunId, tail: &mut Tail, batch: &Batch) -> Result<RecordSeq, JournalError> {
        let first = RecordSeq(tail.seq + 1);
        let mut moved = tail.clone();
        let path = self.path.clone();
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            for record in &batch.records {
                append(&transaction, &mut moved, record)?;
                note_status(&transaction, moved.key, record)?;
            }
            for chunk in &batch.logs {
                let sql = "INSERT INTO logs (run, step, attempt, stream, at, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                transaction.prepare_cached(sql)?.execute(params![
                    moved.key,
                    chunk.step.as_str(),
                    chunk.attempt.0,
                    stream_name(chunk.stream),
                    column::from_time(chunk.at),
                    chunk.bytes,
                ])?;
            }
            for id in &batch.handled {
                let sql = "DELETE FROM requests WHERE id = ?1";
                transaction.prepare_cached(sql)?.execute([id])?;
            }
            transaction.commit()
        };
        write().map_err(|error| JournalError::of(&path, error))?;
        tracing::trace!(%run, records = batch.records.len(), "committed");
        *tail = moved;
        Ok(first)
    }

    /// Lets the file grow by `pages` pages at most: beyond that the disk is full, as far as SQLite can tell.
    #[cfg(test)]
    pub(crate) fn limit_growth(&self, pages: i64) {
        let count = |name: &str, value: Option<i64>| -> i64 {
            match value {
                None => self.connection.pragma_query_value(None, name, |row| row.get(0)),
                Some(value) => self
                    .connection
                    .pragma_update_and_check(None, name, value, |row| row.get(0)),
            }
            .expect("pragmas work")
        };
        count("max_page_count", Some(count("page_count", None) + pages));
    }

    fn error(&self, source: rusqlite::Error) -> JournalError {
        JournalError::of(&self.path, source)
    }
}

fn append(connection: &Connection, tail: &mut Tail, record: &Record) -> rusqlite::Result<()> {
    let body = serde_json::to_string(record).expect("a record is plain data");
    tail.seq += 1;
    tail.hash = tail.hash.chain(body.as_bytes());
    connection
        .prepare_cached("INSERT INTO records (run, seq, at, body, hash) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            tail.key,
            column::from_count(tail.seq),
            column::from_time(record.at()),
            body,
            tail.hash.0.as_slice()
        ])?;
    Ok(())
}

/// Keeps what the list of runs shows in step with the records, in the same transaction.
fn note_status(connection: &Connection, key: i64, record: &Record) -> rusqlite::Result<()> {
    match record {
        Record::Resumed { .. } => connection
            .prepare_cached("UPDATE runs SET status = 'running', ended = NULL, pid = ?2 WHERE key = ?1")?
            .execute(params![key, std::process::id()])?,
        Record::RunEnded { at, end } => {
            let status = serde_json::to_value(end).expect("an end is plain data");
            connection
                .prepare_cached("UPDATE runs SET status = ?2, ended = ?3 WHERE key = ?1")?
                .execute(params![key, status.as_str(), column::from_time(*at)])?
        }
        Record::PlanReplaced {
            plan, secret_params, ..
        } => connection
            .prepare_cached("UPDATE runs SET plan = ?2, secret_params = ?3 WHERE key = ?1")?
            .execute(params![
                key,
                plan,
                serde_json::to_string(secret_params).expect("names are plain data")
            ])?,
        Record::RunCreated { .. }
        | Record::StepStarted { .. }
        | Record::StepEnded { .. }
        | Record::Skipped { .. }
        | Record::Expanded { .. }
        | Record::TimerSet { .. }
        | Record::TimerFired { .. }
        | Record::Breached { .. }
        | Record::CheckedAnew { .. }
        | Record::Waiting { .. }
        | Record::Answered { .. }
        | Record::Paused { .. }
        | Record::CancelRequested { .. }
        | Record::RollbackStarted { .. }
        | Record::UndoStarted { .. }
        | Record::UndoEnded { .. }
        | Record::Notified { .. } => 0,
    };
    Ok(())
}

#[cfg(test)]
mod tests;
