//! Adapters that act on this machine: shell, file, http, assert, noop.

mod noop;
mod scalar;
mod shell;

pub use noop::NoopRun;
pub use scalar::Scalar;
pub use shell::ShellRun;

use caxplan_adapter::{ActionSet, Adapter};
use std::sync::Arc;

/// All adapters of this package.
pub fn adapters() -> Vec<Arc<dyn Adapter>> {
    vec![
        Arc::new(ActionSet::new("shell").with::<ShellRun>()),
        Arc::new(ActionSet::new("noop").with::<NoopRun>()),
    ]
}
