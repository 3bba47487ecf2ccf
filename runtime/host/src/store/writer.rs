//! Group commit: one thread writes, many callers share a transaction and its `fdatasync`.

use super::StoreError;
use super::housekeeping;
use super::number::Number;
use rusqlite::Connection;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// How many writes wait at most for the writer; after that, callers wait to hand theirs over.
const QUEUE_MAX: usize = 4_096;

/// How many writes share one transaction at most, so that the first does not wait for ever.
const GROUP_MAX: usize = 512;

/// How often old rows are pruned, at most.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(5);

/// What a write may use: the connection inside of the group's transaction, and what it changed that others want to know.
pub(super) struct Group<'a> {
    /// In a transaction.
    pub(super) connection: &'a Connection,
    /// Messages that wait in the outbox, as of this write.
    pub(super) outbox: Cell<u64>,
    /// Whether something was put into a client's mailbox.
    pub(super) deposited: Cell<bool>,
    /// Whether something was put into the outbox.
    pub(super) accepted: Cell<bool>,
    /// Why the whole group is lost: a full disk makes SQLite roll all of the transaction back.
    lost: RefCell<Option<StoreError>>,
}

/// Does its part of the group, if there is one, and hands back how to tell its caller what became of the whole.
type Write = Box<dyn FnOnce(Result<&Group<'_>, StoreError>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

enum Job {
    Write(Write),
    Close(oneshot::Sender<()>),
}

/// The callers' end of the writer thread.
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    signals: Arc<Signals>,
}

/// What committed writes tell the world.
pub(super) struct Signals {
    /// How many messages wait in the outbox.
    pub(super) outbox: AtomicU64,
    /// Counts groups that put something into the outbox.
    pub(super) accepted: watch::Sender<u64>,
    /// Counts groups that put something into a client's mailbox.
    pub(super) deposited: watch::Sender<u64>,
}

impl Writer {
    /// Starts the thread. It ends when the last caller's end is dropped, or with [`Writer::close`].
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let Number(waiting) = connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?;
        let signals = Arc::new(Signals {
            outbox: AtomicU64::new(waiting),
            accepted: watch::Sender::new(0),
            deposited: watch::Sender::new(0),
        });
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let thread = Thread {
            connection,
            queue,
            signals: signals.clone(),
        };
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || thread.run())
            .map_err(|source| StoreError::Path {
                path: "the writer thread".into(),
                source: Arc::new(source),
            })?;
        Ok(Self { jobs, signals })
    }

    pub(super) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Runs `write` in the next group and waits until the group is durable. If `write` fails, nothing of it is kept and the
    /// others of the group are not touched. Cancel safety: once started, the write may happen though nobody waits for it.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Group<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let job: Write = Box::new(move |group| {
            let done = group.and_then(|group| in_savepoint(group, write));
            Box::new(move |committed: Result<(), StoreError>| {
                // Nobody waiting is no failure: the caller has given up, the write stands.
                let _ = sender.send(committed.and(done));
            })
        });
        self.jobs
            .send(Job::Write(job))
            .await
            .map_err(|_| StoreError::Closed)?;
        receiver.await.map_err(|_| StoreError::Closed)?
    }

    /// Finishes what was handed over before, and closes the file.
    pub(super) async fn close(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.jobs.send(Job::Close(sender)).await.is_ok() {
            let _ = receiver.await;
        }
    }
}

