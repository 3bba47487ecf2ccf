//! Invariants as they are written, and what becomes of them: a number that the scheduler keeps, or checks beside the steps
//! that have an effect on availability.

use super::arena::Arena;
use super::call::{self, Call};
use super::keys::INVARIANT;
use super::lower::Lowering;
use super::names::{Use, View};
use super::read::{Fields, one_or_many};
use super::report::Report;
use super::yaml::{Spanned, Yaml};
use crate::guard::{CHECK, GUARDED};
use crate::preview::{Broken, broken_for_sure, may_be_down};
use crate::select::Selector;
use caxplan_model::{Graph, Invariant, Node, NodeIndex, NodeKind, ShortText, Span, Target, Watch};
use std::collections::{BTreeMap, BTreeSet};

/// Keys that make no invariant by themselves.
const BESIDE: [&str; 2] = ["targets", "observe"];

/// What a condition sees, in messages.
const OBSERVES: &str = "what an invariant observes";

/// The invariants of a plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Invariants {
    limits: Vec<Limit>,
    conditions: Vec<Condition>,
    span: Option<Span>,
}

/// `max_unavailable`.
#[derive(Clone, Debug)]
struct Limit {
    span: Span,
    max: Spanned<ShortText>,
    targets: Option<Spanned<ShortText>>,
}

/// A condition on what a read-only action sees.
#[derive(Clone, Debug)]
struct Condition {
    condition: Spanned<ShortText>,
    observe: Call,
}

/// A condition that is ready to be checked beside steps.
#[derive(Clone, Debug)]
pub(super) struct Check {
    watch: Watch,
    span: Span,
}

impl Check {
    /// The same check in a plan that runs within the one it belongs to.
    pub(super) fn one_plan_in(&self) -> Self {
        let mut inner = self.clone();
        inner.watch.outside += 1;
        inner
    }
}

/// Reads one invariant, or a list of them.
pub(super) fn read(yaml: &Yaml, key: Span, report: &mut Report) -> Invariants {
    let mut all = Invariants {
        span: Some(key),
        ..Invariants::default()
    };
    for item in one_or_many(yaml) {
        let Some(fields) = Fields::open(item, &INVARIANT, report) else {
            continue;
        };
        let max = fields.text("max_unavailable", report);
        let targets = fields.text("targets", report);
        let condition = fields.text("condition", report);
        let observe = fields.get("observe").and_then(|yaml| call::read(yaml, report));
        let mut misplaced = |key: &str, of: &str| {
            if let Some(span) = fields.key(key) {
                let message = format!("`{key}` belongs to an invariant with `{of}`");
                report.error("misplaced-key", span, message);
            }
        };
        match (max, condition) {
            (Some(max), None) => {
                misplaced("observe", "condition");
                let span = max.span;
                all.limits.push(Limit { span, max, targets });
            }
            (None, Some(condition)) => {
                misplaced("targets", "max_unavailable");
                if let Some(observe) = observe {
                    all.conditions.push(Condition { condition, observe });
                } else if fields.get("observe").is_none() {
                    let message =
                        "a condition needs `observe`: the action that only reads, whose output it sees";
                    report.error("missing-key", condition.span, message);
                }
            }
            (Some(_), Some(condition)) => {
                let message =
                    "an invariant is one thing, and this one has both `max_unavailable` and `condition`";
                report.error("two-bodies", condition.span, message).help =
                    Some("make two invariants of it: each begins with `-`".to_owned());
            }
            (None, None) => {
                // What is there has been found wrong, or is no key.
                if fields
                    .entries
                    .iter()
                    .all(|entry| BESIDE.contains(&entry.key.value.as_str()))
                {
                    let message = "an invariant needs `max_unavailable` or `condition`";
                    report.error("missing-key", item.head(), message);
                }
            }
        }
    }
    all
}

impl Invariants {
    /// The numbers that the scheduler keeps, with the targets that are counted.
    pub(super) fn limits(&self, targets: &[Target], report: &mut Report) -> Vec<Invariant> {
        self.limits
            .iter()
            .filter_map(|limit| limit.settle(targets, report))
            .collect()
    }

