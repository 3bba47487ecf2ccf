//! Which ones are kept, and why.

use caxplan_model::{Cause, FailureKind};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use std::time::Duration;

/// The rules. A number of 0 keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Policy {
    pub(super) last: usize,
    pub(super) hourly: usize,
    pub(super) daily: usize,
    pub(super) weekly: usize,
    pub(super) monthly: usize,
    pub(super) yearly: usize,
    pub(super) older_than: Option<Duration>,
    pub(super) at_least: usize,
}

/// One of those that are kept or go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) time: Timestamp,
    pub(super) bytes: u64,
    /// The objects that it is made of.
    pub(super) keys: Vec<String>,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept(String),
    Goes,
}

/// The stretch of time that a moment lies in, as what two moments in the same one share.
type Bucket = fn(civil::DateTime) -> [i32; 4];

impl Policy {
    fn buckets(&self) -> [(usize, &'static str, Bucket); 5] {
        [
            (self.hourly, "hourly", |at| {
                [
                    at.year().into(),
                    at.month().into(),
                    at.day().into(),
                    at.hour().into(),
                ]
            }),
            (self.daily, "daily", |at| {
                [at.year().into(), at.month().into(), at.day().into(), 0]
            }),
            (self.weekly, "weekly", |at| {
                let week = at.date().iso_week_date();
                [week.year().into(), week.week().into(), 0, 0]
            }),
            (self.monthly, "monthly", |at| {
                [at.year().into(), at.month().into(), 0, 0]
            }),
            (self.yearly, "yearly", |at| [at.year().into(), 0, 0, 0]),
        ]
    }

    /// Whether it says anything.
    pub(super) fn has_a_rule(&self) -> bool {
        self.last > 0 || self.older_than.is_some() || self.buckets().iter().any(|(count, ..)| *count > 0)
    }
}

/// Decides of each one; gives them newest first.
pub(super) fn decide(mut items: Vec<Item>, policy: Policy, now: Timestamp) -> Vec<(Item, Fate)> {
    items.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| b.name.cmp(&a.name)));
    let mut reasons: Vec<Vec<String>> = vec![Vec::new(); items.len()];
    for (at, reason) in reasons.iter_mut().enumerate() {
        if at < policy.last {
            reason.push(format!("one of the last {}", policy.last));
        }
    }
    for (count, name, bucket_of) in policy.buckets() {
        let mut seen = None;
        let mut left = count;
        for (item, reason) in items.iter().zip(&mut reasons) {
            if left == 0 {
                break;
            }
            let bucket = Some(bucket_of(TimeZone::UTC.to_datetime(item.time)));
            if seen != bucket {
                seen = bucket;
                left -= 1;
                reason.push(format!("{name} ({} of {count})", count - left));
            }
        }
    }
    if let Some(older_than) = policy.older_than {
        let max = SignedDuration::try_from(older_than).unwrap_or(SignedDuration::MAX);
        for (item, reason) in items.iter().zip(&mut reasons) {
            if now.duration_since(item.time) <= max {
                reason.push("not old enough".to_owned());
            }
        }
    }
    // As many as must be left, the newest of those that would go.
    let mut kept = reasons.iter().filter(|reason| !reason.is_empty()).count();
    for reason in &mut reasons {
        if kept < policy.at_least && reason.is_empty() {
            reason.push(format!("at least {} are kept", policy.at_least));
            kept += 1;
        }
    }
    let fates = reasons.into_iter().map(|reason| {
        if reason.is_empty() {
            Fate::Goes
        } else {
            Fate::Kept(reason.join(", "))
        }
    });
    items.into_iter().zip(fates.collect::<Vec<_>>()).collect()
}