/// One write fails alone: what it did is undone, and the rest of the group goes on.
fn in_savepoint<T>(
    group: &Group<'_>,
    write: impl FnOnce(&Group<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    if let Some(error) = group.lost.borrow().as_ref() {
        return Err(error.clone());
    }
    let outbox = group.outbox.get();
    let run = |sql| Ok(group.connection.prepare_cached(sql)?.execute([])?);
    run("SAVEPOINT job")?;
    let done = write(group).and_then(|value| run("RELEASE job").map(|_| value));
    if let Err(error) = &done {
        group.outbox.set(outbox);
        let undone = group.connection.execute_batch("ROLLBACK TO job; RELEASE job");
        if undone.is_err() || group.connection.is_autocommit() {
            *group.lost.borrow_mut() = Some(error.clone());
        }
    }
    done
}

struct Thread {
    connection: Connection,
    queue: mpsc::Receiver<Job>,
    signals: Arc<Signals>,
}

impl Thread {
    fn run(mut self) {
        let mut housekept = Instant::now();
        while let Some(first) = self.queue.blocking_recv() {
            let mut writes = Vec::new();
            let mut closing = None;
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Write(write) => writes.push(write),
                    Job::Close(sender) => closing = Some(sender),
                }
                let more = writes.len() < GROUP_MAX && closing.is_none();
                next = if more { self.queue.try_recv().ok() } else { None };
            }
            if !writes.is_empty() {
                self.commit(writes);
            }
            if housekept.elapsed() >= HOUSEKEEPING_INTERVAL {
                housekept = Instant::now();
                if let Err(error) = housekeeping::prune(&self.connection, super::now_ms()) {
                    tracing::warn!(%error, "pruning old rows of the store failed; tried again later");
                }
            }
            if let Some(sender) = closing {
                drop(self.connection);
                let _ = sender.send(());
                return;
            }
        }
    }

    fn commit(&self, writes: Vec<Write>) {
        if let Err(error) = self.connection.execute_batch("BEGIN IMMEDIATE") {
            let error = StoreError::from(error);
            for write in writes {
                write(Err(error.clone()))(Ok(()));
            }
            return;
        }
        let group = Group {
            connection: &self.connection,
            outbox: Cell::new(self.signals.outbox.load(Ordering::Relaxed)),
            deposited: Cell::new(false),
            accepted: Cell::new(false),
            lost: RefCell::new(None),
        };
        let answers: Vec<Answer> = writes.into_iter().map(|write| write(Ok(&group))).collect();
        let lost = group.lost.borrow().clone();
        let committed = match lost {
            Some(error) => Err(error),
            None => self.connection.execute_batch("COMMIT").map_err(StoreError::from),
        };
        match &committed {
            Ok(()) => self.signals.publish(&group),
            Err(error) => {
                tracing::error!(%error, "a group of writes failed; nothing of it was kept");
                if !self.connection.is_autocommit()
                    && let Err(error) = self.connection.execute_batch("ROLLBACK")
                {
                    tracing::error!(%error, "rolling back a failed group of writes failed");
                }
            }
        }
        for answer in answers {
            answer(committed.clone());
        }
    }
}

impl Signals {
    fn publish(&self, group: &Group<'_>) {
        self.outbox.store(group.outbox.get(), Ordering::Relaxed);
        if group.accepted.get() {
            self.accepted.send_modify(|count| *count += 1);
        }
        if group.deposited.get() {
            self.deposited.send_modify(|count| *count += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    #[tokio::test]
    async fn a_full_disk_is_told_and_nothing_is_kept() {
        let dir = tempfile::TempDir::new().expect("a temporary folder");
        let path = dir.path().join("store.db");
        let connection = schema::open_writer(&path).expect("it opens");
        let pages: i64 = connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .expect("a count");
        // SQLite reports this limit as it reports a full disk.
        connection
            .pragma_update(None, "max_page_count", pages + 2)
            .expect("a limit");
        let writer = Writer::start(connection).expect("it starts");
        let put = |digest: &'static str, size: usize| {
            writer.write(move |group| {
                let insert = "INSERT INTO modules (digest, bytes) VALUES (?1, ?2)";
                Ok(group.connection.execute(insert, (digest, vec![7; size]))?)
            })
        };
        // In one group with one that does not fit: either both are kept, or none, and their callers know.
        let (small, large) = tokio::join!(put("small", 10), put("large", 1 << 20));
        assert!(matches!(large, Err(StoreError::DiskFull)), "{large:?}");
        let kept = {
            let reader = schema::open_reader(&path).expect("it opens");
            reader.query_row("SELECT count(*) FROM modules", [], |row| row.get::<_, i64>(0))
        };
        assert_eq!(kept.ok(), Some(i64::from(small.is_ok())));
        // With space, work goes on.
        let grow = writer.write(|group| {
            Ok(group
                .connection
                .pragma_update(None, "max_page_count", 1_000_000)?)
        });
        grow.await.expect("a write");
        put("large", 1 << 20).await.expect("it fits now");
    }
}
