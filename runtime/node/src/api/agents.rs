//! Calls about modules and agents.

use super::error::Refusal;
use super::extract::Body;
use crate::modules;
use crate::node::Shared;
use crate::status::{self, AgentHere};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use caxton_host::AgentStatus;
use caxton_model::api::{AgentInfo, ModuleInfo};
use caxton_model::{AgentName, AgentRecord, AgentSpec, CatalogCommand, CatalogReply, NodeId};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a deployed agent may take to run before the call answers that it does not.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How often its node is asked.
const POLL: Duration = Duration::from_millis(50);

pub(super) async fn put_module(
    State(shared): State<Arc<Shared>>,
    module: Bytes,
) -> Result<Json<ModuleInfo>, Refusal> {
    let mut info = shared.host.validate(module.to_vec()).await?;
    let (_, nodes) = modules::distribute(&shared, module.to_vec()).await?;
    info.nodes = nodes;
    Ok(Json(info))
}

pub(super) async fn deploy(
    State(shared): State<Arc<Shared>>,
    Body(spec): Body<AgentSpec>,
) -> Result<Json<AgentInfo>, Refusal> {
    modules::ensure(&shared, &spec.module)
        .await
        .map_err(|reason| Refusal::conflict(reason).hint("send the module to `/v1/modules` first"))?;
    let agent = spec.name.clone();
    change(&shared, CatalogCommand::DeployAgent { spec }).await?;
    wait_until_settled(&shared, &agent).await
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Json<Vec<AgentInfo>> {
    let catalog = shared.cluster.catalog();
    let records: Vec<&AgentRecord> = catalog.agents().values().collect();
    let here = ask(&shared, &records).await;
    Json(records.into_iter().map(|record| info(record, &here)).collect())
}

pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(agent): Path<AgentName>,
) -> Result<(), Refusal> {
    change(&shared, CatalogCommand::RemoveAgent { agent }).await
}

pub(super) async fn suspend(
    State(shared): State<Arc<Shared>>,
    Path(agent): Path<AgentName>,
) -> Result<Json<AgentInfo>, Refusal> {
    set_suspended(&shared, agent, true).await
}

pub(super) async fn resume(
    State(shared): State<Arc<Shared>>,
    Path(agent): Path<AgentName>,
) -> Result<Json<AgentInfo>, Refusal> {
    set_suspended(&shared, agent, false).await
}

async fn set_suspended(
    shared: &Shared,
    agent: AgentName,
    suspended: bool,
) -> Result<Json<AgentInfo>, Refusal> {
    let command = CatalogCommand::SuspendAgent {
        agent: agent.clone(),
        suspended,
    };
    change(shared, command).await?;
    wait_until_settled(shared, &agent).await
}

async fn change(shared: &Shared, command: CatalogCommand) -> Result<(), Refusal> {
    match shared.cluster.propose(command).await? {
        CatalogReply::Applied { .. } => Ok(()),
        CatalogReply::Refused { refusal } => Err(refusal.into()),
    }
}

/// Waits until the agent is as the catalog wants it, or failed at that.
async fn wait_until_settled(shared: &Shared, agent: &AgentName) -> Result<Json<AgentInfo>, Refusal> {
    let started = Instant::now();
    loop {
        let catalog = shared.cluster.read_catalog().await?;
        let Some(record) = catalog.agent(agent) else {
            return Err(Refusal::conflict(format!("{agent} was removed meanwhile")));
        };
        let info = info(record, &ask(shared, &[record]).await);
        match info.status.as_str() {
            "running" | "suspended" => return Ok(Json(info)),
            "failed" => {
                return Err(Refusal::conflict(format!(
                    "{agent} was started and given up: see its node's log"
                )));
            }
            status if started.elapsed() >= START_TIMEOUT => {
                let node = info
                    .node
                    .map_or_else(|| "no node".to_owned(), |node| node.to_string());
                return Err(Refusal::timed_out(format!(
                    "{agent} is {status} on {node} after {} s",
                    START_TIMEOUT.as_secs()
                ))
                .hint(
                    "it is deployed and will start when it can; `caxton agents list` shows how it stands",
                ));
            }
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

type Here = BTreeMap<NodeId, Vec<AgentHere>>;

/// Asks the nodes of these agents what runs there. Nodes that do not answer are left out.
async fn ask(shared: &Shared, records: &[&AgentRecord]) -> Here {
    let nodes: BTreeSet<&NodeId> = records
        .iter()
        .filter_map(|record| record.assignment.node.as_ref())
        .collect();
    let answers = join_all(nodes.iter().map(|node| status::ask(shared, node))).await;
    let answered = nodes.into_iter().zip(answers);
    answered
        .filter_map(|(node, answer)| Some((node.clone(), answer.ok()?.agents)))
        .collect()
}

fn info(record: &AgentRecord, here: &Here) -> AgentInfo {
    let assignment = &record.assignment;
    let runs = assignment
        .node
        .as_ref()
        .and_then(|node| here.get(node))
        .and_then(|agents| {
            let name = &record.spec.name;
            agents
                .iter()
                .find(|agent| agent.name == *name && agent.epoch == assignment.epoch)
        });
    let status = match (&assignment.node, runs.map(|agent| agent.status)) {
        (None, _) => "unplaced",
        (Some(_), None) => "starting",
        (Some(_), Some(AgentStatus::Running)) => "running",
        (Some(_), Some(AgentStatus::Suspended)) => "suspended",
        (Some(_), Some(AgentStatus::Failed)) => "failed",
    };
    AgentInfo {
        spec: record.spec.clone(),
        status: status.to_owned(),
        node: assignment.node.clone(),
        epoch: assignment.epoch,
    }
}
