//! A graph with everything resolved that is known before the run, so that two ways to write one thing compare equal.

use crate::preview::{resolve_before_run, target_name};
use crate::template::{condition_paths, is_template, references};
use caxplan_model::{Graph, Map, Node, NodeIndex, NodeKind, ShortText, Value, Wording};
use std::collections::BTreeSet;

/// Resolves what is known, and drops parameters, variables, targets and bindings that nothing reads any more.
pub(super) fn settle(graph: &Graph) -> Graph {
    let mut settled = graph.clone();
    for at in (0..graph.nodes.len()).map(|at| NodeIndex(u32::try_from(at).unwrap_or(u32::MAX))) {
        let target = target_name(graph, at);
        resolve_node(graph, at, &mut settled.nodes[at.index()], target);
    }
    let mut read = BTreeSet::new();
    for node in &settled.nodes {
        paths(node, &mut read);
    }
    let reads =
        |path: &str| read.contains(path) || read.iter().any(|read| read.starts_with(&format!("{path}.")));
    let used = |root: &str, map: &Map| -> Map {
        let whole = read.contains(root);
        let pairs = map
            .iter()
            .filter(|(name, _)| whole || reads(&format!("{root}.{name}")));
        pairs.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    settled.params = used("params", &graph.params);
    settled.vars = used("vars", &graph.vars);
    if !reads("targets") {
        settled.targets.clear();
    }
    for node in &mut settled.nodes {
        node.bindings.retain(&reads);
    }
    settled
}

fn resolve_node(graph: &Graph, at: NodeIndex, node: &mut Node, target: Option<String>) {
    let text = |text: &mut String| {
        if let Some(value) = resolve_before_run(graph, at, text) {
            *text = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
        }
    };
    let wording = |wording: &mut Wording| {
        if let Wording::Late { template } = wording {
            text(template);
        }
    };
    if let Some(when) = node.when.as_mut().filter(|when| is_template(when)) {
        let mut settled = when.to_string();
        text(&mut settled);
        *when = settled.into();
    }
    match &mut node.kind {
        NodeKind::Action(action) => {
            for value in action.call.with.values_mut() {
                resolve_value(graph, at, value);
            }
            if target.is_some() {
                action.target = target.map(ShortText::from);
            }
        }
        NodeKind::Watch(watch) => {
            for value in watch.observe.with.values_mut() {
                resolve_value(graph, at, value);
            }
            text(&mut watch.duration);
            text(&mut watch.every);
            if target.is_some() {
                watch.target = target;
            }
        }
        NodeKind::Wait { duration } => text(duration),
        NodeKind::Approve { question } => wording(question),
        NodeKind::Checklist(list) => list.items.iter_mut().for_each(wording),
        NodeKind::Rolling(rolling) => rolling.delay.iter_mut().for_each(text),
        NodeKind::Foreach(foreach) => foreach.delay.iter_mut().for_each(text),
        NodeKind::Sequence { .. }
        | NodeKind::Parallel { .. }
        | NodeKind::Dag { .. }
        | NodeKind::Block { .. } => {}
    }
}

fn resolve_value(graph: &Graph, at: NodeIndex, value: &mut Value) {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        if let Value::String(text) = value {
            if let Some(resolved) = is_template(text)
                .then(|| resolve_before_run(graph, at, text))
                .flatten()
            {
                *value = resolved;
            }
            continue;
        }
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(map) => open.extend(map.iter_mut().map(|(_, value)| value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// The dotted paths that a node's texts still read.
pub(crate) fn paths(node: &Node, out: &mut BTreeSet<String>) {
    out.extend(node.when.iter().flat_map(|when| match is_template(when) {
        true => Vec::new(),
        false => condition_paths(when),
    }));
    if let NodeKind::Action(action) = &node.kind {
        let conditions = action.expect.iter();
        let done = action.probe.iter().filter_map(|probe| probe.done_when.as_ref());
        out.extend(conditions.chain(done).flat_map(|text| condition_paths(text)));
    }
    // Whatever a node holds: every text in it that is a template.
    let mut bare = node.clone();
    if node.kind.children().len() > 1 {
        bare.kind = NodeKind::Sequence { children: Vec::new() };
        let delay = match &node.kind {
            NodeKind::Rolling(rolling) => rolling.delay.clone(),
            _ => None,
        };
        out.extend(delay.iter().flat_map(|text| references(text).unwrap_or_default()));
    }
    let mut open = vec![serde_json::to_value(&bare).unwrap_or_default()];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => out.extend(references(&text).unwrap_or_default()),
            Value::Array(items) => open.extend(items),
            Value::Object(map) => open.extend(map.into_iter().map(|(_, value)| value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
