//! What can be told of a plan before the run, without asking anyone: which conditions are decided, and which values
//! will come from steps of the run itself.

use super::build::children;
use crate::template::{self, Scope, depends_on_run, is_template, references, roots};
use caxplan_model::{ActionStep, Graph, Items, Map, NodeIndex, NodeKind, StepId, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How far a chain of steps is followed that depend on each other.
const PATH_MAX: usize = 16;

/// Why something cannot be told, or why a step is skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Because {
    /// What is not known, or what decided: ``argument `version` ``, `when`.
    pub what: String,
    /// The steps that it comes from: the nearest first, then what that one depends on itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<StepId>,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.path.iter().try_for_each(|step| write!(f, " ← {step}"))
    }
}

/// What can be told of each node before the run.
#[derive(Clone, Debug, Default)]
pub struct Foresight {
    /// Those of which there is something to tell.
    nodes: BTreeMap<NodeIndex, Sight>,
}

/// What can be told of one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sight {
    /// It will not run: its own condition or one around it is false.
    pub(super) skipped: Option<Because>,
    /// Whether it runs is not known.
    pub(super) whether: Vec<Because>,
    /// Values of it that are not known.
    pub(super) values: Vec<Because>,
    /// It stands in a `rescue`: it runs only if something fails.
    pub(super) on_failure_only: bool,
}

impl Foresight {
    /// Looks at a graph. `env` holds the environment variables that the plan lists, as far as they are set.
    pub fn of(graph: &Graph, env: &Map) -> Self {
        let mut looking = Looking {
            graph,
            env,
            named: Named::of(graph),
            nodes: Foresight::default(),
        };
        let mut open = vec![NodeIndex::ROOT];
        while let Some(at) = open.pop() {
            looking.look(at);
            open.extend(children(graph, at).rev());
        }
        looking.nodes
    }

    /// Whether it makes sense to ask an adapter about a step: it is not surely skipped, and its arguments are known.
    pub fn can_ask(&self, node: NodeIndex) -> bool {
        let sight = self.sight(node);
        sight.skipped.is_none() && sight.values.is_empty()
    }

    pub(super) fn sight(&self, node: NodeIndex) -> &Sight {
        static NOTHING: Sight = Sight {
            skipped: None,
            whether: Vec::new(),
            values: Vec::new(),
            on_failure_only: false,
        };
        self.nodes.get(&node).unwrap_or(&NOTHING)
    }
}

struct Looking<'a> {
    graph: &'a Graph,
    env: &'a Map,
    named: Named,
    nodes: Foresight,
}

