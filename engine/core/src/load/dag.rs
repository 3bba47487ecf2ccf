//! The order of steps that say what they need.

use super::report::Report;
use super::step::Step;
use super::suggest::did_you_mean;
use petgraph::algo::{kosaraju_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::BTreeSet;

/// What each step needs, by position.
pub(super) struct DagOrder {
    /// Directly.
    pub(super) needs: Vec<Vec<usize>>,
    /// Directly or through others.
    pub(super) closures: Vec<BTreeSet<usize>>,
}

/// Resolves `needs`; reports names that are not there, and circles as a path.
pub(super) fn order(steps: &[Step], report: &mut Report) -> DagOrder {
    let find = |name: &str| steps.iter().position(|step| step.name() == Some(name));
    let mut needs: Vec<Vec<usize>> = Vec::with_capacity(steps.len());
    for step in steps {
        let mut own = Vec::new();
        for need in &step.options.needs {
            match find(&need.value) {
                Some(at) => own.push(at),
                None => {
                    let message = format!("this phase has no step `{}`", need.value);
                    let names = steps.iter().filter_map(Step::name);
                    report.error("unknown-step", need.span, message).help = did_you_mean(&need.value, names);
                }
            }
        }
        own.sort_unstable();
        own.dedup();
        needs.push(own);
    }
    let mut graph: DiGraph<(), ()> = DiGraph::with_capacity(steps.len(), steps.len());
    for _ in steps {
        graph.add_node(());
    }
    for (at, own) in needs.iter().enumerate() {
        for need in own {
            graph.add_edge(NodeIndex::new(*need), NodeIndex::new(at), ());
        }
    }
    let mut closures = vec![BTreeSet::new(); steps.len()];
    match toposort(&graph, None) {
        Ok(sorted) => {
            for at in sorted.into_iter().map(NodeIndex::index) {
                let through: BTreeSet<usize> = needs[at]
                    .iter()
                    .flat_map(|need| &closures[*need])
                    .copied()
                    .collect();
                closures[at] = needs[at].iter().copied().chain(through).collect();
            }
        }
        Err(_) => {
            for component in kosaraju_scc(&graph) {
                let members: BTreeSet<usize> = component.into_iter().map(NodeIndex::index).collect();
                report_cycle(steps, &needs, &members, report);
            }
            needs.iter_mut().for_each(Vec::clear);
        }
    }
    DagOrder { needs, closures }
}

/// Reports a circle among steps that need each other, however indirectly; nothing if they do not.
fn report_cycle(steps: &[Step], needs: &[Vec<usize>], members: &BTreeSet<usize>, report: &mut Report) {
    // Within such a component every step needs another of it, so that walking on comes back somewhere.
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
        .map(|at| steps[*at].name().unwrap_or("?"))
        .collect();
    let message = format!("these steps need each other: {}", names.join(" → "));
    let first = &steps[circle[0]];
    let span = first.options.needs.first().map_or(first.span, |need| need.span);
    report.error("cycle", span, message).help = Some("take one of these `needs` away".to_owned());
}
