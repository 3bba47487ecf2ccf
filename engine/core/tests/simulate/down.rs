//! Which targets are down, from the records alone: no step may take down more than the plan's invariants allow.

use crate::rng::Rng;
use caxplan_model::{FailureKind, Graph, Invariant, Node, NodeIndex, NodeKind, Record};
use std::collections::{BTreeMap, BTreeSet};

/// The targets that are down.
#[derive(Default)]
pub(crate) struct Down {
    down: BTreeSet<String>,
    /// By step that takes its target down and whose attempt goes on or was lost: whether the target was down before.
    open: BTreeMap<NodeIndex, bool>,
    /// Steps that may have taken their target down.
    acted: BTreeSet<NodeIndex>,
}

impl Down {
    pub(crate) fn take_in(&mut self, graph: &Graph, record: &Record) -> Result<(), String> {
        let (Record::StepStarted { node, .. } | Record::StepEnded { node, .. }) = record else {
            return Ok(());
        };
        let NodeKind::Action(action) = &graph.node(*node).kind else {
            return Ok(());
        };
        let target = action.target.clone().filter(|_| action.availability != 0);
        let Some(target) = target.map(String::from) else {
            return Ok(());
        };
        match record {
            Record::StepStarted { .. } if action.availability < 0 => {
                let new = self.down.insert(target.clone());
                self.open.entry(*node).or_insert(!new);
                let most = graph.header.invariants.iter().map(|of| of.max_unavailable).min();
                if new && most.is_some_and(|most| self.down.len() > most as usize) {
                    return Err(format!("{target} is taken down beside {:?}", self.down));
                }
            }
            Record::StepEnded { outcome, .. } if action.availability < 0 => {
                let before = self.open.remove(node);
                let there = outcome.is_success() || (outcome.may_have_acted() && !action.read_only);
                if there {
                    self.acted.insert(*node);
                }
                if before == Some(false) && !self.acted.contains(node) && !self.is_held(graph, &target) {
                    self.down.remove(&target);
                }
            }
            Record::StepEnded { outcome, .. } if outcome.is_success() => {
                if self.is_open(graph, &target) {
                    // If what goes on turns out to have done nothing, the target is up.
                    for (at, was_down) in &mut self.open {
                        *was_down &= !takes_down(graph, *at, &target);
                    }
                } else {
                    self.down.remove(&target);
                }
                self.acted.retain(|at| !takes_down(graph, *at, &target));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether an attempt goes on that takes the target down.
    fn is_open(&self, graph: &Graph, target: &str) -> bool {
        self.open.keys().any(|at| takes_down(graph, *at, target))
    }

    fn is_held(&self, graph: &Graph, target: &str) -> bool {
        self.is_open(graph, target) || self.acted.iter().any(|at| takes_down(graph, *at, target))
    }
}

fn takes_down(graph: &Graph, at: NodeIndex, target: &str) -> bool {
    matches!(&graph.node(at).kind, NodeKind::Action(action) if action.target.as_deref() == Some(target))
}

/// Gives the steps of a plan targets and effects on them, and the plan an invariant.
pub(crate) fn restrict(graph: &mut Graph, rng: &mut Rng) {
    let max_unavailable = *rng.pick(&[0, 1, 1, 1, 2]);
    graph.header.invariants = vec![Invariant {
        max_unavailable,
        targets: None,
        written: format!("max_unavailable: {max_unavailable}"),
    }];
    affect(&mut graph.nodes, rng);
}

fn affect(nodes: &mut [Node], rng: &mut Rng) {
    for node in nodes {
        match &mut node.kind {
            NodeKind::Action(action) => {
                action.target = Some((*rng.pick(&["a", "b", "c"])).into());
                action.availability = *rng.pick(&[-1, -1, 0, 1, 1]);
            }
            NodeKind::Foreach(foreach) => affect(&mut foreach.body, rng),
            _ => {}
        }
    }
}

/// Whether one of the last engines refused a step because of an invariant: then the run may never end well.
pub(crate) fn was_refused(journal: &[Record], engines: u32) -> bool {
    let mut left = engines;
    journal
        .iter()
        .rev()
        .take_while(|record| {
            left -= u32::from(matches!(record, Record::Resumed { .. }));
            left > 0
        })
        .any(|record| match record {
            Record::StepEnded { outcome, .. } => outcome
                .cause()
                .is_some_and(|cause| cause.kind == FailureKind::Invariant),
            _ => false,
        })
}
