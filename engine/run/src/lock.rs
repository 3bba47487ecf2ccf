//! Locks that a run holds for as long as its engine lives.
//!
//! A lock is a file that the engine has locked (`flock`). The kernel lets go of it when the engine dies, however it dies,
//! so a dead holder's lock is free at once, and a living holder's is never taken away.

use crate::StateDir;
use caxplan_model::{Digest, LockName, RunId, Timestamp};
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
    format!(
        " by run {} of `{}`, process {}, since {since}",
        holder.run, holder.plan, holder.pid
    )
}

/// Locks that are held. Dropping them lets them go.
#[derive(Debug, Default)]
pub struct Locks {
    held: Vec<Lock>,
}

#[derive(Debug)]
struct Lock {
    // Keeps the lock for as long as it is open; the program's children do not inherit it.
    _file: File,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still locked: whoever opened it in between sees that it is gone and opens a new one.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Locks {
    /// Takes the lock of the run itself, which a second engine for the same run would need.
    pub fn take_run(&mut self, dir: &StateDir, holder: &Holder) -> Result<(), LockError> {
        let path = run_path(dir, &holder.run);
        match take(path, holder)? {
            Ok(lock) => {
                self.held.push(lock);
                Ok(())
            }
            Err(other) => Err(LockError::RunIsGoingOn {
                run: holder.run.clone(),
                holder: other,
            }),
        }
    }

    /// Takes the locks that a plan names, in the order of their names, so that two runs that want the same ones cannot
    /// each hold a part. What was taken before an error is let go with `self`.
    pub fn take_named(
        &mut self,
        dir: &StateDir,
        names: &[LockName],
        holder: &Holder,
    ) -> Result<(), LockError> {
        let mut names: Vec<&LockName> = names.iter().collect();
        names.sort();
        names.dedup();
        for name in names {
            match take(dir.locks().join(file_name(name)), holder)? {
                Ok(lock) => self.held.push(lock),
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

/// A file name that no other lock has, and that a person recognises.
fn file_name(name: &LockName) -> String {
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
    format!(
        "name-{readable}-{}.lock",
        Digest::of(name.as_str().as_bytes()).short()
    )
}

/// How often a file is opened anew because its last holder removed it in between.
const OPEN_ATTEMPTS_MAX: u32 = 100;

/// Answers the lock, or who holds it.
fn take(path: PathBuf, holder: &Holder) -> Result<Result<Lock, Option<Holder>>, LockError> {
    let attempt = || -> std::io::Result<Result<Option<File>, Option<Holder>>> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Err(read_holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if !is_still_at(&file, &path) {
            return Ok(Ok(None));
        }
        let text = serde_json::to_string(holder).expect("a holder is plain data");
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        Ok(Ok(Some(file)))
    };
    for _ in 0..OPEN_ATTEMPTS_MAX {
        match attempt() {
            Ok(Ok(Some(file))) => return Ok(Ok(Lock { _file: file, path })),
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
    use caxplan_model::{LockName, RunId, Timestamp};

    fn holder(run: &str) -> Holder {
        Holder {
            run: RunId::from(run),
            plan: "upgrade".to_owned(),
            pid: 4711,
            since: Timestamp(1_000),
        }
    }

    #[test]
    fn a_held_lock_is_refused_and_names_its_holder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = StateDir::at(folder.path()).expect("made");
        let names = [LockName::from("prod/eu"), LockName::from("db")];
        let mut first = Locks::default();
        first.take_named(&dir, &names, &holder("01a")).expect("free");
        let error = Locks::default()
            .take_named(&dir, &names[..1], &holder("01b"))
            .expect_err("held");
        assert_eq!(
            error.to_string(),
            "the lock `prod/eu` is held by run 01a of `upgrade`, process 4711, since 1970-01-01T00:00:01Z"
        );
        drop(first);
        Locks::default()
            .take_named(&dir, &names, &holder("01b"))
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