/// The time that a name tells. A name that tells none is an error: to guess would be to remove the wrong one.
pub(super) fn time_of(name: &str, format: &str) -> Result<Timestamp, Cause> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let wrong = |why: String| {
        Cause::new(
            FailureKind::Invalid,
            format!("`{name}` tells no time by `time_format: {format}`: {why}"),
        )
        .with_hint("`only:` leaves out what is called otherwise")
    };
    let parsed = jiff::fmt::strtime::parse(format, last).map_err(|error| wrong(error.to_string()))?;
    let moment = parsed
        .to_datetime()
        .or_else(|_| parsed.to_date().map(|date| date.at(0, 0, 0, 0)));
    let moment = moment.map_err(|error| wrong(error.to_string()))?;
    TimeZone::UTC
        .to_timestamp(moment)
        .map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(times: &[&str], policy: Policy) -> Vec<(String, Fate)> {
        let item = |time: &&str| Item {
            name: (*time).to_owned(),
            time: time.parse().unwrap(),
            bytes: 1,
            keys: vec![(*time).to_owned()],
        };
        let now = "2026-03-10T12:00:00Z".parse().unwrap();
        decide(times.iter().map(item).collect(), policy, now)
            .into_iter()
            .map(|(item, fate)| (item.name, fate))
            .collect()
    }

    fn kept(times: &[&str], policy: Policy) -> Vec<String> {
        decided(times, policy)
            .into_iter()
            .filter(|(_, fate)| *fate != Fate::Goes)
            .map(|(name, _)| name)
            .collect()
    }

    const TIMES: [&str; 8] = [
        "2026-03-10T11:30:00Z",
        "2026-03-10T11:00:00Z",
        "2026-03-10T02:00:00Z",
        "2026-03-09T02:00:00Z",
        "2026-03-08T02:00:00Z",
        "2026-02-28T02:00:00Z",
        "2026-02-01T02:00:00Z",
        "2025-06-01T02:00:00Z",
    ];

    #[test]
    fn the_newest_of_each_span_is_kept() {
        let one = Policy::default();
        for (policy, expected) in [
            (Policy { last: 2, ..one }, vec![0, 1]),
            (Policy { hourly: 2, ..one }, vec![0, 2]),
            (Policy { daily: 3, ..one }, vec![0, 3, 4]),
            // The 8th was a Sunday, the 9th a Monday.
            (Policy { weekly: 2, ..one }, vec![0, 4]),
            (Policy { monthly: 3, ..one }, vec![0, 5, 7]),
            (Policy { yearly: 9, ..one }, vec![0, 7]),
            (
                Policy {
                    last: 1,
                    yearly: 2,
                    ..one
                },
                vec![0, 7],
            ),
            (
                Policy {
                    older_than: Some(Duration::from_secs(40 * 86400)),
                    ..one
                },
                vec![0, 1, 2, 3, 4, 5, 6],
            ),
            (
                Policy {
                    older_than: Some(Duration::from_secs(1)),
                    at_least: 3,
                    ..one
                },
                vec![0, 1, 2],
            ),
            (
                Policy {
                    older_than: Some(Duration::from_secs(86400)),
                    monthly: 2,
                    ..one
                },
                vec![0, 1, 2, 5],
            ),
        ] {
            let expected: Vec<String> = expected
                .into_iter()
                .map(|at: usize| TIMES[at].to_owned())
                .collect();
            assert_eq!(kept(&TIMES, policy), expected, "{policy:?}");
        }
    }

    #[test]
    fn the_reasons_are_told() {
        let fates = decided(
            &TIMES[..3],
            Policy {
                last: 1,
                daily: 2,
                at_least: 2,
                ..Policy::default()
            },
        );
        let expected = [
            Fate::Kept("one of the last 1, daily (1 of 2)".to_owned()),
            Fate::Kept("at least 2 are kept".to_owned()),
            Fate::Goes,
        ];
        assert_eq!(
            fates.into_iter().map(|(_, fate)| fate).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn nothing_says_nothing() {
        assert!(
            !Policy {
                at_least: 5,
                ..Policy::default()
            }
            .has_a_rule()
        );
        assert!(
            Policy {
                weekly: 1,
                ..Policy::default()
            }
            .has_a_rule()
        );
    }

    #[test]
    fn names_tell_times() {
        let time = |name, format| time_of(name, format).map(|time| time.to_string());
        assert_eq!(
            time("x/db-2026-03-10_0230.dump", "db-%Y-%m-%d_%H%M.dump").unwrap(),
            "2026-03-10T02:30:00Z"
        );
        assert_eq!(time("20260310", "%Y%m%d").unwrap(), "2026-03-10T00:00:00Z");
        for name in [
            "db-latest.dump",
            "db-2026-13-10_0230.dump",
            "db-2026-03-10_0230.dump.part",
        ] {
            assert!(time(name, "db-%Y-%m-%d_%H%M.dump").is_err(), "{name}");
        }
    }
}
