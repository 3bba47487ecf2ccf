//! Flags and the configuration file.

use serde_json::Value;
use std::time::Duration;

/// What the program was told.
pub(crate) struct Settings {
    pub(crate) config: Option<String>,
    pub(crate) node_id: String,
    pub(crate) bind: String,
    pub(crate) gossip: String,
    pub(crate) advertise: String,
    pub(crate) data_dir: String,
    pub(crate) seeds: Vec<String>,
    pub(crate) wal: bool,
    pub(crate) health: Option<String>,
    pub(crate) rate_limit: f64,
    pub(crate) log_level: String,
    pub(crate) pid_file: Option<String>,
    pub(crate) gossip_interval: Duration,
    pub(crate) dead_timeout: Duration,
}

/// Why the program does not start.
pub(crate) enum Refused {
    /// A flag that it does not know, or that lacks its value: exit code 2.
    Flag(String),
    /// A configuration file that cannot be read: exit code 1.
    Config(String),
}

/// Flags that take a value and that this program has no use for.
const OTHERS: [&str; 12] = [
    "client-advertise",
    "replication-factor",
    "shards",
    "max-memory",
    "auth-token",
    "tls-cert",
    "tls-key",
    "tls-ca",
    "gossip-secret",
    "rate-burst",
    "write-quorum",
    "read-quorum",
];

impl Settings {
    /// Reads the flags, and the file that they name. Addresses and the data directory come from the flags, or are the
    /// flags' defaults, whatever the file says: so it is in the real program.
    pub(crate) fn read(arguments: &[String]) -> Result<Self, Refused> {
        let mut given = std::collections::BTreeMap::new();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
                break;
            };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (name, words.next().cloned().unwrap_or_default()),
            };
            given.insert(name.to_owned(), value);
        }
        const KNOWN: [&str; 13] = [
            "config",
            "node-id",
            "bind",
            "gossip",
            "gossip-advertise",
            "data-dir",
            "seeds",
            "addrs",
            "wal",
            "health-addr",
            "rate-limit",
            "log-level",
            "pid-file",
        ];
        if let Some(name) = given.keys().find(|name| {
            !KNOWN.contains(&name.as_str()) && !OTHERS.contains(&name.as_str()) && *name != "drain-timeout"
        }) {
            return Err(Refused::Flag(format!("flag provided but not defined: -{name}")));
        }
        let mut take = |name: &str| given.remove(name).filter(|value| !value.is_empty());
        let config = take("config");
        let values = match &config {
            Some(path) => {
                file(path).map_err(|error| Refused::Config(format!("Failed to load config: {error}")))?
            }
            None => Value::Null,
        };
        let text = |key: &str| {
            values[key]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let nanoseconds =
            |key: &str, default: u64| Duration::from_nanos(values[key].as_u64().unwrap_or(default));
        let listed = values["seeds"].as_array().or_else(|| values["addrs"].as_array());
        let listed = listed.map(|seeds| {
            seeds
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        });
        let gossip = take("gossip").unwrap_or_else(|| "0.0.0.0:7701".to_owned());
        Ok(Self {
            node_id: take("node-id")
                .or_else(|| text("node_id"))
                .unwrap_or_else(hostname),
            bind: take("bind").unwrap_or_else(|| "0.0.0.0:7700".to_owned()),
            advertise: take("gossip-advertise")
                .or_else(|| text("gossip_advertise_addr"))
                .unwrap_or_else(|| gossip.clone()),
            gossip,
            data_dir: take("data-dir").unwrap_or_else(|| "./data".to_owned()),
            seeds: take("seeds")
                .or_else(|| take("addrs"))
                .map(|seeds| seeds.split(',').map(str::to_owned).collect())
                .or(listed)
                .unwrap_or_default(),
            wal: take("wal")
                .or_else(|| text("wal_mode"))
                .is_some_and(|mode| mode == "write" || mode == "fsync"),
            health: take("health-addr"),
            rate_limit: take("rate-limit")
                .and_then(|rate| rate.parse().ok())
                .or_else(|| values["rate_limit"].as_f64())
                .unwrap_or(0.0),
            log_level: take("log-level")
                .or_else(|| text("log_level"))
                .unwrap_or_else(|| "info".to_owned()),
            pid_file: take("pid-file"),
            gossip_interval: nanoseconds("gossip_interval", 1_000_000_000),
            dead_timeout: nanoseconds("dead_timeout", 10_000_000_000),
            config,
        })
    }

    /// What is logged after the start.
    pub(crate) fn banner(&self) -> Vec<String> {
        let mut lines = vec![
            format!("AegisKV node {} started", self.node_id),
            format!("  Bind address: {}", self.bind),
            format!("  Gossip address: {}", self.gossip),
            format!("  Data directory: {}", self.data_dir),
        ];
        if self.rate_limit > 0.0 {
            lines.push(format!("  Rate limit: {}", self.rate_limit));
        }
        if let Some(address) = &self.health {
            lines.push(format!("  Health endpoint: {address}"));
        }
        lines
    }
}

/// The configuration file. Durations are whole numbers of nanoseconds: a text such as `"30s"` is refused, as by the real
/// program.
pub(crate) fn file(path: &str) -> Result<Value, String> {
    const DURATIONS: [&str; 7] = [
        "gossip_interval",
        "suspect_timeout",
        "dead_timeout",
        "read_timeout",
        "write_timeout",
        "drain_timeout",
        "maintenance_interval",
    ];
    let text = std::fs::read_to_string(path).map_err(|error| format!("open {path}: {error}"))?;
    let values: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if let Some(key) = DURATIONS.iter().find(|key| values[**key].is_string()) {
        return Err(format!(
            "json: cannot unmarshal string into Go struct field Config.{key} of type time.Duration"
        ));
    }
    Ok(values)
}

/// The host's name, which is the node's if nothing else is said.
pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "node".to_owned(), |name| name.trim().to_owned())
}
