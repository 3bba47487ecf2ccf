//! What a monitoring system asks for, in the text format of Prometheus.

use super::Serving;
use super::api::with_journal;
use super::refusal::Refusal;
use crate::command::status_of;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use caxplan_model::{RunEnd, Timestamp};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

pub(super) async fn metrics(State(serving): State<Arc<Serving>>) -> Result<impl IntoResponse, Refusal> {
    let text = with_journal(&serving, |dir, journal| {
        let mut counts: BTreeMap<&str, u64> = [
            "running",
            "interrupted",
            "succeeded",
            "failed",
            "rolled_back",
            "stuck",
            "waiting",
            "cancelled",
        ]
        .map(|status| (status, 0))
        .into();
        let mut succeeded: BTreeMap<String, Timestamp> = BTreeMap::new();
        let mut started: BTreeMap<String, Timestamp> = BTreeMap::new();
        for run in journal.runs(u32::MAX)? {
            *counts.entry(status_of(dir, &run).name()).or_default() += 1;
            let newest = started.entry(run.name.clone()).or_default();
            *newest = (*newest).max(run.created);
            if let (Some(RunEnd::Succeeded), Some(ended)) = (run.end, run.ended) {
                let newest = succeeded.entry(run.name).or_default();
                *newest = (*newest).max(ended);
            }
        }
        let mut text = String::from(
            "# HELP caxplan_runs Runs in the journal, by where they stand.\n# TYPE caxplan_runs gauge\n",
        );
        for (status, count) in counts {
            let _ = writeln!(text, "caxplan_runs{{status=\"{status}\"}} {count}");
        }
        for (name, help, times) in [
            (
                "caxplan_plan_last_success_timestamp_seconds",
                "When a run of the plan last succeeded.",
                succeeded,
            ),
            (
                "caxplan_plan_last_start_timestamp_seconds",
                "When a run of the plan was last started.",
                started,
            ),
        ] {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
            for (plan, at) in times {
                let (seconds, millis) = (at.0 / 1000, at.0 % 1000);
                let _ = writeln!(text, "{name}{{plan=\"{}\"}} {seconds}.{millis:03}", label(&plan));
            }
        }
        Ok(text)
    })
    .await?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

/// The value of a label, as the format wants it.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
