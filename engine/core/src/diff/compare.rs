//! Two graphs, node by node.

use super::fields::{Flat, flatten, last};
use caxplan_model::{Graph, StepId, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What differs between two graphs whose nodes are paired by id. A node in the body of a loop that only the run expands
/// goes by the loop's id and its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What the plan as a whole says: `locks`, `on_failure`, `params.version`, `vars.…`, `targets.…`, …
    pub plan: Vec<FieldChange>,
    /// Ids that only the new graph has, in its order.
    pub added: Vec<StepId>,
    /// Ids that only the old graph has, in its order.
    pub removed: Vec<StepId>,
    /// Nodes that both have and that are not the same, in the order of the new graph.
    pub changed: Vec<NodeChange>,
}

/// What differs in one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeChange {
    /// Its id.
    pub id: StepId,
    /// Each value that differs; never empty.
    pub fields: Vec<FieldChange>,
}

/// One value that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Its name: `action`, `with.version`, `target`, `retry`, `when`, `needs`, `undo`, `batch_size`, …; `order` is the
    /// order of the children that both have.
    pub field: String,
    /// What it was; `null` if it was not there.
    pub old: Value,
    /// What it is; `null` if it is not there.
    pub new: Value,
}

impl Comparison {
    /// Whether the two graphs do the same.
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty() && self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Compares two graphs by what would run: where nodes stand in files, and descriptions, are left out.
pub fn compare(old: &Graph, new: &Graph) -> Comparison {
    let (before, after) = (flatten(old), flatten(new));
    let by_id = |nodes: &'_ [Flat]| -> BTreeMap<StepId, usize> {
        let ids = nodes.iter().enumerate();
        ids.map(|(at, node)| (node.id.clone(), at)).collect()
    };
    let (olds, news) = (by_id(&before), by_id(&after));
    let only = |nodes: &[Flat], others: &BTreeMap<StepId, usize>| -> Vec<StepId> {
        let ids = nodes.iter().map(|node| &node.id);
        ids.filter(|id| !others.contains_key(*id)).cloned().collect()
    };
    let changed = after.iter().filter_map(|node| {
        let was = &before[*olds.get(&node.id)?];
        let fields = node_changes(was, node);
        (!fields.is_empty()).then(|| NodeChange {
            id: node.id.clone(),
            fields,
        })
    });
    Comparison {
        plan: plan_changes(old, new),
        added: only(&after, &olds),
        removed: only(&before, &news),
        changed: changed.collect(),
    }
}

/// What differs in a node that both graphs have.
fn node_changes(old: &Flat, new: &Flat) -> Vec<FieldChange> {
    let mut changes = map_changes("", &old.fields, &new.fields);
    // In a form without an order the list says nothing of what runs when.
    let ordered = |node: &Flat| {
        let form = node.fields.get("form").and_then(Value::as_str);
        !matches!(form, Some("dag" | "parallel"))
    };
    if ordered(old) && ordered(new) {
        changes.extend(order_change(&old.children, &new.children));
    }
    changes
}

/// The order of the children that both have, if it differs.
pub(super) fn order_change(old: &[StepId], new: &[StepId]) -> Option<FieldChange> {
    let common = |list: &[StepId], others: &BTreeSet<&StepId>| -> Vec<Value> {
        let both = list.iter().filter(|id| others.contains(id));
        both.map(|id| last(id.as_str()).into()).collect()
    };
    let (olds, news) = (old.iter().collect(), new.iter().collect());
    let (old, new) = (common(old, &news), common(new, &olds));
    (old != new).then(|| FieldChange {
        field: "order".to_owned(),
        old: Value::Array(old),
        new: Value::Array(new),
    })
}

