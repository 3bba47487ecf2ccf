//! All at once: stopping, and bringing data home.

use super::cluster::Cluster;

// Runs plans/aegiskv/emergency-shutdown.yaml.
pub(crate) fn all_nodes_stop_at_once(cluster: &Cluster) {
    cluster.run("emergency-shutdown", &[]).expect_code(2);
    let start = std::time::Instant::now();
    cluster
        .run("emergency-shutdown", &["-p", "confirm=stop-all-nodes"])
        .expect_code(0);
    eprintln!("   stopped after {:.1} s", start.elapsed().as_secs_f32());
    assert_eq!(cluster.processes(), [0, 0, 0]);
    // A host without power: the others stop, and the run says which one it could not reach.
    cluster.restore();
    cluster.node(2).crash();
    cluster
        .run("emergency-shutdown", &["-p", "confirm=stop-all-nodes"])
        .expect_code(1)
        .expect_text("stop/node-2/stop");
    assert_eq!(
        (cluster.process(cluster.node(1)), cluster.process(cluster.node(3))),
        (0, 0)
    );
}

// Runs plans/aegiskv/data-export.yaml.
pub(crate) fn data_are_brought_home(cluster: &Cluster) {
    for host in cluster.nodes() {
        host.run(&format!("echo {} > /var/lib/aegiskv/wal/wal-9.log", host.name))
            .expect_code(0);
    }
    let to = cluster.sandbox.path().join("export");
    let argument = format!("to={}", to.display());
    cluster
        .run("data-export", &["-p", &argument])
        .expect_code(0)
        .expect_text("there is no aegiskv-cli");
    for host in cluster.nodes() {
        let packed = to.join(format!("{}.tar.gz", host.name));
        let shown = std::process::Command::new("tar")
            .arg("-xzOf")
            .arg(packed)
            .arg("./wal/wal-9.log")
            .output();
        let shown = shown.expect("tar is everywhere");
        assert_eq!(String::from_utf8_lossy(&shown.stdout), format!("{}\n", host.name));
        host.run("test -z \"$(ls /backup)\"").expect_code(0);
    }
    // Nothing on a disk: said, instead of an archive of nothing.
    cluster
        .node(2)
        .run("truncate -s 0 /var/lib/aegiskv/wal/*")
        .expect_code(0);
    cluster
        .run("data-export", &["-p", &argument])
        .expect_code(1)
        .expect_text("node-2 has nothing on its disk");
}
