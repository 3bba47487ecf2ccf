//! The list of runs, and how a user names one.

use super::{Journal, JournalError, column};
use caxplan_model::{Digest, Graph, Record, RunEnd, RunId, Timestamp};
use rusqlite::{OptionalExtension as _, Row, params};
use std::path::PathBuf;

/// How many runs an ambiguous prefix lists.
const CANDIDATES: i64 = 5;

/// What the list of runs says of one.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// The plan's name.
    pub name: String,
    /// The plan's file, absolute.
    pub plan: PathBuf,
    /// When it was created.
    pub created: Timestamp,
    /// The process id of the engine that had it last.
    pub pid: u32,
    /// How that engine left it; `None` if it did not say, because it is still going on or was killed.
    pub end: Option<RunEnd>,
    /// When that engine left it.
    pub ended: Option<Timestamp>,
}

/// A run as it lies in the journal.
#[derive(Clone, Debug)]
pub struct StoredRun {
    /// What the list says of it.
    pub summary: RunSummary,
    /// The graph that it began with. Records that replaced it hold the later ones: [`crate::fold`] follows them.
    pub graph: Graph,
    /// The names of the secret parameters of the plan that it follows now, whose values are nowhere in the journal.
    pub secret_params: Vec<String>,
    /// Its records in order.
    pub records: Vec<Record>,
    /// Where the next batch goes.
    pub tail: Tail,
}

/// The end of a run's chain of records: what the next batch is appended to.
#[derive(Clone, Debug, PartialEq)]
pub struct Tail {
    pub(super) key: i64,
    pub(crate) seq: u64,
    pub(super) hash: Digest,
}

/// How a user names a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunName {
    /// By its id, or by a beginning that no other run has.
    Prefix(String),
    /// The newest one.
    Last,
}

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only of the plan of this name, or of this file (absolute).
    pub plan: Option<String>,
    /// Only those that ended so, `None` being those that no engine has left; all if empty.
    pub ends: Vec<Option<RunEnd>>,
    /// Only those created at this time or later.
    pub since: Option<Timestamp>,
    /// At most so many.
    pub limit: u32,
}

pub(super) const SUMMARY: &str = "id, name, plan, created, pid, status, ended";

pub(super) fn summary(row: &Row<'_>) -> rusqlite::Result<RunSummary> {
    let status: String = row.get(5)?;
    Ok(RunSummary {
        id: RunId::new(row.get::<_, String>(0)?),
        name: row.get(1)?,
        plan: PathBuf::from(row.get::<_, String>(2)?),
        created: column::to_time(row.get(3)?),
        pid: row.get(4)?,
        end: serde_json::from_value(status.into()).ok(),
        ended: row.get::<_, Option<i64>>(6)?.map(column::to_time),
    })
}

/// How an end stands in the column `status`.
fn status_of(end: Option<RunEnd>) -> String {
    let word = end.and_then(|end| serde_json::to_value(end).ok());
    word.as_ref()
        .and_then(|word| word.as_str())
        .unwrap_or("running")
        .to_owned()
}

impl Journal {
    /// The newest runs, newest first.
    pub fn runs(&self, limit: u32) -> Result<Vec<RunSummary>, JournalError> {
        self.runs_of(&RunFilter {
            limit,
            ..RunFilter::default()
        })
    }

