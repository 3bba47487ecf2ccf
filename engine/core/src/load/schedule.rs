//! A schedule as it is written.

use super::keys::{MISFIRES, OVERLAPS, SCHEDULE};
use super::read::{Fields, mapping, text};
use super::report::Report;
use super::suggest::did_you_mean;
use super::yaml::{Kind, Spanned, Yaml, to_map};
use crate::calendar::{Cron, CronError, bundled_zone, zone_names};
use caxplan_model::{Misfire, Overlap, Schedule, ShortText, Span};

/// Reads a schedule: a cron expression, or a mapping with one.
pub(super) fn read(yaml: &Yaml, report: &mut Report) -> Option<Schedule> {
    if let Kind::Scalar { .. } = yaml.kind {
        let cron = text(yaml, report)?;
        check_cron(&cron, report);
        return Some(Schedule::new(&cron.value));
    }
    let fields = Fields::open(yaml, &SCHEDULE, report)?;
    let cron = fields.text("cron", report)?.value;
    Some(over(Schedule::new(&cron), &fields, report))
}

/// `base`, with what `fields` say in its place.
pub(super) fn over(base: Schedule, fields: &Fields<'_>, report: &mut Report) -> Schedule {
    let params = fields
        .get("params")
        .and_then(|yaml| mapping(yaml, "parameters by name", report));
    let zone = fields.text("timezone", report);
    if let Some(zone) = &zone {
        check_zone(zone, report);
    }
    let cron = fields.text("cron", report);
    if let Some(cron) = &cron {
        check_cron(cron, report);
    }
    Schedule {
        cron: cron.map_or(base.cron, |cron| cron.value.to_string()),
        timezone: zone.map(|zone| zone.value.into()).or(base.timezone),
        jitter: fields.duration("jitter", report).unwrap_or(base.jitter),
        misfire: fields
            .word("misfire", MISFIRES, &[Misfire::Skip, Misfire::Once], report)
            .unwrap_or(base.misfire),
        overlap: fields
            .word(
                "overlap",
                OVERLAPS,
                &[Overlap::Forbid, Overlap::Queue, Overlap::Allow],
                report,
            )
            .unwrap_or(base.overlap),
        params: params.map_or(base.params, to_map),
    }
}

/// Reports a cron expression that is wrong, at the part of it that is.
pub(super) fn check_cron(cron: &Spanned<ShortText>, report: &mut Report) {
    let Err(CronError { place, message, help }) = Cron::parse(&cron.value) else {
        return;
    };
    // A text with escapes, or over several lines, does not stand in the source as it is.
    let within = report
        .slice(cron.span)
        .find(cron.value.as_str())
        .and_then(|before| {
            let at = |byte: usize| u32::try_from(before + byte).ok();
            Some(Span {
                start: cron.span.start + at(place.start)?,
                end: cron.span.start + at(place.end)?,
                ..cron.span
            })
        });
    report
        .error("wrong-cron", within.unwrap_or(cron.span), message)
        .help = Some(help);
}

/// Reports a time zone that there is not.
pub(super) fn check_zone(zone: &Spanned<ShortText>, report: &mut Report) {
    if bundled_zone(Some(&zone.value)).is_some() {
        return;
    }
    let names = zone_names();
    let help = did_you_mean(&zone.value, names.iter().map(String::as_str)).or_else(|| {
        // `Berlin` for `Europe/Berlin`.
        let city = |name: &&String| {
            name.rsplit('/')
                .next()
                .is_some_and(|city| city.eq_ignore_ascii_case(&zone.value))
        };
        names
            .iter()
            .find(city)
            .map(|name| format!("did you mean `{name}`?"))
    });
    let message = format!("`{}` is no time zone", zone.value);
    report.error("unknown-zone", zone.span, message).help = Some(help.unwrap_or_else(|| {
        "name one as `Europe/Berlin`, which knows its summer time; `UTC` has none".to_owned()
    }));
}
