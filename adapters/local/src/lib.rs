//! Adapters that act on this machine, or from it: shell, command, file, http, notify, log, assert, noop.

mod check;
mod command;
mod file;
mod http;
mod log;
mod noop;
mod scalar;
mod shell;

pub use check::{AssertThat, OneOrMany};
pub use command::CommandRun;
pub use file::{FileAbsent, FileCopy, FileDirectory, FileLine, FileMove, FileRead, FileWrite, LineState};
pub use http::{Expect, HttpGet, HttpMethod, HttpMetrics, HttpRequest, HttpWait, NotifyWebhook, Statuses};
pub use log::LogSay;
pub use noop::NoopRun;
pub use scalar::Scalar;
pub use shell::ShellRun;

use caxplan_adapter::{ActionSet, Adapter};
use std::sync::Arc;

/// All adapters of this package.
pub fn adapters() -> Vec<Arc<dyn Adapter>> {
    vec![
        Arc::new(ActionSet::new("shell").with::<ShellRun>()),
        Arc::new(ActionSet::new("command").with::<CommandRun>()),
        Arc::new(
            ActionSet::new("file")
                .with::<FileWrite>()
                .with::<FileLine>()
                .with::<FileCopy>()
                .with::<FileMove>()
                .with::<FileDirectory>()
                .with::<FileAbsent>()
                .with::<FileRead>(),
        ),
        Arc::new(
            ActionSet::new("http")
                .with::<HttpGet>()
                .with::<HttpWait>()
                .with::<HttpMetrics>()
                .with::<HttpRequest>(),
        ),
        Arc::new(ActionSet::new("notify").with::<NotifyWebhook>()),
        Arc::new(ActionSet::new("log").with::<LogSay>()),
        Arc::new(ActionSet::new("assert").with::<AssertThat>()),
        Arc::new(ActionSet::new("noop").with::<NoopRun>()),
    ]
}
