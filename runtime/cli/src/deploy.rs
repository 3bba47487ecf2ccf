//! `caxton deploy MODULE`

use crate::{agents, connect::Connect, exit::Exit, ui::Ui};
use anyhow::Context as _;
use caxton_model::{AgentName, AgentSpec, Limits, NodeId, Placement, Priority, RestartPolicy};
use caxton_node::config::HumanDuration;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Deploy {
    /// The WebAssembly module, `.wasm` or `.wat`
    module: PathBuf,
    /// The agent's name [default: the file's name without its ending]
    #[arg(long)]
    name: Option<String>,
    /// The version that its author gave it
    #[arg(long = "agent-version", default_value = "")]
    version: String,
    /// Something that it can do; repeat for more
    #[arg(long = "capability")]
    capabilities: Vec<String>,
    /// low, normal, high or critical
    #[arg(long, default_value = "normal", value_parser = parse_priority)]
    priority: Priority,
    /// The largest linear memory in bytes
    #[arg(long)]
    memory_bytes: Option<u64>,
    /// The longest that handling one message may take
    #[arg(long)]
    message_time: Option<HumanDuration>,
    /// Only on this node
    #[arg(long)]
    node: Option<String>,
}

impl Deploy {
    pub(crate) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        let bytes =
            std::fs::read(&self.module).with_context(|| format!("cannot read {}", self.module.display()))?;
        let client = connect.client()?;
        let module = client.put_module(bytes).await?;
        let defaults = Limits::default();
        let stem = || {
            self.module
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let spec = AgentSpec {
            name: AgentName(self.name.clone().unwrap_or_else(stem)),
            module: module.digest,
            version: self.version,
            capabilities: self.capabilities,
            priority: self.priority,
            limits: Limits {
                memory_bytes: self.memory_bytes.unwrap_or(defaults.memory_bytes),
                message_time_ms: match self.message_time {
                    Some(time) => u64::try_from(time.0.as_millis())?,
                    None => defaults.message_time_ms,
                },
                ..defaults
            },
            restart: RestartPolicy::default(),
            placement: Placement {
                node: self.node.map(NodeId),
                prefer: Vec::new(),
            },
        };
        let info = client.deploy(&spec).await?;
        agents::show(ui, std::slice::from_ref(&info))
    }
}

fn parse_priority(text: &str) -> Result<Priority, String> {
    serde_json::from_value(text.into()).map_err(|_| "it is low, normal, high or critical".to_owned())
}
