//! What a request can do to a run: the same as `approve`, `pause` and `cancel`, which the run's engine takes up.

use super::Serving;
use super::api::{find, with_journal};
use super::refusal::Refusal;
use crate::command::asking;
use axum::Json;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::Redirect;
use caxplan_model::Answer;
use caxplan_run::{Request, engine_of};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// An answer to a step that asks.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// The step; not needed if only one asks.
    step: Option<String>,
    /// Whether the answer is no.
    #[serde(default)]
    reject: bool,
    /// Why.
    #[serde(default)]
    reason: String,
}

/// How to end a run.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ending {
    /// Whether running steps are aborted, too.
    #[serde(default)]
    abort: bool,
}

/// A form of ours.
#[derive(Debug, Deserialize)]
pub(super) struct Sent {
    csrf: String,
    #[serde(default)]
    step: String,
    #[serde(default)]
    answer: String,
    #[serde(default)]
    reason: String,
}

impl Sent {
    fn check(&self, serving: &Serving) -> Result<(), Refusal> {
        if self.csrf == serving.csrf {
            Ok(())
        } else {
            Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "the form is not of this server: load the page again",
            ))
        }
    }
}

pub(super) async fn answer(
    State(serving): State<Arc<Serving>>,
    Path(run): Path<String>,
    Json(said): Json<Said>,
) -> Result<Json<Value>, Refusal> {
    give(&serving, run, said).await
}

pub(super) async fn pause(
    State(serving): State<Arc<Serving>>,
    Path(run): Path<String>,
) -> Result<Json<Value>, Refusal> {
    ask_engine(&serving, run, Request::Pause { paused: true }).await
}

pub(super) async fn cancel(
    State(serving): State<Arc<Serving>>,
    Path(run): Path<String>,
    ending: Option<Json<Ending>>,
) -> Result<Json<Value>, Refusal> {
    let Json(Ending { abort }) = ending.unwrap_or_default();
    ask_engine(&serving, run, Request::Cancel { abort }).await
}

pub(super) async fn answer_form(
    State(serving): State<Arc<Serving>>,
    Path(run): Path<String>,
    Form(sent): Form<Sent>,
) -> Result<Redirect, Refusal> {
    sent.check(&serving)?;
    let reject = match sent.answer.as_str() {
        "approve" => false,
        "reject" => true,
        _ => {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "an answer is approve or reject",
            ));
        }
    };
    let said = Said {
        step: Some(sent.step),
        reject,
        reason: sent.reason,
    };
    let done = give(&serving, run, said).await?;
    Ok(back(&done))
}

pub(super) async fn pause_form(
    State(serving): State<Arc<Serving>>,
    Path(run): Path<String>,
    Form(sent): Form<Sent>,
) -> Result<Redirect, Refusal> {
    sent.check(&serving)?;
    let done = ask_engine(&serving, run, Request::Pause { paused: true }).await?;
    Ok(back(&done))
}

pub(super) async fn cancel_form(
    State(serving): State<Arc<Serving>>,
    Path(run): Path<String>,
    Form(sent): Form<Sent>,
) -> Result<Redirect, Refusal> {
    sent.check(&serving)?;
    let done = ask_engine(&serving, run, Request::Cancel { abort: false }).await?;
    Ok(back(&done))
}

/// To the page of the run, by its full id, which is letters and digits.
fn back(done: &Json<Value>) -> Redirect {
    Redirect::to(&format!("/runs/{}", done["id"].as_str().unwrap_or_default()))
}

/// Who did it, for the journal: whoever has the token of the one who serves.
fn by() -> String {
    format!("{} by web", caxplan_run::user())
}

async fn give(serving: &Arc<Serving>, run: String, said: Said) -> Result<Json<Value>, Refusal> {
    with_journal(serving, move |dir, mut journal| {
        let run = find(&journal, &run)?;
        let stored = journal.load(&run)?;
        let state = caxplan_run::fold(&run, stored.graph, &stored.records)?;
        let node = asking(&state, said.step.as_deref())?;
        let answer = if said.reject {
            Answer::Rejected { reason: said.reason }
        } else {
            Answer::Approved
        };
        journal.ask(&run, &by(), &Request::Answer { node, answer })?;
        let step = state.graph().node(node).id.clone();
        let resumes = engine_of(dir, &run).is_some();
        Ok(Json(json!({"id": run, "step": step, "taken_up": resumes})))
    })
    .await
}

async fn ask_engine(serving: &Arc<Serving>, run: String, request: Request) -> Result<Json<Value>, Refusal> {
    with_journal(serving, move |dir, mut journal| {
        let run = find(&journal, &run)?;
        if engine_of(dir, &run).is_none() {
            return Err(Refusal::new(
                StatusCode::CONFLICT,
                format!("no engine is at work on run {run}: `caxplan resume` goes on with it, `caxplan cancel` ends it"),
            ));
        }
        journal.ask(&run, &by(), &request)?;
        Ok(Json(json!({"id": run, "taken_up": true})))
    })
    .await
}
