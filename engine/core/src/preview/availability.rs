//! The most targets that are down at once, over every order in which the plan can run.
//!
//! An upper bound: children that may run at once are taken to be down at once, and elements of a loop whose failure is
//! tolerated are taken to stay down.

use super::AT_RUN_TIME;
use caxplan_model::{Graph, Items, NodeIndex, NodeKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// How many targets are down at once, at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "known", rename_all = "snake_case")]
pub enum Down {
    /// Never more than this.
    AtMost {
        /// The number of targets.
        count: u32,
    },
    /// It depends on a list that only the run will know.
    AtRunTime,
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost { count: 0 } => f.write_str("none"),
            Self::AtMost { count: 1 } => f.write_str("at most 1 target"),
            Self::AtMost { count } => write!(f, "at most {count} targets"),
            Self::AtRunTime => f.write_str(AT_RUN_TIME),
        }
    }
}

/// What a part of the plan does to the number of targets that are down.
#[derive(Clone, Debug, Default)]
struct Part {
    /// The most that are down at once while it runs, above those that were down before.
    peak: u32,
    /// How many more are down when it has ended; negative if it brings some back.
    net: i64,
    /// The targets that it takes down: the peak cannot be higher than their number.
    targets: BTreeSet<String>,
    /// Whether the peak depends on a list that only the run will know.
    open: bool,
}

/// The bound for the whole plan. `target` names the target of a node.
pub(super) fn most_down(graph: &Graph, target: &dyn Fn(NodeIndex) -> Option<String>) -> Down {
    let mut parts: Vec<Part> = vec![Part::default(); graph.nodes.len()];
    // Children stand behind their parents.
    for at in (0..graph.nodes.len()).rev() {
        let node = NodeIndex(u32::try_from(at).unwrap_or(u32::MAX));
        parts[at] = part(graph, node, &parts, target);
    }
    match parts.first() {
        Some(root) if root.open => Down::AtRunTime,
        Some(root) => Down::AtMost { count: root.peak },
        None => Down::AtMost { count: 0 },
    }
}

fn part(
    graph: &Graph,
    node: NodeIndex,
    parts: &[Part],
    target: &dyn Fn(NodeIndex) -> Option<String>,
) -> Part {
    let of = |children: &[NodeIndex]| {
        children
            .iter()
            .map(|child| parts[child.index()].clone())
            .collect()
    };
    match &graph.node(node).kind {
        NodeKind::Sequence { children } => chained(of(children)),
        NodeKind::Parallel { children, max } | NodeKind::Dag { children, max } => beside(of(children), *max),
        NodeKind::Rolling(rolling) => {
            let at_once = rolling.max_unavailable.unwrap_or(0);
            let batches = rolling.batches.iter().map(|batch| beside(of(batch), at_once));
            let mut all = chained(batches.collect());
            let element = rolling
                .batches
                .iter()
                .flatten()
                .map(|child| parts[child.index()].peak);
            // An element whose failure is tolerated may stay down while others go on.
            let stay = element.max().unwrap_or(0).saturating_mul(rolling.max_failures);
            all.peak = all.peak.saturating_add(stay).min(size(&all.targets));
            all
        }
        NodeKind::Foreach(foreach) => {
            let inner = Graph {
                nodes: foreach.body.clone(),
                ..graph.clone()
            };
            let element = match most_down(&inner, &|node| Some(node.0.to_string())) {
                Down::AtMost { count: 0 } => return Part::default(),
                down => down,
            };
            match (element, foreach.batch_size.trim().parse::<u32>(), &foreach.items) {
                // Whatever the list will be, no more than a batch and the tolerated failures are down at once.
                (Down::AtMost { count }, Ok(size), Items::Template(_) | Items::Known(_)) => {
                    let at_once = foreach.max_unavailable.unwrap_or(size).min(size);
                    let peak = count.saturating_mul(at_once.saturating_add(foreach.max_failures));
                    Part {
                        peak,
                        targets: (0..peak).map(|number| format!("{}#{number}", node.0)).collect(),
                        ..Part::default()
                    }
                }
                _ => Part {
                    open: true,
                    ..Part::default()
                },
            }
        }
        NodeKind::Block { body, rescue, always } => {
            let children: Vec<NodeIndex> = std::iter::once(*body).chain(*rescue).chain(*always).collect();
            chained(of(&children))
        }
        NodeKind::Action(action) => {
            let name = target(node).unwrap_or_else(|| format!("?{}", node.0));
            match action.availability {
                0 => Part::default(),
                down if down < 0 => Part {
                    peak: 1,
                    net: 1,
                    targets: BTreeSet::from([name]),
                    open: false,
                },
                _ => Part {
                    net: -1,
                    ..Part::default()
                },
            }
        }
        NodeKind::Wait { .. } | NodeKind::Watch(_) | NodeKind::Approve { .. } | NodeKind::Checklist(_) => {
            Part::default()
        }
    }
}

/// One after the other.
fn chained(children: Vec<Part>) -> Part {
    let mut all = Part::default();
    for child in children {
        let before = u32::try_from(all.net.max(0)).unwrap_or(u32::MAX);
        all.peak = all.peak.max(before.saturating_add(child.peak));
        all.net += child.net;
        all.targets.extend(child.targets);
        all.open |= child.open;
    }
    all.peak = all.peak.min(size(&all.targets));
    all
}

/// So many at once (0: all of them), in any order.
fn beside(children: Vec<Part>, at_once: u32) -> Part {
    let mut all = Part::default();
    let mut above = Vec::new();
    for child in children {
        let stays = u32::try_from(child.net.max(0)).unwrap_or(u32::MAX);
        all.peak = all.peak.saturating_add(stays);
        above.push(child.peak.saturating_sub(stays));
        all.net += child.net;
        all.targets.extend(child.targets);
        all.open |= child.open;
    }
    above.sort_unstable_by(|a, b| b.cmp(a));
    let count = if at_once == 0 {
        above.len()
    } else {
        at_once as usize
    };
    all.peak = above
        .iter()
        .take(count)
        .fold(all.peak, |peak, more| peak.saturating_add(*more));
    all.peak = all.peak.min(size(&all.targets));
    all
}

fn size(targets: &BTreeSet<String>) -> u32 {
    u32::try_from(targets.len()).unwrap_or(u32::MAX)
}
