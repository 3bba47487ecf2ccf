//! Whether this node can do its work.

use crate::metrics::disk_usage_percent;
use crate::node::Shared;
use caxton_cluster::MemberState;
use caxton_host::AgentStatus;
use caxton_model::api::{Health, HealthCheck};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the store may take to write.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an agent may be on its way to this node before that is a failure.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Makes all checks.
pub(crate) async fn check(shared: &Shared) -> Health {
    let checks = vec![
        quorum(shared),
        membership(shared),
        storage(shared).await,
        disk(shared),
        agents(shared),
    ];
    let healthy = checks.iter().all(|check| check.ok);
    Health {
        status: if healthy { "healthy" } else { "unhealthy" }.to_owned(),
        node: shared.id().clone(),
        version: shared.version().clone(),
        checks,
    }
}

/// Since when something has been amiss.
#[derive(Debug, Default)]
pub(crate) struct Amiss(Mutex<Option<Instant>>);

impl Amiss {
    /// Says whether it is amiss now; answers for how long it has been.
    fn since(&self, amiss: bool) -> Duration {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !amiss {
            *since = None;
        } else if since.is_none() {
            *since = Some(Instant::now());
        }
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

fn of(name: &str, ok: bool, detail: impl Into<String>) -> HealthCheck {
    HealthCheck {
        name: name.to_owned(),
        ok,
        detail: detail.into(),
    }
}

fn quorum(shared: &Shared) -> HealthCheck {
    let status = shared.cluster.status();
    match (&status.leader, status.quorum) {
        (Some(leader), true) => of("quorum", true, format!("{leader} leads in term {}", status.term)),
        (Some(leader), false) => of(
            "quorum",
            false,
            format!("{leader} leads without a majority of voters"),
        ),
        (None, _) => of(
            "quorum",
            false,
            "no leader is known; a majority of voters must be up",
        ),
    }
}

fn membership(shared: &Shared) -> HealthCheck {
    let members = shared.cluster.members();
    let own = members.iter().find(|member| member.id == *shared.id());
    let alive = members
        .iter()
        .filter(|member| member.state == MemberState::Alive)
        .count();
    match own {
        Some(own) if own.state.is_live() => {
            of("membership", true, format!("{alive} of {} alive", members.len()))
        }
        Some(own) => of(
            "membership",
            false,
            format!("gossip calls this node {}", own.state),
        ),
        None => of("membership", false, "gossip does not know this node"),
    }
}

async fn storage(shared: &Shared) -> HealthCheck {
    let started = Instant::now();
    // Nothing is changed by it, but it has to go through the writer to the disk and back.
    match tokio::time::timeout(STORE_TIMEOUT, shared.store.done(Vec::new())).await {
        Ok(Ok(())) => of(
            "storage",
            true,
            format!("written in {} ms", started.elapsed().as_millis()),
        ),
        Ok(Err(error)) => of("storage", false, error.to_string()),
        Err(_) => of(
            "storage",
            false,
            format!("not written within {} s", STORE_TIMEOUT.as_secs()),
        ),
    }
}

fn disk(shared: &Shared) -> HealthCheck {
    let wanted = shared.config.limits.min_free_disk_percent;
    match disk_usage_percent(&shared.config.storage.data_dir) {
        Ok(used) => {
            let free = 100.0 - used;
            of(
                "disk",
                free >= wanted,
                format!("{free:.1} % free, expected at least {wanted} %"),
            )
        }
        Err(error) => of("disk", false, format!("cannot be asked: {error}")),
    }
}

/// Notes for how long agents have been missing, so that a single check can tell.
pub(crate) fn watch_agents(shared: &Shared) {
    let missing = !missing(shared).is_empty();
    shared.agents_missing.since(missing);
}

fn missing(shared: &Shared) -> Vec<String> {
    let here = shared.host.agents();
    let running: BTreeSet<_> = here.iter().map(|agent| &agent.name).collect();
    let catalog = shared.cluster.catalog();
    let assigned = catalog.agents_on(shared.id()).map(|record| &record.spec.name);
    assigned
        .filter(|name| !running.contains(name))
        .map(ToString::to_string)
        .collect()
}

/// An agent that keeps failing is its author's business and leaves the node healthy; one that cannot be started does not.
fn agents(shared: &Shared) -> HealthCheck {
    let missing = missing(shared);
    let waited = shared.agents_missing.since(!missing.is_empty());
    let here = shared.host.agents();
    let failed: Vec<&str> = here
        .iter()
        .filter(|agent| agent.status == AgentStatus::Failed)
        .map(|agent| agent.name.as_str())
        .collect();
    let mut detail = format!("{} run", here.len() - failed.len());
    if !missing.is_empty() {
        detail += &format!(", not started: {}", missing.join(", "));
    }
    if !failed.is_empty() {
        detail += &format!(", given up: {}", failed.join(", "));
    }
    of("agents", waited < START_PATIENCE, detail)
}
