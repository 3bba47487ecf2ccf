//! The kept part of what a command wrote.

use std::collections::VecDeque;

/// How much of a stream is kept if nobody says; all of it goes to the log.
pub const CAPTURE_MAX: usize = 64 << 10;

/// How much of the end of each stream is kept for the message of a failure.
const TAIL_MAX: usize = 2 << 10;

/// The kept part of an output stream: its first bytes, and its last few.
#[derive(Debug)]
pub struct Captured {
    head: Vec<u8>,
    head_max: usize,
    tail: VecDeque<u8>,
    total: u64,
}

impl Captured {
    /// Nothing yet; of what comes, `head_max` bytes are kept.
    pub fn new(head_max: usize) -> Self {
        Self {
            head: Vec::new(),
            head_max,
            tail: VecDeque::new(),
            total: 0,
        }
    }

    /// Takes the bytes that come next.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = self.head_max.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..room.min(bytes.len())]);
        self.tail.extend(&bytes[bytes.len().saturating_sub(TAIL_MAX)..]);
        let excess = self.tail.len().saturating_sub(TAIL_MAX);
        self.tail.drain(..excess);
        self.total += bytes.len() as u64;
    }

    /// Its first bytes, as many as are kept.
    pub fn bytes(&self) -> &[u8] {
        &self.head
    }

    /// Whether all of it is kept.
    pub fn is_whole(&self) -> bool {
        self.total == self.head.len() as u64
    }

    /// The stream from its beginning; a last line says how much is missing, if something is.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        let missing = self.total - self.head.len() as u64;
        if missing > 0 {
            text.push_str(&format!("\n[{missing} more bytes are in the log]\n"));
        }
        text
    }

    /// The last lines, for a person.
    pub fn tail(&self) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let whole_lines = if self.total > bytes.len() as u64 {
            text.split_once('\n').map_or(&*text, |(_, rest)| rest)
        } else {
            &*text
        };
        whole_lines.trim_end().to_owned()
    }
}
