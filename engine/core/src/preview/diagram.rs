//! The preview as a diagram: Mermaid and DOT.

use super::{Change, Entry, IN_ORDER, Preview};
use caxplan_model::NodeIndex;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// An arrow from one entry to the one that follows it.
struct Arrow {
    from: NodeIndex,
    to: NodeIndex,
}

impl Preview {
    /// A Mermaid flowchart; groups are subgraphs.
    pub fn to_mermaid(&self) -> String {
        let mut out = String::from("flowchart TD\n");
        let label = |entry: &Entry| format!("\"{}\"", text(entry).replace('"', "#quot;"));
        self.nested(
            &mut out,
            &|entry| format!("subgraph n{}[{}]", entry.node.0, label(entry)),
            &|entry| format!("n{}[{}]", entry.node.0, label(entry)),
            "end",
        );
        for Arrow { from, to } in self.arrows() {
            let _ = writeln!(out, "  n{} --> n{}", from.0, to.0);
        }
        out
    }

    /// A DOT graph for Graphviz; groups are clusters.
    pub fn to_dot(&self) -> String {
        let mut out = String::from("digraph plan {\n  compound=true;\n  node [shape=box];\n");
        let label = |entry: &Entry| format!("\"{}\"", text(entry).replace('\\', "\\\\").replace('"', "\\\""));
        self.nested(
            &mut out,
            &|entry| format!("subgraph cluster_n{} {{ label={};", entry.node.0, label(entry)),
            &|entry| format!("n{} [label={}{}];", entry.node.0, label(entry), style(entry)),
            "}",
        );
        let firsts = self.first_leaves();
        let groups: BTreeMap<NodeIndex, bool> = self
            .entries
            .iter()
            .map(|entry| (entry.node, entry.holds_others))
            .collect();
        let end = |node: NodeIndex| firsts.get(&node).copied().unwrap_or(node);
        for Arrow { from, to } in self.arrows() {
            let clip = |name: &str, node: NodeIndex| {
                let group = groups.get(&node).copied().unwrap_or(false);
                if group {
                    format!("{name}=cluster_n{} ", node.0)
                } else {
                    String::new()
                }
            };
            let clips = format!("{}{}", clip("ltail", from), clip("lhead", to));
            let _ = writeln!(out, "  n{} -> n{}{clips};", end(from).0, end(to).0);
        }
        out.push_str("}\n");
        out
    }

    /// Writes all entries, groups around their children.
    fn nested(
        &self,
        out: &mut String,
        begin: &dyn Fn(&Entry) -> String,
        leaf: &dyn Fn(&Entry) -> String,
        end: &str,
    ) {
        let mut open: Vec<u32> = Vec::new();
        for entry in &self.entries {
            while open.last().is_some_and(|depth| *depth >= entry.depth) {
                open.pop();
                let _ = writeln!(out, "{}{end}", indent(open.len()));
            }
            let group = entry.holds_others;
            let line = if group { begin(entry) } else { leaf(entry) };
            let _ = writeln!(out, "{}{line}", indent(open.len()));
            if group {
                open.push(entry.depth);
            }
        }
        while open.pop().is_some() {
            let _ = writeln!(out, "{}{end}", indent(open.len()));
        }
    }

    /// What follows what: needs, and the order within groups whose children run one after the other.
    fn arrows(&self) -> Vec<Arrow> {
        let ids: BTreeMap<&str, NodeIndex> = self
            .entries
            .iter()
            .map(|entry| (entry.id.as_str(), entry.node))
            .collect();
        let chained: BTreeMap<NodeIndex, bool> = self
            .entries
            .iter()
            .map(|entry| {
                (
                    entry.node,
                    entry.what == IN_ORDER || entry.what.starts_with("block"),
                )
            })
            .collect();
        let mut last: BTreeMap<Option<NodeIndex>, (NodeIndex, Option<u32>)> = BTreeMap::new();
        let mut arrows = Vec::new();
        for entry in &self.entries {
            for need in &entry.needs {
                if let Some(from) = ids.get(need.as_str()) {
                    arrows.push(Arrow {
                        from: *from,
                        to: entry.node,
                    });
                }
            }
            let in_order = entry
                .parent
                .is_none_or(|parent| chained.get(&parent).copied().unwrap_or(true));
            let before = last.insert(entry.parent, (entry.node, entry.batch));
            // One arrow from batch to batch, not from each to each.
            let next_batch = before.is_some_and(|(_, batch)| batch != entry.batch);
            if let (true, true, Some((from, _))) = (in_order || next_batch, entry.needs.is_empty(), before) {
                arrows.push(Arrow { from, to: entry.node });
            }
        }
        arrows
    }

    /// The first step inside each group.
    fn first_leaves(&self) -> BTreeMap<NodeIndex, NodeIndex> {
        let mut firsts = BTreeMap::new();
        // Children stand behind their parents: what is inside is known before what is around.
        for entry in self.entries.iter().rev() {
            let own = firsts.get(&entry.node).copied().unwrap_or(entry.node);
            if let Some(parent) = entry.parent {
                firsts.insert(parent, own);
            }
        }
        firsts
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth + 1)
}

fn text(entry: &Entry) -> String {
    match &entry.target {
        Some(target) => format!("{} @{target}", entry.name),
        None => entry.name.clone(),
    }
}

fn style(entry: &Entry) -> &'static str {
    match entry.change {
        Some(Change::Would) => ", color=orange",
        Some(Change::Unknown) => ", style=dashed",
        Some(Change::Skipped) => ", color=gray, fontcolor=gray",
        Some(Change::WouldNot | Change::Never) | None => "",
    }
}
