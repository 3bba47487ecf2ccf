//! `caxplan schedule next`.

use super::from_time::FromTime;
use super::sources::{Reader, Scheduled, Sources};
use crate::failure::{Answer, Failure, INVALID};
use crate::ui::{self, Listing, Table};
use caxplan_core::calendar::{Effect, Occurrence};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// List the coming times, with what changes of the clocks do to them
#[derive(Debug, Args)]
pub(crate) struct Next {
    #[command(flatten)]
    sources: Sources,
    /// How many
    #[arg(short = 'n', long, default_value_t = 10)]
    count: usize,
    #[command(flatten)]
    from: FromTime,
    /// How to list them
    #[arg(long, value_enum, default_value_t)]
    output: Listing,
}

impl Next {
    pub(crate) fn execute(self) -> Answer {
        let from = self.from.time()?;
        let found = Reader::default().read(&self.sources)?;
        for bad in &found.bad {
            ui::say(&bad.all);
        }
        if found.scheduled.is_empty() && found.bad.is_empty() {
            return Err(
                Failure::invalid("there is no schedule").hint("give a plan one: `schedule: \"0 2 * * *\"`")
            );
        }
        // Each plan's times are in order, so the first of all are among the first of each.
        let mut times: Vec<(&Scheduled, Occurrence)> = Vec::new();
        for one in &found.scheduled {
            let mut at = from;
            for _ in 0..self.count {
                let Some(next) = one.calendar.after(at) else {
                    break;
                };
                at = next.due;
                times.push((one, next));
            }
        }
        times.sort_by_key(|(_, next)| next.start);
        times.truncate(self.count);
        let list: Vec<_> = times.iter().map(|(one, next)| as_json(one, next)).collect();
        self.output.print(&list, || table(&times));
        Ok(match found.bad.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(INVALID),
        })
    }
}

fn table(times: &[(&Scheduled, Occurrence)]) -> String {
    let mut table = Table::new(["PLAN", "STARTS", "ZONE", "UTC", "NOTE"]);
    for (one, next) in times {
        table.row([
            ui_name(one),
            one.civil(next.start),
            one.schedule.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
            caxplan_run::utc(next.start),
            note(next).unwrap_or_default(),
        ]);
    }
    table.render()
}

/// The plan's file without its folder, which is long and mostly the same.
pub(super) fn ui_name(one: &Scheduled) -> String {
    let file = one.key.plan.file_name().unwrap_or_default().to_string_lossy();
    match &one.key.entry {
        Some(entry) => format!("{file}#{entry}"),
        None => file.into_owned(),
    }
}

fn note(next: &Occurrence) -> Option<String> {
    let effect = next.effect.map(|effect| match effect {
        Effect::LeptOver(civil) => {
            format!("the clocks leap over {}: right after", civil.strftime("%H:%M:%S"))
        }
        Effect::OnlyFirst => "the clocks show this time twice: the first only".to_owned(),
        Effect::First => "the clocks show this time twice: the first".to_owned(),
        Effect::Second => "the clocks show this time twice: the second".to_owned(),
    });
    let put_off = next.start.since(next.due);
    let jitter = (next.start > next.due).then(|| format!("put off by {}", ui::rounded(put_off)));
    match (effect, jitter) {
        (Some(effect), Some(jitter)) => Some(format!("{effect}; {jitter}")),
        (effect, jitter) => effect.or(jitter),
    }
}

fn as_json(one: &Scheduled, next: &Occurrence) -> serde_json::Value {
    json!({
        "plan": one.key.plan,
        "entry": one.key.entry,
        "due": caxplan_run::utc(next.due),
        "start": caxplan_run::utc(next.start),
        "local": one.civil(next.start),
        "timezone": one.schedule.timezone.as_deref().unwrap_or("UTC"),
        "note": note(next),
    })
}