impl Looking<'_> {
    /// Looks at one node whose parent has been looked at.
    fn look(&mut self, at: NodeIndex) {
        let node = self.graph.node(at);
        let mut sight = Sight::default();
        if let Some(parent) = node.parent {
            let above = self.nodes.sight(parent);
            sight.skipped.clone_from(&above.skipped);
            sight.whether.clone_from(&above.whether);
            sight.on_failure_only = above.on_failure_only;
            if let NodeKind::Block {
                rescue: Some(rescue), ..
            } = &self.graph.node(parent).kind
            {
                sight.on_failure_only |= *rescue == at;
            }
        }
        if let (Some(when), None) = (&node.when, &sight.skipped) {
            let scope = before_run(self.graph, at, when, self.env);
            match decide(when, &scope) {
                Some(Ok(true)) => {}
                Some(Ok(false)) => {
                    sight.skipped = Some(Because {
                        what: format!("`when: {when}` is false"),
                        path: Vec::new(),
                    });
                }
                Some(Err(message)) => sight
                    .whether
                    .push(self.because("`when`", when, at, Some(message))),
                None => sight.whether.push(self.because("`when`", when, at, None)),
            }
        }
        match &node.kind {
            NodeKind::Action(action) => sight.values = self.values(action, at),
            NodeKind::Foreach(foreach) => {
                if let Items::Template(items) = &foreach.items {
                    sight.values.push(self.because("items", items, at, None));
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
        if sight != Sight::default() {
            self.nodes.nodes.insert(at, sight);
        }
    }

    /// What is not known of a step's target and arguments.
    fn values(&self, action: &ActionStep, at: NodeIndex) -> Vec<Because> {
        let mut unknown = Vec::new();
        if let Some(target) = action.target.as_deref().filter(|text| depends_on_run(text)) {
            unknown.push(self.because("target", target, at, None));
        }
        for (name, value) in action.call.with.iter() {
            let mut texts = Vec::new();
            run_dependent(value, &mut texts);
            if let Some(text) = texts.first() {
                unknown.push(self.because(&format!("argument `{name}`"), text, at, None));
            }
        }
        unknown
    }

    /// Why `text` is not known: the first step that it speaks of, and what that depends on.
    fn because(&self, part: &str, text: &str, at: NodeIndex, error: Option<String>) -> Because {
        let mut path = Vec::new();
        let mut next = named_steps(text)
            .iter()
            .find_map(|name| self.named.nearest(self.graph, name, at));
        while let Some(step) = next.filter(|_| path.len() < PATH_MAX) {
            let id = &self.graph.node(step).id;
            path.push(id.clone());
            let sight = self.nodes.sight(step);
            let further = sight.values.iter().chain(&sight.whether);
            // What that step depends on has been followed already.
            path.extend(further.flat_map(|because| because.path.clone()).take(PATH_MAX));
            next = None;
        }
        let what = match error {
            Some(message) if path.is_empty() => format!("{part}: {message}"),
            Some(_) | None => part.to_owned(),
        };
        Because { what, path }
    }
}

/// Decides a `when` if that is possible now.
fn decide(when: &str, scope: &Scope) -> Option<Result<bool, String>> {
    // A filter such as `default` would make something of a step that has not run yet.
    if is_template(when) && depends_on_run(when) {
        return None;
    }
    match template::evaluate_when(when, scope) {
        Ok(verdict) => Some(Ok(verdict)),
        Err(_) if depends_on_run(when) => None,
        Err(message) => Some(Err(message)),
    }
}

/// The scope of a text before the run: as much of it as the text speaks of.
pub(super) fn before_run(graph: &Graph, at: NodeIndex, text: &str, env: &Map) -> Scope {
    let mut root = Map::new();
    for name in roots(text) {
        let value = match name.as_str() {
            "params" => Some(Value::Object(graph.params.clone())),
            "vars" => Some(Value::Object(graph.vars.clone())),
            "env" => Some(Value::Object(env.clone())),
            "targets" => serde_json::to_value(&graph.targets).ok(),
            _ => None,
        };
        if let Some(value) = graph.bound(at, &name).cloned().or(value) {
            root.insert(name, value);
        }
    }
    Scope {
        root: Value::Object(root),
    }
}

/// The texts in a value that only the run can resolve.
fn run_dependent<'a>(value: &'a Value, out: &mut Vec<&'a str>) {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) if is_template(text) && depends_on_run(text) => out.push(text),
            Value::Array(items) => open.extend(items.iter().rev()),
            Value::Object(map) => open.extend(map.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// The names of the steps that a template or a condition speaks of.
fn named_steps(text: &str) -> Vec<String> {
    let paths = if is_template(text) {
        references(text).unwrap_or_default()
    } else {
        template::condition_paths(text)
    };
    let name = |path: &String| path.strip_prefix("steps.")?.split('.').next().map(str::to_owned);
    paths.iter().filter_map(name).collect()
}

/// Which step a name means where: for each group, the last step of that name below it.
struct Named {
    below: BTreeMap<(String, NodeIndex), NodeIndex>,
}

impl Named {
    fn of(graph: &Graph) -> Self {
        let mut wanted = std::collections::BTreeSet::new();
        for node in &graph.nodes {
            let mut note = |text: &str| wanted.extend(named_steps(text));
            node.when.iter().for_each(|when| note(when));
            match &node.kind {
                NodeKind::Action(action) => {
                    action.target.iter().for_each(|target| note(target));
                    for value in action.call.with.values() {
                        let mut texts = Vec::new();
                        run_dependent(value, &mut texts);
                        texts.into_iter().for_each(&mut note);
                    }
                }
                NodeKind::Foreach(foreach) => {
                    if let Items::Template(items) = &foreach.items {
                        note(items);
                    }
                }
                _ => {}
            }
        }
        let mut below = BTreeMap::new();
        for (at, node) in (0..).map(NodeIndex).zip(&graph.nodes) {
            if !wanted.contains(node.name.as_str()) {
                continue;
            }
            let mut above = node.parent;
            while let Some(group) = above {
                below.insert((node.name.to_string(), group), at);
                // Nothing outside speaks of the steps of a child plan.
                above = graph
                    .node(group)
                    .parent
                    .filter(|_| graph.node(group).child.is_none());
            }
        }
        Self { below }
    }

    fn nearest(&self, graph: &Graph, name: &str, at: NodeIndex) -> Option<NodeIndex> {
        let mut above = graph.node(at).parent;
        while let Some(group) = above {
            let found = self.below.get(&(name.to_owned(), group));
            if let Some(found) = found.filter(|found| **found != at) {
                return Some(*found);
            }
            let child = graph.node(group).child.as_ref();
            let is_end = child.is_some_and(|child| !(child.late && graph.node(at).parent == Some(group)));
            above = graph.node(group).parent.filter(|_| !is_end);
        }
        None
    }
}
