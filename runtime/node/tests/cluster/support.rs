//! A cluster of three nodes in a temporary folder.

use caxton_client::Client;
use caxton_cluster::security::CertificateAuthority;
use caxton_model::api::AgentInfo;
use caxton_model::{AgentName, AgentSpec, Envelope, ModuleDigest, NodeId};
use caxton_node::config::{Layers, NodeConfig};
use caxton_node::{Node, NodeError};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The nodes' names.
pub(crate) const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

/// An agent that answers each message.
pub(crate) const ECHO: &str = r#"(module
    (import "caxton" "reply" (func $reply (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "{\"hello\":1}")
    (func (export "caxton_alloc") (param i32) (result i32) i32.const 1024)
    (func (export "caxton_handle") (param i32 i32) (result i32)
        (call $reply (i32.const 0) (i32.const 11))))"#;

const TOKEN: &str = "a token for tests only";

/// Three nodes, with all that they need in a temporary folder.
pub(crate) struct Cluster {
    nodes: Vec<Arc<Node>>,
    cursors: Mutex<[u64; NODES.len()]>,
    _folder: tempfile::TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        credentials(folder.path());
        let first = node(folder.path(), 0, None).await.unwrap();
        let seed = first.cluster_addr().to_string();
        let mut nodes = vec![first];
        for index in 1..NODES.len() {
            nodes.push(node(folder.path(), index, Some(&seed)).await.unwrap());
        }
        Self {
            nodes,
            cursors: Mutex::default(),
            _folder: folder,
        }
    }

    /// A client of one node.
    pub(crate) fn client(&self, node: usize) -> Client {
        let endpoint = format!("http://{}", self.nodes[node].api_addr());
        Client::new([endpoint], TOKEN.to_owned()).unwrap()
    }

    /// Deploys an agent and waits until it runs.
    pub(crate) async fn deploy(&self, name: &str, module: &ModuleDigest) -> AgentInfo {
        let spec = serde_json::json!({ "name": name, "module": module });
        let spec: AgentSpec = serde_json::from_value(spec).unwrap();
        self.client(0).deploy(&spec).await.unwrap()
    }

    /// The answers that came in at a node since the last call.
    pub(crate) async fn answers(&self, node: usize) -> Vec<Envelope> {
        let client = AgentName::from("client/test");
        let after = self.cursors.lock().unwrap()[node];
        let wait = Duration::from_millis(100);
        let page = self
            .client(node)
            .mailbox(&client, 1_000, wait, Some(after))
            .await
            .unwrap();
        self.cursors.lock().unwrap()[node] = page.cursor;
        page.messages
    }

    pub(crate) async fn stop(self) {
        for node in &self.nodes {
            node.shutdown().await;
        }
    }
}

async fn node(folder: &Path, index: usize, seed: Option<&str>) -> Result<Arc<Node>, NodeError> {
    let seeds = seed.map_or_else(|| "[]".to_owned(), |seed| format!("[\"{seed}\"]"));
    let config: NodeConfig = Layers::new()
        .set("node.id", NODES[index])
        .set(
            "storage.data_dir",
            folder.join(NODES[index]).display().to_string(),
        )
        .set(
            "security.cluster.mtls.ca_cert",
            folder.join("ca.crt").display().to_string(),
        )
        .set("api.token_file", folder.join("token").display().to_string())
        .set("api.bind_addr", "127.0.0.1:0")
        .set("metrics.bind_addr", "127.0.0.1:0")
        .set("coordination.cluster.bind_addr", "127.0.0.1:0")
        .set("coordination.cluster.seeds", seeds)
        .set("coordination.cluster.bootstrap", seed.is_none().to_string())
        .set("coordination.cluster.bootstrap_expect", "3")
        .set("limits.min_free_disk_percent", "0")
        .load()
        .unwrap();
    Node::start(config).await
}

fn credentials(folder: &Path) {
    let day = Duration::from_secs(86_400);
    let authority = CertificateAuthority::create("test", day).unwrap();
    std::fs::write(folder.join("ca.crt"), authority.cert_pem()).unwrap();
    std::fs::write(folder.join("gossip.key"), "a secret for tests only").unwrap();
    std::fs::write(folder.join("token"), TOKEN).unwrap();
    for name in NODES {
        let sans = ["127.0.0.1".to_owned()];
        let issued = authority.issue(&NodeId::from(name), &sans, day).unwrap();
        let path = |ending| folder.join(format!("{name}.{ending}"));
        issued.save(&path("crt"), &path("key")).unwrap();
    }
}
