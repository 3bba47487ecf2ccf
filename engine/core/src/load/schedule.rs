//! A schedule as it is written.

use super::keys::{MISFIRES, OVERLAPS, SCHEDULE};
use super::read::{Fields, mapping, text};
use super::report::Report;
use super::yaml::{Kind, Yaml, to_map};
use caxplan_model::{Misfire, Overlap, Schedule};

/// Reads a schedule: a cron expression, or a mapping with one.
pub(super) fn read(yaml: &Yaml, report: &mut Report) -> Option<Schedule> {
    if let Kind::Scalar { .. } = yaml.kind {
        return Some(Schedule::new(&text(yaml, report)?.value));
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
    Schedule {
        cron: fields.text("cron", report).map_or(base.cron, |cron| cron.value),
        timezone: fields
            .text("timezone", report)
            .map(|zone| zone.value)
            .or(base.timezone),
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
