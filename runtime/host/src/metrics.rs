//! How many messages were handled, and how fast.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The recent figures are over this many whole seconds.
const RECENT_SECONDS: usize = 10;

/// Latency buckets: four for each doubling, from 1 µs to above a minute.
const BUCKETS: usize = 108;
const BUCKETS_PER_DOUBLING: f64 = 4.0;

/// A host's figures at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostMetrics {
    /// Messages handled since the start.
    pub handled_total: u64,
    /// Messages on which agents failed since the start.
    pub failed_total: u64,
    /// Messages that had been handled before.
    pub duplicates_total: u64,
    /// Traps and limits hit since the start.
    pub crashes_total: u64,
    /// At-most-once messages of agents that were dropped because the way out was full.
    pub dropped_total: u64,
    /// From acceptance to handled, since the start.
    pub latency: LatencyBuckets,
    /// The last ten seconds.
    pub recent: Recent,
}

/// A cumulative histogram, as Prometheus has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatencyBuckets {
    /// For each upper bound in seconds, how many took at most that long.
    pub buckets: Vec<(f64, u64)>,
    /// How many in all.
    pub count: u64,
    /// All of them together, in seconds.
    pub sum_seconds: f64,
}

/// Figures over the last ten seconds; zeros if nothing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    /// Messages handled a second.
    pub handled_per_second: f64,
    /// Failures among all handlings, in percent.
    pub failed_percent: f64,
    /// Half of the messages were handled within this, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 messages were handled within this, in milliseconds.
    pub p99_ms: f64,
}

/// Collects a host's figures.
pub(super) struct Metrics {
    start: Instant,
    figures: Mutex<Figures>,
}

struct Figures {
    handled: u64,
    failed: u64,
    duplicates: u64,
    crashes: u64,
    dropped: u64,
    sum_seconds: f64,
    buckets: [u64; BUCKETS],
    seconds: Vec<Second>,
}

/// What happened within one second.
#[derive(Clone)]
struct Second {
    /// Which, since the start.
    number: u64,
    handled: u64,
    failed: u64,
    buckets: [u32; BUCKETS],
}

impl Metrics {
    pub(super) fn new() -> Self {
        let idle = Second {
            number: u64::MAX,
            handled: 0,
            failed: 0,
            buckets: [0; BUCKETS],
        };
        Self {
            start: Instant::now(),
            figures: Mutex::new(Figures {
                handled: 0,
                failed: 0,
                duplicates: 0,
                crashes: 0,
                dropped: 0,
                sum_seconds: 0.0,
                buckets: [0; BUCKETS],
                // One more, for the second that is not over.
                seconds: vec![idle; RECENT_SECONDS + 1],
            }),
        }
    }

    pub(super) fn handled(&self, latency: Duration) {
        self.with(|figures, number| {
            let bucket = bucket_of(latency);
            figures.handled += 1;
            figures.sum_seconds += latency.as_secs_f64();
            figures.buckets[bucket] += 1;
            let second = figures.second(number);
            second.handled += 1;
            second.buckets[bucket] += 1;
        });
    }

    pub(super) fn failed(&self) {
        self.with(|figures, number| {
            figures.failed += 1;
            figures.second(number).failed += 1;
        });
    }

    pub(super) fn duplicate(&self) {
        self.with(|figures, _| figures.duplicates += 1);
    }

    pub(super) fn crashed(&self) {
        self.with(|figures, _| figures.crashes += 1);
    }

    pub(super) fn dropped(&self) {
        self.with(|figures, _| figures.dropped += 1);
    }

    pub(super) fn read(&self) -> HostMetrics {
        let elapsed = self.start.elapsed();
        self.with(|figures, _| HostMetrics {
            handled_total: figures.handled,
            failed_total: figures.failed,
            duplicates_total: figures.duplicates,
            crashes_total: figures.crashes,
            dropped_total: figures.dropped,
            latency: figures.latency(),
            recent: figures.recent(elapsed),
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Figures, u64) -> T) -> T {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut figures, self.start.elapsed().as_secs())
    }
}

impl Figures {
    fn second(&mut self, number: u64) -> &mut Second {
        let slots = self.seconds.len() as u64;
        let second = &mut self.seconds[(number % slots) as usize];
        if second.number != number {
            *second = Second {
                number,
                handled: 0,
                failed: 0,
                buckets: [0; BUCKETS],
            };
        }
        second
    }

    fn latency(&self) -> LatencyBuckets {
        let mut count = 0;
        // One bound for each doubling is enough for a graph.
        let cumulative = self.buckets.iter().enumerate().map(|(bucket, &handled)| {
            count += handled;
            (bucket, count)
        });
        let buckets = cumulative
            .filter(|(bucket, _)| (bucket + 1) % BUCKETS_PER_DOUBLING as usize == 0)
            .map(|(bucket, count)| (upper_bound(bucket).as_secs_f64(), count))
            .collect();
        LatencyBuckets {
            buckets,
            count: self.handled,
            sum_seconds: self.sum_seconds,
        }
    }

    /// The last ten whole seconds, and what there is of the one that is not over.
    fn recent(&self, elapsed: Duration) -> Recent {
        let now = elapsed.as_secs();
        let window = RECENT_SECONDS as f64 + f64::from(elapsed.subsec_millis()) / 1_000.0;
        let recent = || {
            let in_window =
                move |second: &&Second| second.number <= now && now - second.number <= RECENT_SECONDS as u64;
            self.seconds.iter().filter(in_window)
        };
        let handled: u64 = recent().map(|second| second.handled).sum();
        let failed: u64 = recent().map(|second| second.failed).sum();
        let percentile = |percent: u64| {
            let wanted = (handled * percent).div_ceil(100);
            let mut seen = 0;
            let bucket = (0..BUCKETS).find(|&bucket| {
                seen += recent()
                    .map(|second| u64::from(second.buckets[bucket]))
                    .sum::<u64>();
                seen >= wanted
            });
            bucket.map_or(0.0, |bucket| upper_bound(bucket).as_secs_f64() * 1_000.0)
        };
        if handled + failed == 0 {
            return Recent::default();
        }
        Recent {
            handled_per_second: handled as f64 / elapsed.as_secs_f64().clamp(1.0, window),
            failed_percent: failed as f64 * 100.0 / (handled + failed) as f64,
            p50_ms: if handled == 0 { 0.0 } else { percentile(50) },
            p99_ms: if handled == 0 { 0.0 } else { percentile(99) },
        }
    }
}

fn bucket_of(latency: Duration) -> usize {
    let micros = latency.as_secs_f64() * 1e6;
    ((micros.max(1.0).log2() * BUCKETS_PER_DOUBLING).ceil() as usize).min(BUCKETS - 1)
}

fn upper_bound(bucket: usize) -> Duration {
    Duration::from_secs_f64((bucket as f64 / BUCKETS_PER_DOUBLING).exp2() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_handled() {
        let metrics = Metrics::new();
        for ms in 1..=100 {
            metrics.handled(Duration::from_millis(ms));
        }
        metrics.failed();
        let figures = metrics.read();
        assert_eq!((figures.handled_total, figures.failed_total), (100, 1));
        // A bucket is 19 % wide.
        assert!(
            (50.0..60.0).contains(&figures.recent.p50_ms),
            "{:?}",
            figures.recent
        );
        assert!(
            (99.0..119.0).contains(&figures.recent.p99_ms),
            "{:?}",
            figures.recent
        );
        assert_eq!(figures.latency.count, 100);
        assert!(
            figures
                .latency
                .buckets
                .is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1)
        );
        assert_eq!(Metrics::new().read().recent, Recent::default());
    }
}
