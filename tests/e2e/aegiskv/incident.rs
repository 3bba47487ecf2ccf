//! Incidents: what is wrong, and what a restart mends.

use super::cluster::Cluster;

// Runs plans/aegiskv/sev1-outage.yaml.
pub(crate) fn an_outage_gets_a_verdict_for_each_node(cluster: &Cluster) {
    cluster
        .run("sev1-outage", &[])
        .expect_code(0)
        .expect_text("VERDICT node-1: well");
    // Three faults: stopped by somebody, a configuration that it does not take, no power.
    cluster.node(1).run("systemctl stop aegiskv").expect_code(0);
    cluster
        .node(2)
        .run("echo '{' > /etc/aegiskv/config.json; systemctl restart aegiskv; sleep 0.5")
        .expect_code(0);
    cluster.node(3).crash();
    cluster
        .run("sev1-outage", &[])
        .expect_code(0)
        .expect_text("node-1: /health does not answer as it should")
        .expect_text("VERDICT node-1: stopped in order")
        .expect_text("VERDICT node-2: ended with result exit-code, exit status 1")
        .expect_text("Failed to load config")
        .expect_text("VERDICT node-3: the host does not answer by SSH");
    // Two more: a disk without room, and a process without a health port; then all are started, one by one.
    cluster.restore();
    cluster
        .node(1)
        .run("systemctl kill -s KILL aegiskv")
        .expect_code(0);
    cluster.node(1).fill_disk();
    cluster
        .node(2)
        .run("sed -i 's/--health-addr :7702//' /etc/systemd/system/aegiskv.service && systemctl daemon-reload && systemctl restart aegiskv")
        .expect_code(0);
    cluster
        .run("sev1-outage", &[])
        .expect_code(0)
        .expect_text("VERDICT node-1: the disk is full")
        .expect_text("VERDICT node-2: the process runs, and its health port does not answer");
    cluster.restore();
    for host in cluster.nodes() {
        host.run("systemctl stop aegiskv").expect_code(0);
    }
    cluster
        .run("sev1-outage", &["-y", "-p", "start=true"])
        .expect_code(0);
    for host in cluster.nodes() {
        cluster.wait_members(host, 3);
    }
}

// Runs plans/aegiskv/sev2-node-failure.yaml.
pub(crate) fn a_failed_node_is_found_and_restarted(cluster: &Cluster) {
    let before = cluster.processes();
    cluster
        .node(2)
        .run("systemctl kill -s KILL aegiskv")
        .expect_code(0);
    cluster
        .run("sev2-node-failure", &["-p", "restart=false"])
        .expect_code(1)
        .expect_text("node-2 has failed: unit failed (signal)");
    cluster
        .run("sev2-node-failure", &[])
        .expect_code(0)
        .expect_text("node-2 has failed");
    let after = cluster.processes();
    assert!(
        after[1] > 0 && after[0] == before[0] && after[2] == before[2],
        "{before:?} {after:?}"
    );
    cluster.wait_members(cluster.node(2), 3);
    // One that a restart does not mend: what to look at, and what to run next.
    cluster
        .node(3)
        .run("echo '{' > /etc/aegiskv/config.json; systemctl kill -s KILL aegiskv")
        .expect_code(0);
    cluster
        .run("sev2-node-failure", &[])
        .expect_code(1)
        .expect_text("node-3 does not recover by a restart")
        .expect_text("recover-node.yaml -p node=node-3");
}
