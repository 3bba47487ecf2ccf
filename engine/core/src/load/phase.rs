//! A phase as it is written.

use super::call::{self, Call};
use super::keys::{ON_FAILURE, ORDERS, PHASE};
use super::options::ON_FAILURES;
use super::read::{Fields, list, texts};
use super::report::Report;
use super::step::{self, Step};
use super::yaml::{Kind, Spanned, Yaml};
use caxplan_model::{Duration, OnFailure, ShortText, Span};

/// A phase: a barrier between the steps before it and those after it.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub(super) span: Span,
    pub(super) name: Spanned<ShortText>,
    pub(super) description: String,
    pub(super) steps: Vec<Step>,
    pub(super) options: PhaseOptions,
}

/// What is said of a phase beside its steps.
#[derive(Clone, Debug, Default)]
pub(super) struct PhaseOptions {
    pub(super) when: Option<Spanned<ShortText>>,
    pub(super) order: Option<Order>,
    pub(super) on_failure: Option<OnFailure>,
    pub(super) checkpoint: Option<Spanned<ShortText>>,
    pub(super) max_parallel: Option<u32>,
    pub(super) timeout: Option<Duration>,
    pub(super) rollback: Option<Vec<Call>>,
    /// The phases that must have ended well; without it, all before it.
    pub(super) needs: Option<Vec<Spanned<ShortText>>>,
}

/// The order of a phase's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Sequential,
    Dag,
}

impl PhaseOptions {
    pub(super) fn read(fields: &Fields<'_>, report: &mut Report) -> Self {
        Self {
            when: fields.text("when", report),
            order: fields.word("order", ORDERS, &[Order::Sequential, Order::Dag], report),
            on_failure: fields.word("on_failure", ON_FAILURE, ON_FAILURES, report),
            checkpoint: fields.text("checkpoint", report),
            max_parallel: fields.count("max_parallel", report),
            timeout: fields.duration("timeout", report),
            rollback: fields.get("rollback").map(|yaml| call::read_all(yaml, report)),
            needs: fields.get("needs").map(|yaml| texts(yaml, report)),
        }
    }

    pub(super) fn over(self, base: Self) -> Self {
        Self {
            when: self.when.or(base.when),
            order: self.order.or(base.order),
            on_failure: self.on_failure.or(base.on_failure),
            checkpoint: self.checkpoint.or(base.checkpoint),
            max_parallel: self.max_parallel.or(base.max_parallel),
            timeout: self.timeout.or(base.timeout),
            rollback: self.rollback.or(base.rollback),
            needs: self.needs.or(base.needs),
        }
    }
}

/// Reads a list of phases.
pub(super) fn read_all(yaml: &Yaml, report: &mut Report) -> Vec<Phase> {
    let Some(items) = list(yaml, "phases", report) else {
        return Vec::new();
    };
    if items.is_empty() {
        report.error("no-steps", yaml.span, "there are no phases here");
    }
    items.iter().filter_map(|item| read(item, report)).collect()
}

fn read(yaml: &Yaml, report: &mut Report) -> Option<Phase> {
    let fields = Fields::open(yaml, &PHASE, report)?;
    if let Some(Yaml {
        span,
        kind: Kind::List(items),
    }) = fields.get("steps")
        && items.is_empty()
    {
        report.error("no-steps", *span, "there are no steps here");
    }
    let name = fields.text("name", report);
    let description = fields
        .text("description", report)
        .map_or_else(String::new, |text| text.value.to_string());
    let options = PhaseOptions::read(&fields, report);
    let steps = fields
        .get("steps")
        .map_or_else(Vec::new, |steps| step::read_all(steps, report));
    Some(Phase {
        span: name.as_ref().map_or(fields.head, |name| name.span),
        name: name.unwrap_or(Spanned {
            value: "phase".to_owned().into(),
            span: fields.head,
        }),
        description,
        steps,
        options,
    })
}
