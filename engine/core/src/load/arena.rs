//! Nodes that have been made.

use crate::expand::Ids;
use caxplan_model::{Node, NodeIndex, NodeKind, StepId};

/// Nodes that have been made: a whole graph, or the body of a loop.
pub(super) struct Arena {
    pub(super) nodes: Vec<Node>,
    ids: Ids,
}

impl Arena {
    pub(super) fn new(root: Node) -> Self {
        let mut ids = Ids::default();
        ids.give(root.id.as_str());
        Self {
            nodes: vec![root],
            ids,
        }
    }

    /// Adds a node whose kind is set later; its id is made unique.
    pub(super) fn add(&mut self, parent: NodeIndex, id: &str) -> NodeIndex {
        let id = self.ids.give(id);
        let index = NodeIndex(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        let kind = NodeKind::Sequence { children: Vec::new() };
        self.nodes.push(Node::new(StepId::new(id), Some(parent), kind));
        index
    }

    /// Lets two nodes change their ids.
    pub(super) fn swap_ids(&mut self, one: NodeIndex, other: NodeIndex) {
        let id = self.nodes[one.index()].id.clone();
        let other = &mut self.nodes[other.index()].id;
        self.nodes[one.index()].id = std::mem::replace(other, id);
    }

    /// What was made, in no more room than it needs.
    pub(super) fn into_nodes(mut self) -> Vec<Node> {
        self.nodes.shrink_to_fit();
        self.nodes
    }

    pub(super) fn id(&self, index: NodeIndex) -> String {
        self.nodes[index.index()].id.as_str().to_owned()
    }

    pub(super) fn at(&mut self, index: NodeIndex) -> &mut Node {
        &mut self.nodes[index.index()]
    }
}
