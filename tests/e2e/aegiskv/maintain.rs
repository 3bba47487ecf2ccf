//! Routine maintenance, and the settings that are changed in a hurry.

use super::cluster::Cluster;

// Runs plans/aegiskv/rolling-restart.yaml.
pub(crate) fn nodes_restart_one_at_a_time(cluster: &Cluster) {
    let before = cluster.processes();
    cluster
        .run("rolling-restart", &["-p", "pause=100ms"])
        .expect_code(0);
    let after = cluster.processes();
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(before, after)| before != after && *after > 0),
        "{before:?} {after:?}"
    );
    // Beside a node that is ill, nothing is restarted.
    cluster.node(3).run("systemctl stop aegiskv").expect_code(0);
    cluster
        .run("rolling-restart", &["-p", "pause=100ms"])
        .expect_code(1)
        .expect_text("node-3 is not well");
    assert_eq!(cluster.processes()[..2], after[..2]);
    // A node that does not come back ends the restart: the next one stays up.
    cluster.restore();
    let before = cluster.processes();
    cluster
        .node(1)
        .run("sed -i 's/{/{ \"read_timeout\": \"30s\",/' /etc/aegiskv/config.json")
        .expect_code(0);
    cluster
        .run("rolling-restart", &["-p", "pause=100ms"])
        .expect_code(1)
        .expect_text("cannot unmarshal string");
    assert_eq!(cluster.processes()[1..], before[1..]);
    // Its configuration mended, the run goes on where it stood.
    cluster
        .node(1)
        .run("sed -i 's/\"read_timeout\": \"30s\",//' /etc/aegiskv/config.json")
        .expect_code(0);
    let run = cluster.last_run();
    cluster.sandbox.caxplan(&["resume", &run]).expect_code(0);
    assert!(
        cluster
            .processes()
            .iter()
            .zip(&before)
            .all(|(after, before)| after != before && *after > 0)
    );
}

// Runs plans/aegiskv/config-reload.yaml.
pub(crate) fn a_reload_is_verified_in_the_log(cluster: &Cluster) {
    let before = cluster.processes();
    cluster
        .run("config-reload", &[])
        .expect_code(0)
        .expect_text("Applied: log_level=info");
    // A new file, for each node its own.
    let old = cluster.node(1).run("cat /etc/aegiskv/config.json").stdout;
    let template = cluster.sandbox.path().join("config.json");
    let config = format!("config={}", template.display());
    cluster.sandbox.file(
        "config.json",
        &old.replace("\"info\"", "\"debug\"")
            .replace("node-1", "{{ node }}"),
    );
    cluster
        .run("config-reload", &["-p", &config])
        .expect_code(0)
        .expect_text("Applied: log_level=debug");
    assert!(
        cluster
            .node(2)
            .run("cat /etc/aegiskv/config.json")
            .stdout
            .contains("\"node-2\"")
    );
    // A file that AegisKV does not take: the old one is back on all nodes, and the process never stopped.
    cluster.sandbox.file(
        "config.json",
        "{\"node_id\": \"{{ node }}\", \"drain_timeout\": \"30s\"}",
    );
    cluster
        .run("config-reload", &["-p", &config])
        .expect_code(3)
        .expect_text("Failed to reload config: json: cannot unmarshal string");
    assert!(
        cluster
            .node(1)
            .run("cat /etc/aegiskv/config.json")
            .stdout
            .contains("\"debug\"")
    );
    assert_eq!(cluster.processes(), before);
    // A process without a configuration file ignores the signal: said, instead of reported as done.
    cluster
        .node(1)
        .run("sed -i 's|--config /etc/aegiskv/config.json||' /etc/systemd/system/aegiskv.service && systemctl daemon-reload && systemctl restart aegiskv")
        .expect_code(0);
    cluster
        .run("config-reload", &[])
        .expect_code(3)
        .expect_text("started without --config and ignored the signal");
    // A unit without `ExecReload` gets the signal all the same.
    cluster.restore();
    cluster
        .node(1)
        .run("sed -i '/ExecReload/d' /etc/systemd/system/aegiskv.service && systemctl daemon-reload")
        .expect_code(0);
    cluster.run("config-reload", &[]).expect_code(0);
}

