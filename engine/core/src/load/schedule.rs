//! A schedule as it is written.

use super::keys::{MISFIRES, OVERLAPS, SCHEDULE};
use super::read::{Fields, mapping, text};
use super::report::Report;
use super::yaml::{Kind, Yaml, to_map};
use caxplan_model::{Duration, Misfire, Overlap, Schedule};

/// Reads a schedule: a cron expression, or a mapping with one.
pub(super) fn read(yaml: &Yaml, report: &mut Report) -> Option<Schedule> {
    if let Kind::Scalar { .. } = yaml.kind {
        return Some(Schedule::new(&text(yaml, report)?.value));
    }
    let fields = Fields::open(yaml, &SCHEDULE, report)?;
    let params = fields
        .get("params")
        .and_then(|yaml| mapping(yaml, "parameters by name", report))
        .unwrap_or_default();
    Some(Schedule {
        cron: fields.text("cron", report)?.value,
        timezone: fields.text("timezone", report).map(|zone| zone.value),
        jitter: fields.duration("jitter", report).unwrap_or(Duration::ZERO),
        misfire: fields
            .word("misfire", MISFIRES, &[Misfire::Skip, Misfire::Once], report)
            .unwrap_or_default(),
        overlap: fields
            .word(
                "overlap",
                OVERLAPS,
                &[Overlap::Forbid, Overlap::Queue, Overlap::Allow],
                report,
            )
            .unwrap_or_default(),
        params: to_map(params),
    })
}