    /// The newest runs of those that a filter lets through, newest first.
    pub fn runs_of(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, JournalError> {
        let ends: Vec<String> = filter.ends.iter().map(|end| status_of(*end)).collect();
        let ends = serde_json::to_string(&ends).expect("words are plain data");
        let since = filter.since.map(column::from_time);
        let sql = format!(
            "SELECT {SUMMARY} FROM runs
             WHERE (?1 IS NULL OR name = ?1 OR plan = ?1)
               AND (?2 = '[]' OR status IN (SELECT value FROM json_each(?2)))
               AND (?3 IS NULL OR created >= ?3)
             ORDER BY id DESC LIMIT ?4"
        );
        let read = || -> rusqlite::Result<Vec<RunSummary>> {
            self.connection
                .prepare(&sql)?
                .query_map(params![filter.plan, ends, since, filter.limit], summary)?
                .collect()
        };
        read().map_err(|error| self.error(error))
    }

    /// What the list says of a run, if it is there.
    pub fn summary(&self, run: &RunId) -> Result<Option<RunSummary>, JournalError> {
        let sql = format!("SELECT {SUMMARY} FROM runs WHERE id = ?1");
        self.connection
            .query_row(&sql, [run.as_str()], summary)
            .optional()
            .map_err(|error| self.error(error))
    }

    /// The run that a user means.
    pub fn find(&self, name: &RunName) -> Result<RunId, JournalError> {
        match name {
            RunName::Last => {
                let newest = self.runs(1)?;
                newest
                    .into_iter()
                    .next()
                    .map(|run| run.id)
                    .ok_or(JournalError::NoRuns)
            }
            RunName::Prefix(prefix) => self.find_by_prefix(prefix),
        }
    }

    fn find_by_prefix(&self, prefix: &str) -> Result<RunId, JournalError> {
        let wanted = prefix.to_ascii_lowercase();
        let read = || -> rusqlite::Result<Vec<RunId>> {
            self.connection
                .prepare(
                    "SELECT id FROM runs WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id DESC LIMIT ?2",
                )?
                .query_map(params![wanted, CANDIDATES], |row| {
                    Ok(RunId::new(row.get::<_, String>(0)?))
                })?
                .collect()
        };
        let mut candidates = read().map_err(|error| self.error(error))?;
        match candidates.len() {
            0 => Err(match self.tombstone_of(&wanted)? {
                Some(tombstone) => JournalError::Pruned(Box::new(tombstone)),
                None => JournalError::UnknownRun(prefix.to_owned()),
            }),
            1 => Ok(candidates.remove(0)),
            _ => Err(JournalError::Ambiguous {
                prefix: prefix.to_owned(),
                candidates,
            }),
        }
    }

    /// Everything about a run. Checks the graph's digest, and that the records are the ones that were written: none
    /// altered, none missing in between, none cut off after the engine left.
    pub fn load(&self, id: &RunId) -> Result<StoredRun, JournalError> {
        type Head = (i64, RunSummary, String, Vec<u8>, String);
        let head = |row: &Row<'_>| -> rusqlite::Result<Head> {
            Ok((row.get(7)?, summary(row)?, row.get(8)?, row.get(9)?, row.get(10)?))
        };
        let sql = format!("SELECT {SUMMARY}, key, graph, digest, secret_params FROM runs WHERE id = ?1");
        let (key, summary, graph, digest, secret_params) = self
            .connection
            .query_row(&sql, [id.as_str()], head)
            .optional()
            .map_err(|error| self.error(error))?
            .ok_or_else(|| JournalError::UnknownRun(id.to_string()))?;
        let damaged = |detail: String| JournalError::Damaged {
            run: id.clone(),
            detail,
        };
        if Digest::of(graph.as_bytes()).0.as_slice() != digest {
            return Err(damaged("its graph was altered".to_owned()));
        }
        let graph: Graph = serde_json::from_str(&graph)
            .map_err(|error| damaged(format!("its graph cannot be read: {error}")))?;
        graph
            .check_tree()
            .map_err(|why| damaged(format!("its graph is none: {why}")))?;
        let secret_params = serde_json::from_str(&secret_params)
            .map_err(|error| damaged(format!("its secret parameters cannot be read: {error}")))?;
        let (records, tail) = self.records(id, key)?;
        match records.first() {
            Some(Record::RunCreated { graph, .. }) if graph.0.as_slice() == digest => {}
            _ => return Err(damaged("its first record is not the one of its graph".to_owned())),
        }
        // What may come after the end of a run without an engine that takes it up.
        let after =
            |record: &&Record| matches!(record, Record::Notified { .. } | Record::PlanReplaced { .. });
        let last = records.iter().rfind(|record| !after(record));
        let left = matches!(last, Some(Record::RunEnded { .. }));
        if summary.end.is_some() != left {
            return Err(damaged(format!("records after number {} are missing", tail.seq)));
        }
        Ok(StoredRun {
            summary,
            graph,
            secret_params,
            records,
            tail,
        })
    }

    fn records(&self, id: &RunId, key: i64) -> Result<(Vec<Record>, Tail), JournalError> {
        let damaged = |seq: u64, what: &str| JournalError::Damaged {
            run: id.clone(),
            detail: format!("record {seq} {what}"),
        };
        let mut tail = Tail {
            key,
            seq: 0,
            hash: Digest::ZERO,
        };
        let mut records = Vec::new();
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq, body, hash FROM records WHERE run = ?1 ORDER BY seq")
            .map_err(|error| self.error(error))?;
        let mut rows = statement.query([key]).map_err(|error| self.error(error))?;
        while let Some(row) = rows.next().map_err(|error| self.error(error))? {
            let read = || -> rusqlite::Result<(i64, String, Vec<u8>)> {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            };
            let (seq, body, hash) = read().map_err(|error| self.error(error))?;
            let seq = column::to_count(seq);
            if seq != tail.seq + 1 {
                return Err(damaged(tail.seq + 1, "is missing"));
            }
            tail.seq = seq;
            tail.hash = tail.hash.chain(body.as_bytes());
            if tail.hash.0.as_slice() != hash {
                return Err(damaged(seq, "was altered"));
            }
            let record = serde_json::from_str(&body)
                .map_err(|error| damaged(seq, &format!("cannot be read: {error}")))?;
            records.push(record);
        }
        Ok((records, tail))
    }
}
