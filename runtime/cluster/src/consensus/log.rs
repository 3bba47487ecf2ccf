//! The log and the vote, for Raft.

use super::store::{Key, Store, StoreError};
use super::types::{LogId, RaftId, StorageError, StorageIOError, TypeConfig};
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, Entry, LogState, OptionalSend, RaftLogReader, Vote};
use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

/// The log and the vote, for Raft. Clones read and write the same file.
#[derive(Clone)]
pub(super) struct Log {
    store: Arc<Store>,
}

impl Log {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError> {
        let from = match range.start_bound() {
            Bound::Included(position) => *position,
            Bound::Excluded(position) => position + 1,
            Bound::Unbounded => 0,
        };
        let until = match range.end_bound() {
            Bound::Included(position) => position + 1,
            Bound::Excluded(position) => *position,
            Bound::Unbounded => u64::MAX,
        };
        let texts = self.store.entries(from, until).await.map_err(read_error)?;
        texts.iter().map(|text| parse(text)).collect()
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let last_purged_log_id: Option<LogId> = self.store.get(Key::Purged).await.map_err(read_error)?;
        let last_log_id = match self.store.last_entry().await.map_err(read_error)? {
            Some(text) => Some(parse(&text)?.log_id),
            None => last_purged_log_id,
        };
        Ok(LogState {
            last_purged_log_id,
            last_log_id,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<RaftId>) -> Result<(), StorageError> {
        let saved = self.store.set(Key::Vote, vote).await;
        saved.map_err(|error| StorageIOError::write_vote(any(&error)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<RaftId>>, StorageError> {
        let vote = self.store.get(Key::Vote).await;
        vote.map_err(|error| StorageIOError::read_vote(any(&error)).into())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.store
            .set(Key::Committed, &committed)
            .await
            .map_err(write_error)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let committed: Option<Option<LogId>> = self.store.get(Key::Committed).await.map_err(read_error)?;
        Ok(committed.flatten())
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let texts = entries
            .into_iter()
            .map(|entry| Ok((entry.log_id.index, serde_json::to_string(&entry)?)))
            .collect::<Result<Vec<_>, StoreError>>()
            .map_err(write_error)?;
        // One transaction, so one wait for the disk, however many entries have come together.
        self.store.append(texts).await.map_err(write_error)?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.store.truncate(log_id.index).await.map_err(write_error)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.store.purge(log_id).await.map_err(write_error)
    }
}

fn parse(text: &str) -> Result<Entry<TypeConfig>, StorageError> {
    serde_json::from_str(text).map_err(|error| read_error(error.into()))
}

pub(super) fn any(error: &StoreError) -> AnyError {
    AnyError::new(error)
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn read_error(error: StoreError) -> StorageError {
    StorageIOError::read_logs(any(&error)).into()
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn write_error(error: StoreError) -> StorageError {
    StorageIOError::write_logs(any(&error)).into()
}

#[cfg(test)]
mod tests {
    use super::super::machine::Machine;
    use super::*;
    use openraft::testing::{StoreBuilder, Suite};
    use tempfile::TempDir;
    use tokio::sync::watch;

    struct Builder;

    impl StoreBuilder<TypeConfig, Log, Machine, TempDir> for Builder {
        async fn build(&self) -> Result<(TempDir, Log, Machine), StorageError> {
            let folder = TempDir::new().expect("a folder");
            let store = Store::open(folder.path()).expect("a new file");
            let machine = Machine::open(Arc::clone(&store), watch::Sender::default())
                .await
                .expect("an empty state");
            Ok((folder, Log::new(store), machine))
        }
    }

    #[test]
    fn openraft_finds_nothing_wrong() {
        Suite::test_all(Builder).unwrap();
    }

    #[test]
    fn one_process_at_a_time_has_the_file() {
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let id = store.raft_id();
        assert!(store.next_generation(5).unwrap() < store.next_generation(0).unwrap());
        let error = Store::open(folder.path()).err().expect("it is taken");
        assert!(error.to_string().contains("database is locked"), "{error}");
        store.close();
        let again = Store::open(folder.path()).unwrap();
        assert_eq!(again.raft_id(), id);
    }
}
