//! Connections for reading: a few, so that a long scan does not hold up short look-ups.

use super::{StoreError, schema};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// How many reads go on at the same time, each on a thread of its own; more wait for their turn.
const READERS_MAX: usize = 4;

/// Reads what is committed, without waiting for the writer.
#[derive(Clone)]
pub(super) struct Readers {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    /// Closed with the store.
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// For the file at `path`; opens a first connection, so that a file that cannot be read is found out now.
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let first = schema::open_reader(&path)?;
        Ok(Self {
            shared: Arc::new(Shared {
                path,
                turns: Arc::new(Semaphore::new(READERS_MAX)),
                idle: Mutex::new(vec![first]),
            }),
        })
    }

    /// Runs `read` on a thread for blocking work.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self
            .shared
            .turns
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)?;
        let shared = self.shared.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let connection = shared.take()?;
            let result = read(&connection);
            shared.put_back(connection);
            drop(turn);
            result
        });
        // A read is neither cancelled nor expected to panic; the runtime shuts down.
        reading.await.map_err(|_| StoreError::Closed)?
    }

    /// Lets reads that have begun finish, refuses all others, and closes the file.
    pub(super) async fn close(&self) {
        // An error says that they are closed already.
        if let Ok(_all) = self.shared.turns.acquire_many(READERS_MAX as u32).await {
            self.shared.turns.close();
            self.shared.idle().clear();
        }
    }
}

impl Shared {
    fn take(&self) -> Result<Connection, StoreError> {
        let idle = self.idle().pop();
        idle.map_or_else(|| schema::open_reader(&self.path), Ok)
    }

    fn put_back(&self, connection: Connection) {
        self.idle().push(connection);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
