//! Data: copied, compared, moved aside, and never cleared beside a node that is down.

use super::cluster::Cluster;
use caxton_tests::Host;

// Runs plans/aegiskv/recover-node.yaml.
pub(crate) fn one_node_recovers_without_its_log(cluster: &Cluster) {
    let node = cluster.node(2);
    put(node, "wal-1.log", "precious");
    node.run("systemctl kill -s KILL aegiskv").expect_code(0);
    // Without `clear` its log stays where it is.
    cluster.run("recover-node", &["-p", "node=node-2"]).expect_code(0);
    assert_eq!(
        node.run("cat /var/lib/aegiskv/wal/wal-1.log").stdout,
        "precious\n"
    );
    // With it, a person is asked first, by when there is a copy.
    node.run("systemctl kill -s KILL aegiskv").expect_code(0);
    cluster
        .run("recover-node", &["-p", "node=node-2", "-p", "clear=true"])
        .expect_code(5);
    let run = cluster.last_run();
    node.run(&format!(
        "cd /backup && sha256sum -c aegiskv-node-2-{run}.tar.gz.sha256"
    ))
    .expect_code(0);
    cluster
        .sandbox
        .caxplan(&["approve", &run, "log_may_go"])
        .expect_code(0);
    cluster.sandbox.caxplan(&["resume", &run]).expect_code(0);
    let aside = node.run(&format!("cat /var/lib/aegiskv/.aside-{run}/wal/wal-1.log"));
    assert_eq!(aside.stdout, "precious\n");
    node.run("test ! -s /var/lib/aegiskv/wal/wal-1.log")
        .expect_code(0);
    cluster.wait_members(node, 3);
    // A node that does not come back without its log either gets it back.
    put(node, "wal-7.log", "newer");
    node.run("systemctl stop aegiskv; echo '{' > /etc/aegiskv/config.json")
        .expect_code(0);
    cluster
        .run("recover-node", &["-y", "-p", "node=node-2", "-p", "clear=true"])
        .expect_code(3);
    assert_eq!(node.run("cat /var/lib/aegiskv/wal/wal-7.log").stdout, "newer\n");
    // Not beside another that is down.
    cluster.node(3).run("systemctl stop aegiskv").expect_code(0);
    cluster
        .run("recover-node", &["-y", "-p", "node=node-2", "-p", "clear=true"])
        .expect_code(3)
        .expect_text("node-3 is not well");
}

// Runs plans/aegiskv/recover-cluster.yaml.
pub(crate) fn the_node_with_the_newest_log_starts_first(cluster: &Cluster) {
    let workspace = format!("workspace={}", cluster.sandbox.path().display());
    cluster
        .run("recover-cluster", &["-y", "-p", &workspace])
        .expect_code(1)
        .expect_text("is running: this is for a cluster that is down as a whole");
    for (number, minute) in [(1, 10), (2, 20), (3, 30)] {
        let node = cluster.node(number);
        put(node, "wal-5.log", "data");
        node.run(&format!(
            "systemctl stop aegiskv; touch -d '2026-11-27 10:{minute}' /var/lib/aegiskv/wal/wal-5.log"
        ))
        .expect_code(0);
    }
    // The first node crashed once more since: its newest segment is newer than all, and empty.
    cluster
        .node(1)
        .run("touch /var/lib/aegiskv/wal/wal-6.log")
        .expect_code(0);
    cluster
        .run("recover-cluster", &["-p", &workspace])
        .expect_code(5)
        .expect_text("first: node-3");
    assert_eq!(
        cluster.processes(),
        [0, 0, 0],
        "nothing starts before the choice is confirmed"
    );
    let run = cluster.last_run();
    cluster
        .sandbox
        .caxplan(&["approve", &run, "right_one"])
        .expect_code(0);
    let resumed = cluster.sandbox.caxplan(&["resume", &run]).expect_code(0);
    let said = format!("{}{}", resumed.stdout, resumed.stderr);
    let at = |text: &str| {
        said.find(text)
            .unwrap_or_else(|| panic!("no `{text}` in\n{said}"))
    };
    assert!(at("first/node-3/start") < at("others/node-1/start"), "{said}");
    for host in cluster.nodes() {
        cluster.wait_members(host, 3);
    }
    // Without anything to go by it does not guess.
    for host in cluster.nodes() {
        host.run("systemctl stop aegiskv; rm -rf /var/lib/aegiskv/wal")
            .expect_code(0);
    }
    cluster
        .run("recover-cluster", &["-y", "-p", &workspace])
        .expect_code(1)
        .expect_text("no node has a write-ahead log with anything in it");
    cluster
        .run("recover-cluster", &["-y", "-p", &workspace, "-p", "first=node-2"])
        .expect_code(0);
}

