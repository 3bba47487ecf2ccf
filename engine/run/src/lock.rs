//! Locks that a run holds for as long as its engine lives, and while it waits for a person.
//!
//! A lock is a file that the engine has locked (`flock`). The kernel lets go of it when the engine dies, however it dies,
//! so a dead holder's lock is free at once, and a living holder's is never taken away.
//!
//! An engine that leaves its run waiting for a person leaves the file, with the run's name in it. As long as the journal says
//! that this run waits, the lock is its own. What it has begun is not finished, so nobody else may begin beside it.

use crate::StateDir;
use crate::journal::Journal;
use caxplan_model::{Digest, Duration, IfHeld, LockName, LockPolicy, RunEnd, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

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

#[derive(Debug)]
struct Lock {
    // Keeps the lock for as long as it is open; the program's children do not inherit it.
    _file: File,
    path: PathBuf,
    /// Whether the file stays, for a run that waits.
    stays: bool,
}

impl Lock {
    fn of(file: File, path: PathBuf) -> Self {
        Self {
            _file: file,
            path,
            stays: false,
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.stays {
            // While it is still locked: whoever opened it in between sees that it is gone and opens a new one.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Locks {
    /// Takes the lock of the run itself, which a second engine for the same run would need.
    pub fn take_run(&mut self, dir: &StateDir, holder: &Holder) -> Result<(), LockError> {
        let path = run_path(dir, &holder.run);
        match take(dir, path, holder)? {
            Ok(lock) => {
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
            let holder_now = match take_place(dir, name, policy.holders, holder)? {
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
            let waited = match policy.holders {
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

    /// Lets go of everything but the right to the locks that a plan names, which stays with the run: it waits for a
    /// person, and the journal says so.
    pub(crate) fn leave_waiting(mut self) {
        for lock in &mut self.named {
            lock.stays = true;
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

/// How often it is looked whether a run that keeps its lock still waits for a person.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// How often it is looked whether one of several places of a lock is free.
const PLACE_EVERY: std::time::Duration = std::time::Duration::from_millis(200);

/// Waits until the lock of the file at `path` is taken for `holder`, or until `deadline`. The kernel serves those who wait in
/// the order in which they came, as far as none of them comes anew because the last holder removed the file, and none waits
/// for a run that itself waits for a person.
///
/// Answers who holds it at the deadline. A thread goes on waiting then and lets the lock go at once when it gets it.
async fn wait_for(
    dir: &StateDir,
    path: PathBuf,
    holder: &Holder,
    deadline: Option<tokio::time::Instant>,
) -> Result<Result<Lock, Option<Holder>>, LockError> {
    let taken = lock_file(dir, &path, holder, deadline).await;
    let file = taken.map_err(|source| LockError::File {
        path: path.clone(),
        source,
    })?;
    Ok(match file {
        Some(file) => Ok(Lock::of(file, path)),
        None => Err(open(&path).ok().and_then(|file| holder_in(dir, file))),
    })
}

/// The same for a lock of which several runs may hold a place: whoever looks when one is free has it.
async fn wait_for_place(
    dir: &StateDir,
    name: &LockName,
    holders: u32,
    holder: &Holder,
    deadline: Option<tokio::time::Instant>,
) -> Result<Result<Lock, Option<Holder>>, LockError> {
    loop {
        let holder = Holder {
            since: crate::clock::now(),
            ..holder.clone()
        };
        let taken = take_place(dir, name, holders, &holder)?;
        let is_over = deadline.is_some_and(|deadline| tokio::time::Instant::now() >= deadline);
        if taken.is_ok() || is_over {
            return Ok(taken);
        }
        tokio::time::sleep(PLACE_EVERY).await;
    }
}

/// Locks the file at `path` and writes the holder into it; `None` at the deadline.
async fn lock_file(
    dir: &StateDir,
    path: &Path,
    holder: &Holder,
    deadline: Option<tokio::time::Instant>,
) -> std::io::Result<Option<File>> {
    let (dir, path, holder) = (dir.clone(), path.to_owned(), holder.clone());
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let wait = move || {
        let file = || -> std::io::Result<File> {
            loop {
                let mut file = open(&path)?;
                file.lock()?;
                if !is_still_at(&file, &path) {
                    continue;
                }
                if sender.is_closed() {
                    return Ok(file);
                }
                if kept_by(&dir, &mut file, &holder.run).is_none() {
                    let since = crate::clock::now();
                    write_holder(&mut file, &Holder { since, ..holder })?;
                    return Ok(file);
                }
                drop(file);
                std::thread::sleep(LOOK_EVERY);
            }
        };
        let file = file();
        // Nobody may be there any more to take it.
        let _ = sender.send(file);
    };
    // Not a task: the end of the runtime would wait for a task that blocks.
    std::thread::Builder::new().name("lock".to_owned()).spawn(wait)?;
    let received = match deadline {
        None => receiver.await,
        Some(deadline) => match tokio::time::timeout_at(deadline, receiver).await {
            Ok(received) => received,
            Err(_) => return Ok(None),
        },
    };
    received
        .unwrap_or_else(|_| Err(std::io::Error::other("the thread that waited is gone")))
        .map(Some)
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn write_holder(file: &mut File, holder: &Holder) -> std::io::Result<()> {
    let text = serde_json::to_string(holder).expect("a holder is plain data");
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

/// The file of one of the places of a lock, of which most locks have one.
fn place(dir: &StateDir, name: &LockName, number: u32) -> PathBuf {
    let stem = file_stem(name);
    dir.locks().join(match number {
        0 => format!("{stem}.lock"),
        number => format!("{stem}-{number}.lock"),
    })
}

/// Takes one of the places of a lock: the one that the run itself has kept, else the first that is free. Answers who holds
/// the first place if there is none.
fn take_place(
    dir: &StateDir,
    name: &LockName,
    holders: u32,
    holder: &Holder,
) -> Result<Result<Lock, Option<Holder>>, LockError> {
    let is_own = |number: &u32| {
        let file = File::open(place(dir, name, *number));
        let left = file.ok().and_then(|mut file| read_holder(&mut file));
        left.is_some_and(|left| left.run == holder.run)
    };
    let own = (0..holders).find(|number| holders > 1 && is_own(number));
    let mut first = None;
    for number in own.into_iter().chain(0..holders) {
        match take(dir, place(dir, name, number), holder)? {
            Ok(lock) => return Ok(Ok(lock)),
            Err(other) => first = first.or(Some(other)),
        }
    }
    Ok(Err(first.flatten()))
}

/// The beginning of a file name that no other lock has, and that a person recognises.
fn file_stem(name: &LockName) -> String {
    const READABLE_CHARS_MAX: usize = 40;
    let readable: String = name
        .as_str()
        .chars()
        .take(READABLE_CHARS_MAX)
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!("name-{readable}-{}", Digest::of(name.as_str().as_bytes()).short())
}

/// How often a file is opened anew because its last holder removed it in between.
const OPEN_ATTEMPTS_MAX: u32 = 100;

/// Answers the lock, or who holds it.
fn take(dir: &StateDir, path: PathBuf, holder: &Holder) -> Result<Result<Lock, Option<Holder>>, LockError> {
    let attempt = || -> std::io::Result<Result<Option<File>, Option<Holder>>> {
        let mut file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Err(read_holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if !is_still_at(&file, &path) {
            return Ok(Ok(None));
        }
        if let Some(waiting) = kept_by(dir, &mut file, &holder.run) {
            return Ok(Err(Some(waiting)));
        }
        write_holder(&mut file, holder)?;
        Ok(Ok(Some(file)))
    };
    for _ in 0..OPEN_ATTEMPTS_MAX {
        match attempt() {
            Ok(Ok(Some(file))) => return Ok(Ok(Lock::of(file, path))),
            Ok(Ok(None)) => {}
            Ok(Err(other)) => return Ok(Err(other)),
            Err(source) => return Err(LockError::File { path, source }),
        }
    }
    Ok(Err(None))
}

fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.ino() == named.ino() && open.dev() == named.dev(),
        _ => false,
    }
}

/// The other run that keeps the lock of this file, which no engine has locked: the one that the file names, if the journal
/// says that it waits for a person. What a dead engine left behind keeps nothing.
fn kept_by(dir: &StateDir, file: &mut File, run: &RunId) -> Option<Holder> {
    let left = read_holder(file).filter(|left| left.run != *run)?;
    is_waiting(dir, &left.run).then_some(Holder { waits: true, ..left })
}

/// Who has the lock of this file.
fn holder_in(dir: &StateDir, mut file: File) -> Option<Holder> {
    let holder = read_holder(&mut file)?;
    let waits = is_waiting(dir, &holder.run);
    Some(Holder { waits, ..holder })
}

/// A journal that cannot be read says no: whoever asks reads it again before anything starts.
fn is_waiting(dir: &StateDir, run: &RunId) -> bool {
    let summary = Journal::open(dir).and_then(|journal| journal.summary(run));
    summary.is_ok_and(|summary| summary.is_some_and(|run| run.end == Some(RunEnd::Waiting)))
}

fn read_holder(file: &mut File) -> Option<Holder> {
    const HOLDER_BYTES_MAX: u64 = 4096;
    let mut text = String::new();
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
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
