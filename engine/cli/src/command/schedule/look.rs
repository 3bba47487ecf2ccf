//! One look at the clock: which runs are to be started now, and what became of the other times that passed.

use super::sources::Scheduled;
use crate::failure::Answer;
use caxplan_core::calendar::{Busy, Calendar, Decision, LATE_MAX, decide};
use caxplan_model::{Duration, Misfire, RunId, Timestamp};
use caxplan_run::{Fate, Ledger};

/// How often `cron` and timers look.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A run to start.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) scheduled: Scheduled,
    /// The due time, which names it.
    pub(super) due: Timestamp,
    /// The run that was claimed for it by a process that died before it had created it.
    pub(super) run: Option<RunId>,
}

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Runs to start.
    pub(super) due: Vec<Due>,
    /// What was left out, one line each.
    pub(super) notes: Vec<String>,
    /// When the next run starts.
    pub(super) next: Option<Timestamp>,
}

/// Looks which times of the schedules have passed. What is left out is in the ledger when this returns; what is due is
/// claimed by the program that is started for it.
pub(super) fn look(ledger: &mut Ledger, scheduled: &[Scheduled], now: Timestamp) -> Answer<Look> {
    let mut found = Look::default();
    for one in scheduled {
        look_at(ledger, one, now, &mut found)?;
    }
    Ok(found)
}

fn look_at(ledger: &mut Ledger, one: &Scheduled, now: Timestamp, found: &mut Look) -> Answer<()> {
    let key = &one.key;
    // A clock that was set back: what was decided stays decided, by its due time.
    // A schedule that nobody knew of begins with the minute that is going on: `cron` looks when it has begun.
    let begins = Timestamp((now.0 - now.0 % LOOK_EVERY.as_millis()).saturating_sub(1));
    let since = ledger.considered(key, one.times(), begins)?.min(now);
    let mut due = |due, run| {
        found.due.push(Due {
            scheduled: one.clone(),
            due,
            run,
        });
    };
    for lost in ledger.lost(key)? {
        if one.schedule.misfire == Misfire::Skip && now.since(lost.due) > lateness(one) {
            let note = "its process died before the run was created";
            ledger.refuse(key, lost.due, note, now)?;
            let at = one.local(lost.due);
            found.notes.push(format!("missed: {one}, due {at}: {note}"));
        } else {
            due(lost.due, lost.run);
        }
    }
    let busy: Vec<(RunId, Busy)> = ledger.busy(key, None)?;
    let still: Vec<&RunId> = busy
        .iter()
        .filter(|(_, busy)| busy.until.is_none())
        .map(|(run, _)| run)
        .collect();
    if still.is_empty()
        && let Some(queued) = ledger.queued(key)?
    {
        due(queued.due, None);
    }
    let passed = one.calendar.passed(since, now);
    let decided_up_to = passed.as_ref().map_or(since, |passed| passed.newest.due);
    let next = one.calendar.after(decided_up_to).map(|next| next.start);
    found.next = found.next.into_iter().chain(next).min();
    let Some(passed) = passed else {
        return Ok(());
    };
    if ledger.fate(key, passed.newest.due)?.is_some() {
        return Ok(());
    }
    let times: Vec<Busy> = busy.iter().map(|(_, busy)| *busy).collect();
    let schedule = &one.schedule;
    let at = one.local(passed.newest.due);
    let others = match passed.count {
        1 => String::new(),
        Calendar::COUNT_MAX.. => format!(" (and at least {} times before)", passed.count - 1),
        count => format!(
            " (and {} before, from {})",
            times_word(count - 1),
            one.local(passed.first)
        ),
    };
    match decide(&passed, now, schedule.misfire, schedule.overlap, &times) {
        // The program that is started queues it if need be: it also sees runs that were started since.
        Decision::Start | Decision::Queue => {
            found.due.push(Due {
                scheduled: one.clone(),
                due: passed.newest.due,
                run: None,
            });
            // Several times between two looks that are on time are no news: `* * * * * *`, looked at once a minute.
            if passed.count > 1 && passed.newest.due.since(passed.first) >= LOOK_EVERY {
                let note = format!("the run due {at} stands for it");
                if ledger.settle(key, passed.first, Fate::Missed, &note, now)? {
                    let line = format!("missed: {one}{others}: one run at {at} stands for all of them");
                    found.notes.push(line);
                }
            }
        }
        Decision::Overlapped => {
            let run = still
                .first()
                .map_or_else(|| "the run before".to_owned(), |run| format!("run {run}"));
            let note = format!("{run} was still going on");
            if ledger.settle(key, passed.newest.due, Fate::Overlapped, &note, now)? {
                found
                    .notes
                    .push(format!("skipped: {one}, due {at}{others}: {note}"));
            }
        }
        Decision::Missed => {
            let note = "nothing looked when it was due";
            if ledger.settle(key, passed.newest.due, Fate::Missed, note, now)? {
                let line =
                    format!("missed: {one}, due {at}{others}: {note} (`misfire: once` would run it now)");
                found.notes.push(line);
            }
        }
    }
    Ok(())
}

