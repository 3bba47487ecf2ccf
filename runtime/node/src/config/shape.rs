//! The shape of a node's configuration and its defaults.

use super::HumanDuration;
use caxton_model::{NodeId, Version};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// All that a node is told. Each key has a default; a key that is not known is an error.
///
/// [`super::Layers`] reads it. Paths in a file are relative to the file's folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// Who the node is.
    pub node: NodeSection,
    /// How it finds the others and agrees with them.
    pub coordination: CoordinationSection,
    /// Whom it trusts.
    pub security: SecuritySection,
    /// Where its data lies.
    pub storage: StorageSection,
    /// Where its management API answers.
    pub api: ApiSection,
    /// Where Prometheus reads.
    pub metrics: MetricsSection,
    /// What agents may use at most.
    pub agents: AgentsSection,
    /// What the node demands of its machine and allows its users.
    pub limits: LimitsSection,
    /// The version that the running binary was built as. Not configurable.
    #[serde(skip)]
    pub version: RunningVersion,
    /// The file that was read, if one was. Not configurable.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

/// The version of the running binary; said by the binary's own package, since that alone is rebuilt for a release.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningVersion(pub Version);

impl Default for RunningVersion {
    fn default() -> Self {
        Self(Version::from(env!("CARGO_PKG_VERSION")))
    }
}

/// Who the node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeSection {
    /// Its name, as its certificate says it. Default: the machine's host name.
    pub id: NodeId,
}

impl Default for NodeSection {
    fn default() -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self {
            id: NodeId(if name.is_empty() {
                "node-1".to_owned()
            } else {
                name
            }),
        }
    }
}

/// How the node finds the others and agrees with them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CoordinationSection {
    /// Membership and consensus.
    pub cluster: ClusterSection,
}

/// Membership and consensus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSection {
    /// Where it listens: gossip by UDP, nodes by TCP. Default `127.0.0.1:7946`.
    pub bind_addr: SocketAddr,
    /// Where others reach it, `host:port`. Default: `bind_addr`, or the default route's interface if that is `0.0.0.0`.
    pub advertise_addr: Option<String>,
    /// Whether it founds the cluster, if its data knows of none yet. Default false.
    pub bootstrap: bool,
    /// How many nodes the cluster has when it is complete. Default 1.
    pub bootstrap_expect: u32,
    /// Members to begin with, `host:port`.
    pub seeds: Vec<String>,
    /// How often it gossips. Default 200 ms.
    pub gossip_interval: HumanDuration,
    /// To how many members at a time. Default 3.
    pub gossip_fanout: u32,
    /// How often it probes one member. Default 1 s.
    pub probe_interval: HumanDuration,
    /// How long it waits for the answer to a probe. Default 500 ms.
    pub probe_timeout: HumanDuration,
}

impl Default for ClusterSection {
    fn default() -> Self {
        Self {
            bind_addr: loopback(7946),
            advertise_addr: None,
            bootstrap: false,
            bootstrap_expect: 1,
            seeds: Vec::new(),
            gossip_interval: HumanDuration(Duration::from_millis(200)),
            gossip_fanout: 3,
            probe_interval: HumanDuration(Duration::from_secs(1)),
            probe_timeout: HumanDuration(Duration::from_millis(500)),
        }
    }
}

/// Whom the node trusts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecuritySection {
    /// Between nodes.
    pub cluster: ClusterSecuritySection,
}

/// Whom the node trusts among nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSecuritySection {
    /// Certificates.
    pub mtls: MtlsSection,
    /// The secret that encrypts gossip. Default: `gossip.key` beside the authority's certificate.
    pub gossip_key_file: Option<PathBuf>,
}

/// Certificates between nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MtlsSection {
    /// Must be true: nodes speak in no other way.
    pub enabled: bool,
    /// The authority's certificate. Default: `certs/ca.crt` in the data folder.
    pub ca_cert: Option<PathBuf>,
    /// The node's certificate. Default: `NODE-ID.crt` beside the authority's.
    pub cert: Option<PathBuf>,
    /// The node's private key. Default: `NODE-ID.key` beside its certificate.
    pub key: Option<PathBuf>,
}

impl Default for MtlsSection {
    fn default() -> Self {
        Self {
            enabled: true,
            ca_cert: None,
            cert: None,
            key: None,
        }
    }
}

/// Where the node's data lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSection {
    /// A folder that belongs to this node alone. Default `/var/lib/caxton`.
    pub data_dir: PathBuf,
}

impl Default for StorageSection {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/caxton"),
        }
    }
}

/// Where the management API answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSection {
    /// Where it listens. Default `127.0.0.1:8080`.
    pub bind_addr: SocketAddr,
    /// Where operators reach it, `host:port`. Default: `bind_addr`.
    pub advertise_addr: Option<String>,
    /// The file with the token that callers must show. Default: `api.token` in the data folder.
    pub token_file: Option<PathBuf>,
}

