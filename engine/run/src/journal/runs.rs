//! The list of runs, and how a user names one.

use super::graph::{self, GraphError};
use super::{Journal, JournalError, column};
use caxplan_model::{Digest, Graph, Record, RunEnd, RunId, StepId, Timestamp};
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

/// A run as it lies in the journal, without its graph and its records.
#[derive(Clone, Debug)]
pub struct RunHead {
    /// What the list says of it.
    pub summary: RunSummary,
    /// As in [`StoredRun`].
    pub secret_params: Vec<String>,
    key: i64,
    digest: Vec<u8>,
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

    /// The names of the secret parameters of the plan that a run follows now.
    pub fn secret_params(&self, run: &RunId) -> Result<Vec<String>, JournalError> {
        let sql = "SELECT secret_params FROM runs WHERE id = ?1";
        let names: Option<String> = self
            .connection
            .query_row(sql, [run.as_str()], |row| row.get(0))
            .optional()
            .map_err(|error| self.error(error))?;
        let names = names.ok_or_else(|| JournalError::UnknownRun(run.to_string()))?;
        names_of(run, &names)
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
        let (head, graph) = self.head(id)?;
        let mut records = Vec::new();
        let tail = self.replay(&head, |record| {
            records.push(record);
            Ok::<(), JournalError>(())
        })?;
        Ok(StoredRun {
            summary: head.summary,
            graph,
            secret_params: head.secret_params,
            records,
            tail,
        })
    }

    /// A run without its records, and the graph that it began with, which is checked.
    pub fn head(&self, id: &RunId) -> Result<(RunHead, Graph), JournalError> {
        let (head, text) = self.head_and_text(id)?;
        let graph = graph::read(&self.connection, head.key, &text, &head.digest)
            .map_err(|error| self.graph_error(id, error))?;
        drop(text);
        graph.check_tree().map_err(|why| JournalError::Damaged {
            run: id.clone(),
            detail: format!("its graph is none: {why}"),
        })?;
        Ok((head, graph))
    }

    /// A run without its records, and the ids of the nodes of the graph that it began with.
    pub fn head_and_ids(&self, id: &RunId) -> Result<(RunHead, Vec<StepId>), JournalError> {
        let (head, text) = self.head_and_text(id)?;
        let ids =
            graph::ids(&self.connection, head.key, &text).map_err(|error| self.graph_error(id, error))?;
        Ok((head, ids))
    }

    fn head_and_text(&self, id: &RunId) -> Result<(RunHead, String), JournalError> {
        type Columns = (i64, RunSummary, String, Vec<u8>, String);
        let columns = |row: &Row<'_>| -> rusqlite::Result<Columns> {
            Ok((row.get(7)?, summary(row)?, row.get(8)?, row.get(9)?, row.get(10)?))
        };
        let sql = format!("SELECT {SUMMARY}, key, graph, digest, secret_params FROM runs WHERE id = ?1");
        let (key, summary, text, digest, secret_params) = self
            .connection
            .query_row(&sql, [id.as_str()], columns)
            .optional()
            .map_err(|error| self.error(error))?
            .ok_or_else(|| JournalError::UnknownRun(id.to_string()))?;
        let secret_params = names_of(id, &secret_params)?;
        let head = RunHead {
            summary,
            secret_params,
            key,
            digest,
        };
        Ok((head, text))
    }

    fn graph_error(&self, id: &RunId, error: GraphError) -> JournalError {
        match error {
            GraphError::Sql(error) => self.error(error),
            GraphError::Damaged(detail) => JournalError::Damaged {
                run: id.clone(),
                detail,
            },
        }
    }

    /// Hands over the records of a run one by one, each after it was checked, and answers where the next batch goes. That
    /// none was cut off at the end is known only then.
    ///
    /// # Errors
    /// If the journal cannot be read, if a record is not the one that was written, and what `visit` answers.
    pub fn replay<E: From<JournalError>>(
        &self,
        head: &RunHead,
        mut visit: impl FnMut(Record) -> Result<(), E>,
    ) -> Result<Tail, E> {
        let damaged = |detail: String| JournalError::Damaged {
            run: head.summary.id.clone(),
            detail,
        };
        let mut tail = Tail {
            key: head.key,
            seq: 0,
            hash: Digest::ZERO,
        };
        let mut left = false;
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq, body, hash FROM records WHERE run = ?1 ORDER BY seq")
            .map_err(|error| self.error(error))?;
        let mut rows = statement.query([head.key]).map_err(|error| self.error(error))?;
        while let Some(row) = rows.next().map_err(|error| self.error(error))? {
            let seq = row
                .get(0)
                .map(column::to_count)
                .map_err(|error| self.error(error))?;
            if seq != tail.seq + 1 {
                return Err(damaged(format!("record {} is missing", tail.seq + 1)).into());
            }
            let text = |at: usize| row.get_ref(at).map_err(|error| self.error(error));
            let body = text(1)?.as_bytes().unwrap_or_default();
            tail.seq = seq;
            tail.hash = tail.hash.chain(body);
            if tail.hash.0.as_slice() != text(2)?.as_bytes().unwrap_or_default() {
                return Err(damaged(format!("record {seq} was altered")).into());
            }
            let record: Record = serde_json::from_slice(body)
                .map_err(|error| damaged(format!("record {seq} cannot be read: {error}")))?;
            match &record {
                Record::RunCreated { graph, .. } if graph.0.as_slice() == head.digest => {}
                _ if seq == 1 => return Err(wrong_first(&damaged).into()),
                _ => {}
            }
            match &record {
                // What may come after the end of a run without an engine that takes it up.
                Record::Notified { .. } | Record::PlanReplaced { .. } => {}
                other => left = matches!(other, Record::RunEnded { .. }),
            }
            visit(record)?;
        }
        if tail.seq == 0 {
            return Err(wrong_first(&damaged).into());
        }
        if head.summary.end.is_some() != left {
            return Err(damaged(format!("records after number {} are missing", tail.seq)).into());
        }
        Ok(tail)
    }
}

fn names_of(run: &RunId, text: &str) -> Result<Vec<String>, JournalError> {
    serde_json::from_str(text).map_err(|error| JournalError::Damaged {
        run: run.clone(),
        detail: format!("its secret parameters cannot be read: {error}"),
    })
}

fn wrong_first(damaged: &impl Fn(String) -> JournalError) -> JournalError {
    damaged("its first record is not the one of its graph".to_owned())
}
