//! `lock` as it is written.

use super::keys::{IF_HELD, LOCK};
use super::read::{Fields, texts};
use super::report::Report;
use super::yaml::{Kind, Spanned, Yaml};
use caxplan_model::{IfHeld, LockPolicy, ShortText};

/// The locks of a plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Locks {
    pub(super) names: Vec<Spanned<ShortText>>,
    pub(super) policy: LockPolicy,
}

/// Reads a name, a list of names, or a mapping that also says what happens if one of them is held.
pub(super) fn read(yaml: &Yaml, report: &mut Report) -> Locks {
    if !matches!(yaml.kind, Kind::Map(_)) {
        return Locks {
            names: texts(yaml, report),
            policy: LockPolicy::default(),
        };
    }
    let Some(fields) = Fields::open(yaml, &LOCK, report) else {
        return Locks::default();
    };
    let if_held = fields.word(
        "if_held",
        IF_HELD,
        &[IfHeld::Refuse, IfHeld::Queue, IfHeld::Skip],
        report,
    );
    let is_wrong = fields.get("if_held").is_some() && if_held.is_none();
    let if_held = if_held.unwrap_or_default();
    let wait_max = fields.duration("wait_max", report);
    if let Some(span) = fields.key("wait_max")
        && wait_max.is_some()
        && !is_wrong
        && if_held != IfHeld::Queue
    {
        let message = "nothing waits, so there is no longest wait";
        report.error("no-wait", span, message).help = Some("add `if_held: queue`".to_owned());
    }
    let holders = fields.count("holders", report).unwrap_or(1);
    if holders == 0
        && let Some(written) = fields.get("holders")
    {
        let message = "a lock that nobody may hold lets no run begin";
        report.error("wrong-value", written.span, message).help = Some("expected a number from 1".to_owned());
    }
    Locks {
        names: fields
            .get("name")
            .map_or_else(Vec::new, |yaml| texts(yaml, report)),
        policy: LockPolicy {
            if_held,
            wait_max,
            holders,
        },
    }
}
