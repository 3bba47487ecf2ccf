//! A backup policy as it is written.

use super::calendar::unattended;
use super::keys::{BACKUP_ENTRY, BACKUP_SCHEDULE, FREQUENCIES, POLICY};
use super::parts::{Bound, Made, Part};
use super::read::{Fields, list, mapping, texts};
use super::report::Report;
use super::schedule;
use super::step::Step;
use super::yaml::{Entry, Kind, Spanned, Yaml};
use caxplan_model::{Duration, Schedule, ShortText, Span, Value};

/// When a backup is made that says no time.
const TIME: (u32, u32) = (2, 0);
/// Days that every month has.
const DAY_OF_MONTH_MAX: u32 = 28;
const WEEKDAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];

/// Reads the scheduled backups of a policy, each as a plan of one phase. `head` is the place of the body's key, and
/// `times` is `schedule` of the header.
pub(super) fn read(yaml: &Yaml, head: Span, times: Option<&Yaml>, report: &mut Report) -> Vec<Part> {
    let Some(fields) = Fields::open(yaml, &POLICY, report) else {
        return Vec::new();
    };
    let times = times.and_then(|times| Fields::open(times, &BACKUP_SCHEDULE, report));
    let policy = Policy {
        head,
        components: fields.get("components"),
        destinations: destinations(&fields, report),
        written_destinations: fields.get("destinations"),
    };
    if let Some(components) = policy.components {
        texts(components, report);
    }
    let entries = fields
        .get("schedule")
        .and_then(|yaml| mapping(yaml, "scheduled backups by name", report))
        .unwrap_or_default();
    if let (true, Some(span)) = (entries.is_empty(), fields.key("schedule")) {
        report.error("no-steps", span, "there are no scheduled backups here");
    }
    entries
        .iter()
        .filter_map(|Entry { key, value }| {
            let fields = Fields::open(value, &BACKUP_ENTRY, report)?;
            let mut schedule = unattended("");
            if let Some(times) = &times {
                schedule = schedule::over(schedule, times, report);
            }
            Some(policy.part(key, &fields, schedule, report))
        })
        .collect()
}

struct Policy<'y> {
    head: Span,
    components: Option<&'y Yaml>,
    destinations: Vec<Destination<'y>>,
    written_destinations: Option<&'y Yaml>,
}

struct Destination<'y> {
    kind: Spanned<ShortText>,
    yaml: &'y Yaml,
}

fn destinations<'y>(fields: &Fields<'y>, report: &mut Report) -> Vec<Destination<'y>> {
    let Some(yaml) = fields.get("destinations") else {
        return Vec::new();
    };
    let items = list(yaml, "destinations", report).unwrap_or_default();
    if let (Kind::List(items), true) = (&yaml.kind, items.is_empty()) {
        debug_assert!(items.is_empty());
        report.error("no-steps", yaml.span, "there are no destinations here");
    }
    items
        .iter()
        .filter_map(|item| {
            let entries = mapping(item, "a destination", report)?;
            let fields = Fields {
                entries,
                head: item.head(),
            };
            let Some(kind) = fields.text("type", report) else {
                report
                    .error("missing-key", item.head(), "a destination needs the key `type`")
                    .help = Some(
                    "`type: NAME` stores each backup by the steps `store_NAME` and `prune_NAME` of a library"
                        .to_owned(),
                );
                return None;
            };
            if kind.value.is_empty()
                || crate::expand::slug(&kind.value) != kind.value
                || kind.value.contains('.')
            {
                let message = format!(
                    "`{}` is no type: letters, digits, `_` and `-` make one",
                    kind.value
                );
                report.error("wrong-name", kind.span, message);
            }
            Some(Destination { kind, yaml: item })
        })
        .collect()
}

impl Policy<'_> {
    /// One scheduled backup: made, stored everywhere, verified, and only then old ones are removed.
    fn part(
        &self,
        key: &Spanned<ShortText>,
        fields: &Fields<'_>,
        schedule: Schedule,
        report: &mut Report,
    ) -> Part {
        let schedule = schedule_of(fields, schedule, key.span, report);
        let retention = fields.duration("retention", report);
        let backup = self.backup(key, fields, retention);
        let step = |name: String, span: Span, destination: Option<&Destination<'_>>, why: String| {
            let mut bindings = vec![("backup", Bound::Written(backup.clone()))];
            if let Some(destination) = destination {
                bindings.push(("destination", Bound::Written(destination.yaml.clone())));
            }
            Step::bare(
                Spanned {
                    value: name.into(),
                    span,
                },
                Some(Made { bindings, why }),
            )
        };
        let name = &key.value;
        let mut steps = vec![step(
            name.to_string(),
            key.span,
            None,
            format!("a backup policy makes each backup by a step of its name, `{name}`"),
        )];
        for destination in &self.destinations {
            let kind = &destination.kind.value;
            let why = format!(
                "a backup policy stores each backup at a destination of the type `{kind}` by `store_{kind}`"
            );
            steps.push(step(
                format!("store_{kind}"),
                destination.kind.span,
                Some(destination),
                why,
            ));
        }
        let why = "a backup policy verifies each backup by `verify_backup` once it is stored everywhere";
        steps.push(step("verify_backup".to_owned(), self.head, None, why.to_owned()));
        if let (Some(_), Some(yaml)) = (retention, fields.get("retention")) {
            for destination in &self.destinations {
                let kind = &destination.kind.value;
                let why = format!(
                    "a backup with a `retention` is removed from a destination of the type `{kind}` by `prune_{kind}`"
                );
                steps.push(step(format!("prune_{kind}"), yaml.span, Some(destination), why));
            }
        }
        let mut part = Part::of_steps(key.clone(), steps);
        part.description = fields
            .text("description", report)
            .map_or_else(String::new, |text| text.value.to_string());
        part.schedule = schedule;
        part
    }

    /// What templates see as `backup`.
    fn backup(&self, key: &Spanned<ShortText>, fields: &Fields<'_>, retention: Option<Duration>) -> Yaml {
        let at = key.span;
        let list = |yaml: Option<&Yaml>| {
            yaml.cloned().unwrap_or(Yaml {
                span: at,
                kind: Kind::List(Vec::new()),
            })
        };
        let values = [
            ("name", Yaml::plain(key.value.to_string(), at)),
            (
                "frequency",
                fields
                    .get("frequency")
                    .cloned()
                    .unwrap_or_else(|| Yaml::plain(Value::Null, at)),
            ),
            (
                "retention",
                match retention {
                    Some(retention) => Yaml::plain(retention.to_string(), at),
                    None => Yaml::plain(Value::Null, at),
                },
            ),
            (
                "retention_seconds",
                match retention {
                    Some(retention) => Yaml::plain(retention.as_millis() / 1_000, at),
                    None => Yaml::plain(Value::Null, at),
                },
            ),
            ("components", list(self.components)),
            ("destinations", list(self.written_destinations)),
        ];
        let entries = values.into_iter().map(|(name, value)| Entry {
            key: Spanned {
                value: name.to_owned().into(),
                span: at,
            },
            value,
        });
        Yaml {
            span: at,
            kind: Kind::Map(entries.collect()),
        }
    }
}

