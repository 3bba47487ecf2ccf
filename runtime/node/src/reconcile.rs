//! Makes this node run what the catalog assigns to it, and nothing else.

use crate::node::Shared;
use crate::{handoff, modules};
use caxton_core::Catalog;
use caxton_host::{AgentRuntimeInfo, HostError};
use caxton_model::{AgentName, AgentRecord, AgentSpec, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How many agents are started or stopped at the same time.
const CHANGES_MAX: usize = 32;
/// How often to look even if nothing was heard of.
const PERIOD: Duration = Duration::from_secs(1);
/// The pause before another try at an agent that could not be started.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// How often to forget what belongs to agents that were removed.
const SWEEP_PERIOD: Duration = Duration::from_secs(30);

/// One thing to do about one agent.
#[derive(Clone, Debug, PartialEq)]
enum Change {
    Start(Box<AgentRecord>),
    Stop,
    StopAndForget,
    Suspend(bool),
}

/// What was asked of the host for an agent that runs.
#[derive(Clone, Debug, PartialEq)]
struct Applied {
    spec: AgentSpec,
    suspended: bool,
}

/// Runs until `stop`. Agents go on running; stopping them is the host's business.
///
/// Begins when this node has seen the catalog as it is now, not as it was when the node stopped: else it might run what was
/// given to another node meanwhile. Later, without a majority, agents go on under the last known catalog.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut catalogs = shared.cluster.subscribe_catalog();
    tokio::select! {
        () = stop.cancelled() => return,
        () = first_catalog(&shared) => {}
    }
    let mut applied: BTreeMap<AgentName, Applied> = BTreeMap::new();
    let mut busy: BTreeSet<AgentName> = BTreeSet::new();
    let mut changes: JoinSet<(AgentName, Option<Applied>)> = JoinSet::new();
    let mut period = tokio::time::interval(PERIOD);
    let mut swept = Instant::now();
    loop {
        let catalog = shared.cluster.catalog();
        let todo = due(&catalog, &shared.host.agents(), &applied, shared.id());
        for (agent, change) in todo {
            if busy.len() >= CHANGES_MAX {
                break;
            }
            if busy.insert(agent.clone()) {
                changes.spawn(carry_out(Arc::clone(&shared), agent, change));
            }
        }
        if swept.elapsed() >= SWEEP_PERIOD && busy.is_empty() {
            swept = Instant::now();
            sweep(&shared, &catalog).await;
        }
        tokio::select! {
            () = stop.cancelled() => break,
            changed = catalogs.changed() => if changed.is_err() { break },
            _ = period.tick() => {}
            Some(done) = changes.join_next() => match done {
                Ok((agent, Some(now))) => {
                    busy.remove(&agent);
                    applied.insert(agent, now);
                }
                Ok((agent, None)) => {
                    busy.remove(&agent);
                    applied.remove(&agent);
                }
                // The agent stays busy: to try again what panicked would panic again.
                Err(error) => error!(%error, "starting or stopping an agent panicked"),
            },
        }
    }
    changes.join_all().await;
}

