//! How long to pause before the next attempt, and which failures are worth one.

use caxplan_model::{AttemptNo, Cause, Duration, FailureKind, NodeIndex, Retry};

/// The most attempts at undoing one step before a person must look.
pub(super) const UNDO_ATTEMPTS_MAX: u32 = 3;

/// The pauses between attempts at undoing a step: 1 s, then 2 s.
pub(super) fn undo_retry() -> Retry {
    Retry {
        attempts: UNDO_ATTEMPTS_MAX,
        initial: Duration::from_secs(1),
        factor_percent: 200,
        max: Duration::from_secs(10),
        jitter: true,
        on: Vec::new(),
    }
}

/// Whether a failure of this kind is tried again.
pub(super) fn retries(retry: &Retry, cause: &Cause) -> bool {
    if retry.on.is_empty() {
        !matches!(
            cause.kind,
            FailureKind::Denied
                | FailureKind::Invalid
                | FailureKind::Cancelled
                | FailureKind::Rejected
                | FailureKind::Invariant
                | FailureKind::Template
        )
    } else {
        retry.on.contains(&cause.kind)
    }
}

/// The pause after `tries` failed tries (from 1). Pure: the same run, step and attempt give the same pause.
pub(super) fn pause(retry: &Retry, tries: u32, seed: u64, node: NodeIndex, attempt: AttemptNo) -> Duration {
    let mut millis = retry.initial.as_millis();
    let max = retry.max.as_millis();
    for _ in 1..tries {
        if millis >= max || retry.factor_percent == 100 {
            break;
        }
        millis = millis.saturating_mul(u64::from(retry.factor_percent)) / 100;
    }
    millis = millis.min(max);
    if retry.jitter {
        let draw = mix(seed ^ mix(u64::from(node.0) << 32 | u64::from(attempt.0)));
        // 50–100 %, in steps of 1/1024 of the half.
        millis -= millis / 2 * (draw % 1024) / 1024;
    }
    Duration::from_millis(millis)
}

/// SplitMix64's finalizer: spreads the bits of small numbers over all 64.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::pause;
    use caxplan_model::{AttemptNo, Duration, NodeIndex, Retry};

    fn check(retry: &Retry, tries: u32, expected: std::ops::RangeInclusive<u64>) {
        let pause = |seed| pause(retry, tries, seed, NodeIndex(7), AttemptNo(tries)).as_millis();
        for seed in 0..100 {
            assert!(expected.contains(&pause(seed)), "{} after {tries}", pause(seed));
            assert_eq!(pause(seed), pause(seed));
        }
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let mut retry = Retry {
            max: Duration::from_secs(5),
            ..Retry::default()
        };
        check(&retry, 1, 500..=1_000);
        check(&retry, 2, 1_000..=2_000);
        check(&retry, 40, 2_500..=5_000);
        retry.jitter = false;
        check(&retry, 1, 1_000..=1_000);
        check(&retry, 3, 4_000..=4_000);
        check(&retry, u32::MAX, 5_000..=5_000);
        retry.factor_percent = 100;
        check(&retry, u32::MAX, 1_000..=1_000);
    }
}
