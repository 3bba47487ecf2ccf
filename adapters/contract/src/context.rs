//! What the engine gives an adapter beside the call.

use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Where a line of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output, or the body of an answer.
    Stdout,
    /// Standard error.
    Stderr,
    /// What the adapter itself has to say about its progress.
    Note,
}

/// Takes what a step puts out while it runs. The engine masks secrets, stores and shows it.
pub trait OutputSink: Send + Sync {
    /// Takes bytes as they come; a chunk need not end at a line's end. Never blocks for long.
    fn write(&self, stream: Stream, bytes: &[u8]);

    /// Registers a secret: its value never reaches journal, logs or terminal from here on.
    fn mask(&self, secret: &str);
}

/// What the engine gives an adapter beside the call.
#[derive(Clone)]
pub struct Context {
    /// Fires when the attempt shall stop: time limit, abort, or the engine's own end.
    pub cancel: CancellationToken,
    /// Where output goes.
    pub output: Arc<dyn OutputSink>,
    /// `NAME=VALUE` pairs that every process started for this attempt carries in its environment, by which a resumed
    /// run finds what is left of an attempt (`CAXPLAN_RUN_ID`, `CAXPLAN_STEP_ID`, `CAXPLAN_ATTEMPT`).
    pub markers: Vec<(String, String)>,
    /// The folder of the plan's file: what relative paths in a plan are relative to.
    pub plan_dir: std::path::PathBuf,
}

impl Context {
    /// Says a line about the progress of the step.
    pub fn note(&self, line: &str) {
        self.output.write(Stream::Note, format!("{line}\n").as_bytes());
    }

    /// Registers a secret that the adapter has read by itself.
    pub fn mask(&self, secret: &str) {
        self.output.mask(secret);
    }

    /// A context for tests and forecasts: never cancelled, output dropped.
    pub fn detached(plan_dir: impl Into<std::path::PathBuf>) -> Self {
        struct Null;
        impl OutputSink for Null {
            fn write(&self, _: Stream, _: &[u8]) {}
            fn mask(&self, _: &str) {}
        }
        Self {
            cancel: CancellationToken::new(),
            output: Arc::new(Null),
            markers: Vec::new(),
            plan_dir: plan_dir.into(),
        }
    }
}
