//! An agent's state goes from the node that ran it to the node that will.
//!
//! The new node asks; the old one stops the agent, answers with its state, and keeps it until it is told to forget. Both
//! sides are fenced by the epoch of the new assignment: once a node has answered for an epoch, it never runs the agent
//! under an older one, whatever its own view of the catalog says.

use crate::checkpoint::newest;
use crate::node::Shared;
use crate::peer;
use crate::restored::BEFORE;
use caxton_cluster::Service;
use caxton_host::AgentBundle;
use caxton_model::{AgentName, AgentRecord, Epoch, NodeId};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{debug, info, warn};

/// How long the previous node may take: it finishes the message in flight first, and sends the state.
const GIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long nodes that may hold a copy may take.
const COPY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a node asks another about an agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    /// I am to run it under this epoch: stop it if you run it, and give me what you have of it.
    Give { agent: AgentName, epoch: Epoch },
    /// I have its state: you need not keep it.
    Forget { agent: AgentName, epoch: Epoch },
}

/// What it answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// All that is here of it.
    State(Option<AgentBundle>),
    /// It is forgotten, or was not here.
    Forgotten,
}

/// Below which epochs agents must not run here, and who may start or stop an agent now.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    agents: Mutex<BTreeMap<AgentName, Arc<tokio::sync::Mutex<Epoch>>>>,
}

impl Fences {
    /// The agent's fence, held while the agent is started or stopped: the lowest epoch that it may run under.
    pub(crate) async fn hold(&self, agent: &AgentName) -> tokio::sync::OwnedMutexGuard<Epoch> {
        let fence = {
            let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(agents.entry(agent.clone()).or_default())
        };
        fence.lock_owned().await
    }
}

/// Brings the state of an agent that is assigned here into this node's store. Answers who may forget it once it runs.
///
/// # Errors
/// If the state is somewhere but could not be had now. Nothing has changed here; it should be tried again.
pub(crate) async fn take_over(shared: &Shared, record: &AgentRecord) -> Result<Option<NodeId>, String> {
    let agent = &record.spec.name;
    let epoch = record.assignment.epoch;
    let here = shared.store.agents().await.map_err(|error| error.to_string())?;
    let here = here.into_iter().find(|position| position.agent == *agent);
    if here.is_some_and(|position| position.epoch == epoch) {
        return Ok(None);
    }
    let Some(previous) = &record.assignment.previous else {
        // It never ran in this cluster: what is here is of a removed agent with the same name.
        shared
            .store
            .remove(agent)
            .await
            .map_err(|error| error.to_string())?;
        from_copies(shared, agent, epoch, |bundle| bundle.epoch == BEFORE).await?;
        return Ok(None);
    };
    let given = if previous == shared.id() {
        shared
            .store
            .snapshot(agent)
            .await
            .map_err(|error| error.to_string())?
    } else {
        match give(shared, previous, agent, epoch, GIVE_TIMEOUT).await {
            Ok(given) => given,
            Err(reason) if shared.is_live(previous) => return Err(reason),
            Err(reason) => {
                debug!(%agent, %previous, reason, "the previous node is gone");
                None
            }
        }
    };
    match given {
        Some(bundle) => {
            restore(shared, bundle).await?;
            Ok(Some(previous.clone()).filter(|node| node != shared.id()))
        }
        None => {
            from_copies(shared, agent, epoch, |_| true).await?;
            Ok(None)
        }
    }
}

