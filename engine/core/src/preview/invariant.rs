//! What a plan does to an invariant on the number of targets that are down: for sure, and at the worst.

use super::availability::{Down, down_key, most_down};
use super::build::{children, target_name};
use caxplan_model::{Graph, Invariant, NodeIndex, NodeKind, Value};
use std::collections::BTreeSet;

/// A step that breaks an invariant in every run in which all goes well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The step.
    pub(crate) step: NodeIndex,
    /// What is down before it.
    pub(crate) down: Vec<String>,
}

/// How many of the invariant's targets the steps `inside` its plan may have down at once, and by which path, if that is
/// more than it allows.
pub(crate) fn may_be_down(
    graph: &Graph,
    inside: &BTreeSet<NodeIndex>,
    invariant: &Invariant,
) -> Option<(String, String)> {
    let target = |node: NodeIndex| target_name(graph, node);
    let skipped = |node: NodeIndex| match graph.node(node).kind {
        NodeKind::Action(_) => !inside.contains(&node) || !concerns(graph, invariant, node),
        NodeKind::Foreach(_) => !inside.contains(&node),
        _ => false,
    };
    let most = most_down(graph, &target, &skipped);
    let count = match most.down {
        Down::AtMost { count } if count <= invariant.max_unavailable => return None,
        Down::AtMost { count: 1 } => "1 target".to_owned(),
        Down::AtMost { count } => format!("{count} targets"),
        Down::AtRunTime => {
            let how = "it depends on a list that only the run will know".to_owned();
            return Some(("too many targets".to_owned(), how));
        }
    };
    let how: Vec<String> = most.timeline.iter().map(ToString::to_string).collect();
    Some((count, how.join("; ")))
}

/// The first step that breaks an invariant whatever the order of the plan's steps, if all goes well and every condition
/// ends as is best. A bound from below: what is found here is surely so. The invariant is that of the plan whose steps
/// stand below `plan`.
pub(crate) fn broken_for_sure(graph: &Graph, plan: NodeIndex, invariant: &Invariant) -> Option<Broken> {
    let walk = Walk { graph, invariant };
    walk.contents(plan, &mut BTreeSet::new()).err()
}

/// Whether a name is that of a target which the plan of a node has in its inventory.
pub(crate) fn is_target(graph: &Graph, node: NodeIndex, name: &str) -> bool {
    match graph.bound(node, "targets") {
        Some(Value::Array(own)) => own.iter().any(|target| target["name"] == *name),
        Some(_) | None => graph.targets.iter().any(|target| target.name == *name),
    }
}

fn concerns(graph: &Graph, invariant: &Invariant, node: NodeIndex) -> bool {
    let known = |name: &String| is_target(graph, node, name);
    match (&invariant.targets, target_name(graph, node).filter(known)) {
        (Some(targets), Some(name)) => targets.contains(&name),
        (None, _) | (_, None) => true,
    }
}

struct Walk<'a> {
    graph: &'a Graph,
    invariant: &'a Invariant,
}

impl Walk<'_> {
    fn node(&self, at: NodeIndex, down: &mut BTreeSet<String>) -> Result<(), Broken> {
        let node = self.graph.node(at);
        if node.when.is_some() {
            // It may be skipped, or may bring back what it can.
            self.bring_back(at, down);
            return Ok(());
        }
        self.contents(at, down)
    }

    /// A node whose own condition holds.
    fn contents(&self, at: NodeIndex, down: &mut BTreeSet<String>) -> Result<(), Broken> {
        match &self.graph.node(at).kind {
            NodeKind::Action(action) => {
                let Some(key) = down_key(self.graph, at) else {
                    return Ok(());
                };
                if action.availability > 0 {
                    down.remove(&key);
                } else if concerns(self.graph, self.invariant, at) && !down.contains(&key) {
                    if down.len() >= self.invariant.max_unavailable as usize {
                        return Err(Broken {
                            step: at,
                            down: down.iter().cloned().collect(),
                        });
                    }
                    down.insert(key);
                }
                Ok(())
            }
            NodeKind::Sequence { .. } => self.one_by_one(children(self.graph, at), down),
            // A rescue does not run if all goes well; what is always done does.
            NodeKind::Block { body, always, .. } => {
                self.one_by_one(std::iter::once(*body).chain(*always), down)
            }
            NodeKind::Rolling(rolling) => rolling
                .batches
                .iter()
                .try_for_each(|batch| self.beside(batch, down)),
            NodeKind::Parallel { children, .. } | NodeKind::Dag { children, .. } => {
                self.beside(children, down)
            }
            NodeKind::Foreach(_) => {
                // Only the run knows what is in it: it may bring everything back.
                down.clear();
                Ok(())
            }
            NodeKind::Wait { .. }
            | NodeKind::Watch(_)
            | NodeKind::Approve { .. }
            | NodeKind::Checklist(_) => Ok(()),
        }
    }

    fn one_by_one(
        &self,
        mut nodes: impl Iterator<Item = NodeIndex>,
        down: &mut BTreeSet<String>,
    ) -> Result<(), Broken> {
        nodes.try_for_each(|node| self.node(node, down))
    }

    /// In any order: each by itself, with all back that any of the others brings back.
    fn beside(&self, nodes: &[NodeIndex], down: &mut BTreeSet<String>) -> Result<(), Broken> {
        let mut left = down.clone();
        let mut after = BTreeSet::new();
        for node in nodes {
            self.bring_back(*node, &mut left);
        }
        for node in nodes {
            let mut own = left.clone();
            self.node(*node, &mut own)?;
            after.extend(own);
        }
        if let [one] = nodes {
            // Nothing else is beside it.
            return self.node(*one, down);
        }
        for node in nodes {
            self.bring_back(*node, &mut after);
        }
        *down = after;
        Ok(())
    }

    /// Everything that a part of the plan can bring back is back.
    fn bring_back(&self, at: NodeIndex, down: &mut BTreeSet<String>) {
        if down.is_empty() {
            return;
        }
        match &self.graph.node(at).kind {
            NodeKind::Action(action) if action.availability > 0 => {
                if let Some(key) = down_key(self.graph, at) {
                    down.remove(&key);
                }
            }
            NodeKind::Foreach(_) => down.clear(),
            _ => children(self.graph, at).for_each(|child| self.bring_back(child, down)),
        }
    }
}
