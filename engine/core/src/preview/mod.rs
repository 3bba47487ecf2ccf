//! What a plan would do, before it does anything: made from the graph and from what adapters forecast.
//!
//! Nothing is claimed that is not known: a value that a step of the run itself will yield is shown as such, and a
//! change that no adapter could foresee is *unknown*, never *none*.

mod artefact;
mod availability;
mod build;
mod diagram;
mod foresight;
mod history;
mod invariant;
pub(crate) mod markdown;
mod tree;
mod verdict;
mod worst;

pub use artefact::{Artefact, Inputs};
pub use availability::{Down, DownMoment, Then};
pub use build::{build, target_name};
pub use foresight::{Because, Foresight};
pub use history::{History, Past, Usual};
pub use markdown::{DIFFERENCE_BYTES_MAX, PREVIEW_BYTES_MAX};
pub use worst::WorstCase;

pub(crate) use availability::down_key;
pub(crate) use build::resolve_early as resolve_before_run;
pub(crate) use invariant::{Broken, broken_for_sure, is_target, may_be_down};

use caxplan_model::{
    CheckpointName, Digest, LockName, LockPolicy, NodeIndex, Notification, OnFailure, Schedule, SharedMap,
    ShortText, StepId,
};
use serde::{Deserialize, Serialize};

/// What stands for a value that only the run will know.
pub const AT_RUN_TIME: &str = "known at run time";

/// What a sequence is: the usual case, which renderings need not say.
const IN_ORDER: &str = "one after the other";

/// What is known of one step before the run: filled by whoever can ask the adapters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecasted {
    /// The arguments, as far as they could be resolved; what could not be is still a template.
    pub arguments: SharedMap,
    /// Whether something would change.
    pub change: Change,
    /// One line for a person; further lines are details, such as the difference of a file.
    pub summary: ShortText,
}

/// Whether a step would change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It would.
    Would,
    /// The target is as wanted.
    WouldNot,
    /// It cannot be told before the run.
    Unknown,
    /// The step only reads.
    Never,
    /// The step will not run: a condition that is known now is false.
    Skipped,
}

/// What a plan would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// The plan's name.
    pub plan: String,
    /// Its description.
    pub description: String,
    /// The digest of the graph: a run of the same digest does what is shown here.
    pub digest: Digest,
    /// Locks that the run would hold.
    pub locks: Vec<LockName>,
    /// What it would do if one of them is held.
    #[serde(default, skip_serializing_if = "LockPolicy::is_default")]
    pub lock_policy: LockPolicy,
    /// What happens on a failure if nothing nearer says otherwise.
    pub on_failure: OnFailure,
    /// How many steps run at once.
    pub max_parallel: u32,
    /// How many steps would change something, would not, or cannot tell.
    pub changes: ChangeCount,
    /// The most targets that are down at once.
    pub down: Down,
    /// How so many come to be down: at most 20 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub down_timeline: Vec<DownMoment>,
    /// How long earlier runs took that succeeded; `None` if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Usual>,
    /// When it runs by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// When it is due next, by the clock of its time zone; `None` if nobody has said what time it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<String>,
    /// The longest that it can take.
    pub worst: WorstCase,
    /// Steps that a rollback would leave as they are.
    pub cannot_undo: Vec<StepId>,
    /// Steps of which nobody could tell, after a crash in their middle, whether they acted.
    pub in_doubt: Vec<StepId>,
    /// What takes time by itself: waits, watches and pauses between batches, with their lengths.
    pub times: Vec<(StepId, String)>,
    /// Where the run would wait for a person, with the question.
    pub questions: Vec<(StepId, String)>,
    /// Who would be told of which ends.
    pub notify: Vec<Notification>,
    /// All groups and steps below the root, in the order of the plan; a parent stands before its children.
    pub entries: Vec<Entry>,
}

/// How many steps would change something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeCount {
    /// Would.
    pub would: u32,
    /// Would not: the target is as wanted.
    pub would_not: u32,
    /// Cannot be told before the run.
    pub unknown: u32,
    /// Only read.
    pub never: u32,
    /// Will not run.
    pub skipped: u32,
}

/// One group or step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the graph.
    pub node: NodeIndex,
    /// The place of the entry that it belongs to; the root's for phases.
    pub parent: Option<NodeIndex>,
    /// How deep it stands below the root: phases have 0.
    pub depth: u32,
    /// Its id.
    pub id: StepId,
    /// Its name.
    pub name: ShortText,
    /// What it is, in a word or two: `sequence`, `parallel`, `batches of 1`, an action's name.
    pub what: ShortText,
    /// The batch of a loop that it belongs to, from 1.
    pub batch: Option<u32>,
    /// Whether it is a group.
    pub group: bool,
    /// Whether entries of their own stand below it: not so for a loop whose list only the run will know.
    pub holds_others: bool,
    /// The target, if it has one that is known.
    pub target: Option<ShortText>,
    /// The arguments of an action; a value that depends on the run reads [`AT_RUN_TIME`].
    pub arguments: SharedMap,
    /// Whether it would change something; `None` for groups and for what runs no action.
    pub change: Option<Change>,
    /// Why the change is unknown, with the steps that it depends on; or why the step is skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<Because>,
    /// The forecast's line, a question, a length: what there is to say.
    pub summary: ShortText,
    /// The condition on which it runs.
    pub when: Option<Box<str>>,
    /// Ids of siblings that must have ended well before.
    pub needs: Box<[StepId]>,
    /// What happens if it fails, if it says so itself.
    pub on_failure: Option<OnFailure>,
    /// The checkpoint that it reaches.
    pub checkpoint: Option<Box<CheckpointName>>,
    /// How often it is tried in all.
    pub attempts: u32,
    /// How long it took in earlier runs; `None` if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual: Option<Box<Usual>>,
    /// Whether a rollback can undo it; `None` if there is nothing to undo.
    pub can_undo: Option<bool>,
    /// The place of the sibling that it is like, but for the name of its target: renderings fold it.
    pub like: Option<NodeIndex>,
}

impl Preview {
    /// All of it as JSON.
    pub fn to_json(&self) -> String {
        // Maps with text keys, numbers and texts: they always serialize.
        serde_json::to_string_pretty(self).expect("a preview is plain data")
    }
}