// Runs plans/aegiskv/recover-corruption.yaml.
pub(crate) fn corrupt_data_are_cleared_beside_healthy_nodes_only(cluster: &Cluster) {
    let node = cluster.node(3);
    put(node, "wal-1.log", "garbage");
    // A node is down: refused, with nothing done.
    cluster.node(1).run("systemctl stop aegiskv").expect_code(0);
    let before = cluster.process(node);
    cluster
        .run("recover-corruption", &["-y", "-p", "node=node-3"])
        .expect_code(3)
        .expect_text("node-1 is not well, and another node must not be taken down or cleared beside it");
    assert_eq!(cluster.process(node), before);
    assert_eq!(node.run("cat /var/lib/aegiskv/wal/wal-1.log").stdout, "garbage\n");
    cluster.start_again(cluster.node(1), 3);
    // A node goes down while the question waits: refused then, and the node is started again with its data.
    cluster
        .run("recover-corruption", &["-p", "node=node-3"])
        .expect_code(5);
    let run = cluster.last_run();
    cluster.node(1).run("systemctl stop aegiskv").expect_code(0);
    cluster
        .sandbox
        .caxplan(&["approve", &run, "data_may_go"])
        .expect_code(0);
    cluster.sandbox.caxplan(&["resume", &run]).expect_code(3);
    assert_eq!(node.run("cat /var/lib/aegiskv/wal/wal-1.log").stdout, "garbage\n");
    assert!(cluster.process(node) > 0, "it runs again");
    cluster.restore();
    // All are well: copied, moved aside, started empty.
    put(node, "wal-1.log", "garbage");
    node.run("echo more > /var/lib/aegiskv/snapshot").expect_code(0);
    cluster
        .run("recover-corruption", &["-y", "-p", "node=node-3"])
        .expect_code(0);
    let run = cluster.last_run();
    node.run(&format!(
        "cd /var/lib/aegiskv && test ! -e snapshot && test ! -s wal/wal-1.log && grep -q garbage .aside-{run}/wal/wal-1.log \
         && grep -q more .aside-{run}/snapshot && tar -xzOf /backup/aegiskv-node-3-{run}.tar.gz ./snapshot | grep -q more"
    ))
    .expect_code(0);
    cluster.wait_members(node, 3);
    // It was the wrong node: a rollback puts everything back.
    cluster
        .sandbox
        .caxplan(&["rollback", &run, "--yes"])
        .expect_code(3);
    node.run("grep -q garbage /var/lib/aegiskv/wal/wal-1.log && grep -q more /var/lib/aegiskv/snapshot && systemctl is-active aegiskv").expect_code(0);
    // A copy that cannot be made stops it before anything is cleared.
    node.run("mkdir -p /backup && mount -t tmpfs -o size=4k tmpfs /backup && head -c 100000 /dev/urandom > /var/lib/aegiskv/large").expect_code(0);
    cluster
        .run("recover-corruption", &["-y", "-p", "node=node-3"])
        .expect_code(3)
        .expect_text("KiB free");
    node.run("umount /backup && test -e /var/lib/aegiskv/large && systemctl is-active aegiskv")
        .expect_code(0);
}

/// Writes a segment with something in it.
fn put(node: &Host, name: &str, text: &str) {
    node.run(&format!(
        "cd /var/lib/aegiskv/wal && echo {text} > {name} && chown aegiskv: {name}"
    ))
    .expect_code(0);
}
