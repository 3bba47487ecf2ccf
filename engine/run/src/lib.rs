//! The engine's shell: driver, journal, registry, secrets, locks.
//!
//! Nothing here decides about a run: the pure scheduler of `caxplan-core` does, and the [`Driver`] carries out what it
//! says. A [`Session`] is a run that this process has taken up.

mod clock;
mod driver;
mod encrypted;
mod forecast;
mod history;
mod journal;
mod lock;
mod mask;
mod monitor;
mod observe;
pub mod orphans;
mod output;
mod registry;
mod report;
mod resolve;
mod scope;
mod secrets;
mod session;
mod state_dir;

pub use clock::{now, utc};
pub use driver::{
    Driver, DriverError, Interview, Orders, Person, Question, QuestionKind, Reply, RollbackOrder,
};
pub use forecast::{Forecasts, forecast};
pub use history::history;
pub use journal::{
    Batch, Fate, Firing, Grant, Journal, JournalError, Ledger, LogChunk, LogCursor, NewRun, Reclaimed,
    Request, RunFilter, RunHead, RunName, RunSummary, ScheduleKey, StoredRequest, StoredRun, Tail, Tombstone,
    stream_name,
};
pub use lock::{Claim, Holder, LockError, Locks, engine_of};
pub use mask::{MASK, MASK_IN_BEFORE, Masker, StreamMasker};
pub use monitor::{Action, Alerts, Answer, Decided, StoredAlert, Verdict, decide, look};
pub use observe::{Observer, Unobserved};
pub use output::OUTPUT_BYTES_MAX;
pub use registry::Registry;
pub use report::RunAdapter;
pub use secrets::{SecretError, Secrets};
pub use session::{EditedPlan, Session, SessionError, fold, user};
pub use state_dir::{StateDir, StateDirError};
