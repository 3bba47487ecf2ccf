//! One line per event, with the time: for logs, pipes and CI.

use super::narrate::Narrator;
use super::output::OutputLines;
use super::{Loudness, Paint, say, time_of_day};
use caxplan_adapter::Stream;
use caxplan_core::schedule::State;
use caxplan_model::{Record, RecordSeq, UndoEnd};
use caxplan_run::{LogChunk, Observer};

/// Writes lines to the standard error.
pub(super) struct Lines {
    narrator: Narrator,
    output: OutputLines,
    loudness: Loudness,
}

impl Lines {
    pub(super) fn new(loudness: Loudness) -> Self {
        Self {
            narrator: Narrator::new(Paint::for_stderr()),
            output: OutputLines::default(),
            loudness,
        }
    }
}

impl Observer for Lines {
    fn record(&mut self, state: &State, _: RecordSeq, record: &Record) {
        let id_of = |node| state.graph().node(node).id.clone();
        for line in self.output.end(record, id_of) {
            say(&format!("{} {line}\n", time_of_day(record.at())));
        }
        let line = self.narrator.line(state, record);
        // Steps that are tried again are not yet in need of anybody.
        let is_wrong = matches!(
            record,
            Record::StepEnded { outcome, retry_at: None, .. } if outcome.cause().is_some()
        ) || matches!(record, Record::Waiting { .. } | Record::RollbackStarted { .. })
            || matches!(
                record,
                Record::UndoEnded {
                    end: UndoEnd::Failed { .. },
                    ..
                }
            );
        if let Some(line) = line.filter(|_| self.loudness != Loudness::Quiet || is_wrong) {
            say(&format!("{} {line}\n", time_of_day(record.at())));
        }
    }

    fn output(&mut self, chunk: &LogChunk) {
        let is_shown = match self.loudness {
            Loudness::Quiet => false,
            Loudness::Normal => chunk.stream == Stream::Note,
            Loudness::Verbose => true,
        };
        if is_shown {
            for line in self.output.push(chunk) {
                say(&format!("{} {line}\n", time_of_day(chunk.at)));
            }
        }
    }

    fn notice(&mut self, line: &str) {
        say(&format!("{} {line}\n", time_of_day(caxplan_run::now())));
    }
}
