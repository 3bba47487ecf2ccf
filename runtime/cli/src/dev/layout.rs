//! Where a development cluster lies.
//!
//! ```text
//! FOLDER/NAME/cluster.json                       how many nodes, from which port on
//! FOLDER/NAME/{context.yaml, api.token, certs/}
//! FOLDER/NAME/node-1/{config.yaml, data/, log, process.json}
//! FOLDER/NAME/traffic/{stats.json, log, process.json}
//! ```

use super::process::Program;
use crate::{paths, security, server};
use anyhow::{Context as _, bail};
use caxton_client::Client;
use caxton_cluster::security::CertificateAuthority;
use caxton_model::api::ClientContext;
use caxton_model::{NodeId, Version};
use caxton_node::release::Layout;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ports between one node's and the next one's.
const PORTS_PER_NODE: u16 = 10;
/// How long the certificates are valid.
const VALIDITY: Duration = Duration::from_secs(3_650 * 24 * 3_600);

/// What a cluster was made as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    pub(super) nodes: u16,
    pub(super) port_base: u16,
}

/// A cluster on disk, whether it runs or not.
pub(super) struct DevCluster {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) shape: Shape,
}

/// One node of it.
pub(super) struct DevNode {
    pub(super) id: NodeId,
    folder: PathBuf,
    cluster_port: u16,
}

impl DevCluster {
    /// The cluster of that name, which somebody has made.
    pub(super) fn open(name: &str) -> anyhow::Result<Self> {
        let folder = folder(name)?;
        let path = folder.join("cluster.json");
        if !path.is_file() {
            bail!("there is no development cluster {name}; start one by `caxton dev up {name}`");
        }
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let shape =
            serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
        Ok(Self {
            name: name.to_owned(),
            folder,
            shape,
        })
    }

    /// Makes the cluster's certificates, token and configurations. `cluster.json` comes last: without it, making starts over.
    pub(super) fn create(name: &str, shape: Shape) -> anyhow::Result<Self> {
        let folder = folder(name)?;
        if folder.exists() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        let cluster = Self {
            name: name.to_owned(),
            folder,
            shape,
        };
        let certs = cluster.folder.join("certs");
        server::create_authority(&certs.join("ca.crt"), &certs.join("ca.key"), name, VALIDITY)?;
        server::write_private(&cluster.folder.join("api.token"), &server::new_secret()?)?;
        let authority = CertificateAuthority::load(&certs.join("ca.crt"), &certs.join("ca.key"))?;
        for node in cluster.nodes() {
            security::issue(
                &authority,
                &node.id,
                &["localhost".to_owned(), "127.0.0.1".to_owned()],
                VALIDITY,
                &certs,
            )?;
            write(
                &node.config(),
                &serde_saphyr::to_string(&cluster.config_of(&node))?,
            )?;
        }
        let context = ClientContext {
            endpoints: cluster.nodes().map(|node| node.api_address()).collect(),
            token_file: "api.token".to_owned(),
        };
        write(&cluster.context(), &serde_saphyr::to_string(&context)?)?;
        write(
            &cluster.folder.join("cluster.json"),
            &serde_json::to_string_pretty(&cluster.shape)?,
        )?;
        Ok(cluster)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = DevNode> {
        (1..=self.shape.nodes).map(|number| {
            let id = NodeId(format!("node-{number}"));
            DevNode {
                folder: self.folder.join(id.as_str()),
                id,
                cluster_port: self.shape.port_base + PORTS_PER_NODE * (number - 1),
            }
        })
    }

    pub(super) fn node(&self, id: &str) -> anyhow::Result<DevNode> {
        match self.nodes().find(|node| node.id.as_str() == id) {
            Some(node) => Ok(node),
            None => bail!(
                "the cluster {} has no node {id}; it has node-1 to node-{}",
                self.name,
                self.shape.nodes
            ),
        }
    }

    pub(super) fn context(&self) -> PathBuf {
        self.folder.join("context.yaml")
    }

    pub(super) fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::from_context(self.context())?)
    }

    /// The message generator.
    pub(super) fn generator(&self) -> Program {
        Program::new(self.folder.join("traffic"))
    }

    /// Where the message generator writes its figures.
    pub(super) fn stats(&self) -> PathBuf {
        self.folder.join("traffic/stats.json")
    }

    fn config_of(&self, node: &DevNode) -> serde_json::Value {
        let others = self.nodes().filter(|other| other.id != node.id);
        let seeds: Vec<String> = others
            .map(|other| format!("127.0.0.1:{}", other.cluster_port))
            .collect();
        json!({
            "node": { "id": node.id },
            "coordination": { "cluster": {
                "bind_addr": format!("127.0.0.1:{}", node.cluster_port),
                // The first node founds the cluster; once it has data, it comes back as any other.
                "bootstrap": node.id.as_str() == "node-1",
                "bootstrap_expect": self.shape.nodes,
                "seeds": seeds,
            } },
            "security": { "cluster": { "mtls": { "ca_cert": "../certs/ca.crt" } } },
            "storage": { "data_dir": "data" },
            "api": {
                "bind_addr": format!("127.0.0.1:{}", node.cluster_port + 1),
                "token_file": "../api.token",
            },
            "metrics": { "bind_addr": format!("127.0.0.1:{}", node.cluster_port + 2) },
        })
    }
}

impl DevNode {
    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("config.yaml")
    }

    pub(super) fn api_address(&self) -> String {
        format!("http://127.0.0.1:{}", self.cluster_port + 1)
    }

    pub(super) fn ports(&self) -> [u16; 3] {
        [self.cluster_port, self.cluster_port + 1, self.cluster_port + 2]
    }

    pub(super) fn program(&self) -> Program {
        Program::new(self.folder.clone())
    }

    /// Installs a release, unless the node has one: its upgrades are its own.
    pub(super) fn install(&self, archive: &Path) -> anyhow::Result<()> {
        let layout = Layout::new(&self.folder.join("data"));
        if layout.current().is_none() {
            layout
                .install(archive)
                .with_context(|| format!("cannot install {}", archive.display()))?;
        }
        Ok(())
    }

    /// Starts the node, from its release if it has one, else from the running binary.
    pub(super) fn start(&self) -> anyhow::Result<()> {
        let layout = Layout::new(&self.folder.join("data"));
        let binary = match layout.current() {
            Some(version) => layout.binary(&version),
            None => std::env::current_exe()?,
        };
        let config = self.config().display().to_string();
        self.program()
            .start(&binary, &["server", "start", "--config", &config])
    }

    /// The version that the node would start from; `None` if it has no release.
    pub(super) fn installed(&self) -> Option<Version> {
        Layout::new(&self.folder.join("data")).current()
    }
}

/// Where the cluster of that name lies. `caxplan` finds it there too.
pub(super) fn folder(name: &str) -> anyhow::Result<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || !name.chars().all(plain) {
        bail!("{name:?} is no name of a development cluster: use letters, digits, '-' and '_'");
    }
    let absolute = |variable: &str| {
        std::env::var_os(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let root = absolute("CAXTON_DEV_DIR")
        .or_else(|| absolute("XDG_STATE_HOME").map(|state| state.join("caxton/dev")))
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state/caxton/dev")))
        .context("there is no folder for development clusters: set HOME or CAXTON_DEV_DIR")?;
    paths::text(&root)?;
    Ok(root.join(name))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
