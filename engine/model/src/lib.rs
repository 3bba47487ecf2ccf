//! Types of the workflow engine that reach disk or wire.
//!
//! Everything here is plain data: no behaviour that decides, no I/O, no clock. The journal of a run is a list of
//! [`Record`]s over a [`Graph`]; every view of a run (live progress, `show`, `logs`, recovery) folds the same
//! records. Changing a type here changes a format: see [`FORMAT`].

mod action;
mod graph;
mod id;
mod lock;
mod outcome;
mod record;
mod schedule;
mod shared;
mod span;
mod step;
mod target;
mod time;
mod well_formed;

pub use action::{ActionCall, ActionName, ActionSpec, Effect, UndoSupport};
pub use graph::{
    ChildPlan, Foreach, Graph, HandedSecret, Header, Invariant, Items, Node, NodeIndex, NodeKind,
    Notification, PhaseMark, Rolling,
};
pub use id::{AttemptNo, CheckpointName, Digest, LockName, RunId, StepId};
pub use lock::{IfHeld, LockPolicy};
pub use outcome::{Cause, FailureEffect, FailureKind, Outcome, Verdict};
pub use record::{Answer, InDoubtPolicy, Record, RecordSeq, RunEnd, UndoEnd, WaitReason};
pub use schedule::{Misfire, Overlap, Schedule};
pub use shared::SharedMap;
pub use span::{Location, Span};
pub use step::{ActionStep, Check, Checklist, OnFailure, Probe, Retry, Undo, Watch, Wording};
pub use target::Target;
pub use time::{Duration, ParseDurationError, Timestamp};

/// The version of the journal's and graph's format. A journal of another version is refused, not guessed at.
pub const FORMAT: u32 = 1;

/// A JSON value: what parameters, arguments and outputs are.
pub type Value = serde_json::Value;

/// A text that takes no room of its own up to 24 bytes: large plans are mostly short texts.
pub type ShortText = compact_str::CompactString;

/// A JSON object with its keys in the order of the source.
pub type Map = serde_json::Map<String, Value>;
