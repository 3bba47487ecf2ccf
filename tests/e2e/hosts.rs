//! The hosts that other tests stand on are what they say they are.

use caxton_tests::{Finished, Fleet, Host};
use std::process::{Command, Stdio};

/// Runs a command over SSH, as OpenSSH's own client does it.
fn ssh(fleet: &Fleet, user: &str, host: &Host, command: &str) -> Finished {
    let options = format!(
        "-oBatchMode=yes -oStrictHostKeyChecking=yes -oConnectTimeout=3 -oUserKnownHostsFile={} -i{}",
        fleet.known_hosts().display(),
        fleet.identity().display()
    );
    let mut words: Vec<String> = options.split(' ').map(str::to_owned).collect();
    if host.name != "bastion" && fleet.gateway().starts_with("198.19.") {
        let jump = fleet.reached_at(fleet.bastion());
        words.push(format!("-oProxyCommand=ssh {options} -W %h:%p ops@{jump}"));
    }
    words.extend([
        "-F".to_owned(),
        "none".to_owned(),
        format!("{user}@{}", fleet.reached_at(host)),
    ]);
    let output = Command::new("ssh")
        .args(words)
        .arg(command)
        .stdin(Stdio::null())
        .output();
    output.expect("ssh is installed").into()
}

#[test]
fn hosts_run_systemd_have_addresses_and_survive_what_befalls_them() {
    let fleet = Fleet::new(2);
    let (one, two) = (&fleet[0], &fleet[1]);
    let said = ssh(
        &fleet,
        "ops",
        one,
        "hostname; sudo -n id -u; systemctl is-active ssh",
    )
    .expect_code(0);
    assert_eq!(said.stdout, "node-1\n0\nactive\n");
    one.run("curl --silent --max-time 5 telnet://node-2:22 < /dev/null")
        .expect_text("SSH-2.0");

    // What is on disk outlives a crash, and only the host that crashed is gone.
    one.run("echo kept > /var/lib/mark; sync").expect_code(0);
    one.crash();
    assert!(!one.is_up() && two.is_up());
    ssh(&fleet, "root", one, "true").expect_code(255);
    ssh(&fleet, "root", two, "true").expect_code(0);
    one.boot();
    ssh(&fleet, "root", one, "cat /var/lib/mark")
        .expect_code(0)
        .expect_text("kept");

    two.partition();
    ssh(&fleet, "root", two, "true").expect_code(255);
    two.heal();
    ssh(&fleet, "root", two, "true").expect_code(0);
    two.fill_disk();
    ssh(&fleet, "root", two, "echo x > /var/lib/mark")
        .expect_code(1)
        .expect_text("No space left");
    two.free_disk();
    ssh(&fleet, "root", two, "echo x > /var/lib/mark").expect_code(0);
    two.poweroff();
    assert!(!two.is_up());
}

#[test]
fn hosts_behind_a_bastion_are_reached_only_through_it() {
    let fleet = Fleet::behind_bastion(1);
    ssh(&fleet, "root", fleet.bastion(), "hostname")
        .expect_code(0)
        .expect_text("bastion");
    ssh(&fleet, "root", &fleet[0], "hostname")
        .expect_code(0)
        .expect_text("node-1");
    let straight = std::net::TcpStream::connect((fleet[0].address.as_str(), 22));
    assert!(straight.is_err(), "{straight:?}");
}

/// For a person who wants to look around: `CAXTON_TEST_HOSTS=3 cargo test -p caxton-tests -- --ignored --nocapture hosts_to_look_around`.
/// They are there until the file that it names is removed.
#[test]
#[ignore = "by hand"]
fn hosts_to_look_around() {
    let count = std::env::var("CAXTON_TEST_HOSTS")
        .ok()
        .and_then(|count| count.parse().ok());
    let fleet = Fleet::new(count.unwrap_or(3));
    let folder = tempfile::tempdir().expect("a folder");
    let inventory = folder.path().join("hosts.yaml");
    fleet.inventory(&inventory, "ops");
    for host in fleet.hosts() {
        println!(
            "ssh -i {} -o UserKnownHostsFile={} ops@{}   # {}",
            fleet.identity().display(),
            fleet.known_hosts().display(),
            host.address,
            host.root().display()
        );
    }
    println!("inventory: {}", inventory.display());
    while inventory.exists() {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
