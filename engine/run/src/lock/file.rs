//! The files of locks: who has one locked, who has left its name in it, and how a free one is waited for.

use super::{Holder, LockError};
use crate::StateDir;
use crate::journal::Journal;
use caxplan_model::{Digest, LockName, RunEnd, RunId};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Lock {
    // Keeps the lock for as long as it is open; the program's children do not inherit it.
    _file: File,
    path: PathBuf,
    /// Whether the file stays: of a run that waits. One that the run had kept stays until the journal says how the run went on.
    pub(super) stays: bool,
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

/// How often it is looked whether a run that keeps its lock still waits for a person.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// How often it is looked whether one of several places of a lock is free.
const PLACE_EVERY: std::time::Duration = std::time::Duration::from_millis(200);

/// The right to be the next who gets a lock. Its file stays, so that the kernel serves those who wait for it in the order in
/// which they came.
#[derive(Debug)]
pub(super) struct Turn {
    _file: File,
}

/// Takes the turn if nobody has it.
pub(super) fn take_turn(dir: &StateDir, name: &LockName) -> Result<Option<Turn>, LockError> {
    let path = turn_path(dir, name);
    let taken = open(&path).and_then(|file| match file.try_lock() {
        Ok(()) => Ok(Some(Turn { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    });
    taken.map_err(|source| LockError::File { path, source })
}

/// Waits for the turn; `None` at the deadline. A thread goes on waiting then and lets it go at once when it gets it.
pub(super) async fn wait_for_turn(
    dir: &StateDir,
    name: &LockName,
    deadline: Option<tokio::time::Instant>,
) -> Result<Option<Turn>, LockError> {
    let path = turn_path(dir, name);
    let wait = {
        let path = path.clone();
        move |_: &dyn Fn() -> bool| {
            let file = open(&path)?;
            file.lock()?;
            Ok(file)
        }
    };
    let taken = in_a_thread(deadline, wait).await;
    let file = taken.map_err(|source| LockError::File { path, source })?;
    Ok(file.map(|file| Turn { _file: file }))
}

fn turn_path(dir: &StateDir, name: &LockName) -> PathBuf {
    dir.locks().join(format!("{}-turn.lock", file_stem(name)))
}

/// Who has a lock, or the first place of it.
pub(super) fn holder_of(dir: &StateDir, name: &LockName) -> Option<Holder> {
    let file = File::open(place(dir, name, 0)).ok()?;
    holder_in(dir, file)
}

/// Waits until the lock of the file at `path` is taken for `holder`, or until `deadline`.
///
/// Answers who holds it at the deadline. A thread goes on waiting then and lets the lock go at once when it gets it.
pub(super) async fn wait_for(
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
pub(super) async fn wait_for_place(
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
    in_a_thread(deadline, move |is_given_up| {
        loop {
            let mut file = open(&path)?;
            file.lock()?;
            if !is_still_at(&file, &path) {
                continue;
            }
            if is_given_up() {
                return Ok(file);
            }
            if kept_by(&dir, read_holder(&mut file), &holder.run).is_none() {
                let since = crate::clock::now();
                write_holder(&mut file, &Holder { since, ..holder })?;
                return Ok(file);
            }
            drop(file);
            std::thread::sleep(LOOK_EVERY);
        }
    })
    .await
}

/// Has a file locked by a thread, which can ask whether it is given up; `None` at the deadline.
async fn in_a_thread(
    deadline: Option<tokio::time::Instant>,
    wait: impl FnOnce(&dyn Fn() -> bool) -> std::io::Result<File> + Send + 'static,
) -> std::io::Result<Option<File>> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let wait = move || {
        let file = wait(&|| sender.is_closed());
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
pub(super) fn place(dir: &StateDir, name: &LockName, number: u32) -> PathBuf {
    let stem = file_stem(name);
    dir.locks().join(match number {
        0 => format!("{stem}.lock"),
        number => format!("{stem}-{number}.lock"),
    })
}

/// Takes one of the places of a lock: the one that the run itself has kept, else the first that is free. Answers who holds
/// the first place if there is none.
pub(super) fn take_place(
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
pub(super) fn take(
    dir: &StateDir,
    path: PathBuf,
    holder: &Holder,
) -> Result<Result<Lock, Option<Holder>>, LockError> {
    let attempt = || -> std::io::Result<Result<Option<Lock>, Option<Holder>>> {
        let mut file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Err(read_holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if !is_still_at(&file, &path) {
            return Ok(Ok(None));
        }
        let left = read_holder(&mut file);
        let stays = left.as_ref().is_some_and(|left| left.run == holder.run);
        if let Some(waiting) = kept_by(dir, left, &holder.run) {
            return Ok(Err(Some(waiting)));
        }
        write_holder(&mut file, holder)?;
        let mut lock = Lock::of(file, path.clone());
        lock.stays = stays;
        Ok(Ok(Some(lock)))
    };
    for _ in 0..OPEN_ATTEMPTS_MAX {
        match attempt() {
            Ok(Ok(Some(lock))) => return Ok(Ok(lock)),
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
fn kept_by(dir: &StateDir, left: Option<Holder>, run: &RunId) -> Option<Holder> {
    let left = left.filter(|left| left.run != *run)?;
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

pub(super) fn read_holder(file: &mut File) -> Option<Holder> {
    const HOLDER_BYTES_MAX: u64 = 4096;
    let mut text = String::new();
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
