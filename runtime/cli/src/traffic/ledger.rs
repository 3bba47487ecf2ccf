//! What became of each message.

use super::Stats;
use super::histogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// After this long without an answer a message counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(60);

/// Counts messages. All times are milliseconds since 1970.
pub(super) struct Ledger {
    /// Messages without an answer, by number; numbers rise with time.
    open: BTreeMap<u64, Open>,
    next: u64,
    accepted: u64,
    answered: u64,
    doubled: u64,
    pub(super) retries: u64,
    pub(super) held_back: u64,
    latency: Histogram,
}

struct Open {
    made_ms: u64,
    accepted: bool,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            open: BTreeMap::new(),
            next: 0,
            accepted: 0,
            answered: 0,
            doubled: 0,
            retries: 0,
            held_back: 0,
            latency: Histogram::new(),
        }
    }

    /// Makes a message; its number.
    pub(super) fn make(&mut self, now_ms: u64) -> u64 {
        let number = self.next;
        self.next += 1;
        let open = Open {
            made_ms: now_ms,
            accepted: false,
        };
        self.open.insert(number, open);
        number
    }

    /// A node has accepted a message. It may have been answered before that is known.
    pub(super) fn accept(&mut self, number: u64) {
        if let Some(open) = self.open.get_mut(&number)
            && !open.accepted
        {
            open.accepted = true;
            self.accepted += 1;
        }
    }

    /// A message that never was accepted is given up.
    pub(super) fn forget(&mut self, number: u64) {
        if self.open.get(&number).is_some_and(|open| !open.accepted) {
            self.open.remove(&number);
        }
    }

    /// An answer came.
    pub(super) fn answer(&mut self, number: u64, now_ms: u64) {
        match self.open.remove(&number) {
            Some(open) => {
                self.answered += 1;
                self.accepted += u64::from(!open.accepted);
                self.latency.add(now_ms.saturating_sub(open.made_ms) as f64);
            }
            None if number < self.next => self.doubled += 1,
            None => {}
        }
    }

    /// Whether every accepted message is answered.
    pub(super) fn is_settled(&self) -> bool {
        !self.open.values().any(|open| open.accepted)
    }

    /// Adds what is known to figures that say when and how fast.
    pub(super) fn fill(&self, stats: &mut Stats) {
        let now_ms = stats.updated_ms;
        let accepted = || self.open.values().filter(|open| open.accepted);
        let lost_after_ms = u64::try_from(LOST_AFTER.as_millis()).unwrap_or(u64::MAX);
        let oldest = accepted().map(|open| open.made_ms).next();
        stats.sent = self.accepted;
        stats.answered = self.answered;
        stats.doubled = self.doubled;
        stats.outstanding = accepted().count() as u64;
        stats.lost_after_ms = lost_after_ms;
        stats.lost = accepted()
            .take_while(|open| now_ms.saturating_sub(open.made_ms) > lost_after_ms)
            .count() as u64;
        stats.retries = self.retries;
        stats.held_back = self.held_back;
        stats.oldest_outstanding_since_ms = oldest;
        stats.oldest_outstanding_ms = oldest.map_or(0, |since| now_ms.saturating_sub(since));
        stats.slowest_ms = self.latency.slowest_ms();
        stats.p50_ms = self.latency.percentile_ms(50.0);
        stats.p99_ms = self.latency.percentile_ms(99.0);
    }
}

#[cfg(test)]
mod tests {
    use super::{LOST_AFTER, Ledger, Stats};

    fn figures(ledger: &Ledger, updated_ms: u64) -> Stats {
        let mut stats = Stats {
            updated_ms,
            ..Stats::default()
        };
        ledger.fill(&mut stats);
        stats
    }

    #[test]
    fn every_message_is_counted_once() {
        let mut ledger = Ledger::new();
        let numbers: Vec<u64> = (0..4).map(|_| ledger.make(1_000)).collect();
        // The answer overtakes the receipt; the second is doubled; the third is open; the fourth never was accepted.
        ledger.answer(numbers[0], 1_010);
        ledger.accept(numbers[0]);
        ledger.accept(numbers[1]);
        ledger.answer(numbers[1], 1_030);
        ledger.answer(numbers[1], 1_040);
        ledger.accept(numbers[2]);
        ledger.accept(numbers[2]);
        ledger.answer(99, 1_050);
        assert!(!ledger.is_settled());

        let stats = figures(&ledger, 1_500);
        assert_eq!(
            (stats.sent, stats.answered, stats.doubled, stats.outstanding),
            (3, 2, 1, 1)
        );
        assert_eq!(
            (stats.lost, stats.oldest_outstanding_ms, stats.slowest_ms),
            (0, 500, 30.0)
        );
        assert!(!stats.is_settled(1_200));
        assert!(stats.is_settled(999));

        let late = 1_001 + u64::try_from(LOST_AFTER.as_millis()).unwrap();
        assert_eq!(figures(&ledger, late).lost, 1);
        ledger.answer(numbers[2], late);
        ledger.forget(numbers[3]);
        let stats = figures(&ledger, late);
        assert_eq!(
            (stats.sent, stats.answered, stats.lost, stats.outstanding),
            (3, 3, 0, 0)
        );
        assert!(ledger.is_settled());
        assert!(!stats.is_settled(late));
    }
}
