//! What is known of a run, and of each of its nodes.

use super::group::Group;
use super::status::{NodeStatus, UndoStatus};
use caxplan_model::{
    Answer, Foreach, InDoubtPolicy, Node, NodeIndex, NodeKind, Outcome, RunEnd, Timestamp, Value,
};
use std::sync::{Arc, LazyLock};

/// What a loop was before it was expanded, and what it became.
#[derive(Clone, Debug)]
pub(super) struct Expansion {
    pub(super) foreach: Box<Foreach>,
    /// The number of the record that expanded it last.
    pub(super) order: u64,
    /// All elements that it has had.
    pub(super) made: Vec<NodeIndex>,
}

/// What is known of one node.
#[derive(Clone, Debug)]
pub(super) struct NodeState {
    pub(super) status: NodeStatus,
    /// Whether it, or something in it, has a record that still counts.
    pub(super) begun: bool,
    /// The number of the record that ended it last, or that started it if it never ended.
    pub(super) order: u64,
    /// Siblings that it needs and that have not ended well.
    pub(super) needs_left: u32,
    /// When its timer is due: of a wait, a watch, between two batches, or of the time that a group has.
    pub(super) timer: Option<Timestamp>,
    pub(super) undoing: Undoing,
    pub(super) part: Part,
}

/// What is known of a node beyond its status.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Group(Box<Group>),
    Step(Tried),
    Watch { breaches: u32 },
    Wait,
    Ask,
}

/// What is known of an action's attempts; takes no room before the first one.
#[derive(Clone, Debug, Default)]
pub(super) struct Tried(Option<Box<Step>>);

impl std::ops::Deref for Tried {
    type Target = Step;

    fn deref(&self) -> &Step {
        static NEVER: LazyLock<Step> = LazyLock::new(Step::default);
        self.0.as_deref().unwrap_or(&NEVER)
    }
}

impl std::ops::DerefMut for Tried {
    fn deref_mut(&mut self) -> &mut Step {
        self.0.get_or_insert_default()
    }
}

/// What is known of an action's attempts.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    /// The number of the record by which an attempt last began, or ended for the first time after it had begun.
    pub(super) touched: u64,
    /// Whether the attempt that began last has no end yet.
    pub(super) open: bool,
    /// The number of the record by which it last succeeded; 0 if it never did.
    pub(super) succeeded: u64,
    /// The last attempt's number; 0 if there was none.
    pub(super) attempts: u32,
    /// The attempts that count against the limit: those since the run was last resumed after its end.
    pub(super) round: u32,
    pub(super) outcome: Option<Arc<Outcome>>,
    /// What was seen before the first attempt that may have acted, if anything.
    pub(super) before: Option<Box<Value>>,
    /// What was seen before the last attempt, if anything: what a probe compares with.
    pub(super) before_last: Option<Box<Value>>,
    /// Whether an attempt may have changed something that was not undone.
    pub(super) may_have_acted: bool,
    /// What a person said about the attempt in doubt.
    pub(super) answer: Option<Box<Answer>>,
    /// Whether a person was asked about the attempt in doubt.
    pub(super) asked: bool,
}

/// What is known of the attempts at undoing a step, or a group as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Undoing {
    pub(super) status: UndoStatus,
    /// The last attempt's number; 0 if there was none.
    pub(super) attempts: u32,
    /// The attempts since the run was last resumed.
    pub(super) round: u32,
}

/// What is known of the run as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    /// How many records were applied.
    pub(super) records: u64,
    pub(super) seed: u64,
    /// Whether an engine has the run.
    pub(super) live: bool,
    pub(super) in_doubt: InDoubtPolicy,
    pub(super) paused: bool,
    /// Whether a person asked the run to end, and whether to abort.
    pub(super) cancel: Option<Cancel>,
    pub(super) rollback: Option<Rollback>,
    pub(super) ended: Option<RunEnd>,
    /// The notifications of that end that were tried.
    pub(super) notified: Vec<u32>,
}

impl Run {
    /// The end, if no engine can take the run up any more. One that succeeded can still be rolled back.
    pub(super) fn final_end(&self) -> Option<RunEnd> {
        let undoes = self.ended == Some(RunEnd::Succeeded) && self.rollback.is_some();
        self.ended.filter(|end| !end.is_resumable() && !undoes)
    }
}

/// How the run was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancel {
    Drain,
    Abort,
}

/// How far a rollback goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rollback {
    /// What was completed up to this record stays.
    pub(super) keep: u64,
}

/// An outcome to keep. Those without an output are all the same, and most steps of large plans have none.
pub(super) fn kept(outcome: &Outcome) -> Arc<Outcome> {
    static SILENT: LazyLock<[Arc<Outcome>; 2]> = LazyLock::new(|| {
        let output = Value::Null;
        let changed = Outcome::Changed { output };
        let output = Value::Null;
        [changed, Outcome::Unchanged { output }].map(Arc::new)
    });
    let same = SILENT.iter().find(|silent| ***silent == *outcome);
    same.map_or_else(|| Arc::new(outcome.clone()), Arc::clone)
}

impl NodeState {
    pub(super) fn new(node: &Node) -> Self {
        Self {
            status: NodeStatus::Pending,
            begun: false,
            order: 0,
            needs_left: 0,
            timer: None,
            undoing: Undoing::default(),
            part: match &node.kind {
                NodeKind::Sequence { .. }
                | NodeKind::Parallel { .. }
                | NodeKind::Dag { .. }
                | NodeKind::Rolling(_)
                | NodeKind::Foreach(_)
                | NodeKind::Block { .. } => Part::Group(Box::default()),
                NodeKind::Action(_) => Part::Step(Tried::default()),
                NodeKind::Wait { .. } => Part::Wait,
                NodeKind::Watch(_) => Part::Watch { breaches: 0 },
                NodeKind::Approve { .. } | NodeKind::Checklist(_) => Part::Ask,
            },
        }
    }
}
