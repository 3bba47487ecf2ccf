//! What a node is, as named values that can be compared one by one.

use crate::template::is_template;
use caxplan_model::{Graph, Node, NodeIndex, NodeKind, StepId, Value, Wording};
use std::collections::BTreeMap;

/// A node by itself: its children and neighbours are told by id.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flat {
    /// Its id; in the body of a loop that only the run expands, behind the loop's.
    pub(super) id: StepId,
    /// The id of its parent.
    pub(super) parent: Option<StepId>,
    /// Whether it is a step by itself.
    pub(super) leaf: bool,
    /// The ids of its children in order.
    pub(super) children: Vec<StepId>,
    /// All that is said of it: `action`, `with.version`, `retry`, `when`, `needs`, …
    pub(super) fields: BTreeMap<String, Value>,
}

/// All nodes of a graph but its root, and those in the bodies of loops, in the order of the arena.
pub(super) fn flatten(graph: &Graph) -> Vec<Flat> {
    let mut flat = Vec::with_capacity(graph.nodes.len());
    arena(&graph.nodes, "", &mut flat);
    flat
}

fn arena(nodes: &[Node], prefix: &str, out: &mut Vec<Flat>) {
    let id = |at: NodeIndex| {
        let own = nodes.get(at.index()).map_or("", |node| node.id.as_str());
        StepId::new(crate::expand::join(prefix, own))
    };
    for (at, node) in (0..).map(NodeIndex).zip(nodes) {
        let children = node.kind.children();
        let mut fields = fields(node);
        if !node.needs.is_empty() {
            let needs = node.needs.iter().map(|need| last(id(*need).as_str()).into());
            fields.insert("needs".to_owned(), Value::Array(needs.collect()));
        }
        let own = id(at);
        if !own.as_str().is_empty() && own.as_str() != prefix {
            out.push(Flat {
                id: own.clone(),
                parent: node.parent.map(id),
                leaf: node.kind.is_leaf(),
                children: children.iter().map(|child| id(*child)).collect(),
                fields,
            });
        }
        if let NodeKind::Foreach(foreach) = &node.kind {
            arena(&foreach.body, own.as_str(), out);
        }
    }
}

/// All that a node says, by name; its children and its needs are not in it.
pub(crate) fn fields(node: &Node) -> BTreeMap<String, Value> {
    let mut bare = node.clone();
    if let NodeKind::Foreach(foreach) = &mut bare.kind {
        foreach.body.clear();
    }
    // A node is plain data with text keys.
    let Ok(Value::Object(said)) = serde_json::to_value(&bare) else {
        return BTreeMap::new();
    };
    let mut fields = BTreeMap::new();
    for (name, value) in said {
        match (name.as_str(), value) {
            // Where it stands, and what it is called by.
            ("id" | "parent" | "source" | "needs", _) => {}
            ("name", name) if name == last(node.id.as_str()) => {}
            ("kind", Value::Object(kind)) => {
                for (name, value) in kind {
                    kind_field(&name, value, &mut fields);
                }
            }
            ("bindings", Value::Object(bound)) => {
                let bound = bound.into_iter();
                fields.extend(bound.map(|(name, value)| (format!("bindings.{name}"), value)));
            }
            ("phase", Value::Object(mut phase)) => {
                phase.remove("description");
                fields.extend(phase);
            }
            (_, value) => {
                fields.insert(name, value);
            }
        }
    }
    if let NodeKind::Rolling(rolling) = &node.kind {
        let size = rolling.batches.iter().map(Vec::len).max().unwrap_or(0);
        fields.insert("batch_size".to_owned(), size.into());
    }
    match &node.kind {
        NodeKind::Approve { question } => {
            fields.insert("question".to_owned(), wording(question));
        }
        NodeKind::Checklist(list) => {
            fields.insert("items".to_owned(), list.items.iter().map(wording).collect());
        }
        _ => {}
    }
    fields.retain(|_, value| !value.is_null());
    fields
}

/// What a person is asked, as the plan has it. A text that only looks like a template is told from one.
fn wording(wording: &Wording) -> Value {
    match wording {
        Wording::Known(text) if is_template(text) => serde_json::json!({ "text": text }),
        Wording::Known(text) | Wording::Late { template: text } => Value::from(text.as_str()),
    }
}

fn kind_field(name: &str, value: Value, fields: &mut BTreeMap<String, Value>) {
    match (name, value) {
        // Told as children.
        ("children" | "batches" | "body" | "rescue" | "always", _) => {}
        ("kind", value) => {
            fields.insert("form".to_owned(), value);
        }
        ("call", Value::Object(mut call)) => {
            fields.insert("action".to_owned(), call.remove("action").unwrap_or_default());
            if let Some(Value::Object(with)) = call.remove("with") {
                let with = with.into_iter();
                fields.extend(with.map(|(name, value)| (format!("with.{name}"), value)));
            }
        }
        (_, value) => {
            fields.insert(name.to_owned(), value);
        }
    }
}

/// The last part of an id.
pub(super) fn last(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}
