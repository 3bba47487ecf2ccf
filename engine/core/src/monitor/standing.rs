//! Where an alert stands.

use caxplan_model::{Duration, RunId, Timestamp};
use serde::{Deserialize, Serialize};

/// Where an alert stands, as it is kept from one check to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// The condition does not hold.
    #[default]
    Quiet,
    /// The condition holds, and not yet for long enough.
    Pending {
        /// When it was first seen to hold.
        since: Timestamp,
    },
    /// The condition has held for long enough, and was not seen to be over.
    Firing {
        /// When it was first seen to hold.
        since: Timestamp,
        /// When it had held for long enough.
        fired: Timestamp,
        /// The run of its action, also while it is not created yet: so no second one can be.
        run: RunId,
        /// Whether that run has succeeded.
        acted: bool,
    },
}

/// What one look says of the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It holds.
    Holds,
    /// It does not.
    HoldsNot,
    /// It could not be told.
    Unknown,
}

/// What became of an alert by one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The condition holds now, and must hold a while longer.
    Pending,
    /// It fires now.
    Firing,
    /// It fired, and is over.
    Resolved,
    /// It was pending, and is over.
    Calmed,
}

/// Where an alert stands after a look, and whether that is something new. `run` is what its action's run is called if it
/// fires now.
///
/// What could not be told changes nothing: it neither raises an alert nor ends one. Of the time between two looks nothing
/// is known; a condition that held at both counts as having held in between.
pub fn next(
    standing: &Standing,
    seen: Seen,
    duration: Duration,
    now: Timestamp,
    run: &RunId,
) -> (Standing, Option<Change>) {
    match (standing, seen) {
        (_, Seen::Unknown) | (Standing::Quiet, Seen::HoldsNot) | (Standing::Firing { .. }, Seen::Holds) => {
            (standing.clone(), None)
        }
        (Standing::Quiet, Seen::Holds) => holds(now, duration, now, run, Some(Change::Pending)),
        // A clock that was set back must not put the alert off.
        (Standing::Pending { since }, Seen::Holds) => holds((*since).min(now), duration, now, run, None),
        (Standing::Pending { .. }, Seen::HoldsNot) => (Standing::Quiet, Some(Change::Calmed)),
        (Standing::Firing { .. }, Seen::HoldsNot) => (Standing::Quiet, Some(Change::Resolved)),
    }
}

fn holds(
    since: Timestamp,
    duration: Duration,
    now: Timestamp,
    run: &RunId,
    otherwise: Option<Change>,
) -> (Standing, Option<Change>) {
    if now.since(since) < duration {
        return (Standing::Pending { since }, otherwise);
    }
    let firing = Standing::Firing {
        since,
        fired: now,
        run: run.clone(),
        acted: false,
    };
    (firing, Some(Change::Firing))
}

