//! Secrets never reach the journal, the logs or the terminal: they are replaced by value, wherever they turn up.

use crate::Secrets;
use caxplan_model::{Cause, Map, Outcome, Value};
use std::fmt::Write as _;

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// What stands in place of a secret in a `before`: an undo sees by it that the journal does not hold the whole state.
pub const MASK_IN_BEFORE: &str = "‹masked secret›";

/// A secret shorter than this is not masked: it would turn up by chance everywhere.
const SECRET_BYTES_MIN: usize = 4;

/// A line of a longer secret (a key in PEM) is masked by itself if it has at least this many bytes.
const SECRET_LINE_BYTES_MIN: usize = 8;

/// Finds secrets by value: as they are, and in the forms that they take on in transit (base64, percent-encoded, escaped in
/// JSON).
#[derive(Clone, Debug, Default)]
pub struct Masker {
    /// The longest first, so that a secret within another does not uncover the rest of it.
    patterns: Vec<Vec<u8>>,
}

impl Masker {
    /// Masks a run's secrets and its secret parameters.
    pub(crate) fn of(secrets: &Secrets, secret_params: &Map) -> Self {
        let mut masker = Self::default();
        for value in secrets.values().values().chain(secret_params.values()) {
            match value {
                Value::String(text) => masker.add(text),
                other => masker.add(&other.to_string()),
            }
        }
        masker
    }

    /// Masks `secret` from here on.
    pub fn add(&mut self, secret: &str) {
        self.add_forms(secret);
        let trimmed = secret.trim();
        if trimmed.len() != secret.len() {
            self.add_forms(trimmed);
        }
        if trimmed.contains('\n') {
            for line in trimmed.lines().map(str::trim) {
                if line.len() >= SECRET_LINE_BYTES_MIN {
                    self.add_forms(line);
                }
            }
        }
        self.patterns
            .sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.patterns.dedup();
    }

    fn add_forms(&mut self, secret: &str) {
        if secret.len() < SECRET_BYTES_MIN {
            return;
        }
        self.patterns.push(secret.as_bytes().to_vec());
        let escaped = Value::from(secret).to_string();
        self.patterns
            .push(escaped.as_bytes()[1..escaped.len() - 1].to_vec());
        self.patterns.push(percent_encoded(secret.as_bytes()));
        for before in 0..3 {
            let core = base64_core(secret.as_bytes(), before);
            if core.len() >= SECRET_BYTES_MIN {
                let url_safe = core.iter().map(|&byte| match byte {
                    b'+' => b'-',
                    b'/' => b'_',
                    other => other,
                });
                self.patterns.push(url_safe.collect());
                self.patterns.push(core);
            }
        }
    }

    /// Whether there is nothing to mask.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The text with every secret replaced.
    pub fn text(&self, text: &str) -> String {
        self.text_with(text, MASK)
    }

    fn text_with(&self, text: &str, mask: &str) -> String {
        if self.is_empty() {
            return text.to_owned();
        }
        let mut masked = Vec::with_capacity(text.len());
        self.replace(text.as_bytes(), text.len(), mask, &mut masked);
        // Patterns and mask are UTF-8, so what lies between the patterns is too, but for a form that begins within a
        // character.
        String::from_utf8_lossy(&masked).into_owned()
    }

    /// Replaces every secret in a value: in texts, keys and numbers.
    pub fn value(&self, value: Value) -> Value {
        self.value_with(value, MASK)
    }

    /// The state before a step, fit for the journal. A secret in it is replaced by [`MASK_IN_BEFORE`].
    pub fn before(&self, before: Value) -> Value {
        self.value_with(before, MASK_IN_BEFORE)
    }

    fn value_with(&self, value: Value, mask: &str) -> Value {
        if self.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.text_with(&text, mask)),
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.value_with(item, mask))
                .collect(),
            Value::Object(fields) => Value::Object(self.map_with(fields, mask)),
            Value::Number(number) => {
                let text = number.to_string();
                let masked = self.text_with(&text, mask);
                if masked == text {
                    Value::Number(number)
                } else {
                    Value::String(masked)
                }
            }
            Value::Null | Value::Bool(_) => value,
        }
    }

    fn map_with(&self, fields: Map, mask: &str) -> Map {
        fields
            .into_iter()
            .map(|(key, value)| (self.text_with(&key, mask), self.value_with(value, mask)))
            .collect()
    }

    /// Replaces every secret in a map.
    pub fn map(&self, fields: Map) -> Map {
        self.map_with(fields, MASK)
    }

    /// Replaces every secret in what an attempt answered.
    pub fn outcome(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Changed { output } => Outcome::Changed {
                output: self.value(output),
            },
            Outcome::Unchanged { output } => Outcome::Unchanged {
                output: self.value(output),
            },
            Outcome::Failed { cause, effect } => Outcome::Failed {
                cause: self.cause(cause),
                effect,
            },
            Outcome::Unknown { cause } => Outcome::Unknown {
                cause: self.cause(cause),
            },
        }
    }

    /// Replaces every secret in a cause.
    pub fn cause(&self, cause: Cause) -> Cause {
        Cause {
            kind: cause.kind,
            message: self.text(&cause.message),
            hint: cause.hint.map(|hint| self.text(&hint)),
            detail: self.value(cause.detail),
        }
    }

    /// Copies `bytes` with secrets replaced into `masked`, up to a secret or a plain byte that begins at or behind
    /// `until`. Answers how many bytes were consumed.
    fn replace(&self, bytes: &[u8], until: usize, mask: &str, masked: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while at < until {
            let rest = &bytes[at..];
            match self.patterns.iter().find(|pattern| rest.starts_with(pattern)) {
                Some(pattern) => {
                    masked.extend_from_slice(mask.as_bytes());
                    at += pattern.len();
                }
                None => {
                    masked.push(bytes[at]);
                    at += 1;
                }
            }
        }
        at
    }

    /// Where the first secret begins that `bytes` may hold in part, at its very end.
    fn undecided(&self, bytes: &[u8]) -> usize {
        let longest = self.patterns.first().map_or(0, Vec::len);
        let first = bytes.len().saturating_sub(longest.saturating_sub(1));
        (first..bytes.len())
            .find(|&at| {
                let rest = &bytes[at..];
                self.patterns
                    .iter()
                    .any(|pattern| pattern.len() > rest.len() && pattern.starts_with(rest))
            })
            .unwrap_or(bytes.len())
    }
}

