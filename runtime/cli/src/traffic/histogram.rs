//! Counts of durations in buckets that grow by a twentieth, so that a percentile is off by at most five percent.

/// By how much a bucket is wider than the one before.
const GROWTH: f64 = 1.05;
/// The upper end of the first bucket, in milliseconds.
const FIRST_MS: f64 = 0.1;
/// So many buckets reach beyond an hour.
const BUCKETS: usize = 360;

pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    slowest_ms: f64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            slowest_ms: 0.0,
        }
    }

    pub(super) fn add(&mut self, ms: f64) {
        let bucket = (ms / FIRST_MS).max(1.0).log(GROWTH).ceil() as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.total += 1;
        self.slowest_ms = self.slowest_ms.max(ms);
    }

    pub(super) fn slowest_ms(&self) -> f64 {
        self.slowest_ms
    }

    /// The duration within which that part of all lies, in milliseconds; 0 if there are none.
    pub(super) fn percentile_ms(&self, percent: f64) -> f64 {
        let wanted = (self.total as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return (FIRST_MS * GROWTH.powi(bucket as i32)).min(self.slowest_ms);
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn percentiles_are_close() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.percentile_ms(99.0), 0.0);
        (1..=1_000).for_each(|ms| histogram.add(f64::from(ms)));
        for (percent, exact) in [(50.0, 500.0), (99.0, 990.0), (100.0, 1_000.0)] {
            let found: f64 = histogram.percentile_ms(percent);
            assert!((found - exact).abs() <= exact * 0.05, "{percent}: {found}");
        }
        assert_eq!(histogram.slowest_ms(), 1_000.0);
    }
}
