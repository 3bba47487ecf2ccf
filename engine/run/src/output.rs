//! What steps put out, on its way to the journal.

use crate::{LogChunk, Masker, StreamMasker, clock};
use caxplan_adapter::{OutputSink, Stream};
use caxplan_model::{AttemptNo, StepId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much of a step's output one engine keeps. A step that talks without end must not fill the disk.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// The output of all steps that was not yet written, and the secrets to mask in it.
#[derive(Clone, Default)]
pub(crate) struct Outputs {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    masker: Arc<Masker>,
    chunks: Vec<LogChunk>,
    kept: BTreeMap<StepId, usize>,
}

impl Outputs {
    /// Outputs that mask what `masker` does.
    pub(crate) fn new(masker: Masker) -> Self {
        let shared = Shared {
            masker: Arc::new(masker),
            ..Shared::default()
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// The sink of one attempt.
    pub(crate) fn of(&self, step: StepId, attempt: AttemptNo) -> Arc<StepOutput> {
        Arc::new(StepOutput {
            outputs: self.clone(),
            step,
            attempt,
            streams: Mutex::default(),
        })
    }

    /// What was put out since the last call.
    pub(crate) fn take(&self) -> Vec<LogChunk> {
        std::mem::take(&mut self.lock().chunks)
    }

    /// The secrets that are known by now.
    pub(crate) fn masker(&self) -> Arc<Masker> {
        Arc::clone(&self.lock().masker)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing in here leaves the data half changed.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the output of one attempt.
pub(crate) struct StepOutput {
    outputs: Outputs,
    step: StepId,
    attempt: AttemptNo,
    streams: Mutex<[StreamMasker; 3]>,
}

impl StepOutput {
    /// The attempt has ended: lets out what was held back as the possible beginning of a secret.
    pub(crate) fn finish(&self) {
        let masker = self.outputs.masker();
        for stream in [Stream::Stdout, Stream::Stderr, Stream::Note] {
            let rest = self.streams()[stream as usize].finish(&masker);
            self.keep(stream, rest);
        }
    }

    fn streams(&self) -> MutexGuard<'_, [StreamMasker; 3]> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, stream: Stream, mut bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let mut shared = self.outputs.lock();
        let kept = shared.kept.entry(self.step.clone()).or_default();
        let room = OUTPUT_BYTES_MAX.saturating_sub(*kept);
        if room == 0 {
            return;
        }
        let cut = bytes.len() >= room;
        bytes.truncate(room);
        *kept += bytes.len();
        let chunk = |stream, bytes| LogChunk {
            at: clock::now(),
            step: self.step.clone(),
            attempt: self.attempt,
            stream,
            bytes,
        };
        shared.chunks.push(chunk(stream, bytes));
        if cut {
            let note = format!(
                "\n[the rest of the output is not kept: it is longer than {OUTPUT_BYTES_MAX} bytes]\n"
            );
            shared.chunks.push(chunk(Stream::Note, note.into_bytes()));
        }
    }
}

impl OutputSink for StepOutput {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        let masker = self.outputs.masker();
        let masked = self.streams()[stream as usize].push(&masker, bytes);
        self.keep(stream, masked);
    }

    fn mask(&self, secret: &str) {
        Arc::make_mut(&mut self.outputs.lock().masker).add(secret);
    }
}

#[cfg(test)]
mod tests {
    use super::{OUTPUT_BYTES_MAX, Outputs};
    use caxplan_adapter::{OutputSink as _, Stream};
    use caxplan_model::{AttemptNo, StepId};

    #[test]
    fn secrets_are_masked_across_chunks_and_streams_do_not_mix() {
        let outputs = Outputs::default();
        let sink = outputs.of(StepId::from("a"), AttemptNo::FIRST);
        sink.mask("hunter2!");
        sink.write(Stream::Stdout, b"login hun");
        sink.write(Stream::Stderr, b"oops\n");
        sink.write(Stream::Stdout, b"ter2! and hunt");
        sink.finish();
        let taken = outputs.take();
        let of = |stream| -> Vec<u8> {
            let chunks = taken.iter().filter(|chunk| chunk.stream == stream);
            chunks.flat_map(|chunk| chunk.bytes.clone()).collect()
        };
        assert_eq!(of(Stream::Stdout), b"login *** and hunt");
        assert_eq!(of(Stream::Stderr), b"oops\n");
    }

    #[test]
    fn a_talkative_step_is_cut_off_once() {
        let outputs = Outputs::default();
        let sink = outputs.of(StepId::from("a"), AttemptNo::FIRST);
        for _ in 0..3 {
            sink.write(Stream::Stdout, &vec![b'x'; OUTPUT_BYTES_MAX / 2 + 1]);
        }
        let taken = outputs.take();
        let kept: usize = taken
            .iter()
            .filter(|chunk| chunk.stream == Stream::Stdout)
            .map(|chunk| chunk.bytes.len())
            .sum();
        let notes = taken.iter().filter(|chunk| chunk.stream == Stream::Note).count();
        assert_eq!((kept, notes), (OUTPUT_BYTES_MAX, 1));
    }
}
