//! Steps that are guarded by checks: the checks of an invariant's conditions and the step stand in a sequence of their own.

use caxplan_model::{Graph, NodeIndex};

/// What marks the nodes that checks make; no step can be called so.
pub(crate) const CHECK: &str = "~invariant";
/// What marks the sequence of checks and the step behind them.
pub(crate) const GUARDED: &str = "~guarded";

/// The sequence in which a step stands behind its checks, or a check before its step.
pub(crate) fn guard_of(graph: &Graph, node: NodeIndex) -> Option<NodeIndex> {
    let parent = graph.node(node).parent?;
    graph
        .node(parent)
        .id
        .as_str()
        .ends_with(GUARDED)
        .then_some(parent)
}

/// The checks before a step.
pub(crate) fn checks_of(graph: &Graph, step: NodeIndex) -> Vec<NodeIndex> {
    let Some(guard) = guard_of(graph, step) else {
        return Vec::new();
    };
    let mut children = graph.node(guard).kind.children();
    children.retain(|child| *child != step);
    children
}

/// The step behind a check.
pub(crate) fn step_behind(graph: &Graph, check: NodeIndex) -> Option<NodeIndex> {
    let guard = guard_of(graph, check)?;
    let last = graph.node(guard).kind.children().last().copied();
    last.filter(|step| *step != check)
}
