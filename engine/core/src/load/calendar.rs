//! A maintenance calendar as it is written.

use super::keys::{CALENDAR, MAINTENANCE_SCHEDULE, ON_FAILURE, PARTIAL_SCHEDULE, PERIOD};
use super::options::ON_FAILURES;
use super::parts::Part;
use super::read::{Fields, text};
use super::report::Report;
use super::schedule;
use super::step;
use super::yaml::{Entry, Kind, Spanned, Yaml};
use caxplan_model::{Misfire, Schedule, ShortText};

/// When each period runs if nothing is said: at night, an hour apart, and behind the hours that a change of the clock
/// leaves out.
const PERIODS: [(&str, &str); 4] = [
    ("daily", "0 3 * * *"),
    ("weekly", "0 4 * * 0"),
    ("monthly", "0 5 1 * *"),
    ("quarterly", "0 6 1 1,4,7,10 *"),
];

/// Reads the periods of a calendar, each as a plan of one phase. `times` is `schedule` of the header.
pub(super) fn read(yaml: &Yaml, times: Option<&Yaml>, report: &mut Report) -> Vec<Part> {
    let Some(fields) = Fields::open(yaml, &CALENDAR, report) else {
        return Vec::new();
    };
    let times = times.and_then(|times| Fields::open(times, &MAINTENANCE_SCHEDULE, report));
    if let Some(times) = &times {
        for (period, _) in PERIODS {
            if let (Some(span), None) = (times.key(period), fields.key(period)) {
                let message = format!("the calendar has no {period} tasks");
                report.error("unknown-entry", span, message);
            }
        }
    }
    let parts: Vec<Part> = fields
        .entries
        .iter()
        .filter_map(|Entry { key, value }| {
            let (_, cron) = PERIODS.iter().find(|(period, _)| *period == key.value)?;
            let mut schedule = unattended(cron);
            if let Some(times) = &times {
                schedule = schedule::over(schedule, times, report);
                schedule = replaced(schedule, times.get(&key.value), report);
            }
            Some(period(key, value, schedule, report))
        })
        .collect();
    if parts.is_empty() {
        report.error("no-steps", yaml.head(), "there are no tasks here");
    }
    parts
}

fn period(key: &Spanned<ShortText>, yaml: &Yaml, schedule: Schedule, report: &mut Report) -> Part {
    let (steps, fields) = match &yaml.kind {
        Kind::Map(_) => {
            let fields = Fields::open(yaml, &PERIOD, report);
            (fields.and_then(|fields| fields.get("steps")), fields)
        }
        Kind::List(_) | Kind::Scalar { .. } => (Some(yaml), None),
    };
    if let Some(Yaml {
        span,
        kind: Kind::List(items),
    }) = steps
        && items.is_empty()
    {
        report.error("no-steps", *span, "there are no tasks here");
    }
    let mut part = Part::of_steps(
        key.clone(),
        steps.map_or_else(Vec::new, |steps| step::read_all(steps, report)),
    );
    part.schedule = Some(schedule);
    if let Some(fields) = fields {
        part.description = fields
            .text("description", report)
            .map_or_else(String::new, |text| text.value.to_string());
        part.on_failure = fields.word("on_failure", ON_FAILURE, ON_FAILURES, report);
        part.schedule = part
            .schedule
            .map(|schedule| replaced(schedule, fields.get("schedule"), report));
    }
    part
}

/// A schedule of what nobody waits for at its time: what was missed is made up for once.
pub(super) fn unattended(cron: &str) -> Schedule {
    Schedule {
        misfire: Misfire::Once,
        ..Schedule::new(cron)
    }
}

/// `base`, with a cron expression or what a mapping says in its place.
fn replaced(base: Schedule, yaml: Option<&Yaml>, report: &mut Report) -> Schedule {
    let Some(yaml) = yaml else {
        return base;
    };
    match &yaml.kind {
        Kind::Scalar { .. } => match text(yaml, report) {
            Some(cron) => {
                schedule::check_cron(&cron, report);
                Schedule {
                    cron: cron.value.to_string(),
                    ..base
                }
            }
            None => base,
        },
        Kind::Map(_) | Kind::List(_) => match Fields::open(yaml, &PARTIAL_SCHEDULE, report) {
            Some(fields) => schedule::over(base, &fields, report),
            None => base,
        },
    }
}
