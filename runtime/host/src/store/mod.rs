//! What a node keeps on disk: one SQLite file, written by one thread that commits many writes at once.

mod agents;
mod backup;
mod error;
mod housekeeping;
mod mailbox;
mod modules;
mod number;
mod outbox;
mod reader;
mod schema;
mod writer;

pub use agents::{AgentBundle, AgentPosition};
pub(crate) use agents::{Committed, Handling, StateMap};
pub use error::StoreError;
pub use mailbox::{CLIENT_MAILBOX_MAX, Fetched};
pub use outbox::{DeadLetter, OUTBOX_MAX, OutboxEntry};

use reader::Readers;
use rusqlite::Connection;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use writer::Writer;

/// A node's durable memory: outbox, clients' mailboxes, agents' state and remembered message ids, modules.
///
/// Whatever writes is durable when its future resolves with success, and not done at all when it resolves with an error.
/// Dropping such a future does not undo it: the write may still happen. A clone is another handle to the same store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    writer: Writer,
    readers: Readers,
    /// Held for as long as the store is open.
    _lock: File,
}

/// The file's name in the store's folder.
const FILE: &str = "store.db";

impl Store {
    /// Opens the store in `folder`, or makes one. It blocks; call it before anything depends on time.
    ///
    /// # Errors
    /// If the folder cannot be used, another process has it open, or the file has a newer format.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        let folder = folder.as_ref().to_owned();
        let lock = lock(&folder)?;
        let path = folder.join(FILE);
        let writer = Writer::start(schema::open_writer(&path)?)?;
        let readers = Readers::open(path)?;
        Ok(Self {
            shared: Arc::new(Shared {
                folder,
                writer,
                readers,
                _lock: lock,
            }),
        })
    }

    /// Finishes the writes that were handed over, and closes the file. Every later call fails with [`StoreError::Closed`].
    /// The folder is free for another process when the last handle is dropped, or the process ends.
    pub async fn close(&self) {
        self.shared.writer.close().await;
        self.shared.readers.close().await;
    }

    fn path(&self) -> PathBuf {
        self.shared.folder.join(FILE)
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shared.readers.read(read).await
    }
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path_error = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Path {
            path,
            source: Arc::new(source),
        }
    };
    std::fs::create_dir_all(folder).map_err(path_error(folder))?;
    let path = folder.join("store.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(path_error(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(path_error(&path)(source)),
    }
}

/// The wall clock, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}
