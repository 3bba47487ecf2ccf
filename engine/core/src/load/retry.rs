//! A retry as it is written.

use super::keys::{BACKOFFS, FAILURE_KINDS, RETRY};
use super::read::{self, Fields, texts};
use super::report::Report;
use super::yaml::Yaml;
use caxplan_model::{FailureKind, Retry};

/// Reads a retry.
pub(super) fn read(yaml: &Yaml, report: &mut Report) -> Option<Retry> {
    let fields = Fields::open(yaml, &RETRY, report)?;
    let base = Retry::default();
    let attempts = fields.count("attempts", report);
    if attempts == Some(0) {
        let span = fields.get("attempts").map_or(fields.head, |yaml| yaml.span);
        report.error(
            "wrong-value",
            span,
            "the number of attempts counts the first one: it is 1 or more",
        );
    }
    let on: Vec<FailureKind> = fields
        .get("on")
        .map_or_else(Vec::new, |yaml| texts(yaml, report))
        .iter()
        .filter_map(|text| read::word(text, FAILURE_KINDS, report))
        .filter_map(|at| KINDS.get(at).copied())
        .collect();
    Some(Retry {
        attempts: attempts.unwrap_or(3).max(1),
        initial: fields.duration("initial", report).unwrap_or(base.initial),
        factor_percent: fields
            .word("backoff", BACKOFFS, &[200, 100], report)
            .unwrap_or(base.factor_percent),
        max: fields.duration("max", report).unwrap_or(base.max),
        jitter: fields.boolean("jitter", report).unwrap_or(base.jitter),
        on,
    })
}

/// In the order of [`FAILURE_KINDS`].
const KINDS: &[FailureKind] = &[
    FailureKind::Timeout,
    FailureKind::Unavailable,
    FailureKind::Denied,
    FailureKind::Conflict,
    FailureKind::NotFound,
    FailureKind::Invalid,
    FailureKind::Exit,
    FailureKind::Expectation,
    FailureKind::Breach,
    FailureKind::Cancelled,
    FailureKind::Lost,
    FailureKind::Rejected,
    FailureKind::Invariant,
    FailureKind::Template,
    FailureKind::Other,
];
