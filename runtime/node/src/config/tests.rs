//! What an operator sees of configurations.

use super::{ConfigError, Layers, differences};
use serde_json::json;

fn load(text: &str) -> Result<super::NodeConfig, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    Layers::new().file(&path).load()
}

/// The error of a text, without the folder.
fn error(text: &str) -> String {
    let message = load(text).unwrap_err().to_string();
    match message.find("config.yaml") {
        Some(start) => message[start..].to_owned(),
        None => message,
    }
}

#[test]
fn errors_name_the_place_and_what_was_meant() {
    for (text, expected) in [
        (
            "coordination:\n  cluster:\n    gosip_interval: 200ms\n",
            "config.yaml:3:5: unknown key \"gosip_interval\"\n  |\n3 |     gosip_interval: 200ms\n  |     ^\nhelp: did you mean \"gossip_interval\"?",
        ),
        ("apis: {}\n", "config.yaml:1:1: unknown key \"apis\""),
        (
            "coordination:\n  cluster:\n    probe_interval: fast\n",
            "config.yaml:3:21: \"fast\" is no duration",
        ),
        (
            "api:\n  bind_addr: here\n",
            "config.yaml:2:14: invalid socket address syntax",
        ),
        ("limits:\n  max_agents: many\n", "config.yaml:2:15: "),
        (
            "limits: {max_agents: 1, max_agents: 2}\n",
            "config.yaml:1:25: duplicate mapping key",
        ),
        (
            "limits: {max_agents: 0}\nsecurity: {cluster: {mtls: {enabled: false}}}\n",
            "config.yaml cannot be used:\n  - security.cluster.mtls.enabled must be true: nodes speak to each other only over mutual TLS\n  - limits.max_agents must be at least 1",
        ),
    ] {
        let message = error(text);
        assert!(message.starts_with(expected), "{text}\n=> {message}");
    }
}

#[test]
fn the_runbooks_file_is_understood() {
    let config = load(
        "coordination:\n  cluster:\n    bind_addr: 0.0.0.0:7946\n    bootstrap_expect: 3\n\
         security:\n  cluster:\n    mtls:\n      enabled: true\n      ca_cert: /etc/caxton/certs/ca.crt\nnode: {id: node-1}\n",
    )
    .unwrap();
    assert_eq!(config.coordination.cluster.bootstrap_expect, 3);
    assert_eq!(config.cert().to_str(), Some("/etc/caxton/certs/node-1.crt"));
    assert_eq!(
        config.gossip_key_file().to_str(),
        Some("/etc/caxton/certs/gossip.key")
    );
    assert!(!config.cluster_addr().starts_with("0.0.0.0"));
    assert!(config.api.bind_addr.ip().is_loopback());
}

#[test]
fn higher_layers_win() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, "limits: {max_agents: 5}\nstorage: {data_dir: data}\n").unwrap();
    let release = json!({"limits": {"max_agents": 4, "min_free_disk_percent": 7, "max_outbox": 9}});
    let layers = Layers::new()
        .release_defaults(&folder.path().join("release.yaml"), release)
        .file(&path);
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());

    let config = layers
        .clone()
        .environment([
            variable("CAXTON_LIMITS_MAX_OUTBOX", "10"),
            variable("CAXTON_CONTEXT", "elsewhere"),
            variable("CAXTON_API_BIND_ADDR", "127.0.0.1:1"),
        ])
        .set("api.bind_addr", "127.0.0.1:2")
        .load()
        .unwrap();
    assert_eq!(config.limits.max_agents, 5);
    assert_eq!(config.limits.min_free_disk_percent, 7.0);
    assert_eq!(config.limits.max_outbox, 10);
    assert_eq!(config.api.bind_addr.port(), 2);
    assert_eq!(config.storage.data_dir, folder.path().join("data"));

    let changed: Vec<_> = differences(&layers.clone().load().unwrap(), &config)
        .into_iter()
        .map(|difference| difference.key)
        .collect();
    assert_eq!(changed, ["api.bind_addr", "limits.max_outbox"]);

    let wrong = layers
        .environment([variable("CAXTON_LIMITS_MAX_AGENT", "1")])
        .load()
        .unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "environment variable CAXTON_LIMITS_MAX_AGENT: unknown key \"limits_max_agent\"\nhelp: did you mean \"limits.max_agents\"?"
    );
}
