//! The order of steps and phases that say what they need.

use super::loops::LoopOptions;
use super::phase::{Phase, PhaseOptions};
use super::report::Report;
use super::step::Step;
use super::suggest::did_you_mean;
use super::yaml::Spanned;
use caxplan_model::{ShortText, Span};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// What each item needs, by position.
pub(super) struct DagOrder {
    /// Directly.
    pub(super) needs: Vec<Vec<usize>>,
    /// Directly or through others.
    pub(super) closures: Vec<BTreeSet<usize>>,
    /// All positions, each behind those that it needs; else as they are written.
    pub(super) sorted: Vec<usize>,
}

/// A step or a phase, as far as its order is concerned.
struct Item<'p> {
    name: Option<&'p str>,
    span: Span,
    needs: &'p [Spanned<ShortText>],
    /// What it needs without saying so.
    implied: Vec<usize>,
}

/// What the items are called in messages.
struct Words {
    unknown: &'static str,
    code: &'static str,
    circle: &'static str,
    help: &'static str,
}

/// Resolves the `needs` of steps; reports names that are not there, and circles as a path.
pub(super) fn order(steps: &[Step], report: &mut Report) -> DagOrder {
    let items: Vec<Item<'_>> = steps
        .iter()
        .map(|step| Item {
            name: step.name(),
            span: step.span,
            needs: &step.options.needs,
            implied: Vec::new(),
        })
        .collect();
    let words = Words {
        unknown: "this phase has no step",
        code: "unknown-step",
        circle: "these steps need each other",
        help: "take one of these `needs` away",
    };
    resolve(&items, &words, report)
}

/// Resolves the `needs` of phases. One without `needs` is a barrier: it needs all phases before it.
pub(super) fn order_of_phases(
    phases: &[Phase],
    options: &[(PhaseOptions, LoopOptions)],
    report: &mut Report,
) -> DagOrder {
    let mut barrier = 0;
    let mut items = Vec::with_capacity(phases.len());
    for (at, (phase, (options, _))) in phases.iter().zip(options).enumerate() {
        let needs = options.needs.as_deref();
        // What stands before the last barrier has ended when that has.
        let implied = match needs {
            Some(_) => Vec::new(),
            None => (std::mem::replace(&mut barrier, at)..at).collect(),
        };
        items.push(Item {
            name: Some(phase.name.value.as_str()),
            span: phase.span,
            needs: needs.unwrap_or_default(),
            implied,
        });
    }
    let words = Words {
        unknown: "the plan has no phase",
        code: "unknown-phase",
        circle: "these phases need each other",
        help: "take one of these `needs` away; a phase without `needs` needs all phases before it",
    };
    resolve(&items, &words, report)
}

fn resolve(items: &[Item<'_>], words: &Words, report: &mut Report) -> DagOrder {
    let find = |name: &str| items.iter().position(|item| item.name == Some(name));
    let mut needs: Vec<Vec<usize>> = Vec::with_capacity(items.len());
    for item in items {
        let mut own = item.implied.clone();
        for need in item.needs {
            match find(&need.value) {
                Some(at) => own.push(at),
                None => {
                    let message = format!("{} `{}`", words.unknown, need.value);
                    let names = items.iter().filter_map(|item| item.name);
                    report.error(words.code, need.span, message).help = did_you_mean(&need.value, names);
                }
            }
        }
        own.sort_unstable();
        own.dedup();
        needs.push(own);
    }
    let mut sorted = sort(&needs);
    let mut closures = vec![BTreeSet::new(); items.len()];
    if sorted.len() == items.len() {
        for at in sorted.iter().copied() {
            let through: BTreeSet<usize> = needs[at]
                .iter()
                .flat_map(|need| &closures[*need])
                .copied()
                .collect();
            closures[at] = needs[at].iter().copied().chain(through).collect();
        }
    } else {
        report_cycles(items, &needs, words, report);
        needs.iter_mut().for_each(Vec::clear);
        sorted = (0..items.len()).collect();
    }
    DagOrder {
        needs,
        closures,
        sorted,
    }
}

/// The positions, each behind those that it needs; of those that could be next, the first. What is in a circle, or
/// needs something in one, is left out.
fn sort(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    let mut left: Vec<usize> = needs.iter().map(Vec::len).collect();
    for (at, own) in needs.iter().enumerate() {
        own.iter().for_each(|need| dependents[*need].push(at));
    }
    let mut free: BinaryHeap<Reverse<usize>> = (0..needs.len())
        .filter(|at| left[*at] == 0)
        .map(Reverse)
        .collect();
    let mut sorted = Vec::with_capacity(needs.len());
    while let Some(Reverse(at)) = free.pop() {
        sorted.push(at);
        for dependent in &dependents[at] {
            left[*dependent] -= 1;
            if left[*dependent] == 0 {
                free.push(Reverse(*dependent));
            }
        }
    }
    sorted
}

fn report_cycles(items: &[Item<'_>], needs: &[Vec<usize>], words: &Words, report: &mut Report) {
    let mut graph: DiGraph<(), ()> = DiGraph::with_capacity(items.len(), items.len());
    for _ in items {
        graph.add_node(());
    }
    for (at, own) in needs.iter().enumerate() {
        for need in own {
            graph.add_edge(NodeIndex::new(*need), NodeIndex::new(at), ());
        }
    }
    for component in kosaraju_scc(&graph) {
        let members: BTreeSet<usize> = component.into_iter().map(NodeIndex::index).collect();
        report_cycle(items, needs, &members, words, report);
    }
}

/// Reports a circle among items that need each other, however indirectly; nothing if they do not.
fn report_cycle(
    items: &[Item<'_>],
    needs: &[Vec<usize>],
    members: &BTreeSet<usize>,
    words: &Words,
    report: &mut Report,
) {
    // Within such a component every item needs another of it, so that walking on comes back somewhere.
    let mut path: Vec<usize> = members.iter().copied().take(1).collect();
    let circle = loop {
        let Some(next) = path
            .last()
            .and_then(|last| needs[*last].iter().find(|need| members.contains(need)))
        else {
            return;
        };
        if let Some(from) = path.iter().position(|at| at == next) {
            break &path[from..];
        }
        path.push(*next);
    };
    let names: Vec<&str> = circle
        .iter()
        .chain(&circle[..1])
        .map(|at| items[*at].name.unwrap_or("?"))
        .collect();
    let message = format!("{}: {}", words.circle, names.join(" → "));
    let written = circle.iter().find_map(|at| items[*at].needs.first());
    let span = written.map_or(items[circle[0]].span, |need| need.span);
    report.error("cycle", span, message).help = Some(words.help.to_owned());
}
