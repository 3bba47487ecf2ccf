//! What other processes ask of the engine that has a run.

use super::{Journal, JournalError, Tail, column};
use caxplan_model::{Answer, NodeIndex, RunId};
use rusqlite::params;
use serde::{Deserialize, Serialize};

/// What a person asks of a run from another terminal. It lies in the journal until the engine that has the run, or the
/// next that resumes it, has turned it into a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Start nothing more; or go on.
    Pause {
        /// Which of the two.
        paused: bool,
    },
    /// End the run.
    Cancel {
        /// Whether running steps are aborted, not awaited.
        abort: bool,
    },
    /// The answer to an approval, a checklist or a question about a step in doubt.
    Answer {
        /// Which.
        node: NodeIndex,
        /// What.
        answer: Answer,
    },
}

/// A request as it lies in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRequest {
    /// Its number, by which a batch says that it was handled.
    pub id: i64,
    /// Who asks (`user@host`).
    pub by: String,
    /// What.
    pub request: Request,
}

impl Journal {
    /// Asks something of a run, and answers the request's number. Durable when this returns.
    pub fn ask(&mut self, run: &RunId, by: &str, request: &Request) -> Result<i64, JournalError> {
        let body = serde_json::to_string(request).expect("a request is plain data");
        let at = column::from_time(crate::clock::now());
        let sql = "INSERT INTO requests (run, at, by, body) SELECT key, ?2, ?3, ?4 FROM runs WHERE id = ?1";
        let added = self
            .connection
            .execute(sql, params![run.as_str(), at, by, body])
            .map_err(|error| self.error(error))?;
        if added == 0 {
            return Err(JournalError::UnknownRun(run.to_string()));
        }
        Ok(self.connection.last_insert_rowid())
    }

    /// Whether no engine has taken a request in yet. Once it has, what follows from it is durable.
    pub fn is_open(&self, request: i64) -> Result<bool, JournalError> {
        self.connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM requests WHERE id = ?1)")
            .and_then(|mut statement| statement.query_row([request], |row| row.get(0)))
            .map_err(|error| self.error(error))
    }

    /// The requests that no batch has handled yet, oldest first. One that cannot be read is passed over.
    pub fn requests(&self, tail: &Tail) -> Result<Vec<StoredRequest>, JournalError> {
        let read = || -> rusqlite::Result<Vec<(i64, String, String)>> {
            let sql = "SELECT id, by, body FROM requests WHERE run = ?1 ORDER BY id";
            let mut statement = self.connection.prepare_cached(sql)?;
            statement
                .query_map([tail.key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect()
        };
        let rows = read().map_err(|error| self.error(error))?;
        Ok(rows
            .into_iter()
            .filter_map(|(id, by, body)| {
                let request = serde_json::from_str(&body).ok()?;
                Some(StoredRequest { id, by, request })
            })
            .collect())
    }

    /// A number that changes when another process has written. Cheap: it reads no table.
    pub fn data_version(&self) -> Result<i64, JournalError> {
        self.connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(|error| self.error(error))
    }
}