// Runs plans/aegiskv/wal-cleanup.yaml.
pub(crate) fn old_segments_are_moved_aside_and_back(cluster: &Cluster) {
    let node = cluster.node(2);
    let segments = || {
        node.run("cd /var/lib/aegiskv/wal && ls | sort -V | tr '\\n' ' '")
            .stdout
    };
    // 9 and 10: by name the wrong one would be the newest.
    node.run("cd /var/lib/aegiskv/wal && for n in 8 9 10 11; do echo data $n > wal-$n.log; done && chown aegiskv: *").expect_code(0);
    cluster
        .run("wal-cleanup", &["-p", "node=node-2"])
        .expect_code(5)
        .expect_text("POST /admin/wal/truncate: 404");
    assert_eq!(segments(), "wal-1.log wal-8.log wal-9.log wal-10.log wal-11.log ");
    let run = cluster.last_run();
    cluster
        .sandbox
        .caxplan(&["approve", &run, "segments_may_go"])
        .expect_code(0);
    cluster.sandbox.caxplan(&["resume", &run]).expect_code(0);
    assert_eq!(segments(), "wal-10.log wal-11.log ");
    let copy = node
        .run("tar -tzf /backup/aegiskv-node-2-*.tar.gz")
        .expect_code(0);
    assert!(copy.stdout.contains("./wal/wal-8.log"), "{}", copy.stdout);
    cluster
        .sandbox
        .caxplan(&["rollback", &run, "--yes"])
        .expect_code(3);
    assert_eq!(segments(), "wal-1.log wal-8.log wal-9.log wal-10.log wal-11.log ");
    // Not beside a node that is down, and not on a node that is not there.
    cluster.node(3).run("systemctl stop aegiskv").expect_code(0);
    cluster
        .run("wal-cleanup", &["-y", "-p", "node=node-2"])
        .expect_code(3)
        .expect_text("node-3 is not well");
    assert_eq!(segments(), "wal-1.log wal-8.log wal-9.log wal-10.log wal-11.log ");
    cluster
        .run("wal-cleanup", &["-y", "-p", "node=node-9"])
        .expect_code(3)
        .expect_text("the inventory has no node node-9");
}

// Runs plans/aegiskv/rate-limit.yaml.
pub(crate) fn a_rate_limit_goes_through_the_configuration(cluster: &Cluster) {
    cluster
        .run("rate-limit", &["-p", "ops_per_sec=1000", "-p", "pause=100ms"])
        .expect_code(0)
        .expect_text("POST /admin/rate-limit: 404");
    for host in cluster.nodes() {
        host.run("journalctl -u aegiskv -o cat | grep -q 'Rate limit: 1000'")
            .expect_code(0);
    }
    // Back to what was before, restarts included.
    let run = cluster.last_run();
    cluster
        .sandbox
        .caxplan(&["rollback", &run, "--yes"])
        .expect_code(3);
    for host in cluster.nodes() {
        host.run("! grep -q rate_limit /etc/aegiskv/config.json && systemctl is-active aegiskv")
            .expect_code(0);
    }
    cluster.node(1).run("systemctl stop aegiskv").expect_code(0);
    cluster
        .run("rate-limit", &["-p", "ops_per_sec=1000"])
        .expect_code(3)
        .expect_text("node-1 is not well");
}

// Runs plans/aegiskv/circuit-breaker.yaml.
pub(crate) fn a_service_is_cut_off_and_let_back(cluster: &Cluster) {
    let routes = |number| cluster.node(number).run("ip route show type blackhole").stdout;
    let address = "address=192.0.2.7";
    cluster
        .run("circuit-breaker", &["-p", "do=trip"])
        .expect_code(3)
        .expect_text("this version of AegisKV has no circuit breaker (404)");
    cluster
        .run("circuit-breaker", &["-p", "do=trip", "-p", address])
        .expect_code(0);
    assert!(routes(1).contains("192.0.2.7") && routes(3).contains("192.0.2.7"));
    cluster
        .run("circuit-breaker", &[])
        .expect_code(0)
        .expect_text("blackhole 192.0.2.7");
    cluster
        .run("circuit-breaker", &["-p", "do=reset", "-p", address])
        .expect_code(0);
    assert_eq!(routes(1) + &routes(3), "");
    // The cluster does not cut off itself.
    let own = format!("address={}", cluster.node(2).address);
    cluster
        .run("circuit-breaker", &["-p", "do=trip", "-p", &own])
        .expect_code(3)
        .expect_text("is a node of the cluster");
    assert_eq!(routes(1), "");
}
