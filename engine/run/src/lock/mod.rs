//! Locks that a run holds for as long as its engine lives, and while it waits for a person.
//!
//! A lock is a file that the engine has locked (`flock`). The kernel lets go of it when the engine dies, however it dies,
//! so a dead holder's lock is free at once, and a living holder's is never taken away.
//!
//! An engine that leaves its run waiting for a person leaves the file, with the run's name in it. As long as the journal says
//! that this run waits, the lock is its own. What it has begun is not finished, so nobody else may begin beside it.

mod file;

use crate::StateDir;
use caxplan_model::{Duration, IfHeld, LockName, LockPolicy, RunId, Timestamp};
use file::{
    Lock, holder_of, place, read_holder, take, take_place, take_turn, wait_for, wait_for_place, wait_for_turn,
};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::PathBuf;

/// Who holds a lock, as the lock's file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The run.
    pub run: RunId,
    /// The name of its plan.
    pub plan: String,
    /// The process id of its engine.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
    /// Whether that engine has left the run, which waits for a person.
    #[serde(skip)]
    pub waits: bool,
}

/// Why a lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run holds it.
    #[error("the lock `{name}` is held{}", describe(holder.as_ref()))]
    Held {
        /// Which lock.
        name: String,
        /// By whom; `None` in the moment before the holder has written it down.
        holder: Option<Holder>,
    },
    /// Another run still held it when the longest wait was over.
    #[error("the lock `{name}` is still held after {waited}{}", describe(holder.as_ref()))]
    StillHeld {
        /// Which lock.
        name: String,
        /// By whom; `None` in the moment before the holder has written it down.
        holder: Option<Holder>,
        /// The longest wait.
        waited: Duration,
    },
    /// An engine is at work on the run.
    #[error("the run {run} is going on{}", describe(holder.as_ref()))]
    RunIsGoingOn {
        /// Which run.
        run: RunId,
        /// By which engine.
        holder: Option<Holder>,
    },
    /// Its file could not be used.
    #[error("the lock file {} could not be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

fn describe(holder: Option<&Holder>) -> String {
    let Some(holder) = holder else {
        return String::new();
    };
    let since = crate::clock::utc(holder.since);
    let who = if holder.waits {
        "which waits for a person".to_owned()
    } else {
        format!("process {}", holder.pid)
    };
    format!(
        " by run {} of `{}`, {who}, since {since}",
        holder.run, holder.plan
    )
}

/// Locks that are held. Dropping them lets them go.
#[derive(Debug, Default)]
pub struct Locks {
    run: Option<Lock>,
    named: Vec<Lock>,
}

impl Locks {
    /// Takes the lock of the run itself, which a second engine for the same run would need.
    pub fn take_run(&mut self, dir: &StateDir, holder: &Holder) -> Result<(), LockError> {
        let path = run_path(dir, &holder.run);
        match take(dir, path, holder)? {
            Ok(mut lock) => {
                lock.stays = false;
                self.run = Some(lock);
                Ok(())
            }
            Err(other) => Err(LockError::RunIsGoingOn {
                run: holder.run.clone(),
                holder: other,
            }),
        }
    }

    /// Takes the locks that a plan names, in the order of their names, so that two runs that want the same ones cannot
    /// each hold a part. `holders` runs may hold each of them at once. What was taken before an error is let go with `self`.
    pub fn take_named(
        &mut self,
        dir: &StateDir,
        names: &[LockName],
        holders: u32,
        holder: &Holder,
    ) -> Result<(), LockError> {
        for name in in_order(names) {
            match take_place(dir, name, holders, holder)? {
                Ok(lock) => self.named.push(lock),
                Err(other) => {
                    return Err(LockError::Held {
                        name: name.to_string(),
                        holder: other,
                    });
                }
            }
        }
        Ok(())
    }