fn lateness(one: &Scheduled) -> Duration {
    Duration::from_millis(one.schedule.jitter.as_millis() + LATE_MAX.as_millis())
}

fn times_word(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Look, look};
    use crate::command::schedule::sources::Scheduled;
    use caxplan_core::calendar::Calendar;
    use caxplan_model::{Schedule, Timestamp};
    use caxplan_run::{Fate, Ledger, ScheduleKey, StateDir};
    use jiff::tz::TimeZone;

    const SECOND: u64 = 1_000;
    const MINUTE: u64 = 60 * SECOND;
    /// When the tests begin.
    const BEGUN: u64 = 10 * MINUTE;

    fn scheduled(cron: &str) -> Scheduled {
        let schedule = Schedule::new(cron);
        Scheduled {
            key: ScheduleKey {
                plan: "/plans/a.yaml".into(),
                entry: None,
            },
            calendar: Calendar::new(&schedule, TimeZone::UTC, "").expect("a right expression"),
            schedule,
        }
    }

    fn looked(ledger: &mut Ledger, of: &Scheduled, now: u64) -> Look {
        look(ledger, std::slice::from_ref(of), Timestamp(now)).expect("the ledger can be read")
    }

    #[test]
    fn a_minute_that_one_run_of_the_next_stands_for_is_told_and_kept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = StateDir::at(folder.path()).expect("made");
        let mut ledger = Ledger::open(&dir).expect("made");
        let every_minute = scheduled("* * * * *");
        assert_eq!(
            looked(&mut ledger, &every_minute, BEGUN + MINUTE / 2).due.len(),
            1
        );

        // The look at the second minute was left out, and the next one is late.
        let found = looked(&mut ledger, &every_minute, BEGUN + 2 * MINUTE + 50 * SECOND);
        assert_eq!(found.due.len(), 1);
        assert_eq!(found.due[0].due, Timestamp(BEGUN + 2 * MINUTE));
        assert!(
            found.notes[0].starts_with("missed: /plans/a.yaml (and twice before"),
            "{:?}",
            found.notes
        );
        let kept = ledger.history(&every_minute.key, 10).expect("read");
        assert_eq!((kept[0].0.due, kept[0].0.fate), (Timestamp(BEGUN), Fate::Missed));
        assert!(kept[0].0.note.contains("stands for it"), "{}", kept[0].0.note);
    }

    #[test]
    fn seconds_between_two_looks_that_are_on_time_are_no_news() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = StateDir::at(folder.path()).expect("made");
        let mut ledger = Ledger::open(&dir).expect("made");
        let every_second = scheduled("* * * * * *");
        looked(&mut ledger, &every_second, BEGUN + SECOND);
        let found = looked(&mut ledger, &every_second, BEGUN + MINUTE - SECOND);
        assert_eq!((found.due.len(), found.notes.len()), (1, 0), "{:?}", found.notes);
        assert_eq!(ledger.history(&every_second.key, 10).expect("read"), []);
    }
}
