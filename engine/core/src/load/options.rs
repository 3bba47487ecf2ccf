//! What is said of a step beside what it does.

use super::call::{self, Call};
use super::keys::ON_FAILURE;
use super::read::{Fields, texts};
use super::report::Report;
use super::retry;
use super::yaml::Spanned;
use caxplan_model::{Duration, OnFailure, Retry, ShortText};
use std::sync::LazyLock;

pub(super) const ON_FAILURES: &[OnFailure] = &[
    OnFailure::Stop,
    OnFailure::Rollback,
    OnFailure::Continue,
    OnFailure::Pause,
];

/// What a step may say of its effect on the availability of its target.
const AVAILABILITIES: &[&str] = &["-1", "0", "1"];

/// What is said of a step beside what it does: of most steps of a large plan, nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Options(Option<Box<Said>>);

impl std::ops::Deref for Options {
    type Target = Said;

    fn deref(&self) -> &Said {
        static NOTHING: LazyLock<Said> = LazyLock::new(Said::default);
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl std::ops::DerefMut for Options {
    fn deref_mut(&mut self) -> &mut Said {
        self.0.get_or_insert_default()
    }
}

impl From<Said> for Options {
    fn from(said: Said) -> Self {
        Self((said != Said::default()).then(|| Box::new(said)))
    }
}

/// What can be said of a step beside what it does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) target: Option<Spanned<ShortText>>,
    pub(super) needs: Vec<Spanned<ShortText>>,
    pub(super) when: Option<Spanned<ShortText>>,
    pub(super) retry: Option<Box<Retry>>,
    pub(super) timeout: Option<Duration>,
    pub(super) expect: Vec<Spanned<ShortText>>,
    pub(super) probe: Option<Box<Call>>,
    pub(super) rollback: Option<Vec<Call>>,
    pub(super) availability: Option<i8>,
    pub(super) checkpoint: Option<Spanned<ShortText>>,
    pub(super) on_failure: Option<OnFailure>,
}

impl Options {
    /// The keys that say something.
    pub(super) fn said(&self) -> Vec<&'static str> {
        [
            ("target", self.target.is_some()),
            ("needs", !self.needs.is_empty()),
            ("when", self.when.is_some()),
            ("retry", self.retry.is_some()),
            ("timeout", self.timeout.is_some()),
            ("expect", !self.expect.is_empty()),
            ("probe", self.probe.is_some()),
            ("rollback", self.rollback.is_some()),
            ("availability", self.availability.is_some()),
            ("checkpoint", self.checkpoint.is_some()),
            ("on_failure", self.on_failure.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, is_said)| is_said.then_some(key))
        .collect()
    }

    /// What `self` says, and where it says nothing, what `base` says.
    pub(super) fn over(self, base: &Self) -> Self {
        let (Some(own), Some(base)) = (&self.0, &base.0) else {
            return if self.0.is_some() { self } else { base.clone() };
        };
        let (own, base) = (Said::clone(own), Said::clone(base));
        let or = |own: Vec<Spanned<ShortText>>, base| if own.is_empty() { base } else { own };
        Said {
            target: own.target.or(base.target),
            needs: or(own.needs, base.needs),
            when: own.when.or(base.when),
            retry: own.retry.or(base.retry),
            timeout: own.timeout.or(base.timeout),
            expect: or(own.expect, base.expect),
            probe: own.probe.or(base.probe),
            rollback: own.rollback.or(base.rollback),
            availability: own.availability.or(base.availability),
            checkpoint: own.checkpoint.or(base.checkpoint),
            on_failure: own.on_failure.or(base.on_failure),
        }
        .into()
    }

    pub(super) fn read(fields: &Fields<'_>, report: &mut Report) -> Self {
        fields.text("description", report);
        Said {
            target: fields.text("target", report),
            needs: fields
                .get("needs")
                .map_or_else(Vec::new, |yaml| texts(yaml, report)),
            when: fields.text("when", report),
            retry: fields
                .get("retry")
                .and_then(|yaml| retry::read(yaml, report))
                .map(Box::new),
            timeout: fields.duration("timeout", report),
            expect: fields
                .get("expect")
                .map_or_else(Vec::new, |yaml| texts(yaml, report)),
            probe: fields
                .get("probe")
                .and_then(|yaml| call::read(yaml, report))
                .map(Box::new),
            rollback: fields.get("rollback").map(|yaml| call::read_all(yaml, report)),
            availability: fields.word("availability", AVAILABILITIES, &[-1, 0, 1], report),
            checkpoint: fields.text("checkpoint", report),
            on_failure: fields.word("on_failure", ON_FAILURE, ON_FAILURES, report),
        }
        .into()
    }
}
