//! Raft's messages, over the connections between nodes.

use super::types::{RaftId, RaftNode, TypeConfig};
use crate::gossip::Gossip;
use crate::transport::Pool;
use crate::{ClusterError, Service};
use bytes::Bytes;
use caxton_core::Catalog;
use caxton_model::NodeId;
use openraft::error::{InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The pause before a node that could not be reached is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Where nodes are.
pub(crate) struct AddressBook {
    gossip: Arc<Gossip>,
    catalog: watch::Receiver<Arc<Catalog>>,
}

impl AddressBook {
    pub(crate) fn new(gossip: Arc<Gossip>, catalog: watch::Receiver<Arc<Catalog>>) -> Self {
        Self { gossip, catalog }
    }

    /// What gossip says of a live member is news; else what the node registered with.
    pub(crate) fn address(&self, node: &NodeId) -> Option<String> {
        let registered = || {
            self.catalog
                .borrow()
                .node(node)
                .map(|record| record.cluster_addr.clone())
        };
        match self.gossip.find(node) {
            Some((state, address)) if state.is_live() => Some(address),
            Some((_, address)) => registered().or(Some(address)),
            None => registered(),
        }
    }
}

/// A message to one participant, not to whoever runs under its node's name now.
#[derive(Serialize, Deserialize)]
pub(super) struct Addressed<T> {
    pub(super) to: RaftId,
    pub(super) message: T,
}

/// Makes the way to each participant.
pub(super) struct Network {
    pub(super) pool: Arc<Pool>,
    pub(super) book: Arc<AddressBook>,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: RaftId, node: &RaftNode) -> Link {
        Link {
            target,
            node: node.clone(),
            pool: Arc::clone(&self.pool),
            book: Arc::clone(&self.book),
        }
    }
}

/// The way to one participant.
pub(super) struct Link {
    target: RaftId,
    node: RaftNode,
    pool: Arc<Pool>,
    book: Arc<AddressBook>,
}

type RpcError<E> = RPCError<RaftId, RaftNode, E>;

impl Link {
    async fn call<Q, A, E>(&self, service: Service, message: Q, option: &RPCOption) -> Result<A, RpcError<E>>
    where
        Q: Serialize,
        A: DeserializeOwned,
        E: std::error::Error + DeserializeOwned,
    {
        let addressed = Addressed {
            to: self.target,
            message,
        };
        let body =
            serde_json::to_vec(&addressed).map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        let address = self
            .book
            .address(&self.node.id)
            .unwrap_or_else(|| self.node.address.clone());
        let answer = self
            .pool
            .request(
                &self.node.id,
                &address,
                service,
                Bytes::from(body),
                option.hard_ttl(),
            )
            .await
            .map_err(|error| rpc_error(&error))?;
        let answer: Result<A, E> =
            serde_json::from_slice(&answer).map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.target, error)))
    }
}

/// Raft pauses after `Unreachable`, and tries again at once after a network error.
fn rpc_error<E: std::error::Error>(error: &ClusterError) -> RpcError<E> {
    match error {
        ClusterError::TimedOut { .. } | ClusterError::Interrupted { .. } => {
            RPCError::Network(NetworkError::new(error))
        }
        ClusterError::Unreachable { .. }
        | ClusterError::UnknownNode { .. }
        | ClusterError::Refused { .. }
        | ClusterError::Config { .. }
        | ClusterError::Bind { .. }
        | ClusterError::Security(_)
        | ClusterError::Storage { .. }
        | ClusterError::Join { .. }
        | ClusterError::TooLarge { .. }
        | ClusterError::NoQuorum { .. }
        | ClusterError::InvalidProposal { .. }
        | ClusterError::Stopped => RPCError::Unreachable(Unreachable::new(error)),
    }
}

impl RaftNetwork<TypeConfig> for Link {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<RaftId>, RpcError<RaftError<RaftId>>> {
        self.call(Service::APPEND_ENTRIES, rpc, &option).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<RaftId>, RpcError<RaftError<RaftId, InstallSnapshotError>>> {
        self.call(Service::INSTALL_SNAPSHOT, rpc, &option).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<RaftId>,
        option: RPCOption,
    ) -> Result<VoteResponse<RaftId>, RpcError<RaftError<RaftId>>> {
        self.call(Service::VOTE, rpc, &option).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(RETRY_PAUSE))
    }
}
