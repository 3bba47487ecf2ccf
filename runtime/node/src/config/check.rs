//! Values that do not fit each other.

use super::NodeConfig;

/// The longest name of a node: it becomes part of file names and of a certificate's subject.
const NODE_ID_BYTES_MAX: usize = 64;

/// Everything that does not fit, in the order of the keys.
pub(super) fn problems(config: &NodeConfig) -> Vec<String> {
    let mut problems = Vec::new();
    let mut demand = |met: bool, problem: &str| {
        if !met {
            problems.push(problem.to_owned());
        }
    };
    let id = config.node.id.as_str();
    demand(
        !id.is_empty()
            && id.len() <= NODE_ID_BYTES_MAX
            && id
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && !id.starts_with('.'),
        "node.id must have 1 to 64 letters, digits, '-', '_' or '.', and not begin with '.'",
    );
    let cluster = &config.coordination.cluster;
    demand(
        cluster.bootstrap_expect >= 1,
        "coordination.cluster.bootstrap_expect must be at least 1",
    );
    demand(
        cluster.gossip_fanout >= 1,
        "coordination.cluster.gossip_fanout must be at least 1",
    );
    demand(
        !cluster.gossip_interval.0.is_zero(),
        "coordination.cluster.gossip_interval must be longer than 0",
    );
    demand(
        cluster.probe_timeout < cluster.probe_interval,
        "coordination.cluster.probe_timeout must be shorter than probe_interval, or probes overlap",
    );
    demand(
        config.security.cluster.mtls.enabled,
        "security.cluster.mtls.enabled must be true: nodes speak to each other only over mutual TLS",
    );
    demand(
        (0.0..=100.0).contains(&config.limits.min_free_disk_percent),
        "limits.min_free_disk_percent must lie between 0 and 100",
    );
    demand(
        config.limits.max_agents >= 1,
        "limits.max_agents must be at least 1",
    );
    demand(
        config.limits.max_message_bytes >= 1,
        "limits.max_message_bytes must be at least 1",
    );
    demand(
        config.limits.max_outbox >= 1,
        "limits.max_outbox must be at least 1",
    );
    problems
}
