//! What became of the times of schedules: a due time is claimed here before its run is created, and never twice.
//!
//! A claim names the run that will be created. So if its process dies in between, what follows is certain: either the
//! journal has that run, or nothing of it ever happened and the same claim can be taken up again. Two processes that
//! find the same time due meet in one transaction; so do two times of one plan.

use super::prune::TOMBSTONES;
use super::runs::{SUMMARY, summary};
use super::{Journal, JournalError, RunSummary, column};
use crate::StateDir;
use crate::lock::engine_of;
use caxplan_core::calendar::Busy;
use caxplan_model::{Digest, Overlap, RunEnd, RunId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use std::path::PathBuf;

// Beside the journal's own tables, which older programs check the version of: these need no such step.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS schedules (
    plan       TEXT NOT NULL,                 -- the plan's file, absolute
    entry      TEXT NOT NULL,                 -- which of the plans in it; empty if it holds one
    times      BLOB NOT NULL,                 -- SHA-256 of what says the times
    considered INTEGER NOT NULL,              -- what was due up to here has been decided
    PRIMARY KEY (plan, entry)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS firings (
    id    INTEGER PRIMARY KEY,
    plan  TEXT NOT NULL,
    entry TEXT NOT NULL,
    due   INTEGER NOT NULL,
    at    INTEGER NOT NULL,                   -- when it was decided
    fate  TEXT NOT NULL,                      -- 'claimed', 'queued', 'overlapped', 'missed', 'refused'
    run   TEXT,                               -- the run that was claimed
    note  TEXT NOT NULL,                      -- why, for a person
    UNIQUE (plan, entry, due)
) STRICT;
";

/// How many firings of a schedule are kept.
const FIRINGS_MAX: i64 = 1_000;
/// How many runs of a plan are looked at, the newest first, for one that is going on.
const RUNS_MAX: i64 = 200;

/// Which schedule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScheduleKey {
    /// The plan's file, absolute.
    pub plan: PathBuf,
    /// Which of the plans in it; `None` if it holds one.
    pub entry: Option<String>,
}

/// What became of a due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A run was claimed for it.
    Claimed,
    /// It waits for the run before.
    Queued,
    /// It was left out, because the run before was going on.
    Overlapped,
    /// It was left out, because nothing watched when it was due.
    Missed,
    /// Its run could not be created.
    Refused,
}

/// A due time and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// The due time.
    pub due: Timestamp,
    /// When it was decided.
    pub at: Timestamp,
    /// What became of it.
    pub fate: Fate,
    /// The run that was claimed for it. It need not have been created.
    pub run: Option<RunId>,
    /// Why, for a person; may be empty.
    pub note: String,
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq)]
pub enum Grant {
    /// The run may be created, under the id that was claimed.
    Granted,
    /// It may not, now: `Queued` or `Overlapped`, because of these runs.
    Held(Fate, Vec<RunId>),
    /// Somebody else has claimed or decided it.
    Gone,
}

/// The ledger of due times, in the journal's file.
pub struct Ledger {
    dir: StateDir,
    journal: Journal,
}

impl Ledger {
    /// Opens the ledger of a state folder.
    pub fn open(dir: &StateDir) -> Result<Self, JournalError> {
        let journal = Journal::open(dir)?;
        journal
            .connection
            .execute_batch(TABLES)
            .and_then(|()| journal.connection.execute_batch(TOMBSTONES))
            .map_err(|error| journal.error(error))?;
        Ok(Self {
            dir: dir.clone(),
            journal,
        })
    }

