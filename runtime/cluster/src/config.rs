//! What a node must know to take part in a cluster.

use crate::ClusterError;
use crate::security::Identity;
use caxton_model::NodeRecord;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a node must know to take part in a cluster.
#[derive(Clone)]
pub struct ClusterConfig {
    /// Who this node is. `node.id` must be the name in the certificate. If `node.cluster_addr` is empty, the
    /// bound address is announced.
    pub node: NodeRecord,
    /// Where to listen: gossip by UDP and requests by TCP, on the same port. Port 0 picks a free one.
    pub bind: SocketAddr,
    /// `host:port` of nodes to join. Names are looked up at each try.
    pub seeds: Vec<String>,
    /// Whether this node begins a new cluster if its data folder holds none.
    pub bootstrap: bool,
    /// How many nodes the cluster is going to have: gossip tells news often enough for so many.
    pub bootstrap_expect: u32,
    /// The node's certificate.
    pub identity: Identity,
    /// What encrypts and authenticates gossip. All nodes have the same.
    pub gossip_key: [u8; 32],
    /// Where the consensus log lies, in `raft.db`.
    pub data_dir: PathBuf,
    /// How fast things go.
    pub timings: Timings,
}

impl ClusterConfig {
    pub(crate) fn check(&self) -> Result<(), ClusterError> {
        let wrong = |reason: String| Err(ClusterError::Config { reason });
        let Timings {
            probe_interval,
            probe_timeout,
            suspicion,
            gossip_interval,
            heartbeat_interval,
            election_timeout,
            ..
        } = self.timings;
        if self.node.id != *self.identity.node() {
            return wrong(format!(
                "this node is configured as {}, but its certificate says {}",
                self.node.id,
                self.identity.node()
            ));
        }
        let all = [
            probe_interval,
            probe_timeout,
            suspicion,
            gossip_interval,
            heartbeat_interval,
            election_timeout,
        ];
        if all.iter().any(|timing| timing.as_millis() == 0) {
            return wrong("intervals and timeouts must be at least one millisecond".to_owned());
        }
        if probe_timeout >= probe_interval {
            return wrong(format!(
                "the probe timeout of {probe_timeout:?} must be shorter than the probe interval of {probe_interval:?}"
            ));
        }
        if heartbeat_interval >= election_timeout {
            return wrong(format!(
                "the heartbeat interval of {heartbeat_interval:?} must be shorter than the election timeout of {election_timeout:?}"
            ));
        }
        if self.node.cluster_addr.is_empty() && self.bind.ip().is_unspecified() {
            return wrong(format!(
                "other nodes cannot reach {}: say at which address they can",
                self.bind
            ));
        }
        Ok(())
    }
}

/// How fast things go. The defaults suit a local network; a dead node is `failed` after about three seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How often news is told. Default 200 ms.
    pub gossip_interval: Duration,
    /// To how many members. Default 3.
    pub gossip_fanout: u32,
    /// How often one random member is asked whether it is alive. Default 1 s.
    pub probe_interval: Duration,
    /// How long its answer may take before others are asked to ask it. Less than `probe_interval`. Default
    /// 500 ms.
    pub probe_timeout: Duration,
    /// How long a suspected member has to object; at least as long as `probe_interval`. Default 1.5 s.
    pub suspicion: Duration,
    /// How often the leader says that it leads. Default 200 ms.
    pub heartbeat_interval: Duration,
    /// How long a leader's word counts. Without a new one, another is elected after three to four times as
    /// long. Default 500 ms.
    pub election_timeout: Duration,
    /// How long a proposal or a linearizable read is tried, elections included. Default 10 s.
    pub proposal_deadline: Duration,
    /// How long a node without any state tries to join before [`crate::Cluster::start`] fails. Default 60 s.
    pub join_deadline: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            gossip_interval: Duration::from_millis(200),
            gossip_fanout: 3,
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            suspicion: Duration::from_millis(1_500),
            heartbeat_interval: Duration::from_millis(200),
            election_timeout: Duration::from_millis(500),
            proposal_deadline: Duration::from_secs(10),
            join_deadline: Duration::from_secs(60),
        }
    }
}
