//! `caxton dev up`

use super::layout::{DevCluster, DevNode, Shape, folder};
use super::{DEFAULT_NAME, status};
use crate::{exit::Exit, ui::Ui};
use anyhow::{Context as _, bail};
use caxton_client::Client;
use caxton_model::{AgentName, AgentSpec};
use caxton_node::config::HumanDuration;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often to look whether the cluster works.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The pause between two attempts to deploy while the cluster settles.
const DEPLOY_PAUSE: Duration = Duration::from_millis(300);

#[derive(clap::Args)]
pub(crate) struct Up {
    /// The cluster
    #[arg(default_value = DEFAULT_NAME)]
    name: String,
    /// How many nodes a new cluster has
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// The first port of a new cluster; each node uses three, ten apart
    #[arg(long, env = "CAXTON_DEV_PORT_BASE", default_value_t = 17_900, value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    port_base: u16,
    /// The release that nodes without one start from [default: this binary]
    #[arg(long, value_name = "ARCHIVE")]
    release: Option<PathBuf>,
    /// Deploy every agent of a folder: its `.wasm` and `.wat` files, by their names
    #[arg(long, value_name = "DIR")]
    agents: Option<PathBuf>,
    /// Deploy an agent; repeat for more
    #[arg(long = "agent", value_name = "NAME=MODULE")]
    agent: Vec<String>,
    /// Send that many messages a second; 0 stops it
    #[arg(long, value_name = "RATE")]
    traffic: Option<u32>,
    /// The agent that gets them
    #[arg(long, default_value = "echo", value_name = "AGENT")]
    traffic_to: String,
    /// How long to wait until the cluster works
    #[arg(long, default_value = "120s")]
    wait: HumanDuration,
}

impl Up {
    pub(super) async fn run(self, ui: &Ui) -> anyhow::Result<Exit> {
        let modules = self.modules()?;
        let deadline = Instant::now() + self.wait.0;
        let _lock = lock(&self.name)?;
        let cluster = match DevCluster::open(&self.name) {
            Ok(cluster) => cluster,
            Err(_) if !folder(&self.name)?.join("cluster.json").exists() => {
                let shape = Shape {
                    nodes: self.nodes,
                    port_base: self.port_base,
                };
                DevCluster::create(&self.name, shape)?
            }
            Err(error) => return Err(error),
        };
        if cluster.shape.nodes != self.nodes {
            ui.note(&format!(
                "the cluster {} has {} nodes; `caxton dev down --purge` first to make another one",
                self.name, cluster.shape.nodes
            ));
        }
        for node in cluster.nodes() {
            if node.program().process().is_none() {
                demand_free_ports(&node)?;
                if let Some(archive) = &self.release {
                    node.install(archive)?;
                }
                node.start()?;
            }
        }
        for node in cluster.nodes() {
            wait_healthy(&cluster, &node, deadline).await?;
        }
        for (name, path) in modules {
            deploy(&cluster.client()?, &name, &path, deadline).await?;
        }
        wait_agents(&cluster.client()?, deadline).await?;
        if let Some(rate) = self.traffic {
            self.generate(&cluster, rate).await?;
        }
        status::run(&cluster, ui).await
    }

    /// The agents to deploy, by name.
    fn modules(&self) -> anyhow::Result<BTreeMap<String, PathBuf>> {
        let mut modules = BTreeMap::new();
        if let Some(folder) = &self.agents {
            let entries =
                std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
            for entry in entries {
                let path = entry?.path();
                let is_module = path
                    .extension()
                    .is_some_and(|extension| extension == "wasm" || extension == "wat");
                if let (true, Some(name)) = (is_module, path.file_stem()) {
                    modules.insert(name.to_string_lossy().into_owned(), path.clone());
                }
            }
        }
        for text in &self.agent {
            let Some((name, path)) = text.split_once('=') else {
                bail!("--agent {text} is not NAME=MODULE");
            };
            modules.insert(name.to_owned(), PathBuf::from(path));
        }
        Ok(modules)
    }

