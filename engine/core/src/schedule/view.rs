//! What templates see of the state.

use super::state::State;
use super::status::NodeStatus;
use crate::template::{Scope, is_template, references, resolve_map};
use caxplan_model::{Map, NodeIndex, Value};
use std::collections::BTreeSet;

impl State {
    /// The plan's notifications of the run's last end that were not tried yet. None while an engine has the run.
    pub fn to_notify(&self) -> Vec<u32> {
        let Some(end) = self.run.ended.filter(|_| !self.run.live) else {
            return Vec::new();
        };
        (0..)
            .zip(&self.graph.header.notify)
            .filter(|(number, notification)| {
                notification.on.contains(&end) && !self.run.notified.contains(number)
            })
            .map(|(number, _)| number)
            .collect()
    }

    /// What loops and plans bound for a node.
    pub fn bindings(&self, node: NodeIndex) -> Map {
        self.graph.bindings(node)
    }

    /// What `steps` is at a node: every step that has begun, by name. Where a name occurs several times, the step
    /// nearest in the tree is meant. Costs the size of all outputs: where only a few steps are named, ask
    /// [`State::step_view`] for those.
    pub fn step_scope(&self, node: NodeIndex) -> Map {
        let mut scope = Map::new();
        for at in super::shape::indices(&self.graph) {
            let name = &self.graph.node(at).name;
            if !self.nodes[at.index()].begun || name.is_empty() || scope.contains_key(name.as_str()) {
                continue;
            }
            if let Some(view) = self.step_view(name, node) {
                scope.insert(name.to_string(), view);
            }
        }
        scope
    }

    /// What `steps.<name>` is at a node: an object with `status`, and with `output` and `before` where there are any.
    /// `name` is a step's name or its id. `None` if there is no such step.
    pub fn step_view(&self, name: &str, node: NodeIndex) -> Option<Value> {
        Some(self.view_of(self.resolve_name(name, node)?))
    }

    fn view_of(&self, at: NodeIndex) -> Value {
        let mut view = Map::new();
        view.insert("status".to_owned(), Value::from(self.status(at).word()));
        if let Some(step) = self.step(at) {
            if let Some(output) = step.outcome.as_ref().and_then(|outcome| outcome.output()) {
                view.insert("output".to_owned(), output.clone());
            }
            if let Some(before) = &step.before {
                view.insert("before".to_owned(), Value::clone(before));
            }
        }
        if let Some(output) = self.child_output(at) {
            view.insert("output".to_owned(), output);
        }
        Value::Object(view)
    }

    /// The step that a name means at a node: of several, the one that shares the nearest group with it, and of those
    /// the last one that has begun.
    pub fn resolve_name(&self, name: &str, node: NodeIndex) -> Option<NodeIndex> {
        self.resolve_within(name, node, self.graph.run_around(node))
    }

    /// As [`State::resolve_name`], among the steps of one plan.
    fn resolve_within(&self, name: &str, node: NodeIndex, inside: Option<NodeIndex>) -> Option<NodeIndex> {
        let last = name.rsplit('/').next().unwrap_or(name);
        let mut named = self
            .shapes
            .named(&self.graph, last)
            .iter()
            .copied()
            .filter(|at| self.graph.run_around(*at) == inside)
            .filter(|at| last.len() == name.len() || self.graph.node(*at).id.as_str() == name);
        let first = named.next()?;
        let Some(second) = named.next() else {
            return Some(first);
        };
        let around = self.path(node);
        [first, second].into_iter().chain(named).max_by_key(|at| {
            let shared = self
                .path(*at)
                .iter()
                .zip(&around)
                .take_while(|(a, b)| a == b)
                .count();
            (shared, self.nodes[at.index()].begun)
        })
    }

    /// A phase of the plan that a step runs: what that plan's outputs see is what it sees.
    fn child_phase(&self, step: NodeIndex) -> Option<NodeIndex> {
        let child = self.graph.node(step).child.as_ref()?;
        let levels = if child.late { 3 } else { 1 };
        (0..levels).try_fold(step, |at, _| self.children(at).first().copied())
    }

    /// The outputs of the plan that a step ran to a good end.
    fn child_output(&self, step: NodeIndex) -> Option<Value> {
        let outputs = &self.graph.node(step).child.as_ref()?.outputs;
        if outputs.is_empty() || !matches!(self.status(step), NodeStatus::Succeeded { .. }) {
            return None;
        }
        let phase = self.child_phase(step)?;
        let mut root = self.bindings(phase);
        let graph = &self.graph;
        let targets = || serde_json::to_value(&graph.targets).unwrap_or_default();
        root.entry("targets").or_insert_with(targets);
        let steps = named_steps(outputs);
        let view = |name: &String| Some((name.clone(), self.view_of(self.resolve_output(name, step)?)));
        root.insert(
            "steps".to_owned(),
            Value::Object(steps.iter().filter_map(view).collect()),
        );
        let scope = Scope {
            root: Value::Object(root),
        };
        // One that cannot be had is missing: who reads it fails, and says which.
        let one = |(name, value): (&String, &Value)| {
            let one = Map::from_iter([(name.clone(), value.clone())]);
            Some((name.clone(), resolve_map(&one, &scope).ok()?.remove(name)?))
        };
        Some(Value::Object(outputs.iter().filter_map(one).collect()))
    }

    /// The step that the outputs of the plan mean by a name: they stand beside its phases.
    fn resolve_output(&self, name: &str, step: NodeIndex) -> Option<NodeIndex> {
        let parent = self.parent(self.child_phase(step)?)?;
        self.resolve_within(name, parent, Some(step))
    }

    /// The steps that the outputs of the plan read which a step runs.
    pub(crate) fn outputs_read(&self, step: NodeIndex) -> Vec<NodeIndex> {
        let Some(child) = &self.graph.node(step).child else {
            return Vec::new();
        };
        let names = named_steps(&child.outputs);
        names
            .iter()
            .filter_map(|name| self.resolve_output(name, step))
            .collect()
    }

    /// The nodes from the root to this one.
    fn path(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let mut path = vec![node];
        while let Some(parent) = path.last().and_then(|at| self.parent(*at)) {
            path.push(parent);
        }
        path.reverse();
        path
    }
}

/// The names of the steps that the texts of a value speak of.
fn named_steps(outputs: &Map) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut open: Vec<&Value> = outputs.values().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) if is_template(text) => {
                let paths = references(text).unwrap_or_default();
                let name = |path: &String| path.strip_prefix("steps.")?.split('.').next().map(str::to_owned);
                names.extend(paths.iter().filter_map(name));
            }
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    names
}
