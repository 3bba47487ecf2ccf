//! One line per event, with the time: for logs, pipes and CI.

use super::narrate::Narrator;
use super::{Paint, say};
use caxplan_adapter::Stream;
use caxplan_core::schedule::State;
use caxplan_model::{Record, RecordSeq, Timestamp};
use caxplan_run::{LogChunk, Observer};

/// Writes lines to the standard error.
pub(super) struct Lines {
    narrator: Narrator,
    verbose: bool,
}

impl Lines {
    pub(super) fn new(verbose: bool) -> Self {
        Self {
            narrator: Narrator::new(Paint::for_stderr()),
            verbose,
        }
    }
}

impl Observer for Lines {
    fn record(&mut self, state: &State, _: RecordSeq, record: &Record) {
        if let Some(line) = self.narrator.line(state, record) {
            say(&format!("{} {line}\n", time_of_day(record.at())));
        }
    }

    fn output(&mut self, chunk: &LogChunk) {
        if self.verbose || chunk.stream == Stream::Note {
            for line in output_lines(chunk) {
                say(&format!("{} {line}\n", time_of_day(chunk.at)));
            }
        }
    }

    fn notice(&mut self, line: &str) {
        say(&format!("{} {line}\n", time_of_day(caxplan_run::now())));
    }
}

/// A step's output, line by line, each with the step's name.
pub(super) fn output_lines(chunk: &LogChunk) -> Vec<String> {
    let text = String::from_utf8_lossy(&chunk.bytes);
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| format!("  {} │ {line}", chunk.step)).collect()
}

fn time_of_day(at: Timestamp) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let zoned = jiff::Timestamp::from_millisecond(millis).map(|at| {
        at.to_zoned(jiff::tz::TimeZone::system())
            .strftime("%H:%M:%S")
            .to_string()
    });
    zoned.unwrap_or_default()
}
