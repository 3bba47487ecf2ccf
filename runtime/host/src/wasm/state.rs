//! An agent's key–value state while it runs: what is kept, and what the message at hand would change.

use crate::store::StateMap;
use std::collections::BTreeMap;

/// Changed keys; `None` deletes.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The state, with the changes of one message apart until it is clear that they stay.
#[derive(Debug, Default)]
pub(crate) struct State {
    kept: StateMap,
    kept_bytes: usize,
    changes: Changes,
    /// Keys and values together, with the changes.
    bytes: usize,
    bytes_max: usize,
}

impl State {
    pub(crate) fn new(kept: StateMap, bytes_max: u64) -> Self {
        let kept_bytes = kept.iter().map(|(key, value)| key.len() + value.len()).sum();
        Self {
            kept,
            kept_bytes,
            changes: Changes::new(),
            bytes: kept_bytes,
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        match self.changes.get(key) {
            Some(changed) => changed.as_deref(),
            None => self.kept.get(key).map(Vec::as_slice),
        }
    }

    /// Sets a value; says whether it fits.
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8]) -> bool {
        let bytes = self.bytes - self.bytes_of(key) + key.len() + value.len();
        if bytes > self.bytes_max {
            return false;
        }
        self.bytes = bytes;
        self.changes.insert(key.to_vec(), Some(value.to_vec()));
        true
    }

    /// Deletes a value; says whether there was one.
    pub(crate) fn delete(&mut self, key: &[u8]) -> bool {
        let bytes = self.bytes_of(key);
        if bytes == 0 {
            return false;
        }
        self.bytes -= bytes;
        self.changes.insert(key.to_vec(), None);
        true
    }

    /// Makes the changes stay, and says what they are.
    pub(crate) fn keep(&mut self) -> Changes {
        let changes = std::mem::take(&mut self.changes);
        for (key, value) in &changes {
            match value {
                Some(value) => self.kept.insert(key.clone(), value.clone()),
                None => self.kept.remove(key),
            };
        }
        self.kept_bytes = self.bytes;
        changes
    }

    /// Takes the changes back.
    pub(crate) fn discard(&mut self) {
        self.changes.clear();
        self.bytes = self.kept_bytes;
    }

    /// A key's share of the bytes; keys are never empty.
    fn bytes_of(&self, key: &[u8]) -> usize {
        self.get(key).map_or(0, |value| key.len() + value.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_kept_or_taken_back_as_one() {
        let mut state = State::new(StateMap::from([(b"a".to_vec(), b"1".to_vec())]), 8);
        assert!(state.set(b"b", b"22") && state.delete(b"a") && !state.delete(b"a"));
        assert_eq!((state.get(b"a"), state.get(b"b")), (None, Some(b"22".as_slice())));
        state.discard();
        assert_eq!((state.get(b"a"), state.get(b"b")), (Some(b"1".as_slice()), None));

        assert!(state.set(b"c", b"12345"));
        assert!(!state.set(b"d", b"1"), "eight bytes are in use");
        assert!(
            state.delete(b"a") && state.set(b"d", b"1"),
            "two bytes are free again"
        );
        let changes = state.keep();
        assert_eq!(changes.into_keys().collect::<Vec<_>>(), [b"a", b"c", b"d"]);
        state.discard();
        assert_eq!((state.get(b"a"), state.get(b"d")), (None, Some(b"1".as_slice())));
        assert!(!state.set(b"e", b"1"));
    }
}
