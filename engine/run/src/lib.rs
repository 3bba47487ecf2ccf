//! The engine's shell: driver, journal, registry, secrets, locks.
//!
//! Nothing here decides about a run: the pure scheduler of `caxplan-core` does, and the [`Driver`] carries out what it
//! says.

mod clock;
mod journal;
mod lock;
mod mask;
pub mod orphans;
mod registry;
mod secrets;
mod state_dir;

pub use clock::now;
pub use journal::{
    Batch, Journal, JournalError, LogChunk, LogCursor, NewRun, Request, RunName, RunSummary, StoredRequest,
    StoredRun, Tail, stream_name,
};
pub use lock::{Holder, LockError, Locks, engine_of};
pub use mask::{MASK, MASK_IN_BEFORE, Masker, StreamMasker};
pub use registry::Registry;
pub use secrets::{SecretError, Secrets};
pub use state_dir::{StateDir, StateDirError};
