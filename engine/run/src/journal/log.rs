//! What steps put out.

use super::{Journal, JournalError, column};
use caxplan_adapter::Stream;
use caxplan_model::{AttemptNo, RunId, StepId, Timestamp};
use rusqlite::params;

/// A piece of what a step put out, with secrets masked. It need not end at a line's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// When.
    pub at: Timestamp,
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: AttemptNo,
    /// Where it came from.
    pub stream: Stream,
    /// What.
    pub bytes: Vec<u8>,
}

/// The place in a run's log up to which a reader has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCursor(i64);

/// How many chunks one read answers at most; a reader asks again until there are none.
const CHUNKS_PER_READ: i64 = 1_000;

impl Journal {
    /// The next chunks after `cursor`, of one step and all below it or of all steps, and the cursor behind them. Empty
    /// if there are no more for now.
    pub fn logs(
        &self,
        run: &RunId,
        step: Option<&str>,
        cursor: LogCursor,
    ) -> Result<(Vec<LogChunk>, LogCursor), JournalError> {
        let read = || -> rusqlite::Result<(Vec<LogChunk>, LogCursor)> {
            let sql = "SELECT id, at, step, attempt, stream, bytes FROM logs
                       WHERE run = (SELECT key FROM runs WHERE id = ?1) AND id > ?2
                         AND (?3 IS NULL OR step = ?3 OR substr(step, 1, length(?3) + 1) = ?3 || '/')
                       ORDER BY id LIMIT ?4";
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![run.as_str(), cursor.0, step, CHUNKS_PER_READ])?;
            let mut chunks = Vec::new();
            let mut end = cursor;
            while let Some(row) = rows.next()? {
                end = LogCursor(row.get(0)?);
                let stream: String = row.get(4)?;
                chunks.push(LogChunk {
                    at: column::to_time(row.get(1)?),
                    step: StepId::new(row.get::<_, String>(2)?),
                    attempt: AttemptNo(row.get(3)?),
                    stream: stream_of(&stream),
                    bytes: row.get(5)?,
                });
            }
            Ok((chunks, end))
        };
        read().map_err(|error| self.error(error))
    }
}

/// The name of a stream, in the journal and for users.
pub fn stream_name(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
        Stream::Note => "note",
    }
}

fn stream_of(name: &str) -> Stream {
    match name {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => Stream::Note,
    }
}
