//! The replicated state, for Raft.

use super::answered::Answered;
use super::log::any;
use super::store::{Store, StoreError};
use super::types::{LogId, Membership, Proposal, RaftNode, Reply, StorageError, StorageIOError, TypeConfig};
use crate::consensus::types::RaftId;
use caxton_core::Catalog;
use caxton_model::{CatalogCommand, CatalogReply, Refusal};
use openraft::storage::RaftStateMachine;
use openraft::{Entry, EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta};
use serde::{Deserialize, Serialize};
use std::io::Cursor;
use std::sync::Arc;
use tokio::sync::watch;

/// The replicated state: the catalog, and which proposals were applied to it.
///
/// It lives in memory. On disk are the last snapshot and the log after it; a start applies the committed part
/// of that log again.
pub(super) struct Machine {
    store: Arc<Store>,
    last_applied: Option<LogId>,
    membership: Membership,
    state: State,
    published: watch::Sender<Arc<Catalog>>,
}

/// What a snapshot holds.
#[derive(Clone, Default, Serialize, Deserialize)]
struct State {
    catalog: Arc<Catalog>,
    answered: Arc<Answered>,
}

type Meta = SnapshotMeta<RaftId, RaftNode>;

impl Machine {
    /// Begins with the last snapshot. What is applied appears in `published`.
    pub(super) async fn open(
        store: Arc<Store>,
        published: watch::Sender<Arc<Catalog>>,
    ) -> Result<Self, StoreError> {
        let mut machine = Self {
            store,
            last_applied: None,
            membership: Membership::default(),
            state: State::default(),
            published,
        };
        if let Some((meta, state)) = machine.store.snapshot().await? {
            machine.restore(&serde_json::from_str(&meta)?, serde_json::from_str(&state)?);
        }
        Ok(machine)
    }

    fn restore(&mut self, meta: &Meta, state: State) {
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.state = state;
        self.published.send_replace(Arc::clone(&self.state.catalog));
    }
}

impl State {
    fn apply(&mut self, proposal: Proposal) -> CatalogReply {
        if let Some(reply) = self.answered.reply(&proposal.id) {
            return reply.clone();
        }
        let reply = match serde_json::from_str::<CatalogCommand>(&proposal.command) {
            Ok(command) => Arc::make_mut(&mut self.catalog).apply(&command),
            // A newer release proposed it. This node must not guess; nothing it does not know was ever
            // applied by it.
            Err(error) => {
                tracing::error!(command = proposal.command, %error, "a command is not known to this release");
                let reason = format!("a node's release does not know this command: {error}");
                CatalogReply::Refused {
                    refusal: Refusal::NotAllowed { reason },
                }
            }
        };
        Arc::make_mut(&mut self.answered).remember(proposal.id, reply.clone());
        reply
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Reply>, StorageError>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let before = Arc::clone(&self.state.catalog);
        let mut replies = Vec::new();
        for entry in entries {
            self.last_applied = Some(entry.log_id);
            replies.push(match entry.payload {
                EntryPayload::Blank => Reply::Nothing,
                EntryPayload::Normal(proposal) => Reply::Catalog(self.state.apply(proposal)),
                EntryPayload::Membership(membership) => {
                    self.membership = Membership::new(Some(entry.log_id), membership);
                    Reply::Nothing
                }
            });
        }
        if before.revision() != self.state.catalog.revision() {
            self.published.send_replace(Arc::clone(&self.state.catalog));
        }
        Ok(replies)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            store: Arc::clone(&self.store),
            last_applied: self.last_applied,
            membership: self.membership.clone(),
            state: self.state.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &Meta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let failed = |error: StoreError| StorageIOError::write_snapshot(Some(meta.signature()), any(&error));
        let text = String::from_utf8_lossy(snapshot.get_ref()).into_owned();
        let state: State = serde_json::from_str(&text).map_err(|error| failed(error.into()))?;
        let meta_text = serde_json::to_string(meta).map_err(|error| failed(error.into()))?;
        self.store.set_snapshot(meta_text, text).await.map_err(failed)?;
        self.restore(meta, state);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        let failed = |error: StoreError| StorageIOError::read_snapshot(None, any(&error));
        let Some((meta, state)) = self.store.snapshot().await.map_err(failed)? else {
            return Ok(None);
        };
        Ok(Some(Snapshot {
            meta: serde_json::from_str(&meta).map_err(|error| failed(error.into()))?,
            snapshot: Box::new(Cursor::new(state.into_bytes())),
        }))
    }
}

/// Writes down the state as it was when the builder was made.
pub(super) struct Builder {
    store: Arc<Store>,
    last_applied: Option<LogId>,
    membership: Membership,
    state: State,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        let failed = |error: StoreError| StorageIOError::write_snapshot(None, any(&error));
        let position = self
            .last_applied
            .map_or_else(|| "empty".to_owned(), |id| id.to_string());
        let meta = Meta {
            last_log_id: self.last_applied,
            last_membership: self.membership.clone(),
            snapshot_id: format!("{}-{position}", self.store.raft_id()),
        };
        let state = serde_json::to_string(&self.state).map_err(|error| failed(error.into()))?;
        let meta_text = serde_json::to_string(&meta).map_err(|error| failed(error.into()))?;
        self.store
            .set_snapshot(meta_text, state.clone())
            .await
            .map_err(failed)?;
        Ok(Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(state.into_bytes())),
        })
    }
}
