//! What templates and conditions of a step can see.

use crate::Secrets;
use caxplan_core::load::{checked_secrets, hand_over, handed_secrets};
use caxplan_core::schedule::State;
use caxplan_core::template::{Scope, is_template};
use caxplan_model::{Graph, Map, NodeIndex, RunId, Target, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What is the same for all steps of a run.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    fixed: Map,
    /// The folder of the plan's file.
    pub(crate) plan_dir: PathBuf,
}

impl Surroundings {
    /// What a run's templates see beside its steps. The environment is read for the names that the plan lists.
    pub(crate) fn new(
        run: &RunId,
        graph: &Graph,
        plan: &Path,
        secret_params: &Map,
        secrets: &Secrets,
    ) -> Self {
        let plan_dir = plan.parent().unwrap_or(Path::new("/")).to_owned();
        let mut params = graph.params.clone();
        params.extend(secret_params.clone());
        let env: Map = graph
            .header
            .env
            .iter()
            .filter_map(|name| Some((name.clone(), Value::String(std::env::var(name).ok()?))))
            .collect();
        let run = serde_json::json!({
            "id": run,
            "name": graph.header.name,
            "plan": plan.to_string_lossy(),
            "plan_dir": plan_dir.to_string_lossy(),
        });
        let targets = serde_json::to_value(&graph.targets).expect("targets are plain data");
        let fixed = [
            ("params", Value::Object(params)),
            ("vars", Value::Object(graph.vars.clone())),
            ("targets", targets),
            ("run", run),
            ("secrets", Value::Object(secrets.values().clone())),
            ("env", Value::Object(env)),
        ];
        Self {
            fixed: fixed
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            plan_dir,
        }
    }

    /// The scope after the run's end: no steps, and `about` as a part of `run`.
    pub(crate) fn scope_at_end(&self, about: &Map) -> Scope {
        let mut root = self.fixed.clone();
        if let Some(Value::Object(run)) = root.get_mut("run") {
            run.extend(about.clone());
        }
        Scope {
            root: Value::Object(root),
        }
    }

    /// The environment variables that the plan lists, as far as they are set.
    pub(crate) fn env(&self) -> Map {
        let env = self.fixed.get("env").and_then(Value::as_object);
        env.cloned().unwrap_or_default()
    }

    /// The scope of templates before the run, with what `foreach` bound: what is named in them, and nothing of steps.
    pub(crate) fn scope_before_run(&self, graph: &Graph, node: NodeIndex, texts: &[&str]) -> Scope {
        let named = |name: &str| texts.iter().any(|text| text.contains(name));
        let fixed = self.fixed.iter().filter(|(name, _)| named(name));
        let mut root: Map = fixed.map(|(name, value)| (name.clone(), value.clone())).collect();
        root.extend(graph.bindings(node));
        // One that cannot be had is missing, and who wants it says so.
        hand_over(
            &mut root,
            handed_secrets(graph, node, &self.fixed).unwrap_or_default(),
        );
        Scope {
            root: Value::Object(root),
        }
    }

    /// The scope at a node, as far as `texts` need it: which steps they name decides how much of the state is copied.
    ///
    /// # Errors
    /// Which secret that was handed over to the plan of the node cannot be had, and why.
    pub(crate) fn scope(&self, state: &State, node: NodeIndex, texts: &Texts) -> Result<Scope, String> {
        let mut root = self.fixed.clone();
        root.extend(state.bindings(node));
        if texts.params {
            hand_over(&mut root, checked_secrets(state.graph(), node, &self.fixed)?);
        }
        if let Some(steps) = texts.steps(state, node) {
            root.insert("steps".to_owned(), Value::Object(steps));
        }
        Ok(Scope {
            root: Value::Object(root),
        })
    }
}

/// The target of a step: what `target` names, a text or a template; else, what a `foreach` bound to `target`.
pub(crate) fn target_of(
    target: Option<&str>,
    state: &State,
    node: NodeIndex,
    scope: &mut Scope,
) -> Result<Option<Target>, String> {
    // A child plan may have targets of its own.
    let own = match state.bindings(node).remove("targets") {
        Some(own) => Some(serde_json::from_value::<Vec<Target>>(own).map_err(|error| error.to_string())?),
        None => None,
    };
    let targets = own.as_ref().unwrap_or(&state.graph().targets);
    let Some(text) = target else {
        let bound = scope.root.get("target").and_then(|bound| bound.get("name"));
        return Ok(bound.and_then(|name| targets.iter().find(|target| *name == target.name).cloned()));
    };
    let named = caxplan_core::template::resolve(text, scope)?;
    let name = match &named {
        Value::String(name) => name.as_str(),
        Value::Object(fields) => fields.get("name").and_then(Value::as_str).unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => "",
    };
    let found = targets
        .iter()
        .find(|target| target.name == name)
        .cloned()
        .ok_or_else(|| {
            let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
            format!(
                "`{text}` is {named}, which is no target; there are: {}",
                names.join(", ")
            )
        })?;
    if let Value::Object(root) = &mut scope.root {
        let value = serde_json::to_value(&found).expect("a target is plain data");
        root.insert("target".to_owned(), value);
    }
    Ok(Some(found))
}

/// The texts that a scope is made for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    names: BTreeSet<String>,
    /// Whether a text speaks of steps in a way that names none.
    all: bool,
    any: bool,
    /// Whether a text speaks of parameters.
    params: bool,
}

impl Texts {
    /// Adds every template in a map of arguments.
    #[must_use]
    pub(crate) fn and_map(mut self, map: &Map) -> Self {
        map.values().for_each(|value| self.add_value(value));
        self
    }

    /// Adds a condition, or a template.
    #[must_use]
    pub(crate) fn and_text(mut self, text: &str) -> Self {
        self.any = true;
        self.add(text);
        self
    }

    /// Whether none of them needs a scope.
    pub(crate) fn are_plain(&self) -> bool {
        !self.any
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::String(text) if is_template(text) => {
                self.any = true;
                self.add(text);
            }
            Value::Array(items) => items.iter().for_each(|item| self.add_value(item)),
            Value::Object(fields) => fields.values().for_each(|field| self.add_value(field)),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn add(&mut self, text: &str) {
        self.params |= text.contains("params");
        for (at, word) in text.match_indices("steps") {
            let rest = &text[at + word.len()..];
            let name: String = rest
                .strip_prefix('.')
                .unwrap_or_default()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let goes_on = rest
                .get(1 + name.len()..)
                .is_some_and(|behind| behind.starts_with('-'));
            if name.is_empty() || goes_on {
                self.all = true;
            } else {
                self.names.insert(name);
            }
        }
    }

    fn steps(&self, state: &State, node: NodeIndex) -> Option<Map> {
        if self.all {
            return Some(state.step_scope(node));
        }
        if self.names.is_empty() {
            return None;
        }
        let named = |name: &String| Some((name.clone(), state.step_view(name, node)?));
        Some(self.names.iter().filter_map(named).collect())
    }
}
