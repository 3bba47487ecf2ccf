//! From events to records and commands.
//!
//! [`State`] folds records over a graph; it is what `show`, the live display and recovery see. [`Scheduler`] decides
//! the records: one [`Event`] in, [`Command`]s out.

mod admit;
mod attempt;
mod backoff;
mod check;
mod event;
mod group;
mod invariant;
mod live;
mod replace;
mod resume;
mod rollback;
mod scheduler;
mod shape;
mod standing;
mod state;
mod status;
mod time_limit;
mod timed;
mod view;

pub(crate) use shape::indices;

pub use event::{Command, Event, Interrupt, ProbeReport};
pub use replace::Refusal;
pub use scheduler::{MAX_PARALLEL, Scheduler};
pub use state::{IllegalRecord, State};
pub use status::{Failure, NodeStatus, UndoStatus};
pub use timed::looks_once;
