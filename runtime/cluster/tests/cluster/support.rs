//! Makes clusters of real nodes on loopback.

use bytes::Bytes;
use caxton_cluster::security::{CertificateAuthority, Identity};
use caxton_cluster::{Cluster, ClusterConfig, ClusterError, RequestHandler, Service, Timings};
use caxton_model::{AgentSpec, CatalogCommand, CatalogReply, NodeId, NodeRecord, NodeState, Version};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long a test waits for what must come about on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with an authority and the data of its nodes.
pub(crate) struct House {
    folder: TempDir,
    authority: CertificateAuthority,
    pub(crate) gossip_key: [u8; 32],
}

impl House {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let authority = CertificateAuthority::create("test authority", YEAR).unwrap();
        std::fs::write(folder.path().join("ca.crt"), authority.cert_pem()).unwrap();
        Self {
            folder,
            authority,
            gossip_key: [7; 32],
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for a name, made when first asked for.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        let (cert, key) = (
            self.path(&format!("{name}.crt")),
            self.path(&format!("{name}.key")),
        );
        if !cert.exists() {
            let issued = self
                .authority
                .issue(&NodeId::from(name), &["127.0.0.1".to_owned()], YEAR)
                .unwrap();
            issued.save(&cert, &key).unwrap();
        }
        Identity::load(&self.path("ca.crt"), &cert, &key).unwrap()
    }

    pub(crate) fn config(&self, name: &str, seeds: &[&Arc<Cluster>]) -> ClusterConfig {
        let data_dir = self.path(&format!("{name}.data"));
        std::fs::create_dir_all(&data_dir).unwrap();
        ClusterConfig {
            node: NodeRecord {
                id: NodeId::from(name),
                cluster_addr: String::new(),
                api_addr: "127.0.0.1:1".to_owned(),
                version: Version::from("1.0.0"),
                state: NodeState::Active,
                desired_version: None,
            },
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            seeds: seeds.iter().map(|seed| seed.cluster_addr().to_owned()).collect(),
            bootstrap: seeds.is_empty(),
            bootstrap_expect: 3,
            identity: self.identity(name),
            gossip_key: self.gossip_key,
            data_dir,
            timings: quick(),
        }
    }

    pub(crate) async fn start(&self, name: &str, seeds: &[&Arc<Cluster>]) -> Arc<Cluster> {
        start(self.config(name, seeds)).await.unwrap()
    }

    /// Three nodes: the first begins, the others join it at the same time.
    pub(crate) async fn three(&self) -> [Arc<Cluster>; 3] {
        let first = self.start("node-1", &[]).await;
        let seeds = [&first];
        let (second, third) = tokio::join!(self.start("node-2", &seeds), self.start("node-3", &seeds));
        [first, second, third]
    }
}

pub(crate) async fn start(config: ClusterConfig) -> Result<Arc<Cluster>, ClusterError> {
    Cluster::start(config, Arc::new(Echo)).await
}

/// A third of the usual times: tests need not wait as long.
pub(crate) fn quick() -> Timings {
    Timings {
        gossip_interval: Duration::from_millis(100),
        probe_interval: Duration::from_millis(300),
        probe_timeout: Duration::from_millis(150),
        suspicion: Duration::from_millis(500),
        heartbeat_interval: Duration::from_millis(100),
        election_timeout: Duration::from_millis(300),
        ..Timings::default()
    }
}

/// Answers with who asked and what; waits or fails if told to.
pub(crate) struct Echo;

#[async_trait::async_trait]
impl RequestHandler for Echo {
    async fn handle(&self, from: NodeId, _service: Service, body: Bytes) -> Result<Bytes, String> {
        match &body[..] {
            b"fail" => Err("as you wish".to_owned()),
            b"wait" => std::future::pending().await,
            body => Ok(Bytes::from([from.as_str().as_bytes(), b": ", body].concat())),
        }
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("it did not come about that {what}"));
}

pub(crate) fn deploy(name: &str) -> CatalogCommand {
    let spec: AgentSpec = serde_json::from_value(json!({"name": name, "module": "00"})).unwrap();
    CatalogCommand::DeployAgent { spec }
}

/// Proposes to deploy an agent; it must be applied.
pub(crate) async fn deployed(cluster: &Arc<Cluster>, name: &str) {
    let reply = cluster.propose(deploy(name)).await.unwrap();
    assert!(matches!(reply, CatalogReply::Applied { .. }), "{reply:?}");
}

/// Waits until all nodes have the same catalog.
pub(crate) async fn agreed(nodes: &[&Arc<Cluster>]) {
    until("all nodes have the same catalog", || {
        let first = nodes[0].catalog().digest();
        nodes.iter().all(|node| node.catalog().digest() == first)
    })
    .await;
}
