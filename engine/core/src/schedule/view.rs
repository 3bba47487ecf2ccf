//! What templates see of the state.

use super::state::State;
use caxplan_model::{Map, NodeIndex, Value};

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

    /// What `foreach` bound for a node: its own bindings and those of the groups around it; the nearest wins.
    pub fn bindings(&self, node: NodeIndex) -> Map {
        let mut all = Map::new();
        let mut at = Some(node);
        while let Some(current) = at {
            for (name, value) in &self.graph.node(current).bindings {
                if !all.contains_key(name) {
                    all.insert(name.clone(), value.clone());
                }
            }
            at = self.parent(current);
        }
        all
    }

    /// What `steps` is at a node: every step that has begun, by name. Where a name occurs several times, the step
    /// nearest in the tree is meant. Costs the size of all outputs: where only a few steps are named, ask
    /// [`State::step_view`] for those.
    pub fn step_scope(&self, node: NodeIndex) -> Map {
        let mut scope = Map::new();
        for at in super::shape::indices(&self.graph) {
            let name = &self.graph.node(at).name;
            if !self.nodes[at.index()].begun || name.is_empty() || scope.contains_key(name) {
                continue;
            }
            if let Some(view) = self.step_view(name, node) {
                scope.insert(name.clone(), view);
            }
        }
        scope
    }

    /// What `steps.<name>` is at a node: an object with `status`, and with `output` and `before` where there are any.
    /// `name` is a step's name or its id. `None` if there is no such step.
    pub fn step_view(&self, name: &str, node: NodeIndex) -> Option<Value> {
        let at = self.resolve_name(name, node)?;
        let mut view = Map::new();
        view.insert("status".to_owned(), Value::from(self.status(at).word()));
        if let Some(step) = self.step(at) {
            if let Some(output) = step.outcome.as_ref().and_then(|outcome| outcome.output()) {
                view.insert("output".to_owned(), output.clone());
            }
            if !step.before.is_null() {
                view.insert("before".to_owned(), step.before.clone());
            }
        }
        Some(Value::Object(view))
    }

    /// The step that a name means at a node: of several, the one that shares the nearest group with it, and of those
    /// the last one that has begun.
    pub fn resolve_name(&self, name: &str, node: NodeIndex) -> Option<NodeIndex> {
        let last = name.rsplit('/').next().unwrap_or(name);
        let mut named = self
            .shapes
            .named(&self.graph, last)
            .iter()
            .copied()
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
