//! `caxton agents …` and `caxton agent …`

use crate::ui::{Table, Ui};
use crate::{connect::Connect, exit::Exit};
use anyhow::bail;
use caxton_model::AgentName;
use caxton_model::api::AgentInfo;
use serde_json::json;

#[derive(clap::Subcommand)]
pub(crate) enum AllCommand {
    /// List the agents
    List,
    /// Count the agents
    Count,
}

#[derive(clap::Subcommand)]
pub(crate) enum OneCommand {
    /// Show an agent
    Show(Named),
    /// Give an agent no more messages
    Suspend(Named),
    /// Give an agent messages again
    Resume(Named),
    /// Remove an agent and its state
    Remove(Remove),
}

/// Names an agent.
#[derive(clap::Args)]
pub(crate) struct Named {
    /// The agent's name
    agent: String,
}

#[derive(clap::Args)]
pub(crate) struct Remove {
    /// The agent's name
    agent: String,
    /// Do it: the agent's state is gone afterwards
    #[arg(long, visible_alias = "yes")]
    force: bool,
}

impl AllCommand {
    pub(crate) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        let agents = connect.client()?.agents().await?;
        match self {
            Self::List => show(ui, &agents),
            Self::Count => {
                let running = agents.iter().filter(|agent| agent.status == "running").count();
                let counts = json!({ "total": agents.len(), "running": running });
                ui.show(&counts, |_| format!("{} agents, {running} running", agents.len()))?;
                Ok(Exit::Done)
            }
        }
    }
}

impl OneCommand {
    pub(crate) async fn run(self, connect: &Connect, ui: &Ui) -> anyhow::Result<Exit> {
        let client = connect.client()?;
        match self {
            Self::Show(named) => {
                let agents = client.agents().await?;
                match agents
                    .iter()
                    .find(|agent| agent.spec.name.as_str() == named.agent)
                {
                    Some(agent) => show(ui, std::slice::from_ref(agent)),
                    None => bail!(
                        "there is no agent {}; `caxton agents list` lists all",
                        named.agent
                    ),
                }
            }
            Self::Suspend(named) => {
                let agent = client.suspend_agent(&AgentName(named.agent)).await?;
                show(ui, &[agent])
            }
            Self::Resume(named) => {
                let agent = client.resume_agent(&AgentName(named.agent)).await?;
                show(ui, &[agent])
            }
            Self::Remove(remove) => {
                if !remove.force {
                    bail!(
                        "removing {} removes its state too; say --force to do it",
                        remove.agent
                    );
                }
                client.remove_agent(&AgentName(remove.agent.clone())).await?;
                ui.note(&format!("{} is removed", remove.agent));
                Ok(Exit::Done)
            }
        }
    }
}

/// Shows some agents.
pub(crate) fn show(ui: &Ui, agents: &[AgentInfo]) -> anyhow::Result<Exit> {
    ui.show(agents, |agents| {
        let mut table = Table::new(&[
            "AGENT-ID", "STATUS", "NODE", "EPOCH", "PRIORITY", "VERSION", "MODULE",
        ]);
        for agent in agents {
            table.row([
                agent.spec.name.to_string(),
                agent.status.clone(),
                agent.node.as_ref().map_or("-".to_owned(), ToString::to_string),
                agent.epoch.0.to_string(),
                format!("{:?}", agent.spec.priority).to_lowercase(),
                if agent.spec.version.is_empty() {
                    "-".to_owned()
                } else {
                    agent.spec.version.clone()
                },
                agent.spec.module.as_str().chars().take(12).collect(),
            ]);
        }
        table.to_string()
    })?;
    Ok(Exit::Done)
}