/// The schedule of an entry, from `frequency`, `time` and `day`, or from `cron`.
fn schedule_of(fields: &Fields<'_>, base: Schedule, at: Span, report: &mut Report) -> Option<Schedule> {
    let frequency = fields.word("frequency", FREQUENCIES, FREQUENCIES, report);
    let mut schedule = schedule::over(base, fields, report);
    if fields.get("cron").is_some() {
        for key in ["frequency", "time", "day"] {
            if let Some(span) = fields.key(key) {
                let message = format!("`cron` says all about the times, and `{key}` has no effect beside it");
                report.error("misplaced-key", span, message);
            }
        }
        return Some(schedule);
    }
    let Some(frequency) = frequency else {
        if fields.get("frequency").is_none() {
            report
                .error("missing-key", at, "a scheduled backup needs the key `frequency`")
                .help = Some(format!(
                "one of {}; or `cron: \"0 2 * * *\"`",
                FREQUENCIES.join(", ")
            ));
        }
        return None;
    };
    let (hour, minute) = match fields.get("time") {
        Some(yaml) => time(yaml, report)?,
        None if frequency == "hourly" => (0, 0),
        None => TIME,
    };
    if frequency == "hourly" && hour != 0 {
        let span = fields.get("time").map_or(at, |yaml| yaml.span);
        report
            .error(
                "wrong-value",
                span,
                "of an hourly backup only the minute can be said",
            )
            .help = Some(format!("write `time: \"00:{minute:02}\"`"));
    }
    let day = fields.text("day", report);
    schedule.cron = match (frequency, &day) {
        ("weekly", None) => format!("{minute} {hour} * * 0"),
        ("weekly", Some(day)) => {
            let wanted = day.value.to_lowercase();
            let found = WEEKDAYS
                .iter()
                .position(|of| *of == wanted || (wanted.len() == 3 && of.starts_with(wanted.as_str())));
            let Some(number) = found else {
                let message = format!("`{}` is no day of the week", day.value);
                report.error("wrong-value", day.span, message).help =
                    Some(format!("one of {}", WEEKDAYS.join(", ")));
                return None;
            };
            format!("{minute} {hour} * * {number}")
        }
        ("monthly", None) => format!("{minute} {hour} 1 * *"),
        ("monthly", Some(day)) => {
            let number: u32 = day.value.parse().unwrap_or(0);
            if !(1..=DAY_OF_MONTH_MAX).contains(&number) {
                let message = format!("`{}` is no day that every month has", day.value);
                report.error("wrong-value", day.span, message).help = Some(format!(
                    "a number from 1 to {DAY_OF_MONTH_MAX}; `cron` can say others"
                ));
                return None;
            }
            format!("{minute} {hour} {number} * *")
        }
        (_, Some(day)) => {
            let message = format!("`day` has no effect on a backup that is made {frequency}");
            report.error("misplaced-key", day.span, message);
            return None;
        }
        ("hourly", None) => format!("{minute} * * * *"),
        (_, None) => format!("{minute} {hour} * * *"),
    };
    Some(schedule)
}

/// A time of day: hours and minutes.
fn time(yaml: &Yaml, report: &mut Report) -> Option<(u32, u32)> {
    let Kind::Scalar { text, .. } = &yaml.kind else {
        return super::read::wrong(yaml, "a time of day, as `02:00`", report);
    };
    let number = |text: &str, max: u32| {
        let plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|number| plain && *number <= max)
    };
    let parts: Vec<&str> = text.trim().split(':').collect();
    let read = match parts.as_slice() {
        [hour, minute] | [hour, minute, "00"] => number(hour, 23).zip(number(minute, 59)),
        _ => None,
    };
    if read.is_none() {
        let message = format!("`{text}` is no time of day");
        // YAML 1.1 takes `02:00` for a number on the base of 60, and programs that write it do so still.
        report.error("wrong-value", yaml.span, message).help = Some(match yaml.to_value().as_u64() {
            Some(number) if number < 24 * 60 => format!(
                "write it in quotes: `time: \"{:02}:{:02}\"`",
                number / 60,
                number % 60
            ),
            Some(_) | None => "write hours and minutes: `time: \"02:00\"`".to_owned(),
        });
    }
    read
}
