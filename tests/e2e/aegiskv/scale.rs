//! Nodes that come and go.

use super::cluster::{Cluster, stand_in};

// Runs plans/aegiskv/add-node.yaml.
// Runs plans/aegiskv/remove-node.yaml.
pub(crate) fn a_node_comes_and_goes(cluster: &Cluster) {
    let release = format!("release={}", stand_in().display());
    let new = ["-p", "node=node-4", "-p", &release];
    cluster
        .run("add-node", &new)
        .expect_code(3)
        .expect_text("the inventory has no node node-4");
    // A host on which something else has the port: all that was put there is taken away.
    cluster.node(4).run("systemd-run --unit=squatter python3 -c 'import socket,time; s=socket.socket(); s.bind((\"\",7700)); s.listen(); time.sleep(1000)'").expect_code(0);
    cluster.run_on("four.yaml", "add-node", &new).expect_code(3);
    cluster
        .node(4)
        .run("systemctl stop squatter; test ! -e /usr/local/bin/aegiskv && test ! -e /etc/systemd/system/aegiskv.service && test ! -e /etc/aegiskv/config.json")
        .expect_code(0);
    // What was rolled back had joined: until the others have forgotten it, they would tell it of nobody.
    for number in 1..=3 {
        cluster.wait_members(cluster.node(number), 3);
    }
    cluster
        .run_on("four.yaml", "add-node", &new)
        .expect_code(0)
        .expect_text("node-1: sees 5 members");
    cluster.node(4).run("systemctl is-enabled aegiskv").expect_code(0);
    for number in 1..=4 {
        cluster.wait_members(cluster.node(number), 4);
    }
    // And away again; a node that is down beside it refuses that.
    cluster.node(1).run("systemctl stop aegiskv").expect_code(0);
    cluster
        .run_on("four.yaml", "remove-node", &["-y", "-p", "node=node-3"])
        .expect_code(3)
        .expect_text("node-1 is not well");
    cluster.start_again(cluster.node(1), 4);
    cluster
        .run_on("four.yaml", "remove-node", &["-p", "node=node-3"])
        .expect_code(5);
    let run = cluster.last_run();
    cluster
        .sandbox
        .caxplan(&["approve", &run, "may_go"])
        .expect_code(0);
    cluster.sandbox.caxplan(&["resume", &run]).expect_code(0);
    cluster.node(3).run("! systemctl is-active --quiet aegiskv && ! systemctl is-enabled --quiet aegiskv && test -d /var/lib/aegiskv").expect_code(0);
    let seeds = cluster.node(1).run("cat /etc/aegiskv/config.json").stdout;
    let seeds: serde_json::Value = serde_json::from_str(&seeds).expect("it is JSON still");
    assert_eq!(
        seeds["seeds"],
        serde_json::json!([format!("{}:7701", cluster.node(2).address)])
    );
    cluster.wait_members(cluster.node(1), 3);
}

// Runs plans/aegiskv/emergency-node.yaml.
pub(crate) fn emergency_nodes_come_without_ceremony(cluster: &Cluster) {
    let release = format!("release={}", stand_in().display());
    cluster
        .run("emergency-node", &["-p", &release])
        .expect_code(3)
        .expect_text("no target that is emergency=true");
    // Beside a node that is down: that is what they are for.
    cluster.node(1).run("systemctl stop aegiskv").expect_code(0);
    cluster
        .run_on("four.yaml", "emergency-node", &["-p", &release])
        .expect_code(0);
    cluster
        .node(4)
        .run("grep -q '\"max_memory_mb\": 32768' /etc/aegiskv/config.json && systemctl is-active aegiskv")
        .expect_code(0);
    cluster.wait_members(cluster.node(4), 3);
}