async fn first_catalog(shared: &Shared) {
    while let Err(error) = shared.cluster.read_catalog().await {
        warn!(%error, "agents wait until a majority of voters is there");
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// What differs between what the catalog wants here and what runs here.
fn due(
    catalog: &Catalog,
    running: &[AgentRuntimeInfo],
    applied: &BTreeMap<AgentName, Applied>,
    here: &NodeId,
) -> Vec<(AgentName, Change)> {
    let mut todo = Vec::new();
    let mut epochs = BTreeMap::new();
    for agent in running {
        epochs.insert(&agent.name, agent.epoch);
        match catalog.agent(&agent.name) {
            None => todo.push((agent.name.clone(), Change::StopAndForget)),
            Some(record) if record.assignment.node.as_ref() != Some(here) => {
                // A younger epoch than the catalog's means that the catalog here lags behind.
                if record.assignment.epoch > agent.epoch {
                    todo.push((agent.name.clone(), Change::Stop));
                }
            }
            Some(_) => {}
        }
    }
    for record in catalog.agents_on(here) {
        let name = &record.spec.name;
        let change = match (epochs.get(name), applied.get(name)) {
            (Some(epoch), Some(applied)) if *epoch == record.assignment.epoch => {
                let resumed = applied.suspended && !record.suspended;
                if applied.spec != record.spec || resumed {
                    // An agent that was given up starts afresh when it is resumed.
                    Change::Start(Box::new(record.clone()))
                } else if applied.suspended != record.suspended {
                    Change::Suspend(record.suspended)
                } else {
                    continue;
                }
            }
            (Some(epoch), _) if *epoch > record.assignment.epoch => continue,
            (Some(_) | None, _) => Change::Start(Box::new(record.clone())),
        };
        todo.push((name.clone(), change));
    }
    todo
}

/// Answers what was applied to the agent, or `None` if it does not run.
async fn carry_out(shared: Arc<Shared>, agent: AgentName, change: Change) -> (AgentName, Option<Applied>) {
    let result = match change {
        Change::Start(record) => start(&shared, &record).await,
        Change::Stop => stop(&shared, &agent, false).await.map(|()| None),
        Change::StopAndForget => stop(&shared, &agent, true).await.map(|()| None),
        Change::Suspend(suspended) => suspend(&shared, &agent, suspended),
    };
    match result {
        Ok(applied) => (agent, applied),
        Err(reason) => {
            warn!(%agent, reason, "not done yet");
            tokio::time::sleep(RETRY_PAUSE).await;
            (agent, None)
        }
    }
}

async fn start(shared: &Shared, record: &AgentRecord) -> Result<Option<Applied>, String> {
    let (agent, epoch) = (&record.spec.name, record.assignment.epoch);
    modules::ensure(shared, &record.spec.module).await?;
    let previous = handoff::take_over(shared, record).await?;
    {
        let mut fence = shared.fences.hold(agent).await;
        if *fence > epoch {
            return Err(format!("epoch {} was given to another node", fence.0));
        }
        shared
            .host
            .start_agent(&record.spec, epoch)
            .await
            .map_err(|error| error.to_string())?;
        shared
            .host
            .set_suspended(agent, record.suspended)
            .map_err(|error| error.to_string())?;
        *fence = epoch;
    }
    info!(%agent, epoch = epoch.0, version = record.spec.version, "started");
    if let Some(previous) = previous {
        handoff::release(shared, &previous, agent, epoch).await;
    }
    Ok(Some(Applied {
        spec: record.spec.clone(),
        suspended: record.suspended,
    }))
}

async fn stop(shared: &Shared, agent: &AgentName, forget: bool) -> Result<(), String> {
    let _fence = shared.fences.hold(agent).await;
    match shared.host.stop_agent(agent).await {
        Ok(()) => info!(%agent, "stopped"),
        Err(HostError::UnknownAgent(_)) => {}
        Err(error) => return Err(error.to_string()),
    }
    if forget {
        shared
            .store
            .remove(agent)
            .await
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn suspend(shared: &Shared, agent: &AgentName, suspended: bool) -> Result<Option<Applied>, String> {
    let catalog = shared.cluster.catalog();
    let record = catalog.agent(agent).ok_or("removed meanwhile")?;
    shared
        .host
        .set_suspended(agent, suspended)
        .map_err(|error| error.to_string())?;
    Ok(Some(Applied {
        spec: record.spec.clone(),
        suspended,
    }))
}

/// Forgets state and copies of agents that the catalog does not know any more.
async fn sweep(shared: &Shared, catalog: &Catalog) {
    let known = catalog.agents().keys().cloned().collect();
    if let Err(error) = shared.copies.retain(known).await {
        warn!(%error, "copies of removed agents cannot be forgotten");
    }
    let here = shared.store.agents().await.unwrap_or_default();
    for position in here
        .into_iter()
        .filter(|position| catalog.agent(&position.agent).is_none())
    {
        if let Err(reason) = stop(shared, &position.agent, true).await {
            warn!(agent = %position.agent, reason, "the state of a removed agent cannot be forgotten");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caxton_host::AgentStatus;
    use caxton_model::{CatalogCommand, Epoch, ModuleDigest, NodeRecord, NodeState, Version};

    fn catalog(commands: &[CatalogCommand]) -> Catalog {
        let mut catalog = Catalog::default();
        for id in ["n1", "n2"] {
            let node = NodeRecord {
                id: id.into(),
                cluster_addr: String::new(),
                api_addr: String::new(),
                version: Version::from("1.0.0"),
                state: NodeState::Active,
                desired_version: None,
            };
            catalog.apply(&CatalogCommand::RegisterNode { node });
        }
        for command in commands {
            catalog.apply(command);
        }
        catalog
    }

    fn spec(version: &str) -> AgentSpec {
        let spec = serde_json::json!({
            "name": "echo", "module": ModuleDigest::of(b"module"), "version": version,
        });
        serde_json::from_value(spec).unwrap()
    }

    fn deploy(version: &str) -> CatalogCommand {
        CatalogCommand::DeployAgent { spec: spec(version) }
    }

    fn assign(node: &str, seen: u64) -> CatalogCommand {
        CatalogCommand::Assign {
            agent: "echo".into(),
            node: node.into(),
            seen: Epoch(seen),
        }
    }

    fn suspended(suspended: bool) -> CatalogCommand {
        CatalogCommand::SuspendAgent {
            agent: "echo".into(),
            suspended,
        }
    }

    /// What is to be done on n1, where the agent runs under `running` with version 1, if it does.
    fn check(commands: &[CatalogCommand], running: Option<u64>, was_suspended: bool, expected: &str) {
        let catalog = catalog(commands);
        let agents = running.map(|epoch| AgentRuntimeInfo {
            name: "echo".into(),
            epoch: Epoch(epoch),
            status: AgentStatus::Running,
            reason: None,
            mailbox_len: 0,
            handled: 0,
            failed: 0,
            memory_bytes: 0,
        });
        let applied = Applied {
            spec: spec("1"),
            suspended: was_suspended,
        };
        let applied = running
            .map(|_| (AgentName::from("echo"), applied))
            .into_iter()
            .collect();
        let todo = due(&catalog, agents.as_slice(), &applied, &NodeId::from("n1"));
        let names: Vec<String> = todo
            .into_iter()
            .map(|(_, change)| match change {
                Change::Start(record) => {
                    format!("start {} {}", record.spec.version, record.assignment.epoch.0)
                }
                Change::Stop => "stop".to_owned(),
                Change::StopAndForget => "forget".to_owned(),
                Change::Suspend(suspended) => format!("suspend {suspended}"),
            })
            .collect();
        assert_eq!(names.join(", "), expected);
    }

    #[test]
    fn what_runs_here_follows_the_catalog() {
        check(&[], None, false, "");
        check(&[deploy("1")], None, false, "");
        check(&[deploy("1"), assign("n1", 0)], None, false, "start 1 1");
        check(&[deploy("1"), assign("n1", 0)], Some(1), false, "");
        check(
            &[deploy("1"), assign("n1", 0), deploy("2")],
            Some(1),
            false,
            "start 2 1",
        );
        check(
            &[deploy("1"), assign("n1", 0), assign("n2", 1)],
            Some(1),
            false,
            "stop",
        );
        check(&[], Some(1), false, "forget");
        // Moved away and back before this node noticed.
        check(
            &[deploy("1"), assign("n1", 0), assign("n2", 1), assign("n1", 2)],
            Some(1),
            false,
            "start 1 3",
        );
    }

    #[test]
    fn what_runs_under_a_newer_epoch_than_the_catalog_knows_is_left_alone() {
        check(&[deploy("1"), assign("n1", 0)], Some(2), false, "");
        check(&[deploy("1"), assign("n2", 0)], Some(2), false, "");
    }

    #[test]
    fn suspension_follows_the_catalog() {
        let assigned = [deploy("1"), assign("n1", 0), suspended(true)];
        check(&assigned, Some(1), false, "suspend true");
        check(&assigned, Some(1), true, "");
        check(&assigned[..2], Some(1), true, "start 1 1");
    }
}
