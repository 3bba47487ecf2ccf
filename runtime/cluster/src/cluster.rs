//! A node's part in its cluster.

use crate::consensus::{AddressBook, Consensus, ConsensusConfig, Store};
use crate::gossip::{Generation, Gossip, GossipConfig};
use crate::transport::{self, Pool};
use crate::{
    ClusterConfig, ClusterError, ConsensusStatus, GossipCounters, MemberState, MemberView, Service, port,
    roll_call,
};
use bytes::Bytes;
use caxton_core::Catalog;
use caxton_model::{CatalogCommand, CatalogReply, NodeId, NodeRecord};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a start waits for a node that has taken part before to be registered anew. Without a majority,
/// registration goes on in the background: the node must run for a majority to come about.
const REGISTER_WAIT: Duration = Duration::from_secs(5);

/// How long a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Answers requests of other nodes.
#[async_trait::async_trait]
pub trait RequestHandler: Send + Sync + 'static {
    /// Answers a request of `from`, whose name its certificate proved. The text of an error reaches the
    /// asking node, as [`ClusterError::Refused`].
    ///
    /// Requests run at the same time and in no order. The asking node may have given up meanwhile. When this
    /// node is shut down, the future is dropped.
    async fn handle(&self, from: NodeId, service: Service, body: Bytes) -> Result<Bytes, String>;
}

