//! From one time of a cron expression to the next, across changes of the clocks.
//!
//! A time zone is a row of stretches in which its distance to UTC is the same. In each of them the expression is
//! matched as if every day had 24 hours; what the borders do is said in [`Effect`].

use super::Cron;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

/// What a change of the clocks does to a time.
///
/// An expression that names its hours (`30 2 * * *`, `*/10 1-3 * * *`) means times of the day: one that the clocks
/// leap over comes at once when they have leapt, all such times together once; one that they show twice comes the
/// first time only. An expression whose hours go with the clock (`*`, `*/2`, or all 24) means a rhythm: it comes
/// whenever the clocks show its time, so not in an hour that is left out, and twice in one that is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The clocks leapt over this time, and it comes right after that.
    LeptOver(DateTime),
    /// The clocks show this time twice; this is the first of the two, and the only one that counts.
    OnlyFirst,
    /// The clocks show this time twice, and both count; this is the first.
    First,
    /// The clocks show this time twice, and both count; this is the second.
    Second,
}

/// A time that was found.
pub(super) struct Found {
    pub(super) at: Timestamp,
    pub(super) effect: Option<Effect>,
}

/// How far ahead a time is looked for: 29 February on a given weekday comes every 28 years, or 40 around a century.
const AHEAD_YEARS: i16 = 100;

/// The first time after `after`.
pub(super) fn next(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Found> {
    let mut stretch = Stretch::at(zone, after);
    let mut from = (stretch.offset.to_datetime(after), false);
    let limit = from.0.year().saturating_add(AHEAD_YEARS);
    loop {
        if !cron.is_hourly()
            && let Some(repeated_until) = stretch.repeated_until()
            && from.0 < repeated_until
        {
            from = (repeated_until, true);
        }
        let civil = cron.next(from.0, from.1);
        let at = civil.and_then(|civil| stretch.offset.to_timestamp(civil).ok());
        if let (Some(civil), Some(at)) = (civil, at)
            && stretch.end.is_none_or(|end| at < end)
        {
            let effect = effect(cron, zone, civil, stretch.offset);
            return Some(Found { at, effect });
        }
        let end = stretch.end?;
        let left = stretch.offset.to_datetime(end);
        stretch = Stretch::at(zone, end);
        let entered = stretch.offset.to_datetime(end);
        if entered > left && !cron.is_hourly() {
            let lept_over = cron.next(left, true).filter(|civil| *civil < entered);
            if let Some(civil) = lept_over {
                let effect = Some(Effect::LeptOver(civil));
                return Some(Found { at: end, effect });
            }
        }
        if entered.year() > limit {
            return None;
        }
        from = (entered, true);
    }
}

fn effect(cron: &Cron, zone: &TimeZone, civil: DateTime, offset: Offset) -> Option<Effect> {
    match zone.to_ambiguous_timestamp(civil).offset() {
        jiff::tz::AmbiguousOffset::Fold { before, .. } => Some(match (cron.is_hourly(), before == offset) {
            (false, _) => Effect::OnlyFirst,
            (true, true) => Effect::First,
            (true, false) => Effect::Second,
        }),
        jiff::tz::AmbiguousOffset::Unambiguous { .. } | jiff::tz::AmbiguousOffset::Gap { .. } => None,
    }
}

/// A time during which a zone keeps its distance to UTC.
struct Stretch {
    offset: Offset,
    /// When it began, and the distance before that.
    began: Option<(Timestamp, Offset)>,
    /// When it ends.
    end: Option<Timestamp>,
}

impl Stretch {
    fn at(zone: &TimeZone, at: Timestamp) -> Self {
        let began = at.checked_add(1.nanosecond()).ok().and_then(|behind| {
            let began = zone.preceding(behind).next()?.timestamp();
            let before = began.checked_sub(1.nanosecond()).ok()?;
            Some((began, zone.to_offset(before)))
        });
        Self {
            offset: zone.to_offset(at),
            began,
            end: zone.following(at).next().map(|next| next.timestamp()),
        }
    }

    /// Until when its local times were shown before, if its beginning set the clocks back.
    fn repeated_until(&self) -> Option<DateTime> {
        let (began, before) = self.began?;
        (before > self.offset).then(|| before.to_datetime(began))
    }
}
