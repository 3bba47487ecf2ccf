//! An example of the value of each key, as YAML: shown by editors, and with a value of the wrong kind.

use super::{BODIES, Object, PLAN, Shape};

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
            (
                "notify",
                "[{on: [failed, stuck], shell.run: {argv: [tell, \"{{ run.message }}\"]}}]",
            ),
            ("invariants", "[{max_unavailable: 1, targets: group:web}]"),
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
            ("pattern", "\"[a-z]+-[0-9]+\""),
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
        "invariant",
        &[
            ("max_unavailable", "25%"),
            ("targets", "group:web"),
            ("condition", "alive >= 2"),
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
            ("needs", "[prepare]"),
            ("rollback", "[{shell.run: {script: ./undo.sh}}]"),
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
            ("age", "{file: secrets.age, key: db.password}"),
        ],
    ),
    (
        "age",
        &[
            ("file", "secrets.age"),
            ("identity", "~/.config/caxplan/key.txt"),
            ("key", "db.password"),
        ],
    ),
    ("age-identity", &[("env", "AGE_KEY")]),
    (
        "schedule",
        &[
            ("cron", "0 2 * * *"),
            ("outputs", "{path: \"{{ steps.copy.output.stdout | trim }}\"}"),
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
    ("lock", &[("name", "cluster"), ("holders", "3")]),
    (
        "maintenance_schedule",
        &[
            ("daily", "\"0 3 * * *\""),
            ("weekly", "\"0 4 * * 0\""),
            ("monthly", "\"0 5 1 * *\""),
            ("quarterly", "\"0 6 1 1,4,7,10 *\""),
        ],
    ),
    (
        "maintenance",
        &[("schedule", "{daily: \"0 3 * * *\", timezone: Europe/Berlin}")],
    ),
    ("backup", &[("schedule", "{timezone: Europe/Berlin}")]),
    ("period", &[("schedule", "{cron: \"0 3 * * *\"}")]),
    (
        "calendar",
        &[
            ("daily", "[rotate_logs, verify_backups]"),
            ("weekly", "[compact_database]"),
            ("monthly", "[security_audit]"),
            ("quarterly", "[disaster_recovery_drill]"),
        ],
    ),
    (
        "policy",
        &[
            (
                "schedule",
                "{full_backup: {frequency: daily, time: \"02:00\", retention: 30d}}",
            ),
            ("destinations", "[{type: local, path: /backup}]"),
            ("components", "[configuration, certificates]"),
        ],
    ),
    (
        "monitors",
        &[(
            "health_checks",
            "{node_health: {interval: 10s, checks: [\"cpu_usage < 80%\"]}}",
        )],
    ),
    (
        "rule",
        &[
            ("name", "high_cpu_usage"),
            ("condition", "cpu_usage > 70%"),
            ("action", "send_alert"),
        ],
    ),
    (
        "severities",
        &[
            (
                "critical",
                "[{name: node_down, condition: node_unreachable > 60s, action: page_oncall}]",
            ),
            (
                "warning",
                "[{name: high_cpu_usage, condition: cpu_usage > 70%, duration: 5m, action: send_alert}]",
            ),
            (
                "info",
                "[{name: high_load, condition: load > 4, action: send_alert}]",
            ),
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
            ("from", "{shell.run: {argv: [./targets.sh], changes: false}}"),
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
            ("groups", "[web, db]"),
            ("labels", "{role: storage, zone: a}"),
            ("vars", "{port: 8081}"),
        ],
    ),
    (
        "fails",
        &[("kind", "timeout"), ("message", "disk full"), ("attempts", "2")],
    ),
    (
        "fate",
        &[
            ("output", "{exit_code: 0, stdout: ok}"),
            ("before", "{version: 1.0.0}"),
            ("fails", "{kind: exit, message: disk full}"),
            ("in_doubt", "done"),
        ],
    ),
    (
        "expect",
        &[
            ("end", "rolled_back"),
            ("ran", "[prepare, upgrade]"),
            ("not_ran", "[finish]"),
            ("skipped", "[canary]"),
            ("failed", "[upgrade]"),
            ("undone", "[prepare]"),
            ("not_undone", "[]"),
            ("attempts", "{upgrade: 3}"),
            ("down", "[]"),
            ("max_down", "1"),
            ("within", "2h"),
            ("conditions", "[\"steps.check.output.exit_code == 0\"]"),
        ],
    ),
    (
        "case",
        &[
            ("name", "a full disk is rolled back"),
            ("params", "{version: 1.1.0}"),
            ("env", "{REGION: eu}"),
            ("secrets", "{token: secret}"),
            ("steps", "{upgrade: {fails: {message: disk full}}}"),
            ("answers", "{go_on: rejected}"),
            ("expect", "{end: rolled_back, undone: [prepare]}"),
        ],
    ),
    (
        "test",
        &[
            ("caxplan", "1"),
            ("plan", "upgrade.yaml"),
            ("params", "{version: 1.1.0}"),
            ("use", "actions/caxton.yaml"),
            ("inventory", "inventories/local.yaml"),
            ("cases", "[{name: all is well, expect: {end: succeeded}}]"),
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
            ("availability", "-1"),
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

/// By the key's name alone: keys that stand in several objects, and mean the same in each.
const EVERYWHERE: &[(&str, &str)] = &[
    ("description", "What it is for, for a person"),
    ("params", "{full: true}"),
    ("timezone", "Europe/Berlin"),
    ("cron", "0 2 * * *"),
    ("time", "\"02:00\""),
    ("day", "sunday"),
    ("with", "{argv: [echo, hello]}"),
    ("observe", "{http.request: {url: \"http://localhost/metrics\"}}"),
    ("steps", "[{shell.run: {argv: [echo, hello]}}]"),
    ("outputs", "{archive: \"{{ steps.pack.output.stdout }}\"}"),
    ("checks", "[\"error_rate < 1%\"]"),
];

/// What is taken where a key is not given, as YAML.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("plan", "caxplan", "1"),
    ("plan", "max_parallel", "0"),
    ("param", "type", "string"),
    ("param", "secret", "false"),
    ("phase", "order", "sequential"),
    ("watch", "every", "30s"),
    ("watch", "max_breaches", "0"),
    ("schedule", "timezone", "UTC"),
];

impl Object {
    /// What is taken where one of its keys is not given, as YAML.
    pub(in crate::load) fn default(&self, key: &str) -> Option<&'static str> {
        let found = DEFAULTS
            .iter()
            .find(|(schema, name, _)| (*schema, *name) == (self.schema, key));
        found.map(|(_, _, default)| *default)
    }

    /// An example of the value of one of its keys, as YAML.
    pub(in crate::load) fn example(&self, key: &str) -> Option<&'static str> {
        let of = |schema: &str| {
            let (_, examples) = EXAMPLES.iter().find(|(name, _)| *name == schema)?;
            examples.iter().find(|(name, _)| *name == key)
        };
        // Documents that hold several plans have the header of a plan.
        let header = || PLAN.has(key).then(|| of(PLAN.schema)).flatten();
        let is_document = BODIES.iter().any(|(body, _)| self.has(body));
        of(self.schema)
            .or_else(|| if is_document { header() } else { None })
            .or_else(|| EVERYWHERE.iter().find(|(name, _)| *name == key))
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
