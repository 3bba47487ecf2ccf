//! A client of the management API.

mod calls;
mod client;
mod context;
mod error;

pub use client::{Client, FromContextError};
pub use context::{ContextError, load_context};
pub use error::ClientError;

/// How long a call that only reads may take.
pub const READ_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
/// How long a call that changes something may take: a deployment, a copy of a module, a batch of messages.
pub const CHANGE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);
/// How long a call that waits for work to end may take: a drain, a checkpoint, a backup, the staging of a release.
pub const LONG_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);
