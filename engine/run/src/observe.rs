//! What a run shows while it goes on.

use crate::LogChunk;
use caxplan_core::schedule::State;
use caxplan_model::{Record, RecordSeq};

/// Sees a run go on. Called by the driver between two turns, so it must not take long.
pub trait Observer {
    /// A record has become durable. `state` is the run's state at the end of the turn.
    fn record(&mut self, state: &State, seq: RecordSeq, record: &Record);

    /// A piece of a step's output has become durable; secrets are masked.
    fn output(&mut self, chunk: &LogChunk);

    /// The engine itself has something to say to a person, in one line.
    fn notice(&mut self, line: &str);
}

/// Sees nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn record(&mut self, _: &State, _: RecordSeq, _: &Record) {}
    fn output(&mut self, _: &LogChunk) {}
    fn notice(&mut self, _: &str) {}
}
