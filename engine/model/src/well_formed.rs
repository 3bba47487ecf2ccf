//! Whether a graph that was read from somewhere is a tree: what everything that walks one relies on.

use crate::{FORMAT, Graph, NodeIndex};
use std::collections::BTreeSet;

impl Graph {
    /// Checks that the graph is a tree as all graphs are. One from a journal need not be.
    ///
    /// # Errors
    /// What is wrong with the first node that is not as it should be.
    pub fn check_tree(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("its format is {}, not {FORMAT}", self.format));
        }
        let mut ids = BTreeSet::new();
        let mut owned = vec![false; self.nodes.len()];
        for (at, node) in (0..).map(NodeIndex).zip(&self.nodes) {
            if !ids.insert(node.id.as_str()) {
                return Err(format!("two steps have the id `{}`", node.id));
            }
            let root = at == NodeIndex::ROOT;
            if node.parent.is_none() != root || node.parent.is_some_and(|parent| parent >= at) {
                return Err(format!("`{}` stands before its group", node.id));
            }
            if node.needs.iter().any(|need| need.index() >= self.nodes.len()) {
                return Err(format!("`{}` needs a step that is not there", node.id));
            }
            for child in node.kind.children() {
                let is_own = self
                    .nodes
                    .get(child.index())
                    .is_some_and(|child| child.parent == Some(at));
                if !is_own || std::mem::replace(&mut owned[child.index()], true) {
                    return Err(format!("`{}` has a step that is not its own", node.id));
                }
            }
        }
        if self.nodes.is_empty() {
            return Err("it is empty".to_owned());
        }
        Ok(())
    }
}
