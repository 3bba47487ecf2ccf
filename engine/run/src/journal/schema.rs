//! The tables.

use rusqlite::Connection;

/// The version of the tables, kept in SQLite's `user_version`.
pub(super) const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE runs (
    key           INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,       -- a ULID in lower case: sorts by time
    name          TEXT NOT NULL,              -- the plan's name
    plan          TEXT NOT NULL,              -- the plan's file, absolute
    created       INTEGER NOT NULL,           -- milliseconds since 1970
    graph         TEXT NOT NULL,              -- the expanded plan as JSON
    digest        BLOB NOT NULL,              -- SHA-256 of that text
    secret_params TEXT NOT NULL,              -- names only, a JSON list
    pid           INTEGER NOT NULL,           -- of the engine that had it last
    status        TEXT NOT NULL,              -- 'running', or how the engine left it
    ended         INTEGER                     -- when it left it
) STRICT;
CREATE TABLE records (
    run  INTEGER NOT NULL REFERENCES runs (key),
    seq  INTEGER NOT NULL,                    -- from 1, without gaps
    at   INTEGER NOT NULL,
    body TEXT NOT NULL,                       -- the record as JSON
    hash BLOB NOT NULL,                       -- SHA-256 of the hash before it and the body
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE logs (
    id      INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL REFERENCES runs (key),
    step    TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    stream  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    bytes   BLOB NOT NULL
) STRICT;
CREATE INDEX logs_of_run ON logs (run, id);
CREATE TABLE requests (
    id   INTEGER PRIMARY KEY,
    run  INTEGER NOT NULL REFERENCES runs (key),
    at   INTEGER NOT NULL,
    by   TEXT NOT NULL,
    body TEXT NOT NULL                        -- what another process asks of the engine, as JSON
) STRICT;
";

/// Makes a connection ready, and the tables if the file is new. Answers the version of the tables.
pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<i64> {
    let version = version(connection)?;
    if version != 0 {
        return Ok(version);
    }
    // So that removed runs give their space back without the file being written anew. Only before the first table.
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Another process may have made them since.
    let version = self::version(&transaction)?;
    if version != 0 {
        return Ok(version);
    }
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(VERSION)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
