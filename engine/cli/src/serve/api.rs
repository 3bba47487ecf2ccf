//! What programs ask for.

use super::Serving;
use super::refusal::Refusal;
use crate::command::{Shown, log_as_json, run_as_json, status_of};
use axum::Json;
use axum::extract::{Path, Query, State};
use caxplan_core::account::Account;
use caxplan_model::RunId;
use caxplan_run::{Journal, LogChunk, LogCursor, RunName, StateDir, engine_of};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// How much of a run's output one answer holds at most: its end counts.
const LOG_BYTES_MAX: usize = 1 << 20;
/// How many runs one answer holds at most.
const RUNS_MAX: u32 = 1_000;

#[derive(Debug, Deserialize)]
pub(super) struct Page {
    #[serde(default = "default_limit")]
    limit: u32,
}

fn default_limit() -> u32 {
    50
}

/// Does what reads the disk where it blocks nobody else.
pub(super) async fn with_journal<T: Send + 'static>(
    serving: &Arc<Serving>,
    work: impl FnOnce(&StateDir, Journal) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let serving = Arc::clone(serving);
    let done = tokio::task::spawn_blocking(move || work(&serving.dir, Journal::open(&serving.dir)?));
    done.await
        .map_err(|error| Refusal::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?
}

/// The run that a path names, by its id or a beginning of it.
pub(super) fn find(journal: &Journal, run: &str) -> Result<RunId, Refusal> {
    Ok(journal.find(&RunName::Prefix(run.to_owned()))?)
}

/// A run, with its account.
pub(super) fn load(dir: &StateDir, journal: &Journal, run: &str) -> Result<Shown, Refusal> {
    let run = find(journal, run)?;
    // Asked before the records are read: they are then at least as new.
    let engine = engine_of(dir, &run);
    let stored = journal.load(&run)?;
    let state = caxplan_run::fold(&run, stored.graph, &stored.records)?;
    let account = Account::of(&state, &stored.records);
    Ok(Shown {
        status: status_of(dir, &stored.summary),
        summary: stored.summary,
        account: if engine.is_some() {
            account
        } else {
            account.without_engine()
        },
        engine,
        state,
    })
}

/// The end of what the steps of a run have put out, and whether its beginning was left out.
pub(super) fn output(journal: &Journal, run: &RunId) -> Result<(Vec<LogChunk>, bool), Refusal> {
    let mut all = std::collections::VecDeque::new();
    let (mut size, mut cut) = (0, false);
    let mut cursor = LogCursor::default();
    loop {
        let (chunks, end) = journal.logs(run, None, cursor)?;
        if chunks.is_empty() {
            return Ok((all.into(), cut));
        }
        cursor = end;
        for chunk in chunks {
            size += chunk.bytes.len();
            all.push_back(chunk);
        }
        while size > LOG_BYTES_MAX {
            let Some(first) = all.pop_front() else { break };
            size -= first.bytes.len();
            cut = true;
        }
    }
}

pub(super) async fn runs(
    State(serving): State<Arc<Serving>>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Refusal> {
    with_journal(&serving, move |dir, journal| {
        let runs = journal.runs(page.limit.min(RUNS_MAX))?;
        let list: Vec<Value> = runs
            .iter()
            .map(|run| run_as_json(run, status_of(dir, run)))
            .collect();
        Ok(Json(Value::Array(list)))
    })
    .await
}

pub(super) async fn run(
    State(serving): State<Arc<Serving>>,
    Path(run): Path<String>,
) -> Result<Json<Value>, Refusal> {
    with_journal(&serving, move |dir, journal| {
        Ok(Json(load(dir, &journal, &run)?.data()))
    })
    .await
}

pub(super) async fn logs(
    State(serving): State<Arc<Serving>>,
    Path(run): Path<String>,
) -> Result<Json<Value>, Refusal> {
    with_journal(&serving, move |_, journal| {
        let (chunks, cut) = output(&journal, &find(&journal, &run)?)?;
        let chunks: Vec<Value> = chunks.iter().map(log_as_json).collect();
        Ok(Json(json!({"beginning_left_out": cut, "output": chunks})))
    })
    .await
}

/// Whether the journal can be read.
pub(super) async fn health(State(serving): State<Arc<Serving>>) -> Result<&'static str, Refusal> {
    with_journal(&serving, |_, journal| {
        journal.runs(1)?;
        Ok("ok\n")
    })
    .await
}
