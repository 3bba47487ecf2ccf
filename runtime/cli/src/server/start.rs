//! Runs a node: configuration, handover between releases, signals.

use super::certificates;
use crate::exit::Exit;
use crate::{paths, version};
use anyhow::{Context as _, bail};
use caxton_node::Node;
use caxton_node::config::{Layers, NodeConfig, RunningVersion};
use caxton_node::release::{Handover, ReleaseManifest, before_start, exec_current, give_up};
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Where `caxton init` writes it.
const INSTALLED: &str = "/etc/caxton/config.yaml";

#[derive(clap::Args)]
pub(crate) struct Start {
    /// The configuration [default: /etc/caxton/config.yaml if it is there; else one node on loopback]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Found the cluster, if this node's data knows of none yet
    #[arg(long, conflicts_with = "join")]
    bootstrap: bool,
    /// Members to join, `host:port`
    #[arg(long, value_delimiter = ',', value_name = "ADDRESS,…")]
    join: Vec<String>,
    /// Any key of the configuration, such as `api.bind_addr=127.0.0.1:8081`; repeat for more
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Write the log as JSON
    #[arg(long)]
    log_json: bool,
}

impl Start {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        init_log(self.log_json);
        let config = self.configuration()?;
        let data_dir = config.storage.data_dir.clone();
        prepare(&config)?;
        match before_start(&data_dir, &config.version.0)? {
            Handover::Stay => {}
            Handover::Exec => match exec_current(&data_dir)? {},
        }
        // Handlers come first, so that a signal during the start stops the node in order too.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let version = config.version.0.clone();
        let node = match Node::start(config).await {
            Ok(node) => node,
            Err(error) => {
                let reason = format!("{:#}", anyhow::Error::from(error));
                if give_up(&data_dir, &version, &reason)? {
                    tracing::error!(%reason, "this release does not start; going back to the one before");
                    match exec_current(&data_dir)? {}
                }
                bail!("the node did not start: {reason}");
            }
        };
        node.releases().confirm()?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("told to stop"),
            _ = interrupt.recv() => tracing::info!("interrupted"),
            () = node.releases().switch_requested() => {
                tracing::info!("making way for another release");
                node.shutdown().await;
                match exec_current(&data_dir)? {}
            }
        }
        node.shutdown().await;
        Ok(Exit::Done)
    }

    fn configuration(&self) -> anyhow::Result<NodeConfig> {
        let file = config_file(self.config.clone());
        let mut layers = layers(file.as_deref())?;
        if file.is_none() && self.join.is_empty() {
            let data_dir = own_data_dir().context("HOME is not set; give --config")?;
            layers = layers
                .set("storage.data_dir", paths::text(&data_dir)?)
                .set("coordination.cluster.bootstrap", "true");
        }
        if self.bootstrap {
            layers = layers.set("coordination.cluster.bootstrap", "true");
        }
        if !self.join.is_empty() {
            layers = layers.set("coordination.cluster.seeds", format!("[{}]", quoted(&self.join)));
        }
        for text in &self.overrides {
            let Some((key, value)) = text.split_once('=') else {
                bail!("--set {text} is not KEY=VALUE");
            };
            layers = layers.set(key, value);
        }
        let mut config = layers.load()?;
        config.version = RunningVersion(version::running());
        Ok(config)
    }
}

/// The file that a node reads if none is given.
pub(crate) fn config_file(given: Option<PathBuf>) -> Option<PathBuf> {
    given.or_else(|| Some(PathBuf::from(INSTALLED)).filter(|path| path.is_file()))
}

/// The layers that this binary reads with that file: its release's defaults, the file, the environment.
pub(crate) fn layers(file: Option<&Path>) -> anyhow::Result<Layers> {
    let mut layers = Layers::new().environment(std::env::vars());
    let exe = std::env::current_exe()?.canonicalize()?;
    if let Some((path, manifest)) = ReleaseManifest::of_binary(&exe)?
        && !manifest.defaults.is_null()
    {
        layers = layers.release_defaults(&path, manifest.defaults);
    }
    Ok(match file {
        Some(path) => layers.file(path),
        None => layers,
    })
}

/// Makes the folders and secrets that a first start needs, if nobody has made them.
fn prepare(config: &NodeConfig) -> anyhow::Result<()> {
    let data_dir = &config.storage.data_dir;
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("cannot create the data folder {}", data_dir.display()))?;
    certificates::prepare_token(&config.token_file())?;
    certificates::prepare_certificates(config)
}

/// Where a node without a configuration keeps its data.
fn own_data_dir() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state.or_else(home).map(|state| state.join("caxton/node"))
}

fn quoted(addresses: &[String]) -> String {
    let quoted: Vec<String> = addresses.iter().map(|address| format!("{address:?}")).collect();
    quoted.join(", ")
}

fn init_log(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,openraft=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json {
        builder.json().init();
    } else {
        builder.with_ansi(false).init();
    }
}
