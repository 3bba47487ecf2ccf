//! The composition root: starts the parts of a node, ties them together, and stops them in order.

use crate::checkpoint::{self, Copies};
use crate::config::NodeConfig;
use crate::deliver::{self, Volatile};
use crate::handoff::Fences;
use crate::health::Amiss;
use crate::metrics::{self, Metrics};
use crate::peer::Answers;
use crate::release::Releases;
use crate::{api, placement, reconcile, restored};
use caxton_cluster::security::Identity;
use caxton_cluster::{Cluster, ClusterConfig, ClusterError, Timings};
use caxton_host::{Host, HostConfig, HostError, Store, StoreError};
use caxton_model::{Limits, NodeId, NodeRecord, NodeState, Version};
use sha2::{Digest as _, Sha256};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// How long calls and deliveries that are under way may take when the node stops.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// The shortest token that the API accepts, in bytes: guessing it must be hopeless.
const TOKEN_BYTES_MIN: usize = 16;

/// A node that runs.
pub struct Node {
    shared: Arc<Shared>,
    api_addr: SocketAddr,
    metrics_addr: SocketAddr,
    servers: Phase,
    workers: Phase,
}

/// Why a node did not start. Nothing runs, and no port is taken.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file or folder that the node needs cannot be used.
    #[error("cannot use {what} {}: {source}", path.display())]
    File {
        /// What it is.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The token is no protection.
    #[error("the token in {} is shorter than {TOKEN_BYTES_MIN} bytes; make a new one with `caxton init`", path.display())]
    WeakToken {
        /// Its file.
        path: PathBuf,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {addr} for {what}: {source}")]
    Listen {
        /// What for.
        what: &'static str,
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Agents cannot be run.
    #[error(transparent)]
    Host(#[from] HostError),
    /// There is no taking part in the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// What all parts of a node share.
pub(crate) struct Shared {
    pub(crate) config: NodeConfig,
    pub(crate) store: Store,
    pub(crate) host: Host,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) copies: Copies,
    pub(crate) fences: Fences,
    pub(crate) volatile: Volatile,
    pub(crate) metrics: Metrics,
    pub(crate) releases: Releases,
    pub(crate) agents_missing: Amiss,
    pub(crate) token: String,
    pub(crate) started: Instant,
    /// Cancelled when the API stops: calls that wait for something should answer.
    pub(crate) closing: CancellationToken,
}

impl Shared {
    /// This node's name.
    pub(crate) fn id(&self) -> &NodeId {
        &self.config.node.id
    }

    /// The version of the running binary.
    pub(crate) fn version(&self) -> &Version {
        &self.config.version.0
    }

    /// Whether gossip sees a node alive, or at least not yet dead.
    pub(crate) fn is_live(&self, node: &NodeId) -> bool {
        let members = self.cluster.members();
        members
            .iter()
            .any(|member| member.id == *node && member.state.is_live())
    }

    /// All other members that gossip does not see dead.
    pub(crate) fn live_others(&self) -> Vec<NodeId> {
        let members = self.cluster.members().into_iter();
        members
            .filter(|member| member.state.is_live() && member.id != *self.id())
            .map(|member| member.id)
            .collect()
    }
}

impl Node {
    /// Starts a node: opens its store, joins its cluster, runs the agents that are assigned to it, and serves the API.
    ///
    /// Returns when the API answers. Agents and messages follow as soon as the cluster has a leader.
    ///
    /// # Errors
    /// See [`NodeError`]. What was started before the error is stopped again.
    pub async fn start(config: NodeConfig) -> Result<Arc<Self>, NodeError> {
        let token = read_token(&config.token_file())?;
        let api = listen("the management API", config.api.bind_addr).await?;
        let prometheus = listen("metrics", config.metrics.bind_addr).await?;
        let (api_addr, metrics_addr) = (
            local_addr(&api, config.api.bind_addr),
            local_addr(&prometheus, config.metrics.bind_addr),
        );
        let (volatile, outgoing) = Volatile::new();
        let (store, host, copies) = open(&config, &volatile).await?;
        restored::set_state_aside(&config.storage.data_dir, &store, &copies).await?;
        let answers = Arc::new(Answers::default());
        let cluster_config = cluster_config(&config, api_addr)?;
        let cluster = match Cluster::start(cluster_config, answers.clone()).await {
            Ok(cluster) => cluster,
            Err(error) => {
                store.close().await;
                return Err(error.into());
            }
        };
        let servers = Phase::default();
        let workers = Phase::default();
        let shared = Arc::new(Shared {
            releases: Releases::new(&config),
            config,
            store,
            host,
            cluster,
            copies,
            fences: Fences::default(),
            volatile,
            metrics: Metrics::default(),
            agents_missing: Amiss::default(),
            token,
            started: Instant::now(),
            closing: servers.stop.clone(),
        });
        answers.open(&shared);
        workers.spawn(reconcile::run(shared.clone(), workers.stop()));
        workers.spawn(placement::run(shared.clone(), workers.stop()));
        workers.spawn(restored::run(shared.clone(), workers.stop()));
        workers.spawn(checkpoint::run(shared.clone(), workers.stop()));
        workers.spawn(deliver::run_outbox(shared.clone(), workers.stop()));
        workers.spawn(deliver::run_volatile(shared.clone(), outgoing, workers.stop()));
        workers.spawn(metrics::run(shared.clone(), workers.stop()));
        servers.spawn(api::serve(api, api::routes(shared.clone()), servers.stop()));
        servers.spawn(api::serve(
            prometheus,
            api::metrics_route(shared.clone()),
            servers.stop(),
        ));
        info!(node = %shared.id(), version = %shared.version(), api = %api_addr, "node started");
        Ok(Arc::new(Self {
            shared,
            api_addr,
            metrics_addr,
            servers,
            workers,
        }))
    }

    /// Where the management API answers.
    pub fn api_addr(&self) -> SocketAddr {
        self.api_addr
    }

    /// Where Prometheus reads.
    pub fn metrics_addr(&self) -> SocketAddr {
        self.metrics_addr
    }

    /// Where other nodes reach this one.
    pub fn cluster_addr(&self) -> SocketAddr {
        self.shared.cluster.local_addr()
    }

    /// The node's releases. Whoever runs the node confirms a switch once it is up, and waits for the next one.
    pub fn releases(&self) -> &Releases {
        &self.shared.releases
    }

    /// Stops a node in order: no new calls; calls and deliveries under way are finished, for at most some seconds; agents
    /// finish the message in flight; everything is written; ports and files are free for a successor. What is not
    /// delivered is in the outbox. The other nodes take it for dead soon, unless a successor comes first.
    ///
    /// Calling it again does nothing. Cancelling it leaves the node half stopped; call it again to go on.
    pub async fn shutdown(&self) {
        self.servers.end("calls of the management API").await;
        self.workers.end("deliveries").await;
        self.shared.host.shutdown().await;
        self.shared.cluster.shutdown().await;
        self.shared.store.close().await;
        info!(node = %self.shared.id(), "node stopped");
    }
}

/// Tasks that are stopped together.
#[derive(Default)]
struct Phase {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Phase {
    fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    async fn end(&self, what: &str) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_PATIENCE, self.tasks.wait())
            .await
            .is_err()
        {
            warn!(
                "{what} took longer than {} s and are broken off",
                STOP_PATIENCE.as_secs()
            );
        }
    }
}

async fn open(config: &NodeConfig, volatile: &Volatile) -> Result<(Store, Host, Copies), NodeError> {
    let data_dir = config.storage.data_dir.clone();
    let mut host_config = HostConfig::new(config.node.id.clone(), data_dir.join("cache"));
    host_config.agents_max = config.limits.max_agents;
    host_config.limits_max = Limits {
        memory_bytes: config.agents.max_memory_bytes,
        message_time_ms: u64::try_from(config.agents.max_message_time.0.as_millis()).unwrap_or(u64::MAX),
        ..host_config.limits_max
    };
    let outgoing = volatile.sender();
    let opening = tokio::task::spawn_blocking(move || {
        let store = Store::open(data_dir.join("store"))?;
        let host = Host::new(host_config, store.clone(), outgoing)?;
        let unusable = |what, path: &Path| {
            let path = path.to_owned();
            move |source| NodeError::File { what, path, source }
        };
        let raft = raft_dir(&data_dir);
        std::fs::create_dir_all(&raft).map_err(unusable("the folder of the consensus log", &raft))?;
        let path = data_dir.join("copies");
        let copies = Copies::open(path.clone()).map_err(unusable("the folder of copies", &path))?;
        Ok((store, host, copies))
    });
    opening.await.expect("opening does not panic")
}

fn cluster_config(config: &NodeConfig, api_addr: SocketAddr) -> Result<ClusterConfig, NodeError> {
    let cluster = &config.coordination.cluster;
    let identity =
        Identity::load(&config.ca_cert(), &config.cert(), &config.key()).map_err(ClusterError::from)?;
    let secret = read("the gossip secret", &config.gossip_key_file())?;
    // A port of 0 is known only now.
    let free_port = |bind: SocketAddr| bind.port() == 0;
    Ok(ClusterConfig {
        node: NodeRecord {
            id: config.node.id.clone(),
            cluster_addr: if free_port(cluster.bind_addr) {
                String::new()
            } else {
                config.cluster_addr()
            },
            api_addr: if free_port(config.api.bind_addr) {
                api_addr.to_string()
            } else {
                config.api_addr()
            },
            version: config.version.0.clone(),
            state: NodeState::Active,
            desired_version: None,
        },
        bind: cluster.bind_addr,
        seeds: cluster.seeds.clone(),
        bootstrap: cluster.bootstrap,
        bootstrap_expect: cluster.bootstrap_expect,
        identity,
        gossip_key: Sha256::digest(secret).into(),
        data_dir: raft_dir(&config.storage.data_dir),
        timings: Timings {
            gossip_interval: cluster.gossip_interval.0,
            gossip_fanout: cluster.gossip_fanout,
            probe_interval: cluster.probe_interval.0,
            probe_timeout: cluster.probe_timeout.0,
            ..Timings::default()
        },
    })
}

fn raft_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("raft")
}

fn read_token(path: &Path) -> Result<String, NodeError> {
    let token = read("the API token", path)?;
    let token = String::from_utf8_lossy(&token).trim().to_owned();
    if token.len() < TOKEN_BYTES_MIN {
        return Err(NodeError::WeakToken {
            path: path.to_owned(),
        });
    }
    Ok(token)
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, NodeError> {
    std::fs::read(path).map_err(|source| NodeError::File {
        what,
        path: path.to_owned(),
        source,
    })
}

async fn listen(what: &'static str, addr: SocketAddr) -> Result<TcpListener, NodeError> {
    TcpListener::bind(addr)
        .await
        .map_err(|source| NodeError::Listen { what, addr, source })
}

/// The bound address, which differs from the wanted one if that said port 0.
fn local_addr(listener: &TcpListener, wanted: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(wanted)
}
