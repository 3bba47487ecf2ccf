//! Makes the elements of a `foreach`: at load time if its items are known then, else when the run learns them.

use crate::template::{Scope, resolve_map};
use caxplan_model::{
    Foreach, Graph, Map, Node, NodeIndex, NodeKind, Rolling, SharedMap, ShortText, StepId, Value,
};
use std::collections::{BTreeMap, BTreeSet};

/// The most nodes that a graph may hold, so that one wrong list cannot eat all memory.
pub const NODES_MAX: usize = 200_000;

/// The names that a `foreach` without an id of its own goes by. Its elements stand directly below its parent:
/// `rolling_upgrade/node-2`, not `rolling_upgrade/foreach_node/node-2`.
pub(crate) const ANONYMOUS: [&str; 2] = ["foreach_node", "foreach"];

/// Turns the [`NodeKind::Foreach`] at `at` into a [`NodeKind::Rolling`] over `items`, and appends the elements to the
/// arena. Deterministic: the same graph and items give the same nodes with the same indices and ids.
///
/// Each element binds the loop's variable to its item. An item that is a target (an object with a `name`, or the
/// name of a target of the inventory) is bound to `target` too.
///
/// # Errors
/// If the node is no `foreach`, if its batch size is wrong, or if the graph would become larger than [`NODES_MAX`].
/// The graph is unchanged then.
pub fn instantiate(graph: &mut Graph, at: NodeIndex, items: &[Value]) -> Result<(), String> {
    instantiate_again(graph, at, items, &[])
}

/// As [`instantiate`], for a loop that was expanded before: `made` are all elements that it has had. Elements of the same
/// items are taken over, so that their ids, and what is known of them, stay; those of other items are appended.
///
/// # Errors
/// As [`instantiate`].
pub fn instantiate_again(
    graph: &mut Graph,
    at: NodeIndex,
    items: &[Value],
    made: &[NodeIndex],
) -> Result<(), String> {
    let NodeKind::Foreach(foreach) = &graph.node(at).kind else {
        return Err(format!("`{}` is no foreach", graph.node(at).id));
    };
    let foreach = foreach.clone();
    let batch_size = batch_size(&foreach.batch_size, items.len())?;
    let total = items
        .len()
        .checked_mul(foreach.body.len())
        .and_then(|new| new.checked_add(graph.nodes.len()));
    if total.is_none_or(|total| total > NODES_MAX) {
        return Err(format!(
            "`{}` over {} items makes more than {NODES_MAX} steps",
            graph.node(at).id,
            items.len()
        ));
    }
    let prefix = element_prefix(graph.node(at).id.as_str());
    let mut ids = Ids::default();
    for node in &graph.nodes {
        ids.give(node.id.as_str());
    }
    // The phases of a child plan stand below its step.
    let below = |name: &str| match foreach.params.is_empty() {
        true => name.to_owned(),
        false => prefix.clone(),
    };
    let mut elements = Vec::with_capacity(items.len());
    let mut made = made.to_vec();
    for (number, item) in items.iter().enumerate() {
        let same = |element: &NodeIndex| graph.node(*element).bindings.get(&foreach.var) == Some(item);
        if let Some(known) = made.iter().position(same) {
            elements.push(made.remove(known));
            continue;
        }
        let own = if foreach.params.is_empty() {
            segment(item, number)
        } else {
            "params".to_owned()
        };
        let name = ids.give(&join(&prefix, &own));
        let bindings = bindings(&foreach, item, graph, at);
        elements.push(append(
            graph,
            at,
            &foreach,
            [&name, &below(&name)],
            &bindings,
            &mut ids,
        ));
    }
    graph.nodes[at.index()].kind = NodeKind::Rolling(Rolling {
        batches: elements.chunks(batch_size).map(<[NodeIndex]>::to_vec).collect(),
        delay: foreach.delay,
        max_failures: foreach.max_failures,
        max_unavailable: foreach.max_unavailable,
    });
    Ok(())
}

/// The number of elements per batch: a number from 1, or a percentage of `count`, rounded down but at least 1.
///
/// # Errors
/// A message for a person.
pub fn batch_size(text: &str, count: usize) -> Result<usize, String> {
    let wrong = || format!("`{text}` is no batch size; write a number from 1 or a percentage such as `25%`");
    let text = text.trim();
    match text.strip_suffix('%') {
        Some(percent) => {
            let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
            if !(percent > 0.0 && percent <= 100.0) {
                return Err(wrong());
            }
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss
            )]
            let size = (count as f64 * percent / 100.0).floor() as usize;
            Ok(size.max(1))
        }
        None => match text.parse() {
            Ok(0) | Err(_) => Err(wrong()),
            Ok(size) => Ok(size),
        },
    }
}

