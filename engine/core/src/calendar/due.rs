//! What becomes of times that have passed.

use super::Passed;
use caxplan_model::{Duration, Misfire, Overlap, Timestamp};

/// How late a start is still on time: `cron` and timers look once a minute, and may be held up.
pub const LATE_MAX: Duration = Duration::from_secs(120);

/// A time during which a run of the plan was going on: an engine held it, or it waited for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// From when.
    pub from: Timestamp,
    /// Until when; `None` if it still is.
    pub until: Option<Timestamp>,
}

/// What becomes of occurrences that passed. However many did, at most one run comes of them: the newest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It starts.
    Start,
    /// It waits until the run before has ended.
    Queue,
    /// It is left out, because the run before was still going on.
    Overlapped,
    /// It is left out, because nothing watched when it was due.
    Missed,
}

/// Decides about the newest of the occurrences that passed. `busy` holds the runs of the same plan that began before
/// `now`.
pub fn decide(
    passed: &Passed,
    now: Timestamp,
    misfire: Misfire,
    overlap: Overlap,
    busy: &[Busy],
) -> Decision {
    let start = passed.newest.start;
    let then = busy
        .iter()
        .any(|busy| busy.from <= start && busy.until.is_none_or(|until| start < until));
    let still = busy.iter().any(|busy| busy.until.is_none());
    match overlap {
        // It came while the run before was going on, so it was not missed, whoever looks only now.
        Overlap::Forbid if then => return Decision::Overlapped,
        Overlap::Queue if then && still => return Decision::Queue,
        Overlap::Queue if then => return Decision::Start,
        Overlap::Forbid | Overlap::Queue | Overlap::Allow => {}
    }
    if now.since(start) > LATE_MAX && misfire == Misfire::Skip {
        return Decision::Missed;
    }
    match overlap {
        Overlap::Forbid if still => Decision::Overlapped,
        Overlap::Queue if still => Decision::Queue,
        Overlap::Forbid | Overlap::Queue | Overlap::Allow => Decision::Start,
    }
}