/// Masks a stream that comes in chunks: a secret that is cut in two by a chunk's end is still found.
#[derive(Debug, Default)]
pub struct StreamMasker {
    held: Vec<u8>,
}

impl StreamMasker {
    /// Takes a chunk and answers what can be let out. Holds back an end that may be the beginning of a secret, or of a
    /// character.
    pub fn push(&mut self, masker: &Masker, chunk: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(chunk);
        let until = masker.undecided(&self.held).min(begun_character(&self.held));
        let mut masked = Vec::with_capacity(until);
        let consumed = masker.replace(&self.held, until, MASK, &mut masked);
        self.held.drain(..consumed);
        masked
    }

    /// The stream has ended: what was held back.
    pub fn finish(&mut self, masker: &Masker) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let mut masked = Vec::with_capacity(held.len());
        masker.replace(&held, held.len(), MASK, &mut masked);
        masked
    }
}

/// Where the character begins, in UTF-8, that `bytes` hold in part at their very end.
fn begun_character(bytes: &[u8]) -> usize {
    let first = bytes.len().saturating_sub(3);
    let begins = |&at: &usize| {
        let length = match bytes[at] {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        };
        at + length > bytes.len()
    };
    (first..bytes.len()).find(begins).unwrap_or(bytes.len())
}

/// As in a URL's query: all but letters, digits and `-._~`.
fn percent_encoded(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded.into_bytes()
}

/// The characters of `bytes` in base64 that do not depend on what stands around them, if `before` bytes (modulo 3) stand
/// before them.
fn base64_core(bytes: &[u8], before: usize) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bit = |index: usize| bytes[index / 8] >> (7 - index % 8) & 1;
    // The first whole digit begins where a group of six bits does.
    let skip = (6 - before * 8 % 6) % 6;
    let bits = bytes.len() * 8;
    (skip..)
        .step_by(6)
        .take_while(|start| start + 6 <= bits)
        .map(|start| {
            let digit = (start..start + 6).fold(0_u8, |digit, index| digit << 1 | bit(index));
            DIGITS[usize::from(digit)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Masker, StreamMasker};
    use caxplan_model::Value;

    fn masker(secrets: &[&str]) -> Masker {
        let mut masker = Masker::default();
        for secret in secrets {
            masker.add(secret);
        }
        masker
    }

    fn check(secrets: &[&str], text: &str, expected: &str) {
        let masker = masker(secrets);
        assert_eq!(masker.text(text), expected, "{text:?}");
        // However the stream is cut, the same comes out.
        for cut in 0..=text.len() {
            let mut stream = StreamMasker::default();
            let mut out = stream.push(&masker, &text.as_bytes()[..cut]);
            out.extend(stream.push(&masker, &text.as_bytes()[cut..]));
            out.extend(stream.finish(&masker));
            assert_eq!(String::from_utf8_lossy(&out), expected, "{text:?} cut at {cut}");
        }
    }

    #[test]
    fn secrets_are_masked_in_every_form() {
        check(&["hunter2!"], "login hunter2! ok", "login *** ok");
        check(&["hunter2!"], "hunter2!hunter2!", "******");
        check(&["hunter2!"], "pw=hunter2%21&x", "pw=***&x");
        // Alone, and within `user:hunter2!`, where its digits are others.
        check(&["hunter2!"], "Basic aHVudGVyMiE=", "Basic ***E=");
        check(&["hunter2!"], "Basic dXNlcjpodW50ZXIyIQ==", "Basic dXNlcjp***Q==");
        check(&["say \"friend\""], r#"{"a":"say \"friend\""}"#, r#"{"a":"***"}"#);
        check(&["abcd", "abcdefgh"], "abcdefgh abcd", "*** ***");
        check(
            &["abc"],
            "abc is too short to be masked",
            "abc is too short to be masked",
        );
        check(&["first line\nsecond line\n"], "> second line", "> ***");
    }

    #[test]
    fn a_character_is_not_let_out_in_pieces() {
        let text = "a é ✓ 🦀".as_bytes();
        for cut in 0..=text.len() {
            let mut stream = StreamMasker::default();
            let masker = Masker::default();
            let first = stream.push(&masker, &text[..cut]);
            let mut rest = stream.push(&masker, &text[cut..]);
            rest.extend(stream.finish(&masker));
            assert!(std::str::from_utf8(&first).is_ok(), "cut at {cut}");
            assert_eq!([first, rest].concat(), text);
        }
        // What is no UTF-8 comes out as it is.
        let mut stream = StreamMasker::default();
        let mut out = stream.push(&Masker::default(), b"\xff\xe2\x82");
        out.extend(stream.finish(&Masker::default()));
        assert_eq!(out, b"\xff\xe2\x82");
    }

    #[test]
    fn secrets_are_masked_in_values() {
        let masker = masker(&["hunter2!", "12345678"]);
        let value = serde_json::json!({"hunter2!": ["x hunter2!", 12_345_678, 7, null]});
        let expected: Value = serde_json::json!({"***": ["x ***", "***", 7, null]});
        assert_eq!(masker.value(value), expected);
    }
}