/// Nobody can hand the state over: the newest fitting copy on any live node has to do, if there is one.
async fn from_copies(
    shared: &Shared,
    agent: &AgentName,
    epoch: Epoch,
    fits: impl Fn(&AgentBundle) -> bool,
) -> Result<(), String> {
    let others = shared.live_others();
    let asked = others
        .iter()
        .map(|node| give(shared, node, agent, epoch, COPY_TIMEOUT));
    let mut bundles = vec![shared.copies.newest(agent).await];
    for (node, answer) in others.iter().zip(join_all(asked).await) {
        match answer {
            Ok(bundle) => bundles.push(bundle),
            Err(reason) => warn!(%agent, %node, reason, "no copy from there"),
        }
    }
    match bundles.into_iter().flatten().filter(fits).max_by_key(newest) {
        Some(bundle) => {
            info!(%agent, epoch = bundle.epoch.0, revision = bundle.revision, "state restored from the newest copy");
            restore(shared, bundle).await
        }
        None => {
            debug!(%agent, "no state found: the agent starts empty");
            Ok(())
        }
    }
}

async fn restore(shared: &Shared, bundle: AgentBundle) -> Result<(), String> {
    // `false` says that something newer is here already: then that is the state.
    shared
        .store
        .restore(bundle)
        .await
        .map(|_| ())
        .map_err(|error| error.to_string())
}

async fn give(
    shared: &Shared,
    node: &NodeId,
    agent: &AgentName,
    epoch: Epoch,
    timeout: Duration,
) -> Result<Option<AgentBundle>, String> {
    let agent = agent.clone();
    let question = Question::Give { agent, epoch };
    match peer::ask(shared, node, Service::HANDOFF, &question, timeout).await {
        Ok(Answer::State(bundle)) => Ok(bundle),
        Ok(Answer::Forgotten) => Err(format!("{node} answered another question")),
        Err(error) => Err(error.to_string()),
    }
}

/// Tells the previous node that it need not keep the state. If that fails, it keeps a copy that nobody needs.
pub(crate) async fn release(shared: &Shared, previous: &NodeId, agent: &AgentName, epoch: Epoch) {
    let agent = agent.clone();
    let question = Question::Forget { agent, epoch };
    let answer = peer::ask::<_, Answer>(shared, previous, Service::HANDOFF, &question, COPY_TIMEOUT).await;
    if let Err(error) = answer {
        debug!(%previous, %error, "the previous node keeps the state for now");
    }
}

/// Answers a node that is to run an agent.
pub(crate) async fn answer(shared: &Shared, question: Question) -> Result<Answer, String> {
    match question {
        Question::Give { agent, epoch } => {
            let mut fence = shared.fences.hold(&agent).await;
            let known = shared
                .cluster
                .catalog()
                .agent(&agent)
                .map(|record| record.assignment.epoch);
            let newest_known = known.unwrap_or_default().max(*fence);
            if newest_known > epoch {
                return Err(format!(
                    "{agent} has epoch {} by now, not {}",
                    newest_known.0, epoch.0
                ));
            }
            *fence = epoch;
            if runs_below(shared, &agent, epoch) {
                shared
                    .host
                    .stop_agent(&agent)
                    .await
                    .map_err(|error| error.to_string())?;
                info!(%agent, epoch = epoch.0, "stopped to be handed over");
            }
            let ran = shared
                .store
                .snapshot(&agent)
                .await
                .map_err(|error| error.to_string())?;
            let copy = shared.copies.newest(&agent).await;
            Ok(Answer::State(ran.into_iter().chain(copy).max_by_key(newest)))
        }
        Question::Forget { agent, epoch } => {
            let _fence = shared.fences.hold(&agent).await;
            let snapshot = shared
                .store
                .snapshot(&agent)
                .await
                .map_err(|error| error.to_string())?;
            if let Some(bundle) = snapshot.filter(|bundle| bundle.epoch < epoch) {
                // A copy remains for the case that the new node dies before it has made its own.
                shared
                    .copies
                    .keep(bundle)
                    .await
                    .map_err(|error| error.to_string())?;
                shared
                    .store
                    .remove(&agent)
                    .await
                    .map_err(|error| error.to_string())?;
            }
            Ok(Answer::Forgotten)
        }
    }
}

fn runs_below(shared: &Shared, agent: &AgentName, epoch: Epoch) -> bool {
    let mut here = shared.host.agents().into_iter();
    here.any(|running| running.name == *agent && running.epoch < epoch)
}
