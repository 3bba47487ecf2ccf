//! When a schedule is due: cron expressions in a time zone, across changes of its clocks.
//!
//! Nothing here knows what time it is: the shell says so, and hands in the time zone. The rule for the two changes of
//! summer time is in [`Effect`]; what becomes of times that passed, in [`decide`].

mod conflict;
mod cron;
mod due;
mod walk;
mod zones;

pub use conflict::{Becomes, Conflict, Over, Planned, conflicts};
pub use cron::{Cron, CronError};
pub use due::{Busy, Decision, LATE_MAX, decide};
pub use walk::Effect;
pub use zones::{bundled_zone, zone_names};

use caxplan_model::{Digest, Duration, Schedule, Timestamp};
use jiff::tz::TimeZone;

/// The times of one schedule.
#[derive(Clone, Debug)]
pub struct Calendar {
    cron: Cron,
    zone: TimeZone,
    jitter: Duration,
    salt: String,
}

/// One time of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// When the expression says so. It names the occurrence: no two have the same.
    pub due: Timestamp,
    /// When it starts: `due`, put off by its part of the jitter, always before the next one is due.
    pub start: Timestamp,
    /// What a change of the clocks did to it.
    pub effect: Option<Effect>,
}

/// The occurrences that passed since somebody last looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The first of them.
    pub first: Timestamp,
    /// The newest of them.
    pub newest: Occurrence,
    /// How many they are; [`Calendar::COUNT_MAX`] stands for that many or more.
    pub count: u32,
}

impl Calendar {
    /// The most occurrences that are counted one by one.
    pub const COUNT_MAX: u32 = 10_000;

    /// The calendar of a schedule in `zone`, which is the schedule's own (see [`bundled_zone`]). Jitter is drawn from
    /// `salt` and the occurrence, so whoever asks with the same salt gets the same times.
    ///
    /// # Errors
    /// If the cron expression is wrong.
    pub fn new(schedule: &Schedule, zone: TimeZone, salt: impl Into<String>) -> Result<Self, CronError> {
        Ok(Self {
            cron: Cron::parse(&schedule.cron)?,
            zone,
            jitter: schedule.jitter,
            salt: salt.into(),
        })
    }

    /// The time zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first occurrence that is due after `at`.
    pub fn after(&self, at: Timestamp) -> Option<Occurrence> {
        let found = walk::next(&self.cron, &self.zone, to_jiff(at)?)?;
        let due = from_jiff(found.at)?;
        Some(Occurrence {
            due,
            start: self.start(due, found.at),
            effect: found.effect,
        })
    }

    /// The occurrences that were due after `since` and whose start is not after `now`.
    pub fn passed(&self, since: Timestamp, now: Timestamp) -> Option<Passed> {
        let mut newest = self.after(since).filter(|next| next.start <= now)?;
        let first = newest.due;
        let mut count = 1;
        while let Some(next) = self.after(newest.due).filter(|next| next.start <= now) {
            newest = next;
            count += 1;
            if count == Self::COUNT_MAX {
                newest = self.newest(newest, now);
                break;
            }
        }
        Some(Passed { first, newest, count })
    }

    /// The newest occurrence up to `now`, without a look at each since `last`, which would take for ever after a year
    /// without power: looks back from `now` in growing steps.
    fn newest(&self, last: Occurrence, now: Timestamp) -> Occurrence {
        let mut step = Duration::from_secs(1);
        loop {
            let from = Timestamp(now.0.saturating_sub(step.as_millis())).max(last.due);
            let mut found = None;
            let mut next = self.after(from);
            while let Some(occurrence) = next.filter(|next| next.start <= now) {
                next = self.after(occurrence.due);
                found = Some(occurrence);
            }
            match found {
                Some(found) => return found,
                None if from == last.due => return last,
                None => step = Duration::from_millis(step.as_millis().saturating_mul(2)),
            }
        }
    }

    fn start(&self, due: Timestamp, at: jiff::Timestamp) -> Timestamp {
        if self.jitter == Duration::ZERO {
            return due;
        }
        let next = walk::next(&self.cron, &self.zone, at).and_then(|next| from_jiff(next.at));
        let room = next.map_or(self.jitter, |next| self.jitter.min(next.since(due)));
        let digest = Digest::of(format!("{}\0{}", self.salt, due.0).as_bytes());
        let drawn = digest
            .0
            .iter()
            .take(8)
            .fold(0_u64, |drawn, byte| drawn << 8 | u64::from(*byte));
        due.after(Duration::from_millis(drawn % room.as_millis().max(1)))
    }
}

fn to_jiff(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()
}

fn from_jiff(at: jiff::Timestamp) -> Option<Timestamp> {
    u64::try_from(at.as_millisecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests;
