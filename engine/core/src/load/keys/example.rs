//! An example of the value of each key, as YAML: shown by editors, and with a value of the wrong kind.

use super::{Object, Shape};

/// By the name of the object's definition and the key's name.
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "plan",
        &[
            ("caxplan", "1"),
            ("name", "cluster upgrade"),
            ("description", "Upgrades all nodes, one after the other"),
            (
                "params",
                "{version: {type: version}, full: {type: boolean, default: false}}",
            ),
            ("vars", "{dest: \"/backup/{{ params.version }}\"}"),
            ("use", "[lib/cluster.yaml]"),
            ("inventory", "inventory.yaml"),
            ("secrets", "{token: {env: API_TOKEN}}"),
            ("env", "[HOME, LANG]"),
            ("lock", "cluster"),
            ("defaults", "{timeout: 10m, retry: {attempts: 3}}"),
            ("max_parallel", "4"),
            ("overrides", "{upgrade/canary: {timeout: 20m}}"),
            ("schedule", "{cron: \"0 2 * * *\", timezone: Europe/Berlin}"),
            (
                "upgrade_strategy",
                "{type: rolling, phases: [{name: check, steps: [verify_cluster_health]}]}",
            ),
            (
                "strategy",
                "{type: sequential, phases: [{name: check, steps: [verify_cluster_health]}]}",
            ),
            (
                "phases",
                "[{name: greet, steps: [{shell.run: {argv: [echo, hello]}}]}]",
            ),
        ],
    ),
    (
        "param",
        &[
            ("default", "1.2.0"),
            ("description", "The version to upgrade to"),
            ("pattern", "[a-z]+-[0-9]+"),
            ("min", "1"),
            ("max", "100"),
            ("values", "[full, incremental]"),
        ],
    ),
    (
        "defaults",
        &[
            ("retry", "{attempts: 3}"),
            ("arguments", "{ssh: {user: deploy}}"),
            ("observe", "{http.request: {url: \"http://localhost/metrics\"}}"),
        ],
    ),
    (
        "phase",
        &[
            ("name", "rolling_upgrade"),
            ("description", "All nodes, one after the other"),
            ("when", "params.full"),
            ("steps", "[{shell.run: {argv: [echo, hello]}}]"),
            ("checkpoint", "canary-upgraded"),
            ("max_parallel", "4"),
        ],
    ),
    (
        "strategy",
        &[("phases", "[{name: check, steps: [verify_cluster_health]}]")],
    ),
    (
        "secret",
        &[
            ("env", "API_TOKEN"),
            ("file", "/run/secrets/token"),
            ("command", "[pass, show, api/token]"),
        ],
    ),
    (
        "schedule",
        &[
            ("cron", "0 2 * * *"),
            ("timezone", "Europe/Berlin"),
            ("params", "{full: true}"),
        ],
    ),
    ("retry", &[("attempts", "5"), ("on", "[timeout, unavailable]")]),
    (
        "watch",
        &[
            ("observe", "{http.request: {url: \"http://localhost/metrics\"}}"),
            ("checks", "[\"error_rate < 1%\", \"p99_latency < 100ms\"]"),
            ("max_breaches", "2"),
        ],
    ),
    (
        "foreach",
        &[
            ("in", "\"{{ targets('role=storage') }}\""),
            ("var", "node"),
            ("when", "node.labels.zone == 'a'"),
            ("batch_size", "25%"),
            ("max_failures", "1"),
            ("max_unavailable", "1"),
        ],
    ),
    (
        "library",
        &[
            ("caxplan", "1"),
            ("name", "cluster actions"),
            ("description", "What upgrades of the cluster are made of"),
            ("vars", "{api: \"http://localhost:8080\"}"),
            ("defaults", "{timeout: 10m, retry: {attempts: 3}}"),
            ("use", "[lib/cluster.yaml]"),
            ("actions", "{greet: {shell.run: {argv: [echo, hello]}}}"),
        ],
    ),
    (
        "inventory_file",
        &[
            ("caxplan", "1"),
            ("name", "staging"),
            ("description", "The machines of the staging site"),
            ("inventory", "{targets: {node-1: {groups: [storage]}}}"),
        ],
    ),
    (
        "inventory",
        &[
            ("targets", "{node-1: {groups: [storage], vars: {port: 8081}}}"),
            ("groups", "{storage: {labels: {role: storage}}}"),
            ("vars", "{api: \"http://localhost:8080\"}"),
            ("params", "{version: 1.2.0}"),
            ("provision", "[{shell.run: {argv: [echo, ready]}}]"),
        ],
    ),
    (
        "target",
        &[
            ("groups", "[storage]"),
            ("labels", "{role: storage, zone: a}"),
            ("vars", "{port: 8081}"),
        ],
    ),
    (
        "group",
        &[
            ("targets", "[node-1, node-2]"),
            ("labels", "{role: storage, zone: a}"),
            ("vars", "{port: 8081}"),
        ],
    ),
    (
        "step_mapping",
        &[
            ("id", "upgrade_canary"),
            ("description", "The first node, to be watched"),
            ("action", "shell.run"),
            ("with", "{argv: [echo, hello]}"),
            ("target", "node-1"),
            ("needs", "[drain_traffic]"),
            ("when", "params.use_canary"),
            (
                "retry",
                "{attempts: 5, backoff: exponential, initial: 1s, max: 30s}",
            ),
            ("expect", "[\"output.status == 'active'\"]"),
            (
                "probe",
                "{shell.run: {argv: [test, -e, /srv/done], changes: false}}",
            ),
            ("rollback", "{shell.run: {argv: [rm, /srv/done]}}"),
            ("checkpoint", "canary-upgraded"),
            ("parallel", "[{wait: 1s}, {wait: 2s}]"),
            ("max_parallel", "4"),
            ("block", "[{shell.run: {script: make}}]"),
            ("rescue", "[{shell.run: {script: make clean}}]"),
            ("always", "[{shell.run: {script: rm -f lock}}]"),
            ("foreach_node", "[drain_traffic, upgrade_node, restore_traffic]"),
            (
                "foreach",
                "{var: node, in: \"{{ targets('role=storage') }}\", batch_size: 25%}",
            ),
            ("steps", "[{shell.run: {argv: [echo, \"{{ item }}\"]}}]"),
            ("in", "[a, b]"),
            ("var", "node"),
            ("batch_size", "25%"),
            ("max_failures", "1"),
            ("max_unavailable", "1"),
            ("approve", "Canary looks good?"),
            ("checklist", "[Backup completed, Tested in staging]"),
            ("watch", "{for: 10m, every: 30s, checks: [\"error_rate < 1%\"]}"),
            ("run", "./backup.yaml"),
            ("params", "{type: full}"),
        ],
    ),
];

impl Object {
    /// An example of the value of one of its keys, as YAML.
    pub(in crate::load) fn example(&self, key: &str) -> Option<&'static str> {
        let (_, examples) = EXAMPLES.iter().find(|(schema, _)| *schema == self.schema)?;
        examples
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, example)| *example)
    }
}

impl Shape {
    /// An example of such a value, where every one is as good as another.
    pub(in crate::load) fn example(&self) -> Option<&'static str> {
        match self {
            Self::Duration => Some("5m"),
            Self::Count => Some("4"),
            Self::Boolean => Some("true"),
            Self::Word(words) => words.first().copied(),
            Self::Text
            | Self::Any
            | Self::AnyMap
            | Self::List(_)
            | Self::MapOf(_)
            | Self::OneOrMany(_)
            | Self::Either(_)
            | Self::Object(_)
            | Self::Step
            | Self::Call => None,
        }
    }
}
