//! What the wrapper on the host says of itself, found in a command's output.

/// How much of what a login shell says before our own shell begins is kept.
const NOISE_MAX: usize = 16 << 10;

/// What the wrapper said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    /// `go`: the program begins; else why it does not.
    pub(crate) word: String,
    /// The process id of the shell, which is the program's own, or its parent's.
    pub(crate) pid: Option<u32>,
    /// The process id of the shell before sudo, if there is one.
    pub(crate) outer: Option<u32>,
    /// The id of the host's boot.
    pub(crate) boot: Option<String>,
    /// Whether a receipt was wanted, and is kept.
    pub(crate) receipt: Option<bool>,
    /// The first word of a receipt that stood in the way.
    pub(crate) found: Option<String>,
}

impl Said {
    fn note_receipt(&mut self, word: &str) {
        match word {
            "kept" => self.receipt = Some(true),
            "none" => self.receipt = Some(false),
            _ => {}
        }
    }

    /// Whether the program has begun.
    pub(crate) fn begun(&self) -> bool {
        self.word == "go"
    }
}

/// Looks for the wrapper's lines at the beginning of a command's output, among what a login shell may have said before.
pub(crate) struct Listener {
    token: String,
    buffer: Vec<u8>,
    said: Said,
}

impl Listener {
    pub(crate) fn new(token: &str) -> Self {
        Self {
            token: format!("{token} "),
            buffer: Vec::new(),
            said: Said::default(),
        }
    }

    /// Takes more output. Answers what was said, and what follows it, once that is there.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<(Said, Vec<u8>)> {
        self.buffer.extend_from_slice(bytes);
        loop {
            let token = self.token.as_bytes();
            let Some(at) = self
                .buffer
                .windows(token.len())
                .position(|window| window == token)
            else {
                let excess = self.buffer.len().saturating_sub(NOISE_MAX);
                self.buffer.drain(..excess);
                return None;
            };
            let from = at + token.len();
            let end = from + self.buffer[from..].iter().position(|byte| *byte == b'\n')?;
            let line = String::from_utf8_lossy(&self.buffer[from..end]).into_owned();
            self.buffer.drain(..=end);
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or_default().to_owned();
            self.said.word = word();
            match self.said.word.as_str() {
                "by" => {
                    self.said.outer = word().parse().ok();
                    self.said.note_receipt(&word());
                }
                "go" => {
                    self.said.pid = word().parse().ok();
                    self.said.boot = Some(word()).filter(|boot| boot != "-" && !boot.is_empty());
                    self.said.note_receipt(&word());
                    return Some((self.said.clone(), std::mem::take(&mut self.buffer)));
                }
                "refused" => {
                    self.said.found = Some(word());
                    return Some((self.said.clone(), Vec::new()));
                }
                _ => return Some((self.said.clone(), Vec::new())),
            }
        }
    }

    /// What came in place of the wrapper's line.
    pub(crate) fn noise(&self) -> String {
        String::from_utf8_lossy(&self.buffer).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{Listener, Said};

    #[test]
    fn the_line_is_found_among_noise_and_in_pieces() {
        let text = b"Welcome!\nno newlineTOKEN by 40 kept\nlecture\nTOKEN go 42 b-1 -\nout\nput";
        for size in [1, 2, 7, text.len()] {
            let mut listener = Listener::new("TOKEN");
            let mut found = None;
            let mut after = Vec::new();
            for piece in text.chunks(size) {
                match found {
                    Some(_) => after.extend_from_slice(piece),
                    None => {
                        if let Some((said, rest)) = listener.push(piece) {
                            found = Some(said);
                            after = rest;
                        }
                    }
                }
            }
            let said = Said {
                word: "go".to_owned(),
                pid: Some(42),
                outer: Some(40),
                boot: Some("b-1".to_owned()),
                receipt: Some(true),
                found: None,
            };
            assert_eq!(found, Some(said));
            assert_eq!(after, b"out\nput");
        }
    }

    #[test]
    fn a_refusal_has_its_word() {
        let mut listener = Listener::new("T");
        let (said, _) = listener.push(b"T refused fenced\n").expect("it is there");
        assert_eq!(
            (said.word.as_str(), said.found.as_deref()),
            ("refused", Some("fenced"))
        );
        assert!(Listener::new("T").push(b"T").is_none());
    }
}