/// What the ids of the elements begin with.
pub(crate) fn element_prefix(id: &str) -> String {
    match id.rsplit_once('/') {
        Some((parent, last)) if ANONYMOUS.contains(&last) => parent.to_owned(),
        None if ANONYMOUS.contains(&id) => String::new(),
        Some(_) | None => id.to_owned(),
    }
}

/// An item's part of the ids: its name if it has one, else itself if it is short and plain, else its number.
fn segment(item: &Value, number: usize) -> String {
    let text = match item {
        Value::String(text) => text.clone(),
        Value::Object(map) => match map.get("name").or_else(|| map.get("id")) {
            Some(Value::String(text)) => text.clone(),
            Some(_) | None => String::new(),
        },
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null | Value::Array(_) => String::new(),
    };
    let plain = slug(&text);
    if plain.is_empty() || plain.len() > 64 {
        format!("item-{}", number + 1)
    } else {
        plain
    }
}

/// A text as a part of an id: what is no letter, digit, `.`, `_` or `-` becomes `-`.
pub(crate) fn slug(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') {
                c
            } else {
                '-'
            }
        })
        .collect::<String>()
        .trim_matches('-')
        .to_owned()
}

/// The ids of a graph: each is given once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    taken: BTreeSet<ShortText>,
    /// The number that an id which was wanted before is tried with next.
    next: BTreeMap<String, u32>,
}

impl Ids {
    /// The first of `id`, `id-2`, `id-3`, … that is not taken, which it is from now on.
    pub(crate) fn give(&mut self, id: &str) -> String {
        if self.taken.insert(id.into()) {
            return id.to_owned();
        }
        let next = self.next.entry(id.to_owned()).or_insert(2);
        loop {
            let candidate = format!("{id}-{next}");
            *next += 1;
            if self.taken.insert(candidate.as_str().into()) {
                return candidate;
            }
        }
    }
}

pub(crate) fn join(prefix: &str, rest: &str) -> String {
    match (prefix.is_empty(), rest.is_empty()) {
        (true, _) => rest.to_owned(),
        (false, true) => prefix.to_owned(),
        (false, false) => format!("{prefix}/{rest}"),
    }
}

fn bindings(foreach: &Foreach, item: &Value, graph: &Graph, at: NodeIndex) -> SharedMap {
    let mut bindings = Map::new();
    if foreach.params.is_empty()
        && let Some(target) = as_target(item, graph, at)
    {
        bindings.insert("target".to_owned(), target);
    }
    if !foreach.late_vars.is_empty() {
        // Whoever had the parameters has seen that all of them can be had.
        let (vars, _) = late_vars(foreach, item, graph, at);
        bindings.insert("vars".to_owned(), Value::Object(vars));
    }
    bindings.insert(foreach.var.clone(), item.clone());
    bindings.into()
}

/// The variables of a child plan of which some depend on its parameters, and why one of them cannot be had.
pub(crate) fn late_vars(
    foreach: &Foreach,
    params: &Value,
    graph: &Graph,
    at: NodeIndex,
) -> (Map, Result<(), String>) {
    let phases = foreach
        .body
        .first()
        .map_or_else(Vec::new, |root| root.kind.children());
    let mut own = phases.iter().filter_map(|phase| foreach.body.get(phase.index()));
    let own = own.find_map(|phase| phase.bindings.get("targets"));
    let targets = match own.or_else(|| graph.bound(at, "targets")) {
        Some(own) => own.clone(),
        // Targets are plain data.
        None => serde_json::to_value(&graph.targets).unwrap_or_default(),
    };
    let mut vars = foreach.vars.clone();
    let mut verdict = Ok(());
    for (name, value) in &foreach.late_vars {
        let scope = Scope {
            root: serde_json::json!({"params": params, "vars": vars, "targets": targets}),
        };
        let one = Map::from_iter([(name.clone(), value.clone())]);
        match resolve_map(&one, &scope) {
            Ok(had) => vars.extend(had),
            Err(message) if verdict.is_ok() => verdict = Err(format!("variable {message}")),
            Err(_) => {}
        }
    }
    (vars, verdict)
}