    /// Looks at a plan as a whole, whose steps stand below `plan`: what it surely breaks is an error, what it may break a
    /// warning.
    pub(super) fn foresee(&self, graph: &Graph, plan: NodeIndex, report: &mut Report) {
        let Some(key) = self.span.filter(|_| !report.has_errors()) else {
            return;
        };
        let inside = inside(graph, plan);
        if !inside
            .iter()
            .any(|at| has_effect(&graph.nodes[at.index()..=at.index()]))
        {
            let message =
                "no step of this plan takes a target down or brings one back: there is nothing to check";
            report.warning("no-effect", key, message).help = Some(
                "say `availability: -1` of a step that takes its target down, `1` of one that brings it back"
                    .to_owned(),
            );
            return;
        }
        for (limit, invariant) in self.limits.iter().zip(invariants_of(graph, plan)) {
            if let Some(Broken { step, down }) = broken_for_sure(graph, plan, invariant) {
                let node = graph.node(step);
                let message = format!(
                    "`{}` cannot hold: `{}` takes down one too many",
                    invariant, node.id
                );
                let down = match down.is_empty() {
                    true => "not one target may be down".to_owned(),
                    false => format!("down at that time, if all goes well: {}", down.join(", ")),
                };
                report.error("broken-invariant", limit.span, message).help = Some(down);
            } else if let Some((count, how)) = may_be_down(graph, &inside, invariant) {
                let message = format!("{count} could be down at once, and `{invariant}` does not allow it");
                report.warning("invariant", limit.span, message).help = Some(format!(
                    "{how}; a step that would break it is held back, or fails before it starts"
                ));
            }
        }
    }
}

/// Looks at the plans that run within another, the first time that each does.
pub(super) fn foresee_children(guarded: &BTreeMap<String, Invariants>, graph: &Graph, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for at in crate::schedule::indices(graph) {
        if let Some(child) = &graph.node(at).child
            && let Some(invariants) = guarded.get(&child.plan)
            && seen.insert(&child.plan)
        {
            invariants.foresee(graph, at, report);
        }
    }
}

/// What must hold among the steps of a plan.
fn invariants_of(graph: &Graph, plan: NodeIndex) -> &[Invariant] {
    match &graph.node(plan).child {
        Some(child) => &child.invariants,
        None => &graph.header.invariants,
    }
}

/// A node and all below it.
fn inside(graph: &Graph, node: NodeIndex) -> BTreeSet<NodeIndex> {
    let mut all = BTreeSet::new();
    let mut open = vec![node];
    while let Some(at) = open.pop() {
        all.insert(at);
        open.extend(graph.node(at).kind.children());
    }
    all
}

impl Limit {
    fn settle(&self, targets: &[Target], report: &mut Report) -> Option<Invariant> {
        let mut written = format!("max_unavailable: {}", self.max.value);
        let counted: Option<Vec<String>> = match &self.targets {
            None => None,
            Some(text) => match Selector::parse(&text.value) {
                Ok(selector) => {
                    written = format!("{written}, targets: {}", text.value);
                    let chosen = targets.iter().filter(|target| selector.matches(target));
                    let names: Vec<String> = chosen.map(|target| target.name.clone()).collect();
                    if names.is_empty() {
                        let message = format!("`{}` selects no target", text.value);
                        report.warning("no-targets", text.span, message);
                    }
                    Some(names)
                }
                Err(message) => {
                    report.error("wrong-value", text.span, message);
                    return None;
                }
            },
        };
        let of = counted.as_ref().map_or(targets.len(), Vec::len);
        let Some(max_unavailable) = amount(&self.max.value, of) else {
            let message = format!(
                "`{}` is no number of targets; write a number from 0, or a percentage such as `25%`",
                self.max.value
            );
            report.error("wrong-value", self.max.span, message);
            return None;
        };
        if self.max.value.contains('%') {
            written = format!("{written} ({max_unavailable} of {of})");
        }
        Some(Invariant {
            max_unavailable,
            targets: counted,
            written,
        })
    }
}