    /// As [`Locks::take_named`], but waits for those that are held if the plan's policy is to. `tell` is told of each
    /// that it waits for. Who waits keeps the ones it has: they are taken in one order, so nobody waits in a circle.
    ///
    /// # Errors
    /// As [`Locks::take_named`]; [`LockError::StillHeld`] after the longest wait.
    ///
    /// # Cancel safety
    /// Dropping the future lets go of nothing that `self` has, and gives up the wait.
    pub async fn take_named_as(
        &mut self,
        dir: &StateDir,
        names: &[LockName],
        holder: &Holder,
        policy: LockPolicy,
        tell: &mut (dyn FnMut(&LockError) + Send),
    ) -> Result<(), LockError> {
        if policy.if_held != IfHeld::Queue {
            return self.take_named(dir, names, policy.holders, holder);
        }
        let wait_max = policy.wait_max;
        let deadline = wait_max
            .map(|wait| tokio::time::Instant::now() + std::time::Duration::from_millis(wait.as_millis()));
        for name in in_order(names) {
            // The lock may be free while others wait for their turn: whoever comes now goes behind them.
            let turn = take_turn(dir, name)?;
            let taken = match &turn {
                Some(_) => take_place(dir, name, policy.holders, holder)?,
                None => Err(holder_of(dir, name)),
            };
            let holder_now = match taken {
                Ok(lock) => {
                    self.named.push(lock);
                    continue;
                }
                Err(holder_now) => holder_now,
            };
            tell(&LockError::Held {
                name: name.to_string(),
                holder: holder_now,
            });
            let turn = match turn {
                Some(turn) => Some(turn),
                None => wait_for_turn(dir, name, deadline).await?,
            };
            let waited = match policy.holders {
                _ if turn.is_none() => Ok(Err(holder_of(dir, name))),
                1 => wait_for(dir, place(dir, name, 0), holder, deadline).await,
                holders => wait_for_place(dir, name, holders, holder, deadline).await,
            };
            match waited? {
                Ok(lock) => self.named.push(lock),
                Err(holder) => {
                    return Err(LockError::StillHeld {
                        name: name.to_string(),
                        holder,
                        waited: wait_max.unwrap_or_default(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Lets go of everything, now that the journal says how the engine left the run; but if it `waits` for a person, the right
    /// to the locks that its plan names stays with it.
    pub(crate) fn leave(mut self, waits: bool) {
        for lock in &mut self.named {
            lock.stays = waits;
        }
    }
}

fn in_order(names: &[LockName]) -> Vec<&LockName> {
    let mut names: Vec<&LockName> = names.iter().collect();
    names.sort();
    names.dedup();
    names
}

/// What a run is claimed by before it is created: its id, and the lock of that id. While the claim lives, nobody takes it
/// for dead.
#[derive(Debug)]
pub struct Claim {
    pub(crate) run: RunId,
    pub(crate) locks: Locks,
}

impl Claim {
    /// Claims a new run of the plan of this name, or the run `id`, which was claimed before and never created.
    ///
    /// # Errors
    /// If somebody else holds the claim of `id`, or its file cannot be used.
    pub fn new(dir: &StateDir, plan: &str, id: Option<RunId>) -> Result<Self, LockError> {
        let run = id.unwrap_or_else(|| RunId::new(ulid::Ulid::new().to_string().to_ascii_lowercase()));
        let mut locks = Locks::default();
        locks.take_run(dir, &Holder::this_process(&run, plan))?;
        Ok(Self { run, locks })
    }

    /// The run's id.
    pub fn run(&self) -> &RunId {
        &self.run
    }
}

impl Holder {
    /// This process, for a run of the plan of this name, from now on.
    pub fn this_process(run: &RunId, plan: &str) -> Self {
        Self {
            run: run.clone(),
            plan: plan.to_owned(),
            pid: std::process::id(),
            since: crate::clock::now(),
            waits: false,
        }
    }
}

/// The engine that is at work on a run, if there is one.
pub fn engine_of(dir: &StateDir, run: &RunId) -> Option<Holder> {
    let mut file = File::open(run_path(dir, run)).ok()?;
    match file.try_lock_shared() {
        Ok(()) => None,
        Err(_) => read_holder(&mut file),
    }
}

fn run_path(dir: &StateDir, run: &RunId) -> PathBuf {
    dir.locks().join(format!("run-{run}.lock"))
}

#[cfg(test)]
mod tests {
    use super::{Holder, LockError, Locks, engine_of};
    use crate::StateDir;
    use caxplan_model::{Duration, IfHeld, LockName, LockPolicy, RunId, Timestamp};

    fn holder(run: &str) -> Holder {
        Holder {
            run: RunId::from(run),
            plan: "upgrade".to_owned(),
            pid: 4711,
            since: Timestamp(1_000),
            waits: false,
        }
    }

    #[test]
    fn a_held_lock_is_refused_and_names_its_holder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = StateDir::at(folder.path()).expect("made");
        let names = [LockName::from("prod/eu"), LockName::from("db")];
        let mut first = Locks::default();
        first.take_named(&dir, &names, 1, &holder("01a")).expect("free");
        let error = Locks::default()
            .take_named(&dir, &names[..1], 1, &holder("01b"))
            .expect_err("held");
        assert_eq!(
            error.to_string(),
            "the lock `prod/eu` is held by run 01a of `upgrade`, process 4711, since 1970-01-01T00:00:01Z"
        );
        drop(first);
        Locks::default()
            .take_named(&dir, &names, 1, &holder("01b"))
            .expect("free again");
    }

    #[tokio::test]
    async fn a_queued_run_waits_its_turn_and_not_longer_than_its_limit() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = StateDir::at(folder.path()).expect("made");
        let names = [LockName::from("db"), LockName::from("web")];
        let mut first = Locks::default();
        first
            .take_named(&dir, &names[..1], 1, &holder("01a"))
            .expect("free");

        let queue = |wait_max: Option<Duration>| LockPolicy {
            if_held: IfHeld::Queue,
            wait_max,
            holders: 1,
        };
        let mut told = Vec::new();
        let error = Locks::default()
            .take_named_as(
                &dir,
                &names,
                &holder("01b"),
                queue(Some(Duration::from_millis(50))),
                &mut |error| {
                    told.push(error.to_string());
                },
            )
            .await
            .expect_err("held");
        assert!(
            matches!(&error, LockError::StillHeld { holder: Some(by), .. } if *by == holder("01a")),
            "{error}"
        );
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("run 01a"), "{told:?}");

        let dir_too = dir.clone();
        let waiting = tokio::spawn(async move {
            let mut locks = Locks::default();
            let names = [LockName::from("db"), LockName::from("web")];
            let told = std::sync::atomic::AtomicU32::new(0);
            let mut tell = |_: &LockError| {
                told.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            };
            let taken = locks
                .take_named_as(&dir_too, &names, &holder("01c"), queue(None), &mut tell)
                .await;
            taken.map(|()| locks)
        });
        tokio::task::yield_now().await;
        drop(first);
        let locks = waiting.await.expect("no panic").expect("its turn came");
        let error = Locks::default()
            .take_named(&dir, &names, 1, &holder("01d"))
            .expect_err("held");
        assert!(error.to_string().contains("run 01c"), "{error}");
        drop(locks);
        Locks::default()
            .take_named(&dir, &names, 1, &holder("01d"))
            .expect("free again");
    }

    #[tokio::test]
    async fn a_lock_is_taken_in_the_order_of_coming() {
        for holders in [1, 2] {
            in_order_of_coming(holders).await;
        }
    }

    async fn in_order_of_coming(holders: u32) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = StateDir::at(folder.path()).expect("made");
        let names = [LockName::from("db")];
        let policy = LockPolicy {
            if_held: IfHeld::Queue,
            wait_max: None,
            holders,
        };
        let come = async |run: &str| {
            let mut locks = Locks::default();
            let taken = locks
                .take_named_as(&dir, &names, &holder(run), policy, &mut |_| {})
                .await;
            taken.map(|()| locks).expect("its turn came")
        };
        let mut held = Vec::new();
        for _ in 0..holders {
            held.push(come("01a").await);
        }
        let order = std::sync::Mutex::new(Vec::new());
        let wait = async |run: &'static str, held_ms: u64| {
            let locks = come(run).await;
            order.lock().expect("no panic").push(run);
            tokio::time::sleep(std::time::Duration::from_millis(held_ms)).await;
            drop(locks);
        };
        let free = async {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            drop(held);
            // It is free now, and others wait for it.
            wait("01f", 0).await;
        };
        let later = |ms: u64, run: &'static str| {
            let wait = &wait;
            async move {
                tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
                wait(run, 300).await;
            }
        };
        tokio::join!(later(0, "01c"), later(100, "01d"), later(200, "01e"), free);
        assert_eq!(*order.lock().expect("no panic"), ["01c", "01d", "01e", "01f"]);
    }

    #[test]
    fn a_dead_holders_lock_is_taken_over() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = StateDir::at(folder.path()).expect("made");
        // What a killed engine leaves behind: the file, with nobody who has it locked.
        let text = serde_json::to_string(&holder("01a")).expect("plain data");
        std::fs::write(dir.locks().join("run-01a.lock"), text).expect("written");
        assert_eq!(engine_of(&dir, &RunId::from("01a")), None);
        let mut locks = Locks::default();
        locks.take_run(&dir, &holder("01a")).expect("free");
        assert_eq!(engine_of(&dir, &RunId::from("01a")), Some(holder("01a")));
        let error = Locks::default().take_run(&dir, &holder("01a")).expect_err("held");
        assert!(matches!(error, LockError::RunIsGoingOn { .. }), "{error}");
    }
}