/// A node's part in its cluster: membership, the catalog, and requests to other nodes.
///
/// Dropping it stops it as [`Cluster::shutdown`] does, but nobody can wait for the end.
pub struct Cluster {
    node: NodeRecord,
    local_addr: SocketAddr,
    handler: Arc<dyn RequestHandler>,
    gossip: Arc<Gossip>,
    consensus: Arc<Consensus>,
    pool: Arc<Pool>,
    book: Arc<AddressBook>,
    catalog: watch::Sender<Arc<Catalog>>,
    members: watch::Sender<Vec<MemberView>>,
    roll_call: roll_call::RollCall,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Cluster {
    /// Binds the port, joins or bootstraps the cluster, and registers this node in the catalog.
    ///
    /// Returns when the node takes part in consensus and its record is in the catalog. A node that has taken
    /// part before starts from its data folder and needs neither seeds nor a majority: after five seconds it
    /// returns anyway, and goes on trying to register in the background.
    ///
    /// After an error nothing runs and the port is free. What is in the data folder stays, so that another
    /// try may go on from there.
    pub async fn start(
        config: ClusterConfig,
        handler: Arc<dyn RequestHandler>,
    ) -> Result<Arc<Self>, ClusterError> {
        config.check()?;
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let started = async {
            let cluster = Self::assemble(&config, handler, &tasks, &stop).await?;
            cluster.take_part(&config).await?;
            Ok(cluster)
        };
        let started = started.await;
        if started.is_err() {
            stop.cancel();
            tasks.close();
            tasks.wait().await;
        }
        started
    }

    async fn assemble(
        config: &ClusterConfig,
        handler: Arc<dyn RequestHandler>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Arc<Self>, ClusterError> {
        let (listener, socket, local_addr) = port::bind(config.bind).await?;
        let mut node = config.node.clone();
        if node.cluster_addr.is_empty() {
            node.cluster_addr = local_addr.to_string();
        }
        let store = Store::open(&config.data_dir)?;
        let now_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        let generation = Generation(store.next_generation(now_ms)?);

        let gossip_config = GossipConfig {
            node: node.id.clone(),
            address: node.cluster_addr.clone(),
            generation,
            key: config.gossip_key,
            expected_nodes: config.bootstrap_expect,
            timings: config.timings,
        };
        let gossip = Arc::new(Gossip::start(gossip_config, socket, tasks, stop.clone()));
        let pool = Arc::new(Pool::new(config.identity.clone(), tasks.clone(), stop.clone()));
        let catalog = watch::Sender::new(Arc::new(Catalog::default()));
        let book = Arc::new(AddressBook::new(Arc::clone(&gossip), catalog.subscribe()));
        let consensus_config = ConsensusConfig {
            node: node.id.clone(),
            address: node.cluster_addr.clone(),
            seeds: config.seeds.clone(),
            timings: config.timings,
        };
        let consensus = Consensus::open(
            consensus_config,
            store,
            Arc::clone(&pool),
            Arc::clone(&book),
            catalog.clone(),
            tasks,
            stop.clone(),
        )
        .await?;
        let consensus = Arc::new(consensus);
        let router = Router {
            consensus: Arc::clone(&consensus),
            application: Arc::clone(&handler),
        };
        let identity = config.identity.clone();
        tasks.spawn(transport::serve(
            listener,
            identity,
            Arc::new(router),
            tasks.clone(),
            stop.clone(),
        ));
        tasks.spawn(close_at_stop(Arc::clone(&consensus), stop.clone()));
        tasks.spawn(keep_contacts(
            Arc::clone(&gossip),
            config.seeds.clone(),
            node.cluster_addr.clone(),
            catalog.subscribe(),
            stop.clone(),
        ));
        let roll_call = roll_call::RollCall::new(&config.timings, Instant::now());
        let members = watch::Sender::new(roll_call.view(&gossip.members(), &catalog.borrow()));
        tasks.spawn(roll_call.publish(
            Arc::clone(&gossip),
            catalog.subscribe(),
            members.clone(),
            stop.clone(),
        ));
        Ok(Arc::new(Self {
            node,
            local_addr,
            handler,
            gossip,
            consensus,
            pool,
            book,
            catalog,
            members,
            roll_call,
            tasks: tasks.clone(),
            stop: stop.clone(),
        }))
    }

    async fn take_part(self: &Arc<Self>, config: &ClusterConfig) -> Result<(), ClusterError> {
        let register = CatalogCommand::RegisterNode {
            node: self.node.clone(),
        };
        if self.consensus.has_state().await? {
            let registering = register_again(Arc::clone(&self.consensus), register, self.stop.clone());
            let registered = self.tasks.spawn(registering);
            if tokio::time::timeout(REGISTER_WAIT, registered).await.is_err() {
                tracing::warn!("no majority yet: this node runs, and registers when there is one");
            }
            return Ok(());
        }
        if config.bootstrap {
            self.consensus.bootstrap().await?;
        } else if config.seeds.is_empty() {
            return Err(ClusterError::Config {
                reason: "the data folder holds no cluster, and there are no seeds to join and no order to bootstrap one".to_owned(),
            });
        } else {
            self.consensus.join(config.timings.join_deadline).await?;
        }
        self.consensus.propose(&register).await?;
        Ok(())
    }

    /// This node's name.
    pub fn node(&self) -> &NodeId {
        &self.node.id
    }

    /// Where this node listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where other nodes reach this node, `host:port`.
    pub fn cluster_addr(&self) -> &str {
        &self.node.cluster_addr
    }

    /// Asks another node, over mutual TLS on a pooled connection. A request to the own node goes to the own
    /// handler.
    ///
    /// Errors say whether the request may have been received. Cancelling the future does not recall the
    /// request.
    pub async fn request(
        &self,
        node: &NodeId,
        service: Service,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, ClusterError> {
        if self.stop.is_cancelled() {
            return Err(ClusterError::Stopped);
        }
        if node == self.node() {
            let handled = tokio::time::timeout(timeout, self.handler.handle(node.clone(), service, body));
            let node = node.clone();
            return match handled.await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(reason)) => Err(ClusterError::Refused { node, reason }),
                Err(_) => Err(ClusterError::TimedOut {
                    node,
                    service,
                    after: timeout,
                }),
            };
        }
        let address = self
            .book
            .address(node)
            .ok_or_else(|| ClusterError::UnknownNode { node: node.clone() })?;
        self.pool.request(node, &address, service, body, timeout).await
    }

    /// Measures the way to another node and back, on an open connection.
    pub async fn ping(&self, node: &NodeId) -> Result<Duration, ClusterError> {
        if node == self.node() {
            return Ok(Duration::ZERO);
        }
        // The first one opens the connection if need be.
        self.request(node, Service::PING, Bytes::new(), PING_TIMEOUT)
            .await?;
        let begin = Instant::now();
        self.request(node, Service::PING, Bytes::new(), PING_TIMEOUT)
            .await?;
        Ok(begin.elapsed())
    }

    /// All members, this node among them, in the order of their names: those that gossip knows, and nodes of
    /// the catalog that gossip has not heard of, which count as suspect for a while after this node's start
    /// and as failed later.
    pub fn members(&self) -> Vec<MemberView> {
        self.roll_call
            .view(&self.gossip.members(), &self.catalog.borrow())
    }

    /// Nodes of the catalog that membership sees alive or merely suspects: those that agents can be placed
    /// on.
    pub fn live_nodes(&self) -> BTreeSet<NodeId> {
        let live = self.members().into_iter().filter(|member| member.state.is_live());
        live.map(|member| member.id).collect()
    }

    /// Tells when a member comes, goes, moves or changes its state; `last_seen_ms` is as of then.
    pub fn subscribe_members(&self) -> watch::Receiver<Vec<MemberView>> {
        self.members.subscribe()
    }

    /// How many datagrams of gossip came in.
    pub fn gossip_counters(&self) -> GossipCounters {
        self.gossip.counters()
    }

    /// Has a command applied to the catalog of all nodes, through the leader, wherever that is.
    ///
    /// Retries during elections until the deadline of the configuration; however often it was sent, it is
    /// applied once. When it returns, this node's own catalog has it, unless this node lags by more than two
    /// seconds.
    ///
    /// After [`ClusterError::NoQuorum`], and if the future is dropped, it may still be applied later.
    pub async fn propose(&self, command: CatalogCommand) -> Result<CatalogReply, ClusterError> {
        self.consensus.propose(&command).await
    }

    /// The catalog as this node has applied it: a consistent state, maybe a little behind the leader's.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.consensus.catalog()
    }

