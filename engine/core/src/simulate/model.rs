//! A plan, as all simulated runs of it see it.

use super::fault::FaultKind;
use super::script::Script;
use super::story::Story;
use super::world::World;
use crate::schedule::Event;
use caxplan_model::{Duration, Graph, NodeKind, RunEnd};
use std::collections::{BTreeMap, BTreeSet};

/// What is the same in all simulated runs of a plan.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) graph: Graph,
    pub(super) secret: BTreeSet<String>,
    pub(super) limits: BTreeMap<String, Duration>,
    pub(super) items: u32,
}

impl Model {
    /// A model of a plan. `secret` are the names of its secret parameters, `limits` the time limits that actions have by
    /// themselves, and `items` how many stand-ins a loop gets over a list that only the run knows.
    pub fn new(
        mut graph: Graph,
        secret: BTreeSet<String>,
        limits: BTreeMap<String, Duration>,
        items: u32,
    ) -> Self {
        for node in &mut graph.nodes {
            without_jitter(&mut node.kind);
        }
        Self {
            graph,
            secret,
            limits,
            items,
        }
    }

    /// The plan.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Runs the plan as the script says.
    pub fn run(&self, script: &Script) -> Story {
        let mut world = World::new(self, script);
        world.play(Vec::new());
        world.into_story()
    }

    /// Runs the plan as the script says; then, with nothing going wrong any more, resumes or rolls back what is left.
    pub(super) fn run_on(&self, script: &Script) -> (Story, Story, Story) {
        let calm = Script {
            faults: script
                .faults
                .iter()
                .filter(|fault| fault.kind == FaultKind::NotTaken)
                .cloned()
                .collect(),
            crash: None,
            ..script.clone()
        };
        let mut world = World::new(self, script);
        world.play(Vec::new());
        let go_on = |events: Vec<Event>| {
            let mut world = world.under(&calm);
            if world.end().is_none_or(RunEnd::is_resumable) || !events.is_empty() {
                world.play(events);
            }
            world.into_story()
        };
        let resumed = go_on(Vec::new());
        let to = None;
        let reason = "a person asked for it".to_owned();
        let rolled_back = match world.end() {
            Some(RunEnd::RolledBack) => go_on(Vec::new()),
            Some(_) | None => go_on(vec![Event::Rollback { to, reason }]),
        };
        (world.into_story(), resumed, rolled_back)
    }
}

/// The longest pauses, so that the time is an upper bound.
fn without_jitter(kind: &mut NodeKind) {
    match kind {
        NodeKind::Action(action) => {
            if let Some(retry) = &mut action.retry {
                retry.jitter = false;
            }
        }
        NodeKind::Foreach(foreach) => {
            for node in &mut foreach.body {
                without_jitter(&mut node.kind);
            }
        }
        NodeKind::Sequence { .. }
        | NodeKind::Parallel { .. }
        | NodeKind::Dag { .. }
        | NodeKind::Rolling(_)
        | NodeKind::Block { .. }
        | NodeKind::Wait { .. }
        | NodeKind::Watch(_)
        | NodeKind::Approve { .. }
        | NodeKind::Checklist(_) => {}
    }
}
