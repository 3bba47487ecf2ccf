//! The invariant `max_unavailable`: how many targets the steps of the run may have down at once.
//!
//! What is down follows from the records, so that nothing of it is lost with the engine. A step that would take down one
//! too many is held back while anything goes on that may bring one back; then it fails before it starts.

use super::live::Activity;
use super::scheduler::{Scheduler, Turn};
use super::state::State;
use super::status::{NodeStatus, UndoStatus};
use crate::preview::{down_key, is_target};
use caxplan_model::{FailureKind, Graph, Invariant, Node, NodeIndex, NodeKind, Record};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The number of a target in [`Availability::targets`].
type Key = usize;

/// Which targets are down, and the steps that wait until fewer are.
#[derive(Clone, Debug, Default)]
pub(super) struct Availability {
    /// How many nodes of the graph were looked at.
    indexed: usize,
    targets: Vec<TargetSteps>,
    by_name: BTreeMap<String, Key>,
    of: BTreeMap<NodeIndex, Key>,
    down: BTreeSet<Key>,
    held: VecDeque<NodeIndex>,
    /// Whether a target came back since the steps that are held back were looked at.
    freed: bool,
}

/// One target, with all steps that take it down or bring it back.
#[derive(Clone, Debug)]
struct TargetSteps {
    name: String,
    /// Whether it is a target of an inventory; else any invariant may be meant.
    known: bool,
    steps: Vec<NodeIndex>,
}

impl Availability {
    /// Looks at nodes that were added to the graph.
    fn index(&mut self, graph: &Graph) {
        if self.indexed == graph.nodes.len() {
            return;
        }
        for at in super::shape::indices(graph).skip(self.indexed) {
            let Some(name) = down_key(graph, at) else { continue };
            let next = self.targets.len();
            let key = *self.by_name.entry(name).or_insert_with_key(|name| {
                self.targets.push(TargetSteps {
                    known: false,
                    name: name.clone(),
                    steps: Vec::new(),
                });
                next
            });
            let target = &mut self.targets[key];
            target.known = target.known || is_target(graph, at, &target.name);
            target.steps.push(at);
            self.of.insert(at, key);
        }
        self.indexed = graph.nodes.len();
    }

    fn concerns(&self, invariant: &Invariant, key: Key) -> bool {
        let target = &self.targets[key];
        !target.known
            || invariant
                .targets
                .as_ref()
                .is_none_or(|names| names.contains(&target.name))
    }
}

impl State {
    /// Whether a step holds its target down now (`Err`), or by which record it last did something to it, and what.
    fn effect_on_target(&self, node: NodeIndex) -> Result<Option<(u64, bool)>, ()> {
        let NodeKind::Action(action) = &self.graph.node(node).kind else {
            return Ok(None);
        };
        let takes_down = action.availability < 0;
        if takes_down && matches!(self.status(node), NodeStatus::Running(_) | NodeStatus::InDoubt(_)) {
            return Err(());
        }
        let Some(step) = self.step(node) else {
            return Ok(None);
        };
        // What brought a target back has done so, whatever became of a later attempt.
        let (there, order) = match takes_down {
            true => (step.succeeded > 0 || step.may_have_acted, step.touched),
            false => (step.succeeded > 0, step.succeeded),
        };
        let undone = self.undo_status(node) == UndoStatus::Undone;
        Ok((there && !undone).then_some((order, takes_down)))
    }
}

impl Scheduler {
    fn keeps_invariants(&self) -> bool {
        let graph = &self.state.graph;
        let of_child = |node: &Node| matches!(&node.child, Some(child) if !child.invariants.is_empty());
        !graph.header.invariants.is_empty() || graph.nodes.iter().any(of_child)
    }

    /// The plans that a step belongs to, from its own to the run's, with what must hold in each. The run's own is `None`.
    fn plans_around(&self, step: NodeIndex) -> Vec<(Option<NodeIndex>, &[Invariant])> {
        let graph = &self.state.graph;
        let mut plans = Vec::new();
        let mut at = step;
        while let Some(run) = graph.run_around(at) {
            let child = graph.node(run).child.as_ref();
            plans.push((Some(run), child.map_or(&[][..], |child| &child.invariants)));
            at = run;
        }
        plans.push((None, &graph.header.invariants));
        plans.retain(|(_, invariants)| !invariants.is_empty());
        plans
    }

    /// Whether a target is down by what the steps of a plan did to it.
    fn is_down_in(&self, key: Key, plan: Option<NodeIndex>) -> bool {
        if !self.availability.down.contains(&key) {
            return false;
        }
        let steps = self.availability.targets[key].steps.iter();
        plan.is_none_or(|plan| self.holds_down(steps.filter(|step| self.state.is_inside(**step, plan))))
    }