/// A number, or a percentage of `count`, rounded down: never more than was said.
fn amount(text: &str, count: usize) -> Option<u32> {
    match text.trim().strip_suffix('%') {
        Some(percent) => {
            let percent: u64 = percent.trim().parse().ok().filter(|percent| *percent <= 100)?;
            let count = u64::try_from(count).ok()?;
            u32::try_from(count.checked_mul(percent)? / 100).ok()
        }
        None => text.trim().parse().ok(),
    }
}

fn has_effect(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| match &node.kind {
        NodeKind::Action(action) => action.availability != 0,
        NodeKind::Foreach(foreach) => has_effect(&foreach.body),
        _ => false,
    })
}

impl Lowering<'_, '_> {
    /// The plan's conditions, ready to be checked; what is wrong with one is said here, once.
    pub(super) fn checks(&mut self, invariants: &Invariants) -> Vec<Check> {
        let mut sound = Vec::new();
        for of in &invariants.conditions {
            let errors = self.report.errors();
            self.names
                .check_condition(&of.condition, Use::Observation, &View::default(), self.report);
            let observe = self.reading_call(&of.observe, OBSERVES, &View::default());
            let Some(observe) = observe.filter(|_| self.report.errors() == errors) else {
                continue;
            };
            // A watch that lasts no time looks once, whenever it is come to.
            let watch = Watch {
                duration: "0s".to_owned(),
                every: "1s".to_owned(),
                observe,
                target: None,
                checks: vec![of.condition.value.to_string()],
                max_breaches: 0,
                outside: 0,
            };
            let span = of.condition.span;
            sound.push(Check { watch, span });
        }
        sound
    }

    /// Puts the checks of the plan's conditions before a step that takes its target down: its node becomes a
    /// sequence of the checks and the step, which keeps its id and its name.
    pub(super) fn guard(
        &mut self,
        arena: &mut Arena,
        node: NodeIndex,
        kind: NodeKind,
        (name, span): (&str, Span),
    ) -> NodeKind {
        // Not before one that brings a target back: that is what mends a broken invariant.
        let takes_down = matches!(&kind, NodeKind::Action(action) if action.availability < 0);
        if !takes_down || self.checks.is_empty() {
            return kind;
        }
        let id = arena.id(node);
        let mut children = self.add_checks(arena, node, &id);
        let step = arena.add(node, &format!("{id}{GUARDED}"));
        arena.swap_ids(node, step);
        arena.at(step).name = name.into();
        arena.at(step).kind = kind;
        arena.at(step).source = self.report.location(span);
        children.push(step);
        NodeKind::Sequence { children }
    }

    /// Puts the checks of the plan's conditions behind an element of a loop that has an effect on availability.
    pub(super) fn check_after(&mut self, body: &mut Arena, children: &mut Vec<NodeIndex>) {
        if has_effect(&body.nodes) {
            children.extend(self.add_checks(body, NodeIndex::ROOT, "after"));
        }
    }

    fn add_checks(&mut self, arena: &mut Arena, parent: NodeIndex, id: &str) -> Vec<NodeIndex> {
        let mut add = |check: &Check| {
            let node = arena.add(parent, &format!("{id}{CHECK}"));
            let source = self.report.location(check.span);
            arena.at(node).kind = NodeKind::Watch(Box::new(check.watch.clone()));
            arena.at(node).source = source;
            node
        };
        self.checks.iter().map(&mut add).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::amount;

    #[test]
    fn a_percentage_is_rounded_down() {
        for (text, count, expected) in [
            ("1", 9, Some(1)),
            ("0", 9, Some(0)),
            ("25%", 9, Some(2)),
            ("10%", 9, Some(0)),
            ("100 %", 9, Some(9)),
            ("101%", 9, None),
            ("-1", 9, None),
            ("many", 9, None),
        ] {
            assert_eq!(amount(text, count), expected, "{text} of {count}");
        }
    }
}