/// What differs in the plan as a whole.
pub(crate) fn plan_changes(old: &Graph, new: &Graph) -> Vec<FieldChange> {
    let header = |graph: &Graph| -> BTreeMap<String, Value> {
        let mut fields = BTreeMap::new();
        // A header is plain data with text keys.
        if let Ok(Value::Object(said)) = serde_json::to_value(&graph.header) {
            fields.extend(said);
        }
        fields.remove("description");
        fields.remove("sources");
        fields
    };
    let pairs = |map: &caxplan_model::Map| -> BTreeMap<String, Value> {
        map.iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let targets = |graph: &Graph| -> BTreeMap<String, Value> {
        let targets = graph.targets.iter();
        targets
            .filter_map(|target| Some((target.name.clone(), serde_json::to_value(target).ok()?)))
            .collect()
    };
    let mut changes = map_changes("", &header(old), &header(new));
    changes.extend(map_changes("params.", &pairs(&old.params), &pairs(&new.params)));
    changes.extend(map_changes("vars.", &pairs(&old.vars), &pairs(&new.vars)));
    changes.extend(map_changes("targets.", &targets(old), &targets(new)));
    changes
}

/// Each name whose value differs. What is empty or `null` is as good as absent.
pub(crate) fn map_changes(
    prefix: &str,
    old: &BTreeMap<String, Value>,
    new: &BTreeMap<String, Value>,
) -> Vec<FieldChange> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let value = |map: &BTreeMap<String, Value>, name: &String| map.get(name).cloned().unwrap_or_default();
    names
        .into_iter()
        .map(|name| (name, value(old, name), value(new, name)))
        .filter(|(_, old, new)| old != new && !(is_nothing(old) && is_nothing(new)))
        .map(|(name, old, new)| FieldChange {
            field: format!("{prefix}{name}"),
            old,
            new,
        })
        .collect()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::compare;
    use caxplan_model::{Graph, Node, NodeIndex, NodeKind, OnFailure, StepId};
    use serde_json::json;

    /// A plan of one phase of waits: `(name, duration)` each.
    fn plan(steps: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::empty("test");
        let children: Vec<NodeIndex> = (2..).take(steps.len()).map(NodeIndex).collect();
        let phase = NodeKind::Sequence { children };
        graph.nodes[0].kind = NodeKind::Sequence {
            children: vec![NodeIndex(1)],
        };
        graph
            .nodes
            .push(Node::new(StepId::new("work"), Some(NodeIndex::ROOT), phase));
        for (name, duration) in steps {
            let kind = NodeKind::Wait {
                duration: (*duration).to_owned(),
            };
            let id = StepId::new(format!("work/{name}"));
            graph.nodes.push(Node::new(id, Some(NodeIndex(1)), kind));
        }
        graph
    }

    fn check(old: &[(&str, &str)], new: &[(&str, &str)], expected: &serde_json::Value) {
        let compared = serde_json::to_value(compare(&plan(old), &plan(new))).expect("plain data");
        assert_eq!(&compared, expected);
    }

    #[test]
    fn nodes_are_compared_by_id() {
        let same = json!({"plan": [], "added": [], "removed": [], "changed": []});
        check(&[("a", "1s")], &[("a", "1s")], &same);
        check(
            &[("a", "1s"), ("b", "1s"), ("c", "1s")],
            &[("c", "1s"), ("b", "5s"), ("d", "1s")],
            &json!({"plan": [], "added": ["work/d"], "removed": ["work/a"], "changed": [
                {"id": "work", "fields": [{"field": "order", "old": ["b", "c"], "new": ["c", "b"]}]},
                {"id": "work/b", "fields": [{"field": "duration", "old": "1s", "new": "5s"}]},
            ]}),
        );
    }

    #[test]
    fn what_only_describes_is_no_difference() {
        let old = plan(&[("a", "1s")]);
        let mut new = old.clone();
        "other words".clone_into(&mut new.header.description);
        new.nodes[1].source.line = 70;
        assert!(compare(&old, &new).is_empty());
        new.header.on_failure = OnFailure::Pause;
        new.vars.insert("x".to_owned(), json!(1));
        let fields = compare(&old, &new).plan.into_iter().map(|change| change.field);
        assert_eq!(fields.collect::<Vec<_>>(), ["on_failure", "vars.x"]);
    }
}