    /// The journal beside it.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Up to when the times of a schedule have been decided. `times` is a digest of what says the times: one that is new
    /// or was edited begins with what comes after `begins`.
    pub fn considered(
        &mut self,
        key: &ScheduleKey,
        times: Digest,
        begins: Timestamp,
    ) -> Result<Timestamp, JournalError> {
        let (plan, entry) = columns(key);
        let known = |connection: &Connection| -> rusqlite::Result<Option<Timestamp>> {
            let known: Option<(Vec<u8>, i64)> = connection
                .prepare_cached("SELECT times, considered FROM schedules WHERE plan = ?1 AND entry = ?2")?
                .query_row(params![plan, entry], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let same = known.filter(|(known, _)| *known == times.0);
            Ok(same.map(|(_, considered)| column::to_time(considered)))
        };
        // Nearly always: without a write, which would wait for others who write.
        if let Some(considered) =
            known(&self.journal.connection).map_err(|error| self.journal.error(error))?
        {
            return Ok(considered);
        }
        self.write(|connection| {
            if let Some(considered) = known(connection)? {
                return Ok(considered);
            }
            connection.execute(
                "INSERT INTO schedules (plan, entry, times, considered) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (plan, entry) DO UPDATE SET times = ?3, considered = ?4",
                params![plan, entry, times.0.as_slice(), column::from_time(begins)],
            )?;
            Ok(begins)
        })
    }

    /// Decides a due time without a run. Answers whether it was open until now. Durable when this returns.
    pub fn settle(
        &mut self,
        key: &ScheduleKey,
        due: Timestamp,
        fate: Fate,
        note: &str,
        now: Timestamp,
    ) -> Result<bool, JournalError> {
        self.write(|connection| match state(connection, key, due)? {
            Some(_) => Ok(false),
            None => insert(connection, key, due, fate, None, note, now).map(|()| true),
        })
    }

    /// Says of a claimed time that its run could not be created. Durable when this returns.
    pub fn refuse(
        &mut self,
        key: &ScheduleKey,
        due: Timestamp,
        note: &str,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.write(|connection| {
            let (plan, entry) = columns(key);
            let sql = "UPDATE firings SET fate = 'refused', note = ?4, at = ?5 WHERE plan = ?1 AND entry = ?2 AND due = ?3";
            let changed =
                connection.execute(sql, params![plan, entry, column::from_time(due), note, column::from_time(now)])?;
            match changed {
                0 => insert(connection, key, due, Fate::Refused, None, note, now),
                _ => Ok(()),
            }
        })
    }

    /// Claims a due time for the run `run`, whose lock this process holds, unless another run of the plan is going on and
    /// `overlap` forbids a second. `name` is the plan's name. Durable when this returns.
    pub fn claim(
        &mut self,
        key: &ScheduleKey,
        name: &str,
        due: Timestamp,
        run: &RunId,
        overlap: Overlap,
        now: Timestamp,
    ) -> Result<Grant, JournalError> {
        let dir = self.dir.clone();
        self.write(|connection| {
            let open = state(connection, key, due)?;
            match &open {
                None | Some((Fate::Queued, _)) => {}
                // The claim of a process that died before it had created the run, taken up again.
                Some((Fate::Claimed, Some(claimed))) if claimed == run => {
                    return Ok(match run_exists(connection, run)? {
                        true => Grant::Gone,
                        false => Grant::Granted,
                    });
                }
                Some(_) => return Ok(Grant::Gone),
            }
            let others: Vec<RunId> = going_on(connection, &dir, key, Some(name))?
                .into_iter()
                .filter(|(other, busy)| busy.until.is_none() && other != run)
                .map(|(other, _)| other)
                .collect();
            let is_queued = open.is_some();
            let fate = match overlap {
                Overlap::Allow => Fate::Claimed,
                Overlap::Forbid | Overlap::Queue if others.is_empty() => Fate::Claimed,
                Overlap::Queue if is_queued || queued(connection, key)?.is_none() => Fate::Queued,
                Overlap::Forbid | Overlap::Queue => Fate::Overlapped,
            };
            if fate == Fate::Claimed {
                let (plan, entry) = columns(key);
                let sql = "DELETE FROM firings WHERE plan = ?1 AND entry = ?2 AND due = ?3";
                connection.execute(sql, params![plan, entry, column::from_time(due)])?;
                insert(connection, key, due, Fate::Claimed, Some(run), "", now)?;
                return Ok(Grant::Granted);
            }
            if !is_queued {
                let ids: Vec<&str> = others.iter().map(RunId::as_str).collect();
                let note = format!("run {} was going on", ids.join(", "));
                insert(connection, key, due, fate, None, &note, now)?;
            }
            Ok(Grant::Held(fate, others))
        })
    }

    /// The due time that waits for the run before, if one does.
    pub fn queued(&self, key: &ScheduleKey) -> Result<Option<Firing>, JournalError> {
        queued(&self.journal.connection, key).map_err(|error| self.journal.error(error))
    }

    /// Claims whose process died before it had created the run.
    pub fn lost(&self, key: &ScheduleKey) -> Result<Vec<Firing>, JournalError> {
        let (plan, entry) = columns(key);
        let read = || -> rusqlite::Result<Vec<Firing>> {
            self.journal
                .connection
                .prepare_cached(&format!(
                    "SELECT {FIRING} FROM firings WHERE plan = ?1 AND entry = ?2 AND fate = 'claimed'
                     AND run NOT IN (SELECT id FROM runs UNION ALL SELECT id FROM tombstones) ORDER BY due"
                ))?
                .query_map(params![plan, entry], firing)?
                .collect()
        };
        let claimed = read().map_err(|error| self.journal.error(error))?;
        let is_lost = |firing: &Firing| {
            firing
                .run
                .as_ref()
                .is_some_and(|run| engine_of(&self.dir, run).is_none())
        };
        let suspects: Vec<Firing> = claimed.into_iter().filter(is_lost).collect();
        if suspects.is_empty() {
            return Ok(suspects);
        }
        // Its run may have been created, and have ended, between the two looks.
        let again = read().map_err(|error| self.journal.error(error))?;
        Ok(suspects
            .into_iter()
            .filter(|firing| again.contains(firing))
            .collect())
    }

    /// When runs of the plan were going on, with their ids: an engine held them, or they wait for a person. A run whose
    /// engine was killed is not going on. `name` is the plan's name, if it is known.
    pub fn busy(&self, key: &ScheduleKey, name: Option<&str>) -> Result<Vec<(RunId, Busy)>, JournalError> {
        going_on(&self.journal.connection, &self.dir, key, name).map_err(|error| self.journal.error(error))
    }

    /// What became of a due time, if that is decided.
    pub fn fate(&self, key: &ScheduleKey, due: Timestamp) -> Result<Option<Fate>, JournalError> {
        state(&self.journal.connection, key, due)
            .map(|state| state.map(|(fate, _)| fate))
            .map_err(|error| self.journal.error(error))
    }

    /// The newest due times that were decided, newest first, each with its run if that was created.
    pub fn history(
        &self,
        key: &ScheduleKey,
        limit: u32,
    ) -> Result<Vec<(Firing, Option<RunSummary>)>, JournalError> {
        let (plan, entry) = columns(key);
        let read = || -> rusqlite::Result<Vec<(Firing, Option<RunSummary>)>> {
            let firings: Vec<Firing> = self
                .journal
                .connection
                .prepare_cached(&format!(
                    "SELECT {FIRING} FROM firings WHERE plan = ?1 AND entry = ?2 ORDER BY due DESC LIMIT ?3"
                ))?
                .query_map(params![plan, entry, limit], firing)?
                .collect::<rusqlite::Result<_>>()?;
            let mut with_runs = Vec::new();
            for firing in firings {
                let run = match &firing.run {
                    None => None,
                    Some(run) => self
                        .journal
                        .connection
                        .prepare_cached(&format!("SELECT {SUMMARY} FROM runs WHERE id = ?1"))?
                        .query_row([run.as_str()], summary)
                        .optional()?,
                };
                with_runs.push((firing, run));
            }
            Ok(with_runs)
        };
        read().map_err(|error| self.journal.error(error))
    }

    fn write<T>(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, JournalError> {
        let write = || -> rusqlite::Result<T> {
            let transaction = self
                .journal
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        let path = self.journal.path.clone();
        write().map_err(|error| JournalError::of(&path, error))
    }
}

impl Fate {
    fn word(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Queued => "queued",
            Self::Overlapped => "overlapped",
            Self::Missed => "missed",
            Self::Refused => "refused",
        }
    }

    fn of(word: &str) -> Self {
        let all = [Self::Claimed, Self::Queued, Self::Overlapped, Self::Missed];
        all.into_iter()
            .find(|fate| fate.word() == word)
            .unwrap_or(Self::Refused)
    }
}

const FIRING: &str = "due, at, fate, run, note";

fn firing(row: &Row<'_>) -> rusqlite::Result<Firing> {
    Ok(Firing {
        due: column::to_time(row.get(0)?),
        at: column::to_time(row.get(1)?),
        fate: Fate::of(&row.get::<_, String>(2)?),
        run: row.get::<_, Option<String>>(3)?.map(RunId::new),
        note: row.get(4)?,
    })
}

fn columns(key: &ScheduleKey) -> (String, &str) {
    (
        key.plan.to_string_lossy().into_owned(),
        key.entry.as_deref().unwrap_or_default(),
    )
}

fn state(
    connection: &Connection,
    key: &ScheduleKey,
    due: Timestamp,
) -> rusqlite::Result<Option<(Fate, Option<RunId>)>> {
    let (plan, entry) = columns(key);
    connection
        .prepare_cached(&format!(
            "SELECT {FIRING} FROM firings WHERE plan = ?1 AND entry = ?2 AND due = ?3"
        ))?
        .query_row(params![plan, entry, column::from_time(due)], firing)
        .optional()
        .map(|found| found.map(|firing| (firing.fate, firing.run)))
}

fn queued(connection: &Connection, key: &ScheduleKey) -> rusqlite::Result<Option<Firing>> {
    let (plan, entry) = columns(key);
    connection
        .prepare_cached(&format!(
            "SELECT {FIRING} FROM firings WHERE plan = ?1 AND entry = ?2 AND fate = 'queued' ORDER BY due LIMIT 1"
        ))?
        .query_row(params![plan, entry], firing)
        .optional()
}

fn run_exists(connection: &Connection, run: &RunId) -> rusqlite::Result<bool> {
    // A run that was removed has been: its time is not due again.
    connection
        .prepare_cached("SELECT 1 FROM runs WHERE id = ?1 UNION ALL SELECT 1 FROM tombstones WHERE id = ?1")?
        .exists([run.as_str()])
}

fn insert(
    connection: &Connection,
    key: &ScheduleKey,
    due: Timestamp,
    fate: Fate,
    run: Option<&RunId>,
    note: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let (plan, entry) = columns(key);
    let (due, now) = (column::from_time(due), column::from_time(now));
    connection.execute(
        "INSERT INTO firings (plan, entry, due, at, fate, run, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![plan, entry, due, now, fate.word(), run.map(RunId::as_str), note],
    )?;
    connection.execute(
        "UPDATE schedules SET considered = max(considered, ?3) WHERE plan = ?1 AND entry = ?2",
        params![plan, entry, due],
    )?;
    connection.execute(
        "DELETE FROM firings WHERE plan = ?1 AND entry = ?2 AND id <=
         (SELECT id FROM firings WHERE plan = ?1 AND entry = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
        params![plan, entry, FIRINGS_MAX],
    )?;
    Ok(())
}

fn going_on(
    connection: &Connection,
    dir: &StateDir,
    key: &ScheduleKey,
    name: Option<&str>,
) -> rusqlite::Result<Vec<(RunId, Busy)>> {
    let (plan, entry) = columns(key);
    // A file that holds several plans: its other plans are told apart by their names.
    let runs: Vec<RunSummary> = connection
        .prepare_cached(&format!(
            "SELECT {SUMMARY} FROM runs
             WHERE id IN (SELECT run FROM firings WHERE plan = ?1 AND entry = ?2)
                OR (plan = ?1 AND (?2 = '' OR name = ?3)) ORDER BY id DESC LIMIT ?4"
        ))?
        .query_map(params![plan, entry, name, RUNS_MAX], summary)?
        .collect::<rusqlite::Result<_>>()?;
    let mut busy = Vec::new();
    for run in runs {
        let until = match (run.end, run.ended) {
            (Some(RunEnd::Waiting), _) => None,
            (Some(_), ended) => Some(ended.unwrap_or(run.created)),
            (None, _) if engine_of(dir, &run.id).is_some() => None,
            (None, _) => Some(run.created),
        };
        let from = run.created;
        busy.push((run.id, Busy { from, until }));
    }
    // What was claimed and is about to be created, perhaps after it has waited for a lock.
    let claimed: Vec<Firing> = connection
        .prepare_cached(&format!(
            "SELECT {FIRING} FROM firings WHERE plan = ?1 AND entry = ?2 AND fate = 'claimed'
             AND run NOT IN (SELECT id FROM runs)"
        ))?
        .query_map(params![plan, entry], firing)?
        .collect::<rusqlite::Result<_>>()?;
    for firing in claimed {
        if let Some(run) = firing.run.filter(|run| engine_of(dir, run).is_some()) {
            busy.push((
                run,
                Busy {
                    from: firing.at,
                    until: None,
                },
            ));
        }
    }
    Ok(busy)
}

#[cfg(test)]
mod tests {
    use super::{Fate, Grant, Ledger, ScheduleKey};
    use crate::StateDir;
    use crate::lock::Claim;
    use caxplan_model::{Digest, Overlap, Timestamp};
    use std::path::PathBuf;

    fn key() -> ScheduleKey {
        ScheduleKey {
            plan: PathBuf::from("/plans/a.yaml"),
            entry: None,
        }
    }

    struct Case {
        _folder: tempfile::TempDir,
        dir: StateDir,
        ledger: Ledger,
    }

    fn case() -> Case {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = StateDir::at(folder.path()).expect("made");
        let ledger = Ledger::open(&dir).expect("opened");
        Case {
            _folder: folder,
            dir,
            ledger,
        }
    }

    impl Case {
        fn claim(&mut self, due: u64, claim: &Claim, overlap: Overlap) -> Grant {
            self.ledger
                .claim(&key(), "a", Timestamp(due), claim.run(), overlap, Timestamp(due))
                .expect("written")
        }

        fn new_claim(&self) -> Claim {
            Claim::new(&self.dir, "a", None).expect("free")
        }
    }

    #[test]
    fn a_time_is_claimed_once() {
        let mut case = case();
        let (first, second) = (case.new_claim(), case.new_claim());
        assert_eq!(case.claim(1_000, &first, Overlap::Allow), Grant::Granted);
        assert_eq!(case.claim(1_000, &second, Overlap::Allow), Grant::Gone);
        assert_eq!(case.claim(2_000, &second, Overlap::Allow), Grant::Granted);
        assert!(
            !case
                .ledger
                .settle(&key(), Timestamp(1_000), Fate::Missed, "", Timestamp(3_000))
                .expect("written")
        );
        assert!(
            case.ledger
                .settle(&key(), Timestamp(500), Fate::Missed, "", Timestamp(3_000))
                .expect("written")
        );
        let gone = case.new_claim();
        assert_eq!(case.claim(500, &gone, Overlap::Allow), Grant::Gone);
    }

    #[test]
    fn a_claim_whose_process_died_is_found_and_taken_up_under_the_same_id() {
        let mut case = case();
        let claim = case.new_claim();
        let run = claim.run().clone();
        assert_eq!(case.claim(1_000, &claim, Overlap::Forbid), Grant::Granted);
        assert_eq!(case.ledger.lost(&key()).expect("read"), [], "its process lives");
        drop(claim);
        let lost = case.ledger.lost(&key()).expect("read");
        assert_eq!(
            lost.iter().map(|firing| firing.run.clone()).collect::<Vec<_>>(),
            [Some(run.clone())]
        );
        let again = Claim::new(&case.dir, "a", Some(run)).expect("free");
        assert!(
            Claim::new(&case.dir, "a", Some(again.run().clone())).is_err(),
            "only one takes it up"
        );
        assert_eq!(case.claim(1_000, &again, Overlap::Forbid), Grant::Granted);
    }

    #[test]
    fn a_second_run_is_left_out_or_queued_while_the_first_is_claimed() {
        let mut case = case();
        let (first, second) = (case.new_claim(), case.new_claim());
        assert_eq!(case.claim(1_000, &first, Overlap::Forbid), Grant::Granted);
        let held = vec![first.run().clone()];
        assert_eq!(
            case.claim(2_000, &second, Overlap::Forbid),
            Grant::Held(Fate::Overlapped, held.clone())
        );
        assert_eq!(case.claim(2_000, &second, Overlap::Forbid), Grant::Gone);
        assert_eq!(
            case.claim(3_000, &second, Overlap::Queue),
            Grant::Held(Fate::Queued, held.clone())
        );
        // The queue has one place.
        assert_eq!(
            case.claim(4_000, &second, Overlap::Queue),
            Grant::Held(Fate::Overlapped, held.clone())
        );
        assert_eq!(
            case.claim(3_000, &second, Overlap::Queue),
            Grant::Held(Fate::Queued, held)
        );
        drop(first);
        let queued = case.ledger.queued(&key()).expect("read").expect("one waits");
        assert_eq!(queued.due, Timestamp(3_000));
        assert_eq!(case.claim(3_000, &second, Overlap::Queue), Grant::Granted);
        assert_eq!(case.ledger.queued(&key()).expect("read"), None);
    }

    #[test]
    fn a_schedule_begins_when_it_is_new_and_anew_when_it_is_edited() {
        let mut case = case();
        let (old, new) = (Digest::of(b"0 2 * * *"), Digest::of(b"0 3 * * *"));
        let mut considered = |times, now| {
            case.ledger
                .considered(&key(), times, Timestamp(now))
                .expect("read")
        };
        assert_eq!(considered(old, 150_000), Timestamp(150_000));
        assert_eq!(considered(old, 950_000), Timestamp(150_000));
        assert_eq!(considered(new, 950_000), Timestamp(950_000));
    }
}
