//! Monitors and alert rules: looking, and what is done about what is seen.

mod act;
mod look;
mod store;

pub use act::{Action, Decided, decide};
pub use look::{Answer, Verdict, look};
pub use store::{Alerts, StoredAlert};
