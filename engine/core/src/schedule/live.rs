//! What the engine itself is doing right now: what no record tells, and what a restart need not know.

use caxplan_model::NodeIndex;

/// What is going on for one node in this engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Activity {
    /// Nothing.
    #[default]
    Idle,
    /// A group whose children are being worked on.
    Open,
    /// The driver evaluates something.
    Asked(Question),
    /// Ready to start as soon as fewer steps run.
    Queued,
    /// The driver resolves the arguments and reads `before`.
    Preparing,
    /// An attempt is going on.
    Running,
    /// The driver asks what became of an attempt.
    Probing,
    /// The driver makes an observation.
    Observing,
    /// A timer is armed.
    Sleeping,
    /// A person was asked.
    Waiting,
    /// An undo is going on.
    Undoing,
}

/// What the driver was asked to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether the node runs at all.
    When,
    /// What a `foreach` runs over.
    Items,
    /// How long a wait or a watch lasts.
    Duration,
    /// The pause between two observations.
    Every,
    /// The pause between two batches.
    Delay,
    /// What a person is asked.
    Wording,
}

impl Activity {
    /// Whether the driver owes an answer.
    fn is_busy(self) -> bool {
        match self {
            Self::Asked(_)
            | Self::Preparing
            | Self::Running
            | Self::Probing
            | Self::Observing
            | Self::Undoing => true,
            Self::Idle | Self::Open | Self::Queued | Self::Sleeping | Self::Waiting => false,
        }
    }

    /// Whether it counts against the number of steps that run at once.
    fn takes_slot(self) -> bool {
        // An attempt that is probed has started, and may have to be counted as going on.
        matches!(self, Self::Preparing | Self::Running | Self::Probing)
    }
}

/// The activities of all nodes, with their sums.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    nodes: Vec<LiveNode>,
    /// How many answers the driver owes.
    pub(super) busy: u32,
    /// How many steps run.
    pub(super) slots: u32,
    /// How many timers are armed.
    pub(super) sleeping: u32,
    /// How many nodes wait for a person.
    pub(super) waiting: u32,
}

/// The activity of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveNode {
    pub(super) activity: Activity,
    /// Whether its group has let it go.
    pub(super) admitted: bool,
    /// For a group: the position of the next child to admit.
    pub(super) next: u32,
    /// For a group: how many admitted children have not ended.
    pub(super) open: u32,
}

impl Live {
    pub(super) fn new(count: usize) -> Self {
        Self {
            nodes: vec![LiveNode::default(); count],
            ..Self::default()
        }
    }

    /// Makes room for nodes that were appended to the graph.
    pub(super) fn grow(&mut self, count: usize) {
        self.nodes.resize(count, LiveNode::default());
    }

    pub(super) fn get(&self, node: NodeIndex) -> &LiveNode {
        &self.nodes[node.index()]
    }

    pub(super) fn get_mut(&mut self, node: NodeIndex) -> &mut LiveNode {
        &mut self.nodes[node.index()]
    }

    pub(super) fn activity(&self, node: NodeIndex) -> Activity {
        self.nodes
            .get(node.index())
            .map_or(Activity::Idle, |live| live.activity)
    }

    pub(super) fn set(&mut self, node: NodeIndex, activity: Activity) {
        let old = std::mem::replace(&mut self.nodes[node.index()].activity, activity);
        self.add(old, false);
        self.add(activity, true);
    }

    /// All nodes for which the driver owes an answer.
    pub(super) fn busy_nodes(&self) -> impl Iterator<Item = (NodeIndex, Activity)> + '_ {
        (0_u32..)
            .map(NodeIndex)
            .zip(self.nodes.iter().map(|live| live.activity))
            .filter(|(_, activity)| activity.is_busy())
    }

    /// Forgets everything but what the driver owes an answer for, so that the tree can be walked anew.
    pub(super) fn reset(&mut self) {
        for at in 0..self.nodes.len() {
            let live = &mut self.nodes[at];
            live.admitted = false;
            live.next = 0;
            live.open = 0;
            if !live.activity.is_busy() {
                let old = std::mem::take(&mut live.activity);
                self.add(old, false);
            }
        }
    }

    fn add(&mut self, activity: Activity, up: bool) {
        let count = |sum: &mut u32, counts: bool| {
            if counts {
                *sum = if up { *sum + 1 } else { *sum - 1 };
            }
        };
        count(&mut self.busy, activity.is_busy());
        count(&mut self.slots, activity.takes_slot());
        count(&mut self.sleeping, activity == Activity::Sleeping);
        count(&mut self.waiting, activity == Activity::Waiting);
    }
}
