//! Placement converges, does not flap, and gives each agent one node, whatever happens to the nodes.

use caxton_core::{Catalog, placement};
use caxton_model::{AgentName, AgentSpec, CatalogCommand, CatalogReply, NodeId, NodeState};
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const NODES: usize = 5;

/// How many agents a cluster of the test has at most.
const AGENTS_MAX: usize = 20;

/// What can happen to a cluster.
#[derive(Clone, Debug)]
enum Event {
    Deploy { agent: usize, placement: Where },
    Remove { agent: usize },
    State { node: usize, state: NodeState },
    Dies { node: usize },
    Returns { node: usize },
    Forget { node: usize },
    Register { node: usize },
}

#[derive(Clone, Debug)]
enum Where {
    Anywhere,
    Only(usize),
    Rather(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let node = 0..NODES;
    let agent = 0..AGENTS_MAX;
    let placement = prop_oneof![
        4 => Just(Where::Anywhere),
        1 => node.clone().prop_map(Where::Only),
        1 => node.clone().prop_map(Where::Rather),
    ];
    let state = prop_oneof![
        Just(NodeState::Active),
        Just(NodeState::Draining),
        Just(NodeState::Maintenance)
    ];
    prop_oneof![
        8 => (agent.clone(), placement).prop_map(|(agent, placement)| Event::Deploy { agent, placement }),
        1 => agent.prop_map(|agent| Event::Remove { agent }),
        2 => (node.clone(), state).prop_map(|(node, state)| Event::State { node, state }),
        2 => node.clone().prop_map(|node| Event::Dies { node }),
        2 => node.clone().prop_map(|node| Event::Returns { node }),
        1 => node.clone().prop_map(|node| Event::Forget { node }),
        2 => node.prop_map(|node| Event::Register { node }),
    ]
}

fn node(index: usize) -> NodeId {
    NodeId(format!("node-{index}"))
}

struct World {
    catalog: Catalog,
    live: BTreeSet<NodeId>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            catalog: Catalog::default(),
            live: BTreeSet::new(),
        };
        for index in 0..NODES {
            world.happen(&Event::Register { node: index });
            world.happen(&Event::Returns { node: index });
        }
        world
    }

    fn happen(&mut self, event: &Event) {
        let command = match event {
            Event::Deploy { agent, placement } => {
                let placement = match placement {
                    Where::Anywhere => json!({}),
                    Where::Only(index) => json!({"node": node(*index)}),
                    Where::Rather(index) => json!({"prefer": [node(*index)]}),
                };
                let spec = json!({"name": format!("agent-{agent}"), "module": "00", "placement": placement});
                let spec: AgentSpec = serde_json::from_value(spec).unwrap();
                CatalogCommand::DeployAgent { spec }
            }
            Event::Remove { agent } => CatalogCommand::RemoveAgent {
                agent: AgentName(format!("agent-{agent}")),
            },
            Event::State { node: index, state } => CatalogCommand::SetNodeState {
                node: node(*index),
                state: *state,
            },
            Event::Forget { node: index } => CatalogCommand::RemoveNode { node: node(*index) },
            Event::Register { node: index } => {
                let record = json!({"id": node(*index), "cluster_addr": "", "api_addr": "", "version": "1"});
                CatalogCommand::RegisterNode {
                    node: serde_json::from_value(record).unwrap(),
                }
            }
            Event::Dies { node: index } => {
                self.live.remove(&node(*index));
                return;
            }
            Event::Returns { node: index } => {
                self.live.insert(node(*index));
                return;
            }
        };
        // A refusal is as good: the sequence goes on from the same facts.
        self.catalog.apply(&command);
    }

    /// Proposes and applies until there is nothing more to propose. All proposals must be applicable.
    fn settle(&mut self, max: usize) -> usize {
        let mut moves = 0;
        loop {
            let proposals = placement::propose(&self.catalog, &self.live, max);
            assert!(proposals.len() <= max);
            assert_eq!(
                proposals,
                placement::propose(&self.catalog, &self.live, max),
                "it is deterministic"
            );
            if proposals.is_empty() {
                return moves;
            }
            for proposal in proposals {
                self.check_reason(&proposal);
                let reply = self.catalog.apply(&proposal);
                assert!(
                    matches!(reply, CatalogReply::Applied { .. }),
                    "{proposal:?}: {reply:?}"
                );
                assert!(
                    matches!(self.catalog.apply(&proposal), CatalogReply::Refused { .. }),
                    "a proposal that was decided on old facts is refused"
                );
                moves += 1;
            }
            assert!(moves <= 2 * AGENTS_MAX, "it goes on and on");
        }
    }

    /// An agent on a node that is well moves only to even out the load, and then makes it more even.
    fn check_reason(&self, proposal: &CatalogCommand) {
        let CatalogCommand::Assign {
            agent, node: target, ..
        } = proposal
        else {
            panic!("placement proposes assignments only: {proposal:?}");
        };
        assert!(self.takes_agents(target), "{target} cannot take {agent}");
        let record = self.catalog.agent(agent).unwrap();
        let Some(current) = &record.assignment.node else {
            return;
        };
        let well = self.live.contains(current)
            && self
                .catalog
                .node(current)
                .is_some_and(|node| node.state != NodeState::Draining);
        let misplaced = record
            .spec
            .placement
            .node
            .as_ref()
            .is_some_and(|only| only != current);
        if well && !misplaced {
            let load = self.load();
            assert!(load[current] > load[target] + 1, "{agent} was moved for nothing");
        }
    }

    fn takes_agents(&self, id: &NodeId) -> bool {
        self.live.contains(id)
            && self
                .catalog
                .node(id)
                .is_some_and(|node| node.state == NodeState::Active)
    }

    fn load(&self) -> BTreeMap<NodeId, usize> {
        let count = |id: &NodeId| self.catalog.agents_on(id).count();
        self.catalog
            .nodes()
            .keys()
            .map(|id| (id.clone(), count(id)))
            .collect()
    }

    /// Every agent that has somewhere to run runs there; nothing is to be evened out that could be.
    fn check_settled(&self) {
        let takers: Vec<NodeId> = self
            .catalog
            .nodes()
            .keys()
            .filter(|id| self.takes_agents(id))
            .cloned()
            .collect();
        for (name, agent) in self.catalog.agents() {
            let possible = match &agent.spec.placement.node {
                Some(only) => takers.contains(only),
                None => !takers.is_empty(),
            };
            let on = agent.assignment.node.as_ref();
            let well = on.is_some_and(|on| {
                let state = self.catalog.node(on).map(|node| node.state);
                self.live.contains(on) && matches!(state, Some(NodeState::Active | NodeState::Maintenance))
            });
            assert!(well || !possible, "{name} could run, and is on {on:?}");
        }
        let movable = |id: &NodeId| {
            let free = |agent: &caxton_model::AgentRecord| {
                agent.spec.placement == caxton_model::Placement::default()
            };
            self.catalog.agents_on(id).any(free)
        };
        let load = self.load();
        let least = takers.iter().map(|id| load[id]).min().unwrap_or(0);
        for id in &takers {
            assert!(
                load[id] <= least + 1 || !movable(id),
                "{id} carries {} beside {least}",
                load[id]
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_converges_and_then_rests(events in prop::collection::vec(event(), 1..60), max in 1usize..8) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
            world.settle(max);
            world.check_settled();
            let agents = world.catalog.agents();
            let placed = agents.values().filter(|agent| agent.assignment.node.is_some()).count();
            let by_node: usize = world.load().values().sum();
            prop_assert_eq!(placed, by_node, "each agent counts on one node");
            prop_assert_eq!(world.settle(max), 0, "nothing happened, so nothing moves");
        }
    }
}

