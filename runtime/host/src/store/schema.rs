//! The tables, and how a connection is set up.

use super::StoreError;
use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;

/// The format that this release writes. A file of a newer format is refused.
const FORMAT: i64 = 1;

/// How long a connection waits for a lock: only another program that reads the file can hold one.
const BUSY: Duration = Duration::from_secs(5);

/// How large the write-ahead log may stay after a burst, in bytes.
const JOURNAL_BYTES_MAX: i64 = 64 << 20;

/// Statements that each connection keeps compiled.
const STATEMENTS_MAX: usize = 64;

const TABLES: &str = "
CREATE TABLE outbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    receiver    TEXT NOT NULL,
    envelope    TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    not_before  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX outbox_by_receiver ON outbox (receiver, seq);

CREATE TABLE dead_letters (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT NOT NULL,
    receiver  TEXT NOT NULL,
    envelope  TEXT NOT NULL,
    attempts  INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    buried_at INTEGER NOT NULL
) STRICT;

CREATE TABLE client_mailbox (
    cursor      INTEGER PRIMARY KEY AUTOINCREMENT,
    client      TEXT NOT NULL,
    id          TEXT NOT NULL,
    in_reply_to TEXT,
    envelope    TEXT,
    at          INTEGER NOT NULL,
    UNIQUE (client, id)
) STRICT;
CREATE UNIQUE INDEX client_mailbox_by_reply ON client_mailbox (client, in_reply_to) WHERE in_reply_to IS NOT NULL;
CREATE TABLE clients (
    client  TEXT PRIMARY KEY,
    waiting INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER client_gets AFTER INSERT ON client_mailbox WHEN new.envelope IS NOT NULL BEGIN
    INSERT INTO clients (client, waiting) VALUES (new.client, 1)
    ON CONFLICT (client) DO UPDATE SET waiting = waiting + 1;
END;
CREATE TRIGGER client_acknowledges AFTER UPDATE OF envelope ON client_mailbox
WHEN old.envelope IS NOT NULL AND new.envelope IS NULL BEGIN
    UPDATE clients SET waiting = waiting - 1 WHERE client = new.client;
END;
CREATE TRIGGER client_forgets AFTER DELETE ON client_mailbox WHEN old.envelope IS NOT NULL BEGIN
    UPDATE clients SET waiting = waiting - 1 WHERE client = old.client;
END;
CREATE INDEX client_mailbox_waiting ON client_mailbox (client, cursor) WHERE envelope IS NOT NULL;

CREATE TABLE agents (
    agent    TEXT PRIMARY KEY,
    epoch    INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE agent_state (
    agent TEXT NOT NULL,
    key   BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (agent, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE handled (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    agent TEXT NOT NULL,
    id    TEXT NOT NULL,
    at    INTEGER NOT NULL,
    UNIQUE (agent, id)
) STRICT;

CREATE TABLE modules (
    digest TEXT PRIMARY KEY,
    bytes  BLOB NOT NULL
) STRICT;
";

/// Opens a connection for writing and makes the tables if there are none.
///
/// # Errors
/// If the file cannot be opened or has a newer format.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    set_up(&connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_MAX)?;
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match format {
        0 => {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", FORMAT)?;
            transaction.commit()?;
        }
        FORMAT => {}
        found => return Err(StoreError::Format { found, known: FORMAT }),
    }
    Ok(connection)
}

/// Opens a connection that can only read.
///
/// # Errors
/// If the file cannot be opened.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    set_up(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}
