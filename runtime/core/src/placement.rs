//! Decides where agents run.

use crate::Catalog;
use caxton_model::{AgentRecord, CatalogCommand, NodeId, NodeState};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// How many agents one call moves only to even out the load. One: while it moves, its messages wait.
const REBALANCE_MOVES_MAX: usize = 1;

/// How much more than another a node must carry before agents move. A difference of one cannot be bettered by
/// a move.
const REBALANCE_DIFFERENCE: usize = 2;

/// Proposes at most `max` assignments; none if nothing is to be done.
///
/// `live` are the nodes that membership sees alive. In this order:
///
/// 1. Agents without a node, on a node that is gone or not live, or on a draining node get another one; agents of high
///    priority first. So does an agent that runs elsewhere than on the only node that its placement allows.
/// 2. If there are none of those that can be placed, one agent moves from the fullest node to the emptiest.
///
/// Only active live nodes are chosen: the one that placement demands, else the least loaded of those it
/// prefers, else the least loaded, by number of agents and then by name. An agent that fits nowhere stays
/// where it is.
pub fn propose(catalog: &Catalog, live: &BTreeSet<NodeId>, max: usize) -> Vec<CatalogCommand> {
    let mut load: BTreeMap<&NodeId, usize> = catalog
        .nodes()
        .values()
        .filter(|node| node.state == NodeState::Active && live.contains(&node.id))
        .map(|node| (&node.id, catalog.agents_on(&node.id).count()))
        .collect();

    let mut homeless: Vec<&AgentRecord> = catalog
        .agents()
        .values()
        .filter(|agent| must_move(agent, catalog, live))
        .collect();
    homeless.sort_by_key(|agent| Reverse(agent.spec.priority));

    let mut proposals = Vec::new();
    for agent in homeless {
        if proposals.len() == max {
            return proposals;
        }
        if let Some(target) = choose(agent, &load) {
            shift(&mut load, agent, target);
            proposals.push(assign(agent, target));
        }
    }
    if proposals.is_empty() {
        while proposals.len() < max.min(REBALANCE_MOVES_MAX) {
            let Some((agent, target)) = unburden(catalog, &load) else {
                break;
            };
            shift(&mut load, agent, target);
            proposals.push(assign(agent, target));
        }
    }
    proposals
}

fn must_move(agent: &AgentRecord, catalog: &Catalog, live: &BTreeSet<NodeId>) -> bool {
    let Some(current) = &agent.assignment.node else {
        return true;
    };
    let Some(node) = catalog.node(current) else {
        return true;
    };
    if !live.contains(current) {
        return true;
    }
    match node.state {
        NodeState::Draining => true,
        NodeState::Active | NodeState::Maintenance => agent
            .spec
            .placement
            .node
            .as_ref()
            .is_some_and(|only| only != current),
    }
}

fn choose<'a>(agent: &AgentRecord, load: &BTreeMap<&'a NodeId, usize>) -> Option<&'a NodeId> {
    let placement = &agent.spec.placement;
    let least_loaded = |allowed: &dyn Fn(&NodeId) -> bool| {
        load.iter()
            .filter(|(node, _)| allowed(node))
            .min_by_key(|(node, count)| (**count, **node))
            .map(|(node, _)| *node)
    };
    match &placement.node {
        Some(only) => least_loaded(&|node| node == only),
        None => least_loaded(&|node| placement.prefer.contains(node)).or_else(|| least_loaded(&|_| true)),
    }
}

/// The move that helps most: from the fullest node that has an agent to spare to the emptiest.
fn unburden<'a>(
    catalog: &'a Catalog,
    load: &BTreeMap<&'a NodeId, usize>,
) -> Option<(&'a AgentRecord, &'a NodeId)> {
    let (target, least) = load
        .iter()
        .min_by_key(|(node, count)| (**count, **node))
        .map(|(node, count)| (*node, *count))?;
    let mut fullest: Vec<(&NodeId, usize)> = load
        .iter()
        .map(|(node, count)| (*node, *count))
        .filter(|(_, count)| *count >= least + REBALANCE_DIFFERENCE)
        .collect();
    fullest.sort_by_key(|(node, count)| (Reverse(*count), *node));
    fullest.into_iter().find_map(|(node, _)| {
        catalog
            .agents_on(node)
            .filter(|agent| may_leave(agent, node, target))
            .min_by_key(|agent| agent.spec.priority)
            .map(|agent| (agent, target))
    })
}

/// Evening out the load never breaks a placement, and never takes an agent from a node that it prefers.
fn may_leave(agent: &AgentRecord, from: &NodeId, to: &NodeId) -> bool {
    let placement = &agent.spec.placement;
    placement.node.is_none() && (!placement.prefer.contains(from) || placement.prefer.contains(to))
}

fn shift<'a>(load: &mut BTreeMap<&'a NodeId, usize>, agent: &AgentRecord, target: &'a NodeId) {
    if let Some(from) = &agent.assignment.node
        && let Some(count) = load.get_mut(from)
    {
        *count -= 1;
    }
    *load.entry(target).or_default() += 1;
}

fn assign(agent: &AgentRecord, target: &NodeId) -> CatalogCommand {
    CatalogCommand::Assign {
        agent: agent.spec.name.clone(),
        node: target.clone(),
        seen: agent.assignment.epoch,
    }
}
