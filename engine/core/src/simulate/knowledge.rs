//! What can be known before the run: templates and conditions over what is there, and what only the run knows.

use super::script::Script;
use crate::condition;
use crate::schedule::State;
use crate::template::{self, Scope, is_template};
use caxplan_model::{Map, NodeIndex, StepId, Value};
use std::collections::BTreeSet;

/// What a text is, as far as it can be known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Known {
    /// This.
    Value(Value),
    /// Only the run knows: the first thing in it that nobody knows before.
    AtRunTime(String),
    /// It cannot be had, now or in the run.
    Wrong(String),
}

/// What is the same for all texts of a graph.
#[derive(Clone, Debug)]
pub(super) struct Knowledge {
    fixed: Map,
    /// Parameters whose values are secret.
    secret: BTreeSet<String>,
}

impl Knowledge {
    pub(super) fn of(state: &State, script: &Script, secret: &BTreeSet<String>) -> Self {
        let graph = state.graph();
        let targets = serde_json::to_value(&graph.targets).unwrap_or_default();
        let run = serde_json::json!({
            "id": "simulated",
            "name": graph.header.name,
            "plan": "",
            "plan_dir": "",
        });
        let given = |what: &str| {
            let values = script.known.get(what);
            Value::Object(values.cloned().unwrap_or_default().into_iter().collect())
        };
        let fixed = [
            ("params", Value::Object(graph.params.clone())),
            ("vars", Value::Object(graph.vars.clone())),
            ("targets", targets),
            ("run", run),
            ("env", given("env")),
            ("secrets", given("secrets")),
        ];
        Self {
            fixed: fixed
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            secret: secret.clone(),
        }
    }

    /// What a text of a node is. `guessed` are the loops whose items are stand-ins: what they bind is not known, unless
    /// it is only asked for a name to call things by.
    pub(super) fn evaluate(
        &self,
        state: &State,
        node: NodeIndex,
        text: &str,
        script: &Script,
        guessed: &BTreeSet<NodeIndex>,
    ) -> Known {
        let paths = match paths(text) {
            Ok(paths) => paths,
            Err(message) => return Known::Wrong(message),
        };
        let stand_ins = stand_ins(state, state.graph().standpoint(node), guessed);
        if let Some(unknown) = paths
            .iter()
            .find(|path| self.is_unknown(path, state, node, script, &stand_ins))
        {
            return Known::AtRunTime(unknown.join("."));
        }
        let scope = self.scope(state, node, &paths);
        let value = if is_template(text) {
            template::resolve(text, &scope)
        } else {
            template::evaluate_when(text, &scope).map(Value::Bool)
        };
        match value {
            Ok(value) => Known::Value(value),
            Err(message) => Known::Wrong(message),
        }
    }

    /// What conditions on a step's output say: the first that is not met, if all that they read is known.
    pub(super) fn unmet(
        &self,
        state: &State,
        node: NodeIndex,
        checks: &[String],
        output: &Value,
    ) -> Option<String> {
        checks.iter().find_map(|check| {
            let mut scope = self.scope(state, node, &paths(check).ok()?);
            if let Value::Object(root) = &mut scope.root {
                root.insert("output".to_owned(), output.clone());
            }
            match condition::evaluate(check, &scope.root) {
                Ok(verdict) if verdict.ok => None,
                Ok(verdict) => Some(format!("expected `{check}`: {}", verdict.detail)),
                Err(message) => Some(message),
            }
        })
    }

    /// The scope at a node, with the steps that the paths name.
    pub(super) fn scope(&self, state: &State, node: NodeIndex, paths: &[Vec<String>]) -> Scope {
        let mut root = self.fixed.clone();
        root.extend(state.bindings(node));
        let of_steps: Vec<&Vec<String>> = paths.iter().filter(|path| path[0] == "steps").collect();
        let steps = if of_steps.iter().any(|path| path.len() == 1) {
            state.step_scope(node)
        } else {
            let view = |path: &&Vec<String>| Some((path[1].clone(), state.step_view(&path[1], node)?));
            of_steps.iter().filter_map(view).collect()
        };
        root.insert("steps".to_owned(), Value::Object(steps));
        Scope {
            root: Value::Object(root),
        }
    }

