//! The tree's lasting shape, so that nothing searches for a parent, a child or a name.

use super::state::State;
use caxplan_model::{Graph, Node, NodeIndex, NodeKind};

/// Who stands around a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// The group it belongs to.
    pub(super) parent: Option<NodeIndex>,
    /// Who else; most steps of a large plan have nobody.
    others: Option<Box<Others>>,
}

/// Who stands around a node beside its parent.
#[derive(Clone, Debug, Default)]
struct Others {
    children: Vec<NodeIndex>,
    batch_ends: Vec<u32>,
    dependents: Vec<NodeIndex>,
}

impl Shape {
    /// What belongs to it, in order; batches follow each other.
    pub(super) fn children(&self) -> &[NodeIndex] {
        self.others.as_ref().map_or(&[], |others| &others.children)
    }

    /// For a rolling group: how many children stand in this batch and those before it. No batch is empty.
    pub(super) fn batch_ends(&self) -> &[u32] {
        self.others.as_ref().map_or(&[], |others| &others.batch_ends)
    }

    /// Siblings that need it.
    pub(super) fn dependents(&self) -> &[NodeIndex] {
        self.others.as_ref().map_or(&[], |others| &others.dependents)
    }

    fn set_members(&mut self, (children, batch_ends): (Vec<NodeIndex>, Vec<u32>)) {
        if self.others.is_some() || !children.is_empty() {
            let others = self.others.get_or_insert_default();
            (others.children, others.batch_ends) = (children, batch_ends);
        }
    }
}

/// The shapes of all nodes, and the nodes by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Shapes {
    shapes: Vec<Shape>,
    by_name: Vec<NodeIndex>,
}

impl Shapes {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut this = Self::default();
        this.extend(graph);
        this
    }

    /// Takes in nodes that were appended to the graph, and the changed group that they belong to.
    pub(super) fn grow(&mut self, graph: &Graph, group: NodeIndex) {
        self.extend(graph);
        self.shapes[group.index()].set_members(members(graph.node(group)));
    }

    /// A group that has lost its members.
    pub(super) fn empty(&mut self, group: NodeIndex) {
        self.shapes[group.index()].set_members((Vec::new(), Vec::new()));
    }

    pub(super) fn get(&self, node: NodeIndex) -> &Shape {
        &self.shapes[node.index()]
    }

    /// The nodes that are called so, in the order of the graph.
    pub(super) fn named<'a>(&'a self, graph: &'a Graph, name: &str) -> &'a [NodeIndex] {
        let name_of = |node: &NodeIndex| graph.node(*node).name.as_str();
        let from = self.by_name.partition_point(|node| name_of(node) < name);
        let to = self.by_name.partition_point(|node| name_of(node) <= name);
        &self.by_name[from..to]
    }

    fn extend(&mut self, graph: &Graph) {
        let old = self.shapes.len();
        self.shapes.reserve(graph.nodes.len() - old);
        for node in &graph.nodes[old..] {
            let mut shape = Shape {
                parent: node.parent,
                others: None,
            };
            shape.set_members(members(node));
            self.shapes.push(shape);
        }
        for at in indices(graph).skip(old) {
            for need in &graph.node(at).needs {
                self.shapes[need.index()]
                    .others
                    .get_or_insert_default()
                    .dependents
                    .push(at);
            }
        }
        self.by_name.extend(indices(graph).skip(old));
        // Stable, so that equal names stay in the order of the graph.
        self.by_name
            .sort_by(|a, b| graph.node(*a).name.cmp(&graph.node(*b).name));
    }
}

impl State {
    /// A node and all below it, elements included that a loop has had and does not have any more.
    pub(super) fn inside(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let mut all = vec![node];
        let mut next = 0;
        while let Some(at) = all.get(next).copied() {
            match self.loops.get(&at) {
                Some(expansion) => all.extend_from_slice(&expansion.made),
                None => all.extend_from_slice(self.children(at)),
            }
            next += 1;
        }
        all
    }
}

impl State {
    /// Whether a node is a group or stands below it.
    pub(super) fn is_inside(&self, node: NodeIndex, group: NodeIndex) -> bool {
        std::iter::successors(Some(node), |at| self.parent(*at)).any(|at| at == group)
    }
}

/// All indices of a graph. A graph of more than 2³² nodes cannot be loaded.
pub(crate) fn indices(
    graph: &Graph,
) -> impl DoubleEndedIterator<Item = NodeIndex> + ExactSizeIterator + use<> {
    let count = u32::try_from(graph.nodes.len()).unwrap_or(u32::MAX) as usize;
    (0..count).map(|at| NodeIndex(at as u32))
}

fn members(node: &Node) -> (Vec<NodeIndex>, Vec<u32>) {
    let mut ends = Vec::new();
    if let NodeKind::Rolling(rolling) = &node.kind {
        let mut count = 0;
        for batch in rolling.batches.iter().filter(|batch| !batch.is_empty()) {
            count += batch.len();
            ends.push(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }
    (node.kind.children(), ends)
}