fn as_target(item: &Value, graph: &Graph, at: NodeIndex) -> Option<Value> {
    match item {
        Value::Object(map) => map.get("name")?.is_string().then(|| item.clone()),
        Value::String(name) => {
            // A child plan may have targets of its own.
            if let Some(Value::Array(own)) = graph.bound(at, "targets") {
                return own.iter().find(|target| target["name"] == *name).cloned();
            }
            let target = graph.targets.iter().find(|target| target.name == *name)?;
            serde_json::to_value(target).ok()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

/// Appends one element and answers its index.
fn append(
    graph: &mut Graph,
    parent: NodeIndex,
    foreach: &Foreach,
    [name, below]: [&str; 2],
    bindings: &SharedMap,
    ids: &mut Ids,
) -> NodeIndex {
    let base = u32::try_from(graph.nodes.len()).expect("a graph has at most NODES_MAX nodes");
    for (at, template) in foreach.body.iter().enumerate() {
        let mut node = template.clone();
        let id = match at {
            0 => name.to_owned(),
            _ => ids.give(&join(below, template.id.as_str())),
        };
        node.id = StepId::new(id);
        shift(&mut node, base);
        if at == 0 {
            node.name = name.rsplit('/').next().unwrap_or_default().into();
            node.parent = Some(parent);
            node.when = foreach.when.as_deref().map(Box::from);
            node.bindings = bindings.clone();
        }
        graph.nodes.push(node);
    }
    NodeIndex(base)
}

/// Moves what a node says of its neighbours from a body's arena to the graph's.
fn shift(node: &mut Node, base: u32) {
    let move_one = |index: &mut NodeIndex| index.0 += base;
    if let Some(parent) = &mut node.parent {
        move_one(parent);
    }
    node.needs.iter_mut().for_each(move_one);
    match &mut node.kind {
        NodeKind::Sequence { children }
        | NodeKind::Parallel { children, .. }
        | NodeKind::Dag { children, .. } => children.iter_mut().for_each(move_one),
        NodeKind::Rolling(rolling) => rolling.batches.iter_mut().flatten().for_each(move_one),
        NodeKind::Block { body, rescue, always } => {
            move_one(body);
            rescue.iter_mut().for_each(move_one);
            always.iter_mut().for_each(move_one);
        }
        // The body of a `foreach` within is an arena of its own.
        NodeKind::Foreach(_)
        | NodeKind::Action(_)
        | NodeKind::Wait { .. }
        | NodeKind::Watch(_)
        | NodeKind::Approve { .. }
        | NodeKind::Checklist(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{batch_size, instantiate};
    use caxplan_model::{Foreach, Graph, Items, Node, NodeIndex, NodeKind, StepId};
    use serde_json::json;

    fn graph() -> Graph {
        let wait = NodeKind::Wait {
            duration: "1s".to_owned(),
        };
        let mut graph = Graph::empty("test");
        graph.nodes.push(Node::new(
            StepId::new("phase/foreach_node"),
            Some(NodeIndex::ROOT),
            NodeKind::Foreach(Box::new(Foreach {
                var: "node".to_owned(),
                items: Items::Template("{{ steps.list.output }}".to_owned()),
                batch_size: "2".to_owned(),
                delay: None,
                max_failures: 0,
                max_unavailable: None,
                when: Some("node.up".to_owned()),
                body: vec![
                    Node::new(
                        StepId::new(""),
                        None,
                        NodeKind::Sequence {
                            children: vec![NodeIndex(1)],
                        },
                    ),
                    Node::new(StepId::new("drain"), Some(NodeIndex(0)), wait),
                ],
                params: caxplan_model::Map::new(),
                vars: caxplan_model::Map::new(),
                late_vars: Vec::new(),
            })),
        ));
        graph
    }

    #[test]
    fn elements_are_appended_in_batches() {
        let mut graph = graph();
        let items = [json!({"name": "node-1"}), json!({"name": "node/1"}), json!([1])];
        instantiate(&mut graph, NodeIndex(1), &items).expect("expands");
        let ids: Vec<&str> = graph.nodes[2..].iter().map(|node| node.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "phase/node-1",
                "phase/node-1/drain",
                "phase/node-1-2",
                "phase/node-1-2/drain",
                "phase/item-3",
                "phase/item-3/drain"
            ]
        );
        let NodeKind::Rolling(rolling) = &graph.nodes[1].kind else {
            panic!("no longer a foreach");
        };
        assert_eq!(
            rolling.batches,
            [vec![NodeIndex(2), NodeIndex(4)], vec![NodeIndex(6)]]
        );
        assert_eq!(graph.nodes[3].parent, Some(NodeIndex(2)));
        assert_eq!(graph.nodes[2].parent, Some(NodeIndex(1)));
        assert_eq!(graph.nodes[2].when.as_deref(), Some("node.up"));
        assert_eq!(graph.nodes[2].bindings["target"], items[0]);
        assert_eq!(graph.nodes[6].bindings.get("target"), None);
        assert!(instantiate(&mut graph, NodeIndex(1), &items).is_err());
    }

    #[test]
    fn batch_sizes_are_numbers_or_percentages() {
        for (text, count, expected) in [
            ("1", 3, Some(1)),
            ("25%", 10, Some(2)),
            ("1%", 10, Some(1)),
            ("100%", 3, Some(3)),
            ("0", 3, None),
            ("0%", 3, None),
            ("150%", 3, None),
            ("x", 3, None),
        ] {
            assert_eq!(batch_size(text, count).ok(), expected, "{text}");
        }
    }
}
