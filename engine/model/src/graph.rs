//! The expanded plan: an arena of nodes in which nothing is left to choose. What is previewed is what runs.

use crate::{
    ActionCall, ActionStep, Checklist, CheckpointName, Digest, Duration, FORMAT, Location, LockName,
    LockPolicy, Map, OnFailure, RunEnd, Schedule, SharedMap, ShortText, StepId, Target, Value, Watch,
    Wording,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The index of a node in [`Graph::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeIndex(pub u32);

impl NodeIndex {
    /// The root of every graph: a sequence of phases.
    pub const ROOT: Self = Self(0);

    /// The index into the arena.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An expanded plan.
///
/// `nodes[0]` is the root. A parent stands before its children. Ids are unique. Children that a [`Foreach`] makes at
/// run time are appended when its expansion is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// [`FORMAT`] when it was made.
    pub format: u32,
    /// What the plan says of itself.
    pub header: Header,
    /// The values of the plan's parameters; secret ones are `null` here and are handed to the driver apart.
    pub params: Map,
    /// The plan's variables, with the inventory's merged in.
    pub vars: Map,
    /// The targets of the inventory, in its order.
    pub targets: Vec<Target>,
    /// The nodes.
    pub nodes: Vec<Node>,
}

impl Graph {
    /// The node at `index`. Panics if the index is of another graph.
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.index()]
    }

    /// The digest over all of it: a preview and a run of the same digest do the same.
    pub fn digest(&self) -> Digest {
        Digest::of_json(self)
    }

    /// A graph that holds a root and nothing else.
    pub fn empty(name: &str) -> Self {
        Self {
            format: FORMAT,
            header: Header {
                name: name.to_owned(),
                ..Header::default()
            },
            params: Map::new(),
            vars: Map::new(),
            targets: Vec::new(),
            nodes: vec![Node::new(
                StepId::new(""),
                None,
                NodeKind::Sequence { children: Vec::new() },
            )],
        }
    }

    /// The step that runs the plan which a node belongs to; `None` for those of the graph's own plan.
    pub fn run_around(&self, node: NodeIndex) -> Option<NodeIndex> {
        let mut at = node;
        while let Some(parent) = self.node(at).parent {
            let child = self.node(parent).child.as_ref();
            // What evaluates the parameters stands outside.
            if child.is_some_and(|child| !(child.late && at == node)) {
                return Some(parent);
            }
            at = parent;
        }
        None
    }

    /// Where a node's texts are read: at itself, but for a check that belongs to a plan around its own.
    pub fn standpoint(&self, node: NodeIndex) -> NodeIndex {
        let levels = match &self.node(node).kind {
            NodeKind::Watch(watch) => watch.outside,
            _ => 0,
        };
        (0..levels).fold(node, |at, _| self.run_around(at).unwrap_or(at))
    }

    /// What loops and plans bound for a node: its own bindings and those of the groups around it; the nearest wins.
    pub fn bindings(&self, node: NodeIndex) -> Map {
        let mut all = Map::new();
        let mut at = Some(self.standpoint(node));
        while let Some(current) = at {
            let node = self.node(current);
            for (name, value) in node.bindings.iter() {
                if !all.contains_key(name) {
                    all.insert(name.clone(), value.clone());
                }
            }
            at = node.parent;
        }
        all
    }

    /// What is bound to a name at a node: by itself, or by the nearest group around it.
    pub fn bound(&self, node: NodeIndex, name: &str) -> Option<&Value> {
        let mut at = Some(self.standpoint(node));
        while let Some(current) = at {
            let node = self.node(current);
            if let Some(value) = node.bindings.get(name) {
                return Some(value);
            }
            at = node.parent;
        }
        None
    }

    /// The node with this id.
    pub fn find(&self, id: &str) -> Option<NodeIndex> {
        self.nodes
            .iter()
            .position(|node| node.id.as_str() == id)
            .map(|at| NodeIndex(u32::try_from(at).unwrap_or(u32::MAX)))
    }
}

/// What a plan says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Its name: the header's, else the file's without ending.
    pub name: String,
    /// Its description.
    #[serde(default)]
    pub description: String,
    /// The files it was made of, each with the digest of its text.
    #[serde(default)]
    pub sources: Vec<(String, Digest)>,
    /// Locks that a run holds.
    #[serde(default)]
    pub locks: Vec<LockName>,
    /// What a run does if one of them is held.
    #[serde(default, skip_serializing_if = "LockPolicy::is_default")]
    pub lock_policy: LockPolicy,
    /// What the plan does when a phase failed and nothing nearer says otherwise.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How many steps may run at once; 0 is no limit but the engine's own.
    #[serde(default)]
    pub max_parallel: u32,
    /// Environment variables that templates may read.
    #[serde(default)]
    pub env: Vec<String>,
    /// Where secrets come from: name → `{env: NAME}`, `{file: PATH}`, `{command: [argv]}` or `{age: {…}}`.
    #[serde(default)]
    pub secrets: Map,
    /// Who is told when a run leaves its engine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Notification>,
    /// What must hold all the time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invariants: Vec<Invariant>,
    /// When it runs by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Which of the plans in its file it is, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
}

/// No more than so many targets may be down at once: a step that would take down one more does not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invariant {
    /// The most targets that may be down at once.
    pub max_unavailable: u32,
    /// The targets that are counted, by name; all if there are none named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<String>>,
    /// How the plan says it, for messages: `max_unavailable: 25%, targets: group:web`.
    pub written: String,
}

impl std::fmt::Display for Invariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.written)
    }
}

/// Tells somebody that a run has left its engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// The ends that it is for.
    pub on: Vec<RunEnd>,
    /// How: an action, whose arguments are templates over what is known of the end.
    pub call: ActionCall,
}

/// One node: a step, or a group of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its id: a path, unique in the graph.
    pub id: StepId,
    /// What to call it where the path is not needed.
    #[serde(default)]
    pub name: ShortText,
    /// Its parent; `None` for the root alone.
    pub parent: Option<NodeIndex>,
    /// What it is.
    pub kind: NodeKind,
    /// Siblings that must have ended well before it starts (children of [`NodeKind::Dag`] only; phases too).
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub needs: Box<[NodeIndex]>,
    /// A condition or a template that yields a boolean; the node is skipped if it is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Box<str>>,
    /// What happens to the run if it failed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// How long it may go on from when it begins: a [`NodeKind::Sequence`] or [`NodeKind::Dag`] only. When that is over,
    /// nothing of it starts any more, what runs is aborted, and it has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Of a group: what undoes all of it, in this order and in place of what its steps say of themselves.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub undo: Box<[ActionCall]>,
    /// The point that is reached when it has ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Box<CheckpointName>>,
    /// What `foreach` bound; children inherit it.
    #[serde(default, skip_serializing_if = "SharedMap::is_empty")]
    pub bindings: SharedMap,
    /// Marks a phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Box<PhaseMark>>,
    /// Marks a step that runs another plan: all below it is that plan, which sees nothing of what is around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<Box<ChildPlan>>,
    /// Where it stands in the source.
    #[serde(default)]
    pub source: Location,
}

impl Node {
    /// A node without options.
    pub fn new(id: StepId, parent: Option<NodeIndex>, kind: NodeKind) -> Self {
        let name = id.as_str().rsplit('/').next().unwrap_or_default().into();
        Self {
            id,
            name,
            parent,
            kind,
            needs: Box::default(),
            when: None,
            on_failure: None,
            timeout: None,
            undo: Box::default(),
            checkpoint: None,
            bindings: SharedMap::default(),
            phase: None,
            child: None,
            source: Location::default(),
        }
    }
}

/// Says that a node is a phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseMark {
    /// Its description.
    #[serde(default)]
    pub description: String,
}

/// Says that a node is another plan. The plan's phases bind its `params`, `vars` and, if they are its own, `targets`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChildPlan {
    /// The plan: `FILE` or `FILE#ENTRY`.
    pub plan: String,
    /// Whether values of its parameters had to wait: its phases stand below a [`Foreach`] over one item then, which are
    /// the parameters.
    #[serde(default)]
    pub late: bool,
    /// What the plan around it sees as its output: templates, by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub outputs: Map,
    /// The secrets that the plan around it hands over, by parameter: they are in no record, and had anew by each step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, HandedSecret>,
    /// What must hold among its own steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invariants: Vec<Invariant>,
}

/// A secret that a plan hands over to one that it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandedSecret {
    /// The value as templates, which see what the plan around sees.
    pub value: Value,
    /// What is declared of the parameter.
    pub rule: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NodeKind {
    /// Children one after the other; stops at the first that failed.
    Sequence {
        /// The children in order.
        children: Vec<NodeIndex>,
    },
    /// Children all at once.
    Parallel {
        /// The children.
        children: Vec<NodeIndex>,
        /// How many at once; 0 is no limit.
        max: u32,
    },
    /// Children as soon as their `needs` have ended well.
    Dag {
        /// The children.
        children: Vec<NodeIndex>,
        /// How many at once; 0 is no limit.
        max: u32,
    },
    /// Children in batches, with a pause between: what `foreach` over known items becomes.
    Rolling(Rolling),
    /// A `foreach` over something that only the run knows. Becomes [`NodeKind::Rolling`] when expanded.
    Foreach(Box<Foreach>),
    /// `body`; `rescue` if it failed; `always` in any case.
    Block {
        /// A sequence.
        body: NodeIndex,
        /// A sequence that runs if the body failed; if it ends well, so has the block.
        rescue: Option<NodeIndex>,
        /// A sequence that runs at the end in any case.
        always: Option<NodeIndex>,
    },
    /// One action.
    Action(ActionStep),
    /// A durable timer.
    Wait {
        /// How long, a template or a duration.
        duration: String,
    },
    /// Repeated checks for some time.
    Watch(Box<Watch>),
    /// Waits for a person.
    Approve {
        /// The question.
        question: Wording,
    },
    /// Waits for a person to confirm each line.
    Checklist(Checklist),
}

impl NodeKind {
    /// What it asks a person, line by line; nothing if it asks nobody.
    pub fn wordings(&self) -> &[Wording] {
        match self {
            Self::Approve { question } => std::slice::from_ref(question),
            Self::Checklist(list) => &list.items,
            _ => &[],
        }
    }

    /// Whether it is a step by itself, not a group of others.
    pub fn is_leaf(&self) -> bool {
        match self {
            Self::Action(_)
            | Self::Wait { .. }
            | Self::Watch(_)
            | Self::Approve { .. }
            | Self::Checklist(_) => true,
            Self::Sequence { .. }
            | Self::Parallel { .. }
            | Self::Dag { .. }
            | Self::Rolling(_)
            | Self::Foreach(_)
            | Self::Block { .. } => false,
        }
    }

    /// The nodes directly in it, in the order of the plan.
    pub fn children(&self) -> Vec<NodeIndex> {
        match self {
            Self::Sequence { children } | Self::Parallel { children, .. } | Self::Dag { children, .. } => {
                children.clone()
            }
            Self::Rolling(rolling) => rolling.batches.iter().flatten().copied().collect(),
            Self::Block { body, rescue, always } => {
                [Some(*body), *rescue, *always].into_iter().flatten().collect()
            }
            Self::Foreach(_)
            | Self::Action(_)
            | Self::Wait { .. }
            | Self::Watch(_)
            | Self::Approve { .. }
            | Self::Checklist(_) => Vec::new(),
        }
    }
}

/// Batches of children.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rolling {
    /// The batches in order; the children of a batch run at once.
    pub batches: Vec<Vec<NodeIndex>>,
    /// The pause between two batches: a duration or a template.
    pub delay: Option<String>,
    /// How many children may fail, over all batches, before no further batch starts.
    pub max_failures: u32,
    /// The most children that may be unavailable at once, if the plan says.
    pub max_unavailable: Option<u32>,
}

/// A `foreach` that is expanded at run time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Foreach {
    /// The variable that each item is bound to.
    pub var: String,
    /// The items.
    pub items: Items,
    /// A number, or a percentage as `25%`.
    pub batch_size: String,
    /// The pause between two batches: a duration or a template.
    pub delay: Option<String>,
    /// As in [`Rolling`].
    pub max_failures: u32,
    /// As in [`Rolling`].
    pub max_unavailable: Option<u32>,
    /// The condition that each element carries.
    pub when: Option<String>,
    /// The element: a small graph whose root is a sequence; ids are relative.
    pub body: Vec<Node>,
    /// Of a child plan whose parameters had to wait: what is declared of each. The only item are their values.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map,
    /// Of such a child plan, if variables depend on those: all others.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map,
    /// The variables that depend on them, in order: each sees those before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late_vars: Vec<(String, Value)>,
}

/// What a `foreach` runs over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Items {
    /// Known when the plan was expanded.
    Known(Vec<Value>),
    /// A template that yields a list.
    Template(String),
}