impl Default for ApiSection {
    fn default() -> Self {
        Self {
            bind_addr: loopback(8080),
            advertise_addr: None,
            token_file: None,
        }
    }
}

/// Where Prometheus reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSection {
    /// Where it listens. Default `127.0.0.1:9090`.
    pub bind_addr: SocketAddr,
}

impl Default for MetricsSection {
    fn default() -> Self {
        Self {
            bind_addr: loopback(9090),
        }
    }
}

/// What agents may use at most; a specification that wants more is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentsSection {
    /// The largest linear memory of one agent, in bytes. Default 64 MiB.
    pub max_memory_bytes: u64,
    /// The longest that handling one message may take. Default 10 s.
    pub max_message_time: HumanDuration,
}

impl Default for AgentsSection {
    fn default() -> Self {
        Self {
            max_memory_bytes: 64 << 20,
            max_message_time: HumanDuration(Duration::from_secs(10)),
        }
    }
}

/// What the node demands of its machine and allows its users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// The node is unhealthy when less of the data folder's disk is free, in percent. Default 2.
    pub min_free_disk_percent: f64,
    /// The most agents that run here. Default 10,000.
    pub max_agents: u32,
    /// The largest message, in bytes of JSON. Default 1 MiB.
    pub max_message_bytes: u64,
    /// The most messages that wait for their receivers; further ones are refused until there is room. Default 1,000,000.
    pub max_outbox: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            min_free_disk_percent: 2.0,
            max_agents: 10_000,
            max_message_bytes: 1 << 20,
            max_outbox: 1_000_000,
        }
    }
}

/// What follows from the keys that were left out.
impl NodeConfig {
    /// Where other nodes reach this one.
    pub fn cluster_addr(&self) -> String {
        let cluster = &self.coordination.cluster;
        cluster
            .advertise_addr
            .clone()
            .unwrap_or_else(|| reachable(cluster.bind_addr))
    }

    /// Where operators reach this node.
    pub fn api_addr(&self) -> String {
        self.api
            .advertise_addr
            .clone()
            .unwrap_or_else(|| reachable(self.api.bind_addr))
    }

    /// The file with the API's token.
    pub fn token_file(&self) -> PathBuf {
        self.api
            .token_file
            .clone()
            .unwrap_or_else(|| self.storage.data_dir.join("api.token"))
    }

    /// The authority's certificate.
    pub fn ca_cert(&self) -> PathBuf {
        let given = self.security.cluster.mtls.ca_cert.clone();
        given.unwrap_or_else(|| self.storage.data_dir.join("certs/ca.crt"))
    }

    /// The node's certificate.
    pub fn cert(&self) -> PathBuf {
        let given = self.security.cluster.mtls.cert.clone();
        given.unwrap_or_else(|| beside(&self.ca_cert(), &format!("{}.crt", self.node.id)))
    }

    /// The node's private key.
    pub fn key(&self) -> PathBuf {
        let given = self.security.cluster.mtls.key.clone();
        given.unwrap_or_else(|| beside(&self.cert(), &format!("{}.key", self.node.id)))
    }

    /// The secret that encrypts gossip.
    pub fn gossip_key_file(&self) -> PathBuf {
        let given = self.security.cluster.gossip_key_file.clone();
        given.unwrap_or_else(|| beside(&self.ca_cert(), "gossip.key"))
    }

    /// Makes relative paths relative to `folder`, where the file that named them lies.
    pub(super) fn anchor_paths(&mut self, folder: &Path) {
        let mtls = &mut self.security.cluster.mtls;
        let optional = [
            &mut mtls.ca_cert,
            &mut mtls.cert,
            &mut mtls.key,
            &mut self.security.cluster.gossip_key_file,
            &mut self.api.token_file,
        ];
        for path in optional.into_iter().flatten() {
            *path = folder.join(&*path);
        }
        self.storage.data_dir = folder.join(&self.storage.data_dir);
    }
}

/// An address that others can use: an unspecified one, `0.0.0.0`, becomes that of the interface with the default route.
fn reachable(bind: SocketAddr) -> String {
    if !bind.ip().is_unspecified() {
        return bind.to_string();
    }
    // Connecting a UDP socket sends nothing; it only makes the kernel choose a route, here to an address that is
    // reserved for documentation.
    let chosen = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket
            .connect((Ipv4Addr::new(192, 0, 2, 1), 9))
            .and_then(|()| socket.local_addr())
    });
    match chosen {
        Ok(local) => SocketAddr::new(local.ip(), bind.port()).to_string(),
        Err(_) => format!(
            "{}:{}",
            rustix::system::uname().nodename().to_string_lossy(),
            bind.port()
        ),
    }
}

fn beside(file: &Path, name: &str) -> PathBuf {
    file.with_file_name(name)
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
