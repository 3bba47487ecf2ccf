//! `caxplan schedule list`.

use super::next::ui_name;
use super::sources::{Reader, Scheduled, Sources};
use crate::command::runs::Status;
use crate::failure::{Answer, INVALID};
use crate::ui::{self, Listing, Table};
use caxplan_model::Timestamp;
use caxplan_run::{Fate, Firing, Ledger, RunSummary, StateDir};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// List what is scheduled, what became of the last time, and when the next is
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    sources: Sources,
    /// List the last so many times of each, with what became of them
    #[arg(long, value_name = "COUNT")]
    history: Option<u32>,
    /// How to list them
    #[arg(long, value_enum, default_value_t)]
    output: Listing,
}

/// A due time, and what became of it.
struct Past {
    firing: Firing,
    word: String,
    run: Option<RunSummary>,
}

impl List {
    pub(crate) fn execute(self) -> Answer {
        let dir = StateDir::locate()?;
        let ledger = Ledger::open(&dir)?;
        let found = Reader::default().read(&self.sources)?;
        for bad in &found.bad {
            ui::say(&bad.all);
        }
        let now = caxplan_run::now();
        let mut rows: Vec<(&Scheduled, Vec<Past>, Option<Timestamp>)> = Vec::new();
        for one in &found.scheduled {
            let history = ledger.history(&one.key, self.history.unwrap_or(1).max(1))?;
            let past = history.into_iter().map(|(firing, run)| Past {
                word: word(&dir, &firing, run.as_ref()),
                firing,
                run,
            });
            rows.push((
                one,
                past.collect(),
                one.calendar.after(now).map(|next| next.start),
            ));
        }
        let list: Vec<_> = rows
            .iter()
            .map(|(one, past, next)| as_json(one, past, *next))
            .collect();
        self.output.print(&list, || match self.history {
            Some(_) => history(&rows),
            None => table(&rows),
        });
        Ok(match found.bad.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(INVALID),
        })
    }
}

fn table(rows: &[(&Scheduled, Vec<Past>, Option<Timestamp>)]) -> String {
    let mut table = Table::new(["PLAN", "CRON", "ZONE", "LAST", "END", "RUN", "NEXT"]);
    for (one, past, next) in rows {
        let past = past.first();
        table.row([
            ui_name(one),
            one.schedule.cron.clone(),
            one.schedule.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
            past.map_or_else(|| "-".to_owned(), |past| one.civil(past.firing.due)),
            past.map_or_else(|| "-".to_owned(), |past| past.word.clone()),
            run_id(past),
            next.map_or_else(|| "-".to_owned(), |next| one.civil(next)),
        ]);
    }
    table.render()
}

fn history(rows: &[(&Scheduled, Vec<Past>, Option<Timestamp>)]) -> String {
    let mut table = Table::new(["PLAN", "DUE", "ZONE", "END", "RUN", "NOTE"]);
    for (one, past, _) in rows {
        for past in past {
            table.row([
                ui_name(one),
                one.civil(past.firing.due),
                one.schedule.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
                past.word.clone(),
                run_id(Some(past)),
                past.firing.note.clone(),
            ]);
        }
    }
    table.render()
}

fn run_id(past: Option<&Past>) -> String {
    past.and_then(|past| past.run.as_ref())
        .map_or_else(|| "-".to_owned(), |run| run.id.to_string())
}

fn as_json(one: &Scheduled, past: &[Past], next: Option<Timestamp>) -> serde_json::Value {
    let past: Vec<_> = past
        .iter()
        .map(|past| {
            json!({
                "due": caxplan_run::utc(past.firing.due),
                "end": past.word,
                "run": past.run.as_ref().map(|run| &run.id),
                "note": past.firing.note,
            })
        })
        .collect();
    json!({
        "plan": one.key.plan,
        "entry": one.key.entry,
        "cron": one.schedule.cron,
        "timezone": one.schedule.timezone.as_deref().unwrap_or("UTC"),
        "last": past.first(),
        "history": past,
        "next": next.map(caxplan_run::utc),
    })
}

/// What became of a due time, in one word.
fn word(dir: &StateDir, firing: &Firing, run: Option<&RunSummary>) -> String {
    let word = match (firing.fate, run) {
        (Fate::Claimed, Some(run)) => return Status::of(dir, run).words(),
        (Fate::Claimed, None) => "claimed",
        (Fate::Queued, _) => "queued",
        (Fate::Overlapped, _) => "skipped",
        (Fate::Missed, _) => "missed",
        (Fate::Refused, _) => "not started",
    };
    word.to_owned()
}
