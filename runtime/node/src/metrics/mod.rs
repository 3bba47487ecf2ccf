//! What a node measures: Prometheus series, and the figures of the last seconds for plans.

mod page;
mod system;

pub(crate) use page::{CONTENT_TYPE, render};
pub(crate) use system::disk_usage_percent;

use crate::node::Shared;
use caxton_cluster::MemberState;
use caxton_host::HostMetrics;
use caxton_model::api::MetricsSummary;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use system::{SystemSample, SystemSampler};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often the machine and a member are asked.
const PERIOD: Duration = Duration::from_secs(1);

/// What the node itself counts; the rest is looked up when somebody wants to know.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    accepted: AtomicU64,
    dead: AtomicU64,
    round_trip_us: AtomicU64,
    system: Mutex<SystemSample>,
}

/// All figures at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    host: HostMetrics,
    messages_accepted: u64,
    messages_dead: u64,
    outbox: u64,
    agents: u32,
    agent_memory_bytes: u64,
    nodes_alive: u32,
    nodes_failed: u32,
    round_trip: Duration,
    system: SystemSample,
}

impl Metrics {
    /// So many messages of clients were accepted.
    pub(crate) fn accepted(&self, messages: usize) {
        self.accepted.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// A message was given up.
    pub(crate) fn dead(&self) {
        self.dead.fetch_add(1, Ordering::Relaxed);
    }

    fn system(&self) -> SystemSample {
        *self.system.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Samples what cannot be looked up in an instant, until `stop`.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut sampler = SystemSampler::new();
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut turn = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = period.tick() => {}
        }
        *shared
            .metrics
            .system
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = sampler.sample();
        crate::health::watch_agents(&shared);
        // One member at a time, each in its turn.
        let others = shared.live_others();
        turn += 1;
        let Some(member) = others.get(turn % others.len().max(1)) else {
            continue;
        };
        if let Ok(time) = shared.cluster.ping(member).await {
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            shared.metrics.round_trip_us.store(micros, Ordering::Relaxed);
        }
    }
}

/// All figures now.
pub(crate) fn snapshot(shared: &Shared) -> Snapshot {
    let metrics = &shared.metrics;
    let agents = shared.host.agents();
    let members = shared.cluster.members();
    let count = |state| members.iter().filter(|member| member.state == state).count() as u32;
    Snapshot {
        host: shared.host.metrics(),
        messages_accepted: metrics.accepted.load(Ordering::Relaxed),
        messages_dead: metrics.dead.load(Ordering::Relaxed),
        outbox: shared.store.outbox_len(),
        agents: agents.len() as u32,
        agent_memory_bytes: agents.iter().map(|agent| agent.memory_bytes).sum(),
        nodes_alive: count(MemberState::Alive),
        nodes_failed: count(MemberState::Failed),
        round_trip: Duration::from_micros(metrics.round_trip_us.load(Ordering::Relaxed)),
        system: metrics.system(),
    }
}

/// The figures that plans check.
pub(crate) fn summary(shared: &Shared) -> MetricsSummary {
    let snapshot = snapshot(shared);
    let disk = disk_usage_percent(&shared.config.storage.data_dir).unwrap_or_else(|error| {
        warn!(%error, "the data folder's disk cannot be asked; taken for full");
        100.0
    });
    let recent = snapshot.host.recent;
    MetricsSummary {
        message_rate: recent.handled_per_second,
        error_rate_percent: recent.failed_percent,
        p50_latency_ms: recent.p50_ms,
        p99_latency_ms: recent.p99_ms,
        cpu_usage_percent: snapshot.system.cpu_percent,
        memory_usage_percent: snapshot.system.memory_percent,
        disk_usage_percent: disk,
        agent_count: snapshot.agents,
        agent_crashes_total: snapshot.host.crashes_total,
        nodes_alive: snapshot.nodes_alive,
        nodes_failed: snapshot.nodes_failed,
    }
}