    fn is_unknown(
        &self,
        path: &[String],
        state: &State,
        node: NodeIndex,
        script: &Script,
        stand_ins: &BTreeSet<String>,
    ) -> bool {
        let second = path.get(1).map(String::as_str);
        match (path[0].as_str(), second) {
            ("steps", None) => true,
            ("steps", Some(name)) => {
                let field = path.get(2).map(String::as_str);
                state
                    .resolve_name(name, node)
                    .is_some_and(|step| is_silent(state, step, field, script))
            }
            (what @ ("env" | "secrets"), Some(name)) => {
                let given = script.known.get(what);
                given.is_none_or(|given| !given.contains_key(name))
            }
            ("env" | "secrets", None) => true,
            ("params", Some(name)) if !stand_ins.contains("params") => {
                let graph = state.graph();
                match graph.run_around(graph.standpoint(node)) {
                    Some(step) => {
                        let child = graph.node(step).child.as_ref();
                        child.is_some_and(|child| child.secrets.contains_key(name))
                    }
                    None => self.secret.contains(name),
                }
            }
            (name, _) => stand_ins.contains(name),
        }
    }
}

/// Whether a step has said something that the model does not know.
fn is_silent(state: &State, step: NodeIndex, field: Option<&str>, script: &Script) -> bool {
    let id = &state.graph().node(step).id;
    let has_output = state
        .outcome(step)
        .is_some_and(|outcome| outcome.output().is_some());
    let output = has_output && !script.outputs.contains_key(id);
    let child = state
        .outputs_read(step)
        .into_iter()
        .any(|read| is_silent(state, read, None, script));
    let output = output || child;
    let before = state.last_attempt(step).is_some() && !script.befores.contains_key(id);
    match field {
        Some("status") => false,
        Some("output") => output,
        Some("before") => before,
        Some(_) | None => output || before,
    }
}

/// The names that loops over stand-ins bind at a node.
fn stand_ins(state: &State, node: NodeIndex, guessed: &BTreeSet<NodeIndex>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut at = Some(node);
    while let Some(current) = at {
        let parent = state.parent(current);
        let is_stand_in = parent.is_some_and(|parent| guessed.contains(&parent));
        for name in state.graph().node(current).bindings.keys() {
            if seen.insert(name.clone()) && is_stand_in {
                names.insert(name.clone());
            }
        }
        at = parent;
    }
    names
}

/// What a template or a condition reads, as paths.
pub(super) fn paths(text: &str) -> Result<Vec<Vec<String>>, String> {
    if is_template(text) {
        let names = template::references(text).map_err(|error| format!("`{text}`: {}", error.message))?;
        return Ok(names
            .iter()
            .map(|name| name.split('.').map(str::to_owned).collect())
            .collect());
    }
    let condition = condition::parse(text).map_err(|error| format!("`{text}`: {}", error.message))?;
    let mut paths = Vec::new();
    condition.for_each_path(&mut |path| {
        if !path.segments.is_empty() {
            paths.push(path.segments.clone());
        }
    });
    Ok(paths)
}

/// A name to call a step's target by; a template that only the run knows is called by its text.
pub(super) fn target_name(
    knowledge: &Knowledge,
    state: &State,
    node: NodeIndex,
    target: Option<&str>,
    script: &Script,
) -> Option<String> {
    let Some(text) = target else {
        let bound = state.bindings(node).remove("target")?;
        return bound.get("name").and_then(Value::as_str).map(str::to_owned);
    };
    if !is_template(text) {
        return Some(text.to_owned());
    }
    match knowledge.evaluate(state, node, text, script, &BTreeSet::new()) {
        Known::Value(Value::String(name)) => Some(name),
        Known::Value(Value::Object(target)) => target.get("name").and_then(Value::as_str).map(str::to_owned),
        Known::Value(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) | Known::Wrong(_) => {
            None
        }
        Known::AtRunTime(what) => Some(format!("‹{what}›")),
    }
}

/// The id of a node.
pub(super) fn id_of(state: &State, node: NodeIndex) -> &StepId {
    &state.graph().node(node).id
}