    /// Lets the generator run at that rate; a generator that runs at it already goes on.
    async fn generate(&self, cluster: &DevCluster, rate: u32) -> anyhow::Result<()> {
        let generator = cluster.generator();
        let now = crate::traffic::Stats::read(&cluster.stats())
            .map(|stats| stats.rate)
            .unwrap_or(0);
        if generator.process().is_some() && now == rate {
            return Ok(());
        }
        generator.stop().await?;
        if rate == 0 {
            return Ok(());
        }
        let context = cluster.context().display().to_string();
        let stats = cluster.stats().display().to_string();
        let rate = rate.to_string();
        let arguments = [
            "message",
            "generate",
            "--context",
            &context,
            "--to",
            &self.traffic_to,
            "--rate",
            &rate,
            "--delivery",
            "at-least-once",
            "--stats",
            &stats,
        ];
        generator.start(&std::env::current_exe()?, &arguments)
    }
}

/// Two commands do not bring up the same cluster at once. The lock lies beside the cluster's folder, which may be remade.
pub(super) fn lock(name: &str) -> anyhow::Result<File> {
    let path = folder(name)?.with_extension("lock");
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

fn demand_free_ports(node: &DevNode) -> anyhow::Result<()> {
    for port in node.ports() {
        if let Err(error) = TcpListener::bind(("127.0.0.1", port)) {
            bail!(
                "port {port}, which {} needs, is taken by another program ({error}); \
                 choose others for a new cluster by --port-base",
                node.id
            );
        }
    }
    Ok(())
}

async fn wait_healthy(cluster: &DevCluster, node: &DevNode, deadline: Instant) -> anyhow::Result<()> {
    let client = cluster
        .client()?
        .pinned(&node.api_address())?
        .with_timeout(Duration::from_secs(2));
    loop {
        let last = match client.health().await {
            Ok(health) if health.status == "healthy" => return Ok(()),
            Ok(health) => {
                let failed = health.checks.iter().filter(|check| !check.ok);
                let details = failed.map(|check| format!("{}: {}", check.name, check.detail));
                details.collect::<Vec<_>>().join("; ")
            }
            Err(error) => error.to_string(),
        };
        if node.program().process().is_none() {
            bail!("{} has ended:\n{}", node.id, node.program().tail());
        }
        if Instant::now() >= deadline {
            bail!(
                "{} is not healthy: {last}\n(log: {})",
                node.id,
                node.program().log().display()
            );
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn deploy(client: &Client, name: &str, path: &PathBuf, deadline: Instant) -> anyhow::Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    loop {
        match try_deploy(client, name, &bytes).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                tokio::time::sleep(DEPLOY_PAUSE).await;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot deploy {name}")),
        }
    }
}

/// Deploys the agent, unless it is there with that module.
async fn try_deploy(client: &Client, name: &str, bytes: &[u8]) -> Result<(), caxton_client::ClientError> {
    let module = client.put_module(bytes.to_vec()).await?;
    let agents = client.agents().await?;
    if agents
        .iter()
        .any(|agent| agent.spec.name.as_str() == name && agent.spec.module == module.digest)
    {
        return Ok(());
    }
    let spec = AgentSpec {
        name: AgentName::from(name),
        module: module.digest,
        version: String::new(),
        capabilities: Vec::new(),
        priority: Default::default(),
        limits: Default::default(),
        restart: Default::default(),
        placement: Default::default(),
    };
    client.deploy(&spec).await.map(|_| ())
}

async fn wait_agents(client: &Client, deadline: Instant) -> anyhow::Result<()> {
    loop {
        let waiting: Vec<String> = client
            .agents()
            .await?
            .into_iter()
            .filter(|agent| !matches!(agent.status.as_str(), "running" | "suspended"))
            .map(|agent| format!("{} is {}", agent.spec.name, agent.status))
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("not all agents run: {}", waiting.join(", "));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
