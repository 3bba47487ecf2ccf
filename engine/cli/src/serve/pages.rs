//! What a person looks at.

use super::Serving;
use super::api::{find, load, output, with_journal};
use super::html::{STYLE, escape, page};
use super::refusal::Refusal;
use crate::command::{Shown, status_of};
use crate::ui;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};
use caxplan_core::account::TextStyle;
use std::fmt::Write as _;
use std::sync::Arc;

/// How many runs the first page lists.
const RUNS: u32 = 100;
/// After how many seconds a page of something that goes on is loaded anew.
const REFRESH: u32 = 5;

pub(super) async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

pub(super) async fn runs(State(serving): State<Arc<Serving>>) -> Result<Html<String>, Refusal> {
    with_journal(&serving, |dir, journal| {
        let mut body = String::from(
            "<h1>Runs</h1>\n<table><thead><tr><th>Run</th><th>Plan</th><th>Status</th><th>Started</th><th>Took</th></tr></thead>\n<tbody>\n",
        );
        for run in journal.runs(RUNS)? {
            let status = status_of(dir, &run);
            let took = run.ended.map(|ended| ui::rounded(ended.since(run.created))).unwrap_or_default();
            let _ = writeln!(
                body,
                "<tr><td><a href=\"/runs/{id}\">{id}</a></td><td>{}</td><td class=\"{}\">{}</td><td>{}</td><td>{}</td></tr>",
                escape(&run.name),
                status.name(),
                status.words(),
                escape(&ui::date_time(run.created)),
                escape(&took),
                id = escape(run.id.as_str()),
            );
        }
        body.push_str("</tbody></table>");
        Ok(Html(page("Runs", Some(REFRESH), &body)))
    })
    .await
}

pub(super) async fn run(
    State(serving): State<Arc<Serving>>,
    Path(run): Path<String>,
) -> Result<Html<String>, Refusal> {
    let forms = Arc::clone(&serving);
    with_journal(&serving, move |dir, journal| {
        let shown = load(dir, &journal, &run)?;
        let id = escape(shown.summary.id.as_str());
        let mut body = format!(
            "<p><a href=\"/\">All runs</a></p>\n<h1>{}</h1>\n<p class=\"{}\">{}</p>\n",
            escape(&shown.summary.name),
            shown.status.name(),
            shown.status.words()
        );
        questions(&mut body, &shown, &forms);
        let text = shown.account.to_text(TextStyle {
            color: false,
            all: false,
            time: &ui::date_time,
            clock: &ui::time_of_day,
        });
        let _ = writeln!(body, "<pre>{}</pre>", escape(&text));
        let _ = writeln!(
            body,
            "<p><a href=\"/runs/{id}/logs\">What its steps put out</a> · <a href=\"/api/runs/{id}\">JSON</a></p>"
        );
        let next = shown.next();
        if !next.is_empty() {
            body.push_str("<h2>What to type next</h2>\n<dl>\n");
        }
        for (command, why) in &next {
            let _ = writeln!(body, "<dt><code>{}</code></dt><dd>{}</dd>", escape(command), escape(why));
        }
        if !next.is_empty() {
            body.push_str("</dl>\n");
        }
        // A page with a form that is being filled in does not vanish under the hands.
        let goes_on = shown.engine.is_some() && (shown.account.questions.is_empty() || !forms.allows_actions);
        let title = format!("{} {}", shown.summary.name, shown.status.words());
        Ok(Html(page(&title, goes_on.then_some(REFRESH), &body)))
    })
    .await
}

/// What waits for a person, with what can be done about it.
fn questions(body: &mut String, shown: &Shown, serving: &Serving) {
    let id = escape(shown.summary.id.as_str());
    for note in &shown.account.questions {
        let step = escape(note.step.as_str());
        let _ = writeln!(body, "<h2>{step} asks</h2>\n<p>{}</p>", escape(&note.text));
        if serving.allows_actions {
            let _ = writeln!(
                body,
                "<form method=\"post\" action=\"/runs/{id}/answer\"><input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\
                 <input type=\"hidden\" name=\"step\" value=\"{step}\"><button name=\"answer\" value=\"approve\">Approve</button> \
                 <button name=\"answer\" value=\"reject\">Reject</button> because <input name=\"reason\"></form>",
                csrf = serving.csrf,
            );
        }
    }
    if serving.allows_actions && shown.engine.is_some() {
        for (action, label) in [("pause", "Pause"), ("cancel", "Cancel")] {
            let _ = writeln!(
                body,
                "<form method=\"post\" action=\"/runs/{id}/{action}\"><input type=\"hidden\" name=\"csrf\" value=\"{}\">\
                 <button>{label}</button></form>",
                serving.csrf
            );
        }
    }
}

pub(super) async fn logs(
    State(serving): State<Arc<Serving>>,
    Path(run): Path<String>,
) -> Result<Html<String>, Refusal> {
    with_journal(&serving, move |dir, journal| {
        let run = find(&journal, &run)?;
        let goes_on = caxplan_run::engine_of(dir, &run).is_some();
        let (chunks, cut) = output(&journal, &run)?;
        let id = escape(run.as_str());
        let mut body =
            format!("<p><a href=\"/runs/{id}\">The run</a></p>\n<h1>What its steps put out</h1>\n");
        if cut {
            body.push_str("<p>The beginning is left out; <code>caxplan logs</code> has it.</p>\n");
        }
        body.push_str("<pre>");
        let mut last = None;
        for chunk in &chunks {
            let speaker = (&chunk.step, chunk.attempt);
            if last != Some(speaker) {
                let heading = format!("── {} ── {}\n", chunk.step, ui::date_time(chunk.at));
                let _ = write!(body, "<b>{}</b>", escape(&heading));
                last = Some(speaker);
            }
            body.push_str(&escape(&String::from_utf8_lossy(&chunk.bytes)));
        }
        body.push_str("</pre>");
        Ok(Html(page("Output", goes_on.then_some(REFRESH), &body)))
    })
    .await
}