#[test]
fn a_returned_node_gets_agents_one_at_a_time() {
    let mut world = World::new();
    for index in 2..NODES {
        world.happen(&Event::Forget { node: index });
    }
    world.happen(&Event::State {
        node: 1,
        state: NodeState::Draining,
    });
    for agent in 0..8 {
        world.happen(&Event::Deploy {
            agent,
            placement: Where::Anywhere,
        });
    }
    assert_eq!(world.settle(100), 8);
    assert_eq!(world.load()[&node(0)], 8);
    world.happen(&Event::State {
        node: 1,
        state: NodeState::Active,
    });
    assert_eq!(placement::propose(&world.catalog, &world.live, 100).len(), 1);
    assert_eq!(world.settle(100), 4);
    assert_eq!(world.load()[&node(1)], 4);
}

#[test]
fn the_most_important_agents_are_placed_first() {
    let mut world = World::new();
    for (name, priority) in [("a", "low"), ("b", "critical"), ("c", "normal")] {
        let spec = json!({"name": name, "module": "00", "priority": priority});
        let spec = serde_json::from_value(spec).unwrap();
        world.catalog.apply(&CatalogCommand::DeployAgent { spec });
    }
    let proposals = placement::propose(&world.catalog, &world.live, 2);
    let names: Vec<_> = proposals
        .iter()
        .map(|proposal| match proposal {
            CatalogCommand::Assign { agent, .. } => agent.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["b", "c"]);
}
