//! What steps put out, line by line.

use caxplan_model::{NodeIndex, Record, StepId};
use caxplan_run::LogChunk;
use std::collections::BTreeMap;

/// A line without an end is shown in pieces of this many bytes.
const LINE_MAX: usize = 8 << 10;

/// Makes lines, each with its step's name, of the pieces in which output comes. The beginning of a line is held back until
/// its end has come, or the step's.
#[derive(Debug, Default)]
pub(super) struct OutputLines {
    begun: BTreeMap<StepId, [Vec<u8>; 3]>,
}

impl OutputLines {
    /// Takes a piece of output, and gives the lines that are whole now.
    pub(super) fn push(&mut self, chunk: &LogChunk) -> Vec<String> {
        let held = &mut self.begun.entry(chunk.step.clone()).or_default()[chunk.stream as usize];
        held.extend_from_slice(&chunk.bytes);
        let whole = match held.iter().rposition(|&byte| byte == b'\n') {
            Some(end) => held.drain(..=end).collect(),
            None if held.len() >= LINE_MAX => std::mem::take(held),
            None => Vec::new(),
        };
        lines(&chunk.step, &whole)
    }

    /// The lines that have no end, and will get none, if the record is the end of their step.
    pub(super) fn end(&mut self, record: &Record, id_of: impl Fn(NodeIndex) -> StepId) -> Vec<String> {
        let (Record::StepEnded { node, .. }
        | Record::UndoEnded { node, .. }
        | Record::TimerFired { node, .. }
        | Record::Breached { node, .. }) = record
        else {
            return Vec::new();
        };
        let step = id_of(*node);
        let rests = self.begun.remove(&step).unwrap_or_default();
        rests.iter().flat_map(|rest| lines(&step, rest)).collect()
    }
}

fn lines(step: &StepId, bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| format!("  {step} │ {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{LINE_MAX, OutputLines};
    use caxplan_adapter::Stream;
    use caxplan_model::{AttemptNo, NodeIndex, Record, StepId, Timestamp};
    use caxplan_run::LogChunk;

    fn chunk(step: &str, stream: Stream, bytes: &[u8]) -> LogChunk {
        LogChunk {
            at: Timestamp(0),
            step: StepId::from(step),
            attempt: AttemptNo::FIRST,
            stream,
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn a_line_that_comes_in_pieces_is_one_line() {
        let mut lines = OutputLines::default();
        let held = lines.push(&chunk("a", Stream::Stdout, "size: é".as_bytes()));
        assert!(held.is_empty());
        assert!(lines.push(&chunk("b", Stream::Stdout, b"other")).is_empty());
        assert_eq!(lines.push(&chunk("a", Stream::Stderr, b"oops\n")), ["  a │ oops"]);
        assert_eq!(
            lines.push(&chunk("a", Stream::Stdout, b" 4K\n\ntwo\nthr")),
            ["  a │ size: é 4K", "  a │ two"]
        );
        let ended = Record::TimerFired {
            at: Timestamp(0),
            node: NodeIndex(0),
        };
        assert_eq!(lines.end(&ended, |_| StepId::from("a")), ["  a │ thr"]);
        assert_eq!(lines.end(&ended, |_| StepId::from("b")), ["  b │ other"]);
        assert!(lines.begun.is_empty());
    }

    #[test]
    fn a_line_without_an_end_is_not_held_for_ever() {
        let mut lines = OutputLines::default();
        assert_eq!(
            lines.push(&chunk("a", Stream::Stdout, &[b'x'; LINE_MAX])).len(),
            1
        );
    }
}