    /// Whether one of the steps acts on its target in a way that has it down, or the last of them left it down.
    fn holds_down<'a>(&self, steps: impl Iterator<Item = &'a NodeIndex>) -> bool {
        let mut last: Option<(u64, bool)> = None;
        for node in steps {
            let takes_down = self.action(*node).availability < 0;
            if takes_down && self.live.activity(*node) == Activity::Preparing {
                return true;
            }
            match self.state.effect_on_target(*node) {
                Err(()) => return true,
                Ok(effect) => last = last.max(effect),
            }
        }
        last.is_some_and(|(_, takes_down)| takes_down)
    }

    /// Counts what is down anew: when an engine takes the run up.
    pub(super) fn count_down_anew(&mut self) {
        self.availability = Availability::default();
        if self.keeps_invariants() {
            self.availability.index(&self.state.graph);
            for key in 0..self.availability.targets.len() {
                self.count_down(key);
            }
        }
    }

    /// Takes in a record that was just applied.
    pub(super) fn note_availability(&mut self, record: &Record) {
        if let Record::StepStarted { node, .. } | Record::StepEnded { node, .. } = record {
            self.recount_target_of(*node);
        }
    }

    /// Counts anew whether the target of a step is down.
    pub(super) fn recount_target_of(&mut self, node: NodeIndex) {
        if let Some(key) = self.availability.of.get(&node).copied() {
            self.count_down(key);
        }
    }

    fn count_down(&mut self, key: Key) {
        if self.holds_down(self.availability.targets[key].steps.iter()) {
            self.availability.down.insert(key);
        } else if self.availability.down.remove(&key) {
            self.availability.freed = true;
        }
    }

    /// Why a step may not start: it would take down one target more than an invariant allows.
    fn broken_by(&mut self, node: NodeIndex) -> Option<String> {
        if self.action(node).availability >= 0 {
            return None;
        }
        if self.plans_around(node).is_empty() {
            return None;
        }
        self.availability.index(&self.state.graph);
        let availability = &self.availability;
        let key = *availability.of.get(&node)?;
        for (plan, invariants) in self.plans_around(node) {
            if self.is_down_in(key, plan) {
                continue;
            }
            for invariant in invariants.iter().filter(|of| availability.concerns(of, key)) {
                let down = availability
                    .down
                    .iter()
                    .filter(|down| availability.concerns(invariant, **down) && self.is_down_in(**down, plan));
                let down: Vec<&TargetSteps> = down.map(|down| &availability.targets[*down]).collect();
                if down.len() >= invariant.max_unavailable as usize {
                    return Some(self.refusal(key, plan, invariant, &down));
                }
            }
        }
        None
    }

    fn refusal(
        &self,
        key: Key,
        plan: Option<NodeIndex>,
        invariant: &Invariant,
        down: &[&TargetSteps],
    ) -> String {
        let names: Vec<String> = down.iter().map(|target| self.taken_down(target)).collect();
        let names = match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        };
        let graph = &self.state.graph;
        let child = plan.and_then(|step| graph.node(step).child.as_ref());
        let of = child.map_or_else(String::new, |child| format!(" of `{}`", child.plan));
        format!(
            "not started: it would take `{}` down, which `{invariant}`{of} does not allow; down now: {names}",
            self.availability.targets[key].name,
        )
    }

    /// A target that is down, with the step that last took it down.
    fn taken_down(&self, target: &TargetSteps) -> String {
        let downs = target.steps.iter().filter(|at| {
            let state = &self.state;
            state
                .effect_on_target(**at)
                .map_or(true, |effect| effect.is_some_and(|(_, down)| down))
        });
        match downs.max_by_key(|at| self.state.nodes[at.index()].order) {
            Some(at) => format!("`{}` (by `{}`)", target.name, self.state.graph.node(*at).id),
            None => format!("`{}`", target.name),
        }
    }

    /// Holds a step back that would break an invariant. Answers whether it did.
    pub(super) fn hold_back(&mut self, node: NodeIndex) -> bool {
        let held = self.broken_by(node).is_some();
        if held {
            self.live.set(node, Activity::Queued);
            self.availability.held.push_back(node);
        }
        held
    }

    /// Forgets who is held back: the tree is walked anew, or nothing starts any more.
    pub(super) fn forget_held(&mut self) {
        while let Some(node) = self.availability.held.pop_front() {
            if self.live.activity(node) == Activity::Queued {
                self.live.set(node, Activity::Idle);
            }
        }
    }

    /// Lets steps go on that were held back, if targets came back.
    pub(super) fn let_held_go(&mut self) {
        if !std::mem::take(&mut self.availability.freed) {
            return;
        }
        // Each is looked at anew when its turn comes.
        self.queue.extend(std::mem::take(&mut self.availability.held));
    }

    /// Fails a step that is held back, when nothing goes on that could bring a target back. Answers whether it did.
    pub(super) fn refuse_held(&mut self, turn: &mut Turn<'_>) -> bool {
        while let Some(node) = self.availability.held.pop_front() {
            if self.live.activity(node) != Activity::Queued {
                continue;
            }
            self.live.set(node, Activity::Idle);
            if !self.may_start(node) {
                continue;
            }
            match self.broken_by(node) {
                Some(why) => self.fail_before_start(node, FailureKind::Invariant, why, turn),
                None => self.todo.push_back(node),
            }
            return true;
        }
        false
    }
}