    /// Tells when this node has applied something to its catalog.
    pub fn subscribe_catalog(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalog.subscribe()
    }

    /// The catalog with everything that was applied before this call, anywhere: a linearizable read. Needs a
    /// majority.
    pub async fn read_catalog(&self) -> Result<Arc<Catalog>, ClusterError> {
        self.consensus.read().await
    }

    /// Who leads, if known.
    pub fn leader(&self) -> Option<NodeId> {
        self.status().leader
    }

    /// Whether this node leads, as far as it knows.
    pub fn is_leader(&self) -> bool {
        self.leader().as_ref() == Some(self.node())
    }

    /// How consensus stands.
    pub fn status(&self) -> ConsensusStatus {
        self.consensus.status()
    }

    /// Tells when term, leader, majority or participants of consensus change.
    pub fn subscribe_status(&self) -> watch::Receiver<ConsensusStatus> {
        self.consensus.subscribe_status()
    }

    /// Leaves for good: out of the catalog, out of consensus, and then tells all members. Its agents get
    /// other nodes. Follow it with [`Cluster::shutdown`]. For a restart, only shut down.
    ///
    /// Needs a majority. After an error of consensus nothing has changed, or only that; calling it again goes
    /// on.
    pub async fn leave(&self) -> Result<(), ClusterError> {
        let remove = CatalogCommand::RemoveNode {
            node: self.node().clone(),
        };
        // A refusal says that it is gone already.
        self.propose(remove).await?;
        self.gossip.leave().await
    }

    /// Stops all tasks, closes all connections and files, and frees the port and the data folder, for a
    /// successor in this very process if need be. Other nodes take it for failed if it stays away for longer
    /// than detection takes. Afterwards all calls that need others fail with [`ClusterError::Stopped`].
    /// Calling it again does nothing.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// How this node sees one member.
    pub fn member_state(&self, node: &NodeId) -> Option<MemberState> {
        let members = self.members();
        members
            .into_iter()
            .find(|member| member.id == *node)
            .map(|member| member.state)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Hands requests to whom they are for.
struct Router {
    consensus: Arc<Consensus>,
    application: Arc<dyn RequestHandler>,
}

#[async_trait::async_trait]
impl RequestHandler for Router {
    async fn handle(&self, from: NodeId, service: Service, body: Bytes) -> Result<Bytes, String> {
        if service.is_application() {
            self.application.handle(from, service, body).await
        } else if service == Service::PING {
            Ok(body)
        } else {
            self.consensus.handle(service, &body).await
        }
    }
}

/// A node that comes back may have a new address or version, or may have been removed while it was away.
async fn register_again(consensus: Arc<Consensus>, register: CatalogCommand, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let registered = match consensus.join(REGISTER_WAIT).await {
            Ok(()) => consensus.propose(&register).await.map(|_| ()),
            Err(error) => Err(error),
        };
        match registered {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "not registered yet"),
        }
    }
}

async fn close_at_stop(consensus: Arc<Consensus>, stop: CancellationToken) {
    stop.cancelled().await;
    consensus.shutdown().await;
}

/// Tells gossip where nodes may be found: the seeds, and what the catalog says.
async fn keep_contacts(
    gossip: Arc<Gossip>,
    seeds: Vec<String>,
    own: String,
    mut catalog: watch::Receiver<Arc<Catalog>>,
    stop: CancellationToken,
) {
    loop {
        let contacts: BTreeSet<String> = {
            let catalog = catalog.borrow_and_update();
            let registered = catalog.nodes().values().map(|node| node.cluster_addr.clone());
            seeds
                .iter()
                .cloned()
                .chain(registered)
                .filter(|address| *address != own)
                .collect()
        };
        gossip.set_contacts(contacts.into_iter().collect());
        tokio::select! {
            changed = catalog.changed() => if changed.is_err() {
                return;
            },
            () = stop.cancelled() => return,
        }
    }
}
