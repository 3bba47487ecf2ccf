//! Loops as they are written.

use super::keys::LOOP;
use super::read::{Fields, duration_text};
use super::report::Report;
use super::step::{Body, Step, steps};
use super::yaml::{Entry, Kind, Spanned, Yaml};
use caxplan_model::{ShortText, Span};

/// A loop.
#[derive(Clone, Debug)]
pub(super) struct Foreach {
    /// Whether it is `foreach_node`, whose elements act on the node.
    pub(super) over_nodes: bool,
    pub(super) options: LoopOptions,
    pub(super) steps: Vec<Step>,
}

/// What is said of a loop.
#[derive(Clone, Debug, Default)]
pub(super) struct LoopOptions {
    pub(super) items: Option<Yaml>,
    pub(super) var: Option<Spanned<ShortText>>,
    pub(super) when: Option<Spanned<ShortText>>,
    pub(super) batch_size: Option<Spanned<ShortText>>,
    pub(super) batch_delay: Option<Spanned<ShortText>>,
    pub(super) max_failures: Option<Spanned<ShortText>>,
    pub(super) max_unavailable: Option<Spanned<ShortText>>,
}

/// Options of a `foreach_node` that may stand below it in the list, as in the seed of the language.
const SIBLINGS: &[&str] = &[
    "in",
    "var",
    "batch_size",
    "batch_delay",
    "max_failures",
    "max_unavailable",
];

impl LoopOptions {
    pub(super) fn over(self, base: Self) -> Self {
        Self {
            items: self.items.or(base.items),
            var: self.var.or(base.var),
            when: self.when.or(base.when),
            batch_size: self.batch_size.or(base.batch_size),
            batch_delay: self.batch_delay.or(base.batch_delay),
            max_failures: self.max_failures.or(base.max_failures),
            max_unavailable: self.max_unavailable.or(base.max_unavailable),
        }
    }

    pub(super) fn read(fields: &Fields<'_>, report: &mut Report) -> Self {
        Self {
            items: fields.get("in").cloned(),
            var: fields.text("var", report),
            when: fields.text("when", report),
            batch_size: fields.text("batch_size", report),
            batch_delay: fields
                .get("batch_delay")
                .and_then(|yaml| duration_text(yaml, report)),
            max_failures: fields.text("max_failures", report),
            max_unavailable: fields.text("max_unavailable", report),
        }
    }
}

/// The option of a loop that is written as an item of its own.
pub(super) fn sibling(item: &Yaml) -> Option<&Entry> {
    match &item.kind {
        Kind::Map(entries) => match entries.as_slice() {
            [only] if SIBLINGS.contains(&only.key.value.as_str()) => Some(only),
            _ => None,
        },
        Kind::Scalar { .. } | Kind::List(_) => None,
    }
}

pub(super) fn foreach(yaml: &Yaml, fields: &Fields<'_>, span: Span, report: &mut Report) -> Option<Body> {
    let beside = LoopOptions::read(fields, report);
    let options = match &yaml.kind {
        Kind::Map(_) => {
            let inner = Fields::open(yaml, &LOOP, report)?;
            beside.over(LoopOptions::read(&inner, report))
        }
        Kind::List(_) | Kind::Scalar { .. } => LoopOptions {
            items: Some(yaml.clone()),
            ..beside
        },
    };
    if options.items.is_none() {
        report.error(
            "missing-key",
            yaml.head(),
            "a foreach needs `in`: a list, or a template that yields one",
        );
    }
    let Some(inner) = fields.get("steps") else {
        report.error("missing-key", span, "a foreach needs `steps` beside it");
        return None;
    };
    Some(Body::Foreach(Box::new(Foreach {
        over_nodes: false,
        options,
        steps: steps(inner, report),
    })))
}
