//! The page that Prometheus reads.

use super::Snapshot;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

/// The content type of the page.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes all series.
pub(crate) fn render(snapshot: Snapshot) -> String {
    let mut registry = Registry::with_prefix("caxton");
    registry.register_collector(Box::new(snapshot));
    let mut page = String::new();
    text::encode(&mut page, &registry).expect("a String takes any text");
    page
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        // The encoder appends `_total` to the names of counters.
        let counters = [
            (
                "agent_crashes",
                "Traps, and time and memory limits hit",
                self.host.crashes_total,
            ),
            (
                "agent_messages_handled",
                "Messages that agents here handled",
                self.host.handled_total,
            ),
            (
                "agent_message_failures",
                "Attempts on which agents here failed",
                self.host.failed_total,
            ),
            (
                "agent_duplicates",
                "Messages that had been handled before",
                self.host.duplicates_total,
            ),
            (
                "messages_accepted",
                "Messages accepted from clients",
                self.messages_accepted,
            ),
            ("messages_dead", "Messages given up", self.messages_dead),
            (
                "messages_dropped",
                "At-most-once messages dropped for want of room",
                self.host.dropped_total,
            ),
        ];
        for (name, help, value) in counters {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            metric.encode_counter::<NoLabelSet, u64, f64>(&value, None)?;
        }
        let whole = [
            ("agents_running", "Agents here", u64::from(self.agents)),
            (
                "agent_memory_used_bytes",
                "Linear memory of all agents here",
                self.agent_memory_bytes,
            ),
            (
                "outbox_messages",
                "Accepted messages that are not handled yet",
                self.outbox,
            ),
            (
                "cluster_nodes_alive",
                "Members that gossip sees alive",
                u64::from(self.nodes_alive),
            ),
            (
                "cluster_nodes_failed",
                "Members that gossip sees failed",
                u64::from(self.nodes_failed),
            ),
            (
                "system_memory_available_bytes",
                "Memory left",
                self.system.memory_available_bytes,
            ),
        ];
        for (name, help, value) in whole {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            metric.encode_gauge(&value)?;
        }
        let decimal = [
            (
                "agent_message_latency_p99",
                "Seconds within which 99 of 100 messages of the last ten seconds were handled",
                self.host.recent.p99_ms / 1_000.0,
            ),
            (
                "cluster_gossip_latency_ms",
                "Round trip to the member asked last, in milliseconds",
                self.round_trip.as_secs_f64() * 1_000.0,
            ),
            (
                "system_cpu_usage_percent",
                "Load of all processors",
                self.system.cpu_percent,
            ),
        ];
        for (name, help, value) in decimal {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            metric.encode_gauge(&value)?;
        }
        self.encode_latency(&mut encoder)
    }
}

impl Snapshot {
    fn encode_latency(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let latency = &self.host.latency;
        let mut metric = encoder.encode_descriptor(
            "agent_message_latency",
            "Time from a message's acceptance until an agent here had handled it",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        // The encoder sums up by itself, and calls the last bucket `+Inf`.
        let mut below = 0;
        let mut buckets: Vec<(f64, u64)> = Vec::with_capacity(latency.buckets.len() + 1);
        for (bound, upto) in latency
            .buckets
            .iter()
            .copied()
            .chain([(f64::INFINITY, latency.count)])
        {
            buckets.push((bound, upto.saturating_sub(below)));
            below = upto;
        }
        metric.encode_histogram::<NoLabelSet>(latency.sum_seconds, latency.count, &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caxton_host::LatencyBuckets;

    /// Dashboards and alerts look for exactly these.
    #[test]
    fn series_have_their_documented_names() {
        let mut snapshot = Snapshot {
            nodes_alive: 5,
            agent_memory_bytes: 5_242_880,
            ..Snapshot::default()
        };
        snapshot.host.crashes_total = 1;
        snapshot.host.recent.p99_ms = 67.0;
        snapshot.host.latency = LatencyBuckets {
            buckets: vec![(0.001, 3), (0.002, 5)],
            count: 6,
            sum_seconds: 0.5,
        };
        let page = render(snapshot);
        for line in [
            "caxton_cluster_nodes_alive 5",
            "caxton_cluster_nodes_failed 0",
            "caxton_cluster_gossip_latency_ms 0.0",
            "caxton_agent_message_latency_p99 0.067",
            "caxton_agent_crashes_total 1",
            "caxton_agent_memory_used_bytes 5242880",
            "caxton_system_cpu_usage_percent 0.0",
            "caxton_system_memory_available_bytes 0",
            "caxton_agent_message_latency_seconds_count 6",
            "caxton_agent_message_latency_seconds_bucket{le=\"0.002\"} 5",
            "caxton_agent_message_latency_seconds_bucket{le=\"+Inf\"} 6",
        ] {
            assert!(page.lines().any(|it| it == line), "{line:?} is not in\n{page}");
        }
    }
}
