//! When a failing agent is tried again, and when it is given up. Pure: time is an argument.

use caxton_model::RestartPolicy;
use std::collections::VecDeque;
use std::time::Duration;

/// The longest pause before a restart.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Start a fresh instance after a pause.
    Restart(Duration),
    /// Too many failures: handle nothing more.
    GiveUp,
}

/// Counts an agent's failures.
pub(super) struct Supervisor {
    policy: RestartPolicy,
    /// When the latest failures happened, in milliseconds of any steady clock; as many as the policy can ask for.
    failures: VecDeque<u64>,
}

impl Supervisor {
    pub(super) fn new(policy: RestartPolicy) -> Self {
        Self {
            policy,
            failures: VecDeque::new(),
        }
    }

    /// Counts a failure at `now_ms`.
    pub(super) fn failed(&mut self, now_ms: u64) -> Verdict {
        let since = now_ms.saturating_sub(self.policy.within_ms);
        self.failures.push_back(now_ms);
        while self.failures.front().is_some_and(|&at| at < since) {
            self.failures.pop_front();
        }
        let count = self.failures.len();
        if count > self.policy.max_failures as usize {
            return Verdict::GiveUp;
        }
        let doublings = u32::try_from(count - 1).unwrap_or(u32::MAX).min(31);
        let pause = Duration::from_millis(self.policy.backoff_ms.saturating_mul(1 << doublings));
        Verdict::Restart(pause.min(BACKOFF_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Failures at these times give these verdicts: a pause in milliseconds, or `None` for giving up.
    fn check(policy: RestartPolicy, failures: &[(u64, Option<u64>)]) {
        let mut supervisor = Supervisor::new(policy);
        for &(at, pause) in failures {
            let expected = pause.map_or(Verdict::GiveUp, |ms| Verdict::Restart(Duration::from_millis(ms)));
            assert_eq!(supervisor.failed(at), expected, "at {at}");
        }
    }

    #[test]
    fn gives_up_after_too_many_failures_within_the_window() {
        let policy = RestartPolicy {
            max_failures: 2,
            within_ms: 1_000,
            backoff_ms: 50,
        };
        check(policy, &[(0, Some(50)), (10, Some(100)), (20, None)]);
        check(
            policy,
            &[
                (0, Some(50)),
                (900, Some(100)),
                (1_500, Some(100)),
                (2_600, Some(50)),
            ],
        );
        let none = RestartPolicy {
            max_failures: 0,
            ..policy
        };
        check(none, &[(0, None)]);
    }
}
