//! Copies of the whole store, and keeping its log short.

use super::{Store, StoreError};
use rusqlite::Connection;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

impl Store {
    /// Writes a consistent copy of all that is committed to the new file `destination`, while work goes on. The copy is a
    /// store's file: put it as `store.db` into a folder, and [`Store::open`] opens it.
    ///
    /// # Errors
    /// If `destination` exists already (it is left alone), cannot be written (a part of it may remain), or the database
    /// fails.
    pub async fn backup(&self, destination: impl Into<PathBuf>) -> Result<(), StoreError> {
        let destination = destination.into();
        let source = self.path();
        blocking(move || {
            let path_error = |source| StoreError::Path {
                path: destination.clone(),
                source: Arc::new(source),
            };
            if destination.try_exists().map_err(path_error)? {
                return Err(path_error(std::io::Error::from(
                    std::io::ErrorKind::AlreadyExists,
                )));
            }
            let name = destination
                .to_str()
                .ok_or_else(|| path_error(std::io::Error::other("the path is not valid UTF-8")))?;
            Connection::open(&source)?.execute("VACUUM INTO ?1", [name])?;
            File::open(&destination)
                .and_then(|file| file.sync_all())
                .map_err(path_error)
        })
        .await
    }

    /// Moves what is in the write-ahead log to the main file, so that the next start is quick. Nothing depends on it: what
    /// is committed is durable either way.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        let path = self.path();
        blocking(move || {
            let connection = Connection::open(&path)?;
            connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
            Ok(())
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    // The task is neither cancelled nor expected to panic; the runtime shuts down.
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StoreError::Closed)?
}
