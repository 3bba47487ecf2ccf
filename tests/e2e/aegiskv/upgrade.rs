//! Another version, one node at a time, and the way back.

use super::cluster::{Cluster, stand_in};
use caxton_tests::Finished;
use std::process::{Command, Stdio};

// Runs plans/aegiskv/upgrade.yaml.
pub(crate) fn a_staged_upgrade_reaches_all_nodes(cluster: &Cluster) {
    // A release as the project packs it: an archive with the program in it.
    let folder = cluster.sandbox.path().join("release");
    std::fs::create_dir_all(&folder).expect("the sandbox is ours");
    write(
        &folder.join("aegiskv").display().to_string(),
        b"\nstand-in-version 2.0.0\n",
    );
    let packed = Command::new("tar")
        .args(["-czf", "release.tar.gz", "-C", "release", "aegiskv"])
        .current_dir(cluster.sandbox.path())
        .status();
    assert!(packed.expect("tar is everywhere").success());

    let release = cluster
        .sandbox
        .path()
        .join("release.tar.gz")
        .display()
        .to_string();
    upgrade(cluster, &release, &"0".repeat(64)).expect_code(3);
    assert_eq!(versions(cluster), ["dev", "dev", "dev"]);
    upgrade(cluster, &release, &sum(&release)).expect_code(0);
    assert_eq!(versions(cluster), ["2.0.0", "2.0.0", "2.0.0"]);
    for host in cluster.nodes() {
        host.run("/usr/local/bin/aegiskv.old --version | grep dev && systemctl is-active aegiskv")
            .expect_code(0);
    }
    // Back to where it was, by the same run.
    let run = cluster.last_run();
    cluster
        .sandbox
        .caxplan(&["rollback", &run, "--yes"])
        .expect_code(3);
    assert_eq!(versions(cluster), ["dev", "dev", "dev"]);
    for host in cluster.nodes() {
        cluster.wait_members(host, 3);
    }
}

// Runs plans/aegiskv/upgrade.yaml.
pub(crate) fn a_broken_program_brings_all_nodes_back(cluster: &Cluster) {
    // It says its version, as asked before anything is stopped, and ends at its start on the second host.
    let broken = cluster.sandbox.path().join("broken").display().to_string();
    write(&broken, b"\nstand-in-version 2.0.1\nstand-in-fails-on node-2\n");
    let before = cluster.processes();
    upgrade(cluster, &broken, &sum(&broken))
        .expect_code(3)
        .expect_text("no such shard")
        .expect_text("upgrade/node-1/is_new");
    assert_eq!(versions(cluster), ["dev", "dev", "dev"]);
    assert_eq!(
        cluster.processes()[2],
        before[2],
        "the third node was not touched"
    );
    for host in cluster.nodes() {
        cluster.wait_members(host, 3);
    }
    // A program for another machine is found before anything is stopped.
    let before = cluster.processes();
    let foreign = cluster.sandbox.path().join("foreign").display().to_string();
    std::fs::write(&foreign, b"\x7fELF of another machine").expect("the sandbox is ours");
    upgrade(cluster, &foreign, &sum(&foreign))
        .expect_code(3)
        .expect_text("new_runs_here");
    assert_eq!(cluster.processes(), before);
}

fn upgrade(cluster: &Cluster, release: &str, sha256: &str) -> Finished {
    let workspace = format!("workspace={}", cluster.sandbox.path().display());
    let (release, sha256) = (format!("release={release}"), format!("sha256={sha256}"));
    cluster.run(
        "upgrade",
        &[
            "-p",
            &release,
            "-p",
            &sha256,
            "-p",
            &workspace,
            "-p",
            "pause=100ms",
            "-p",
            "soak=1s",
        ],
    )
}

/// Writes a program that is the stand-in with these lines behind it.
fn write(path: &str, lines: &[u8]) {
    let mut program = std::fs::read(stand_in()).expect("Cargo built it");
    program.extend(lines);
    std::fs::write(path, program).expect("the sandbox is ours");
}

fn sum(path: &str) -> String {
    let output = Command::new("sha256sum")
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .expect("coreutils are everywhere");
    String::from_utf8_lossy(&output.stdout)
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// What the processes say they are.
fn versions(cluster: &Cluster) -> Vec<String> {
    cluster
        .nodes()
        .map(|host| {
            let said = host
                .run("/proc/$(systemctl show -p MainPID --value aegiskv)/exe --version")
                .stdout;
            said.split(' ').nth(1).unwrap_or_default().to_owned()
        })
        .collect()
}
