//! The invariant `max_unavailable`: how many targets the steps of the run may have down at once.
//!
//! What is down follows from the records, so that nothing of it is lost with the engine. A step that would take down one
//! too many is held back while anything goes on that may bring one back; then it fails before it starts.

use super::live::Activity;
use super::scheduler::{Scheduler, Turn};
use super::state::State;
use super::status::{NodeStatus, UndoStatus};
use crate::preview::down_key;
use caxplan_model::{FailureKind, Graph, Invariant, NodeIndex, NodeKind, Record};
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
    /// Whether it is a target of the inventory; else any invariant may be meant.
    known: bool,
    steps: Vec<NodeIndex>,
}

impl Availability {
    /// Looks at nodes that were added to the graph.
    fn index(&mut self, graph: &Graph) {
        if self.indexed == graph.nodes.len() {
            return;
        }
        let known: BTreeSet<&str> = graph.targets.iter().map(|target| target.name.as_str()).collect();
        for at in super::shape::indices(graph).skip(self.indexed) {
            let Some(name) = down_key(graph, at) else { continue };
            let next = self.targets.len();
            let key = *self.by_name.entry(name).or_insert_with_key(|name| {
                self.targets.push(TargetSteps {
                    known: known.contains(name.as_str()),
                    name: name.clone(),
                    steps: Vec::new(),
                });
                next
            });
            self.targets[key].steps.push(at);
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
        !self.state.graph.header.invariants.is_empty()
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
        let mut last: Option<(u64, bool)> = None;
        let mut now = false;
        for node in &self.availability.targets[key].steps {
            let takes_down = self.action(*node).availability < 0;
            now |= takes_down && self.live.activity(*node) == Activity::Preparing;
            match self.state.effect_on_target(*node) {
                Err(()) => now = true,
                Ok(effect) => last = last.max(effect),
            }
        }
        if now || last.is_some_and(|(_, takes_down)| takes_down) {
            self.availability.down.insert(key);
        } else if self.availability.down.remove(&key) {
            self.availability.freed = true;
        }
    }

    /// Why a step may not start: it would take down one target more than an invariant allows.
    fn broken_by(&mut self, node: NodeIndex) -> Option<String> {
        if !self.keeps_invariants() || self.action(node).availability >= 0 {
            return None;
        }
        self.availability.index(&self.state.graph);
        let availability = &self.availability;
        let key = *availability.of.get(&node)?;
        if availability.down.contains(&key) {
            return None;
        }
        let invariants = &self.state.graph.header.invariants;
        let concerned = invariants.iter().filter(|of| availability.concerns(of, key));
        for invariant in concerned {
            let down = availability
                .down
                .iter()
                .filter(|down| availability.concerns(invariant, **down));
            let down: Vec<&TargetSteps> = down.map(|down| &availability.targets[*down]).collect();
            if down.len() >= invariant.max_unavailable as usize {
                let names: Vec<String> = down.iter().map(|target| self.taken_down(target)).collect();
                let names = match names.is_empty() {
                    true => "none".to_owned(),
                    false => names.join(", "),
                };
                return Some(format!(
                    "not started: it would take `{}` down, which `{invariant}` does not allow; down now: {names}",
                    availability.targets[key].name,
                ));
            }
        }
        None
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
            if self.may_start(node)
                && let Some(why) = self.broken_by(node)
            {
                self.fail_before_start(node, FailureKind::Invariant, why, turn);
                return true;
            }
        }
        false
    }
}
