//! What stands behind the tests of SSH: real servers, and the clients that everybody has.

use caxton_tests::{Account, Sshd, SshdOptions};

#[test]
fn servers_let_in_by_key_by_certificate_and_by_agent() {
    if !Sshd::is_there() {
        return;
    }
    for options in [
        SshdOptions::default(),
        SshdOptions {
            host_certificates: true,
            user_certificate: true,
            ..SshdOptions::default()
        },
    ] {
        let mut fleet = Sshd::with(3, &options);
        for server in 0..fleet.count() {
            let output = fleet
                .ssh(server)
                .arg("echo $0")
                .output()
                .expect("ssh is installed");
            assert!(output.status.success(), "{output:?}");
        }
        let known_hosts = format!("UserKnownHostsFile={}", fleet.known_hosts().display());
        let output = std::process::Command::new("ssh")
            .args([
                "-F",
                "none",
                "-i",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                &known_hosts,
            ])
            .args(["-p", &fleet.port().to_string(), &fleet.address(0), "true"])
            .env("SSH_AUTH_SOCK", fleet.agent())
            .output()
            .expect("ssh is installed");
        assert!(output.status.success(), "{output:?}");
        fleet.stop(1);
        assert!(
            !fleet
                .ssh(1)
                .arg("true")
                .status()
                .expect("ssh is installed")
                .success()
        );
        fleet.restart(1);
        assert!(
            fleet
                .ssh(1)
                .arg("true")
                .status()
                .expect("ssh is installed")
                .success()
        );
    }
}

#[test]
fn accounts_of_tests_have_the_rights_that_they_say() {
    if !Sshd::is_there() || !Account::can_be_made() {
        return;
    }
    let fleet = Sshd::start(1);
    for (account, may) in [(Account::ordinary(), false), (Account::sudoer(), true)] {
        let output = fleet
            .ssh_as(0, &account)
            .arg("sudo -n true")
            .output()
            .expect("ssh is installed");
        assert_eq!(output.status.success(), may, "{output:?}");
    }
}
