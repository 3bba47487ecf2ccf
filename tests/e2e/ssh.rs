//! Plans whose commands run on other machines by real SSH servers, and engines killed meanwhile.

use caxton_tests::{Account, Random, Sandbox, Sshd, SshdOptions, wait_until};
use std::time::Duration;

/// How often the engine is killed.
const KILLS: u32 = 25;

/// Two hosts, and steps that append a line in one write each. They have no probe of the plan's: what became of one that was
/// under way is known by its receipt alone.
fn counting_plan(folder: &std::path::Path) -> String {
    let effects = folder.join("effects").display().to_string();
    let steps: String = (1..=4)
        .map(|number| {
            format!(
                "          - {{id: s{number}, action: ssh.run, with: {{script: 'sleep 0.01; echo {{{{ target.name }}}}-{number} >> {effects}; sleep 0.01'}}}}\n"
            )
        })
        .collect();
    format!(
        "inventory: fleet.yaml\nphases:\n  - name: work\n    steps:\n      - foreach_node:\n{steps}        in: \"{{{{ targets('group:fleet') }}}}\"\n        batch_size: 2\n"
    )
}

fn fleet_of_two() -> Option<(Sshd, Sandbox)> {
    if !Sshd::is_there() {
        return None;
    }
    let fleet = Sshd::start(2);
    let sandbox = Sandbox::new();
    fleet.write_inventory(sandbox.path(), &Account::own());
    Some((fleet, sandbox))
}

#[test]
fn an_engine_killed_while_commands_run_on_hosts_does_each_of_them_once() {
    let Some((_fleet, sandbox)) = fleet_of_two() else {
        return;
    };
    let mut random = Random::from_environment("an_engine_killed_while_commands_run_on_hosts");
    sandbox.file("plan.yaml", &counting_plan(sandbox.path()));
    sandbox.file("effects", "");
    let whole = std::time::Instant::now();
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    let whole = u64::try_from(whole.elapsed().as_micros()).expect("short");
    let mut interrupted = 0;
    for kill in 0..KILLS {
        sandbox.file("effects", "");
        let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
        std::thread::sleep(Duration::from_micros(random.below(whole)));
        run.kill();
        let runs = sandbox
            .caxplan(&["runs", "--output", "json"])
            .expect_code(0)
            .json();
        if runs[0]["status"] == "succeeded" {
            continue;
        }
        interrupted += 1;
        sandbox.caxplan(&["resume", "--last"]).expect_code(0);
        let mut effects: Vec<String> = sandbox.read("effects").lines().map(str::to_owned).collect();
        effects.sort_unstable();
        let mut expected: Vec<String> = (1..=4)
            .flat_map(|number| [format!("h1-{number}"), format!("h2-{number}")])
            .collect();
        expected.sort_unstable();
        assert_eq!(effects, expected, "kill {kill}");
    }
    assert!(
        interrupted > KILLS / 4,
        "only {interrupted} of {KILLS} kills hit a run in its middle"
    );
}

#[test]
fn a_resumed_engine_waits_for_the_command_that_its_predecessor_left_running() {
    let Some((_fleet, sandbox)) = fleet_of_two() else {
        return;
    };
    let folder = sandbox.path().display().to_string();
    sandbox.file(
        "plan.yaml",
        &format!(
            "inventory: fleet.yaml\nphases:\n  - name: work\n    steps:\n      - id: long\n        target: h1\n        action: ssh.run\n        with: {{script: 'echo begun >> {folder}/effects; sleep 30; echo ended >> {folder}/effects'}}\n"
        ),
    );
    let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the command", Duration::from_secs(10), || {
        !sandbox.read("effects").is_empty()
    });
    run.kill();
    // Longer than one question to the host waits.
    sandbox
        .caxplan(&["resume", "--last"])
        .expect_code(0)
        .expect_text("still running on h1; waiting for its end");
    assert_eq!(sandbox.read("effects"), "begun\nended\n");
}

/// A probe that looks at the effect finds none while the command is still at work.
#[test]
fn a_plan_s_probe_is_asked_once_the_command_has_ended() {
    let Some((_fleet, sandbox)) = fleet_of_two() else {
        return;
    };
    let effects = sandbox.path().join("effects").display().to_string();
    sandbox.file(
        "plan.yaml",
        &format!(
            "inventory: fleet.yaml
phases:
  - name: work
    steps:
      - id: unpack
        target: h1
        action: ssh.run
        with: {{script: 'echo begun >> {effects}; sleep 3; echo ended >> {effects}'}}
        probe:
          ssh.run: {{script: 'grep -q ended {effects}', ok_codes: [0, 1], changes: false}}
          done_when: output.exit_code == 0
"
        ),
    );
    let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the command", Duration::from_secs(10), || {
        !sandbox.read("effects").is_empty()
    });
    run.kill();
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), "begun\nended\n", "it ran once");
}

#[test]
fn a_command_killed_with_its_engine_is_in_doubt_until_a_person_decides() {
    let Some((fleet, sandbox)) = fleet_of_two() else {
        return;
    };
    let folder = sandbox.path().display().to_string();
    sandbox.file(
        "plan.yaml",
        &format!(
            "inventory: fleet.yaml\nphases:\n  - name: work\n    steps:\n      - id: charge\n        target: h1\n        action: ssh.run\n        with: {{script: 'echo charged >> {folder}/effects; sleep 100417'}}\n"
        ),
    );
    let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the effect", Duration::from_secs(10), || {
        !sandbox.read("effects").is_empty()
    });
    run.kill();
    // The host's processes die too: shell, command and all.
    let killed = fleet
        .ssh(0)
        .arg("pkill -KILL -f '[s]leep 100417$'; pkill -KILL -f '[e]cho charged'; true")
        .status();
    assert!(killed.expect("ssh is installed").success());
    sandbox
        .caxplan(&["resume", "--last"])
        .expect_code(5)
        .expect_text("in doubt")
        .expect_text("--in-doubt");
    assert_eq!(
        sandbox.read("effects"),
        "charged\n",
        "it was not run again blindly"
    );
    sandbox
        .caxplan(&["resume", "--last", "--in-doubt=assume-done"])
        .expect_code(0);
    assert_eq!(sandbox.read("effects"), "charged\n");
}

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
