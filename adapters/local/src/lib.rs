//! Adapters that act on this machine: shell, file, http, assert, noop.

mod check;
mod file;
mod http;
mod noop;
mod scalar;
mod shell;

pub use check::{AssertThat, OneOrMany};
pub use file::{FileAbsent, FileRead, FileWrite};
pub use http::{HttpGet, HttpMethod, HttpRequest};
pub use noop::NoopRun;
pub use scalar::Scalar;
pub use shell::ShellRun;

use caxplan_adapter::{ActionSet, Adapter};
use std::sync::Arc;

/// All adapters of this package.
pub fn adapters() -> Vec<Arc<dyn Adapter>> {
    vec![
        Arc::new(ActionSet::new("shell").with::<ShellRun>()),
        Arc::new(
            ActionSet::new("file")
                .with::<FileWrite>()
                .with::<FileAbsent>()
                .with::<FileRead>(),
        ),
        Arc::new(ActionSet::new("http").with::<HttpGet>().with::<HttpRequest>()),
        Arc::new(ActionSet::new("assert").with::<AssertThat>()),
        Arc::new(ActionSet::new("noop").with::<NoopRun>()),
    ]
}
