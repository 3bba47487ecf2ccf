//! What is looked at every day, and what only looks.

use super::cluster::Cluster;

// Runs plans/aegiskv/daily-health-check.yaml.
pub(crate) fn health_is_checked_on_every_node(cluster: &Cluster) {
    cluster
        .run("daily-health-check", &[])
        .expect_code(0)
        .expect_text("node-1: healthy, ready, 0 connections, sees 4 members")
        .expect_text("node-3: healthy")
        .expect_text("wal: ");
    // One that is down fails the check, by name, and hides none of the others.
    cluster.node(2).run("systemctl stop aegiskv").expect_code(0);
    cluster
        .run("daily-health-check", &[])
        .expect_code(1)
        .expect_text("the unit on node-2 is inactive (success)")
        .expect_text("node-3: healthy");
    // One that runs without a health port does, too.
    cluster
        .node(2)
        .run("sed -i 's/--health-addr :7702//' /etc/systemd/system/aegiskv.service && systemctl daemon-reload && systemctl start aegiskv")
        .expect_code(0);
    cluster
        .run("daily-health-check", &[])
        .expect_code(1)
        .expect_text("nodes/node-2/health failed");
    cluster
        .run("daily-health-check", &["-p", "disk_max_percent=1"])
        .expect_code(1)
        .expect_text("% full");
}

// Runs plans/aegiskv/log-review.yaml.
pub(crate) fn logs_are_reviewed_by_their_words(cluster: &Cluster) {
    cluster
        .run("log-review", &[])
        .expect_code(0)
        .expect_text("node-1: 0 errors");
    // An error that AegisKV logs is of the priority `info` for journald: found by its word all the same.
    let node = cluster.node(3);
    node.run("echo broken > /etc/aegiskv/config.json && systemctl reload aegiskv")
        .expect_code(0);
    caxton_tests::wait_until("the error in the log", std::time::Duration::from_secs(10), || {
        node.run("journalctl -u aegiskv -o cat")
            .stdout
            .contains("Failed to reload")
    });
    let by_priority = node.run("journalctl -u aegiskv -q -p err -o cat").stdout;
    assert!(!by_priority.contains("Failed to reload"), "{by_priority}");
    cluster
        .run("log-review", &[])
        .expect_code(1)
        .expect_text("node-3 logged errors")
        .expect_text("Failed to reload config")
        .expect_text("node-1: 0 errors");
    cluster.run("log-review", &["-p", "errors_max=5"]).expect_code(0);
}

// Runs plans/aegiskv/metrics-review.yaml.
pub(crate) fn what_needs_no_dashboard_is_checked(cluster: &Cluster) {
    // A person looks at the dashboard: the run waits.
    cluster
        .run("metrics-review", &["-p", "memory_max_percent=100"])
        .expect_code(5)
        .expect_text("this version of AegisKV has no /metrics")
        .expect_text("P99 latency: below 10 ms for reads");
    let run = cluster.last_run();
    cluster
        .sandbox
        .caxplan(&["approve", &run, "dashboard/dashboard"])
        .expect_code(0);
    cluster.sandbox.caxplan(&["resume", &run]).expect_code(0);
    cluster
        .run("metrics-review", &["-p", "memory_max_percent=1"])
        .expect_code(1)
        .expect_text("% used, limit 1%");
}

// Runs plans/aegiskv/useful-commands.yaml.
pub(crate) fn commands_of_the_appendix_say_what_is_not_offered(cluster: &Cluster) {
    cluster
        .run("useful-commands", &["-p", "gc=true"])
        .expect_code(0)
        .expect_text("node-1: /cluster 404 (not offered")
        .expect_text("\"cluster_size\":4")
        .expect_text("/admin/state {\"draining\":false")
        .expect_text("POST /admin/gc: 404")
        .expect_text("/debug/pprof 404 (not offered)")
        .expect_text("open files: ")
        .expect_text("connections: ");
    cluster.node(1).run("systemctl stop aegiskv").expect_code(0);
    cluster.run("useful-commands", &[]).expect_code(1);
}

// Runs plans/aegiskv/sev3-high-latency.yaml.
pub(crate) fn latency_is_diagnosed_from_the_hosts(cluster: &Cluster) {
    let generous = ["-p", "rtt_max_ms=1000", "-p", "cpu_max_percent=1000"];
    cluster
        .run("sev3-high-latency", &generous)
        .expect_code(0)
        .expect_text("connections: 0")
        .expect_text(&format!("ms to {}", cluster.node(2).address));
    // Clients that hold connections, and a network of which nothing is good enough.
    let client = std::net::TcpStream::connect((cluster.node(1).address.as_str(), 7700))
        .expect("the node takes clients");
    cluster
        .run(
            "sev3-high-latency",
            &["-p", "connections_max=1", "-p", "rtt_max_ms=0"],
        )
        .expect_code(0)
        .expect_text("FINDING node-1: too many connections")
        .expect_text("look at the network between them");
    drop(client);
}