impl Standing {
    /// The state in one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Quiet => "ok",
            Self::Pending { .. } => "pending",
            Self::Firing { .. } => "firing",
        }
    }

    /// Since when the condition has been seen to hold.
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Quiet => None,
            Self::Pending { since } | Self::Firing { since, .. } => Some(*since),
        }
    }

    /// The run of the action, if the alert fires.
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Self::Quiet | Self::Pending { .. } => None,
            Self::Firing { run, .. } => Some(run),
        }
    }

    /// Whether the alert fires and its action has still to be done.
    pub fn must_act(&self) -> bool {
        matches!(self, Self::Firing { acted: false, .. })
    }

    /// The same, after its action has been done.
    #[must_use]
    pub fn acted(self) -> Self {
        match self {
            Self::Firing {
                since, fired, run, ..
            } => Self::Firing {
                since,
                fired,
                run,
                acted: true,
            },
            other @ (Self::Quiet | Self::Pending { .. }) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Seen, Standing, next};
    use caxplan_model::{Duration, RunId, Timestamp};
    use proptest::prelude::*;

    const MINUTE: u64 = 60_000;

    /// Looks at given minutes; answers what is new at each.
    fn check(duration: &str, looks: &[(u64, Seen)], expected: &[Option<Change>]) {
        let duration: Duration = duration.parse().expect("a duration");
        let mut standing = Standing::Quiet;
        let changes: Vec<Option<Change>> = looks
            .iter()
            .map(|(minute, seen)| {
                let run = RunId::new(format!("run-{minute}"));
                let (after, change) = next(&standing, *seen, duration, Timestamp(minute * MINUTE), &run);
                standing = after;
                change
            })
            .collect();
        assert_eq!(changes, expected, "{looks:?}");
    }

    #[test]
    fn an_alert_fires_once_it_has_held_for_its_duration() {
        use Seen::{Holds, HoldsNot, Unknown};
        let (pending, firing) = (Some(Change::Pending), Some(Change::Firing));
        check(
            "0s",
            &[(1, HoldsNot), (2, Holds), (3, Holds)],
            &[None, firing, None],
        );
        check(
            "5m",
            &[(1, Holds), (3, Holds), (6, Holds), (7, Holds)],
            &[pending, None, firing, None],
        );
        check(
            "5m",
            &[(1, Holds), (4, HoldsNot), (6, Holds), (7, Holds)],
            &[pending, Some(Change::Calmed), pending, None],
        );
        check(
            "0s",
            &[(1, Holds), (2, HoldsNot), (3, Holds)],
            &[firing, Some(Change::Resolved), firing],
        );
        // What cannot be told neither raises an alert nor ends one.
        check(
            "5m",
            &[
                (1, Unknown),
                (2, Holds),
                (4, Unknown),
                (7, Holds),
                (8, Unknown),
                (9, HoldsNot),
            ],
            &[None, pending, None, firing, None, Some(Change::Resolved)],
        );
        // The clock is set back.
        check(
            "5m",
            &[(100, Holds), (1, Holds), (6, Holds)],
            &[pending, None, firing],
        );
    }

    #[test]
    fn a_standing_is_kept_as_it_is_written() {
        let standing = Standing::Firing {
            since: Timestamp(1),
            fired: Timestamp(2),
            run: RunId::from("01a"),
            acted: false,
        };
        let text = serde_json::to_string(&standing).expect("plain data");
        assert_eq!(
            text,
            r#"{"state":"firing","since":1,"fired":2,"run":"01a","acted":false}"#
        );
        let read: Standing = serde_json::from_str(&text).expect("as written");
        assert_eq!(read, standing);
        assert!(read.must_act() && !read.acted().must_act());
    }

    proptest! {
        /// Between two firings the condition was seen to be over, and no alert fires before its time.
        #[test]
        fn no_alert_fires_twice_or_too_early(
            looks in proptest::collection::vec((0_u64..4, 0_u8..3), 1..60),
            minutes in 0_u64..6,
        ) {
            let duration = Duration::from_millis(minutes * MINUTE);
            let mut standing = Standing::Quiet;
            let (mut now, mut over, mut held_since) = (0, true, None);
            for (number, (step, seen)) in looks.into_iter().enumerate() {
                now += step;
                let seen = [Seen::Holds, Seen::HoldsNot, Seen::Unknown][usize::from(seen)];
                match seen {
                    Seen::Holds => held_since = held_since.or(Some(now)),
                    Seen::HoldsNot => held_since = None,
                    Seen::Unknown => {}
                }
                let run = RunId::new(number.to_string());
                let before = standing.run().cloned();
                let (after, change) = next(&standing, seen, duration, Timestamp(now * MINUTE), &run);
                if change == Some(Change::Firing) {
                    prop_assert!(over, "it fires a second time");
                    prop_assert!(now - held_since.expect("it holds") >= minutes, "it fires too early");
                    prop_assert_eq!(after.run(), Some(&run));
                    over = false;
                } else if let (Some(before), Some(run)) = (before, after.run()) {
                    prop_assert_eq!(before, run.clone(), "its run is another");
                }
                over |= seen == Seen::HoldsNot;
                standing = after;
            }
        }
    }
}
