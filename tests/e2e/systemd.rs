//! systemd units of real hosts, over SSH: as root, and as an ordinary user with sudo.

use caxton_tests::{Finished, Fleet, Host, Sandbox, wait_until};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A service that runs until it is stopped, and says what it does.
const STAYS: &str = "[Service]\nExecStart=sh -c 'echo it works; exec sleep infinity'\nExecReload=echo read again\n[Install]\nWantedBy=multi-user.target\n";

/// One host, and a sandbox whose plans act on it as `user`.
fn world(user: &str) -> (Fleet, Sandbox) {
    let (fleet, sandbox) = (Fleet::new(1), Sandbox::new());
    fleet.inventory(&sandbox.path().join("inventory.yaml"), user);
    (fleet, sandbox)
}

/// A plan of steps, each a line `id | action | arguments | more keys`.
fn plan(steps: &str) -> String {
    let mut text = String::from("inventory: inventory.yaml\nphases:\n  - name: work\n    steps:\n");
    for step in steps.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = step.split(" | ");
        let mut part = || parts.next().unwrap_or_default();
        let (id, action, with, more) = (part(), part(), part(), part());
        let more = if more.is_empty() {
            String::new()
        } else {
            format!(", {more}")
        };
        text.push_str(&format!(
            "      - {{id: {id}, action: systemd.{action}, target: node-1, with: {{{with}}}{more}}}\n"
        ));
    }
    text
}

fn run(sandbox: &Sandbox, steps: &str) -> Finished {
    sandbox.file("plan.yaml", &plan(steps));
    sandbox.caxplan(&["run", "plan.yaml"])
}

fn put(host: &Host, name: &str, text: &str) {
    std::fs::write(host.root().join("etc/systemd/system").join(name), text).expect("its disk is ours");
    host.run("systemctl daemon-reload").expect_code(0);
}

fn said(host: &Host, script: &str) -> String {
    host.run(script).stdout.trim().to_owned()
}

#[test]
fn units_do_as_they_are_told_as_root_and_by_sudo() {
    for user in ["root", "ops"] {
        let (fleet, sandbox) = world(user);
        let host = &fleet[0];
        sandbox.file("app.service", STAYS);
        let all = run(
            &sandbox,
            "unit | unit | unit: app, src: app.service | expect: \"output.path == '/etc/systemd/system/app.service'\"
             drop | unit | unit: app, drop_in: env, content: \"[Service]\\nEnvironment=A=1\\n\"
             start | start | unit: app, settle: 300ms | expect: \"output.active_state == 'active' and output.main_pid > 1\"
             again | start | unit: app
             enable | enable | unit: app | expect: \"output.unit_file_state == 'enabled'\"
             status | status | unit: app | expect: \"output.sub_state == 'running' and output.restarts == 0\"
             reload | reload | unit: app
             restart | restart | unit: app | expect: \"output.main_pid != steps.start.output.main_pid\"
             wait | wait | unit: app, state: active, settle: 300ms
             said | journal | unit: app, grep: it works | expect: output.count == 2
             none | journal | unit: app, grep: no such words | expect: output.count == 0
             read | daemon_reload
             stop | stop | unit: app | expect: \"output.active_state == 'inactive'\"
             down | wait | unit: app, state: inactive
             disable | disable | unit: app | expect: \"output.unit_file_state == 'disabled'\"
             mask | mask | unit: ssh.socket | expect: \"output.unit_file_state == 'masked'\"
             unmask | unmask | unit: ssh.socket
             ghost | status | unit: no-such-unit | expect: \"output.load_state == 'not-found'\"",
        );
        all.expect_code(0);
        assert_eq!(
            said(host, "systemctl is-active app; systemctl is-enabled app"),
            "inactive\ndisabled"
        );
        assert_eq!(said(host, "systemctl show -P Environment app"), "A=1");

        // What a preview says is how it is.
        host.run("systemctl start app").expect_code(0);
        let pid = said(host, "systemctl show -P MainPID app");
        sandbox.file(
            "plan.yaml",
            &plan(
                "r | restart | unit: app\nu | unit | unit: app, content: \"[Service]\\nExecStart=false\\n\"",
            ),
        );
        sandbox
            .caxplan(&["preview", "plan.yaml"])
            .expect_code(0)
            .expect_text("would restart app.service on node-1 (active for ")
            .expect_text(&format!("pid {pid})"))
            .expect_text("+ExecStart=false");
        assert_eq!(said(host, "systemctl show -P MainPID app"), pid);
    }
}

#[test]
fn a_failure_says_what_systemd_and_the_journal_know() {
    let (fleet, sandbox) = world("ops");
    let host = &fleet[0];
    put(
        host,
        "bad.service",
        "[Service]\nType=oneshot\nExecStart=sh -c 'echo the moon is in the way; exit 3'\n",
    );
    run(&sandbox, "a | start | unit: bad")
        .expect_code(1)
        .expect_text("start of bad.service failed on node-1: it exited with status 3")
        .expect_text("the moon is in the way");

    // Five seconds later nobody looks any more, unless the plan says so.
    put(
        host,
        "five.service",
        "[Service]\nExecStart=sh -c 'sleep 5; echo out of luck; exit 4'\n",
    );
    run(&sandbox, "a | start | unit: five").expect_code(0);
    host.run("systemctl stop five; systemctl reset-failed five");
    run(&sandbox, "a | start | unit: five, settle: 6s")
        .expect_code(1)
        .expect_text("after it had started: it exited with status 4 on node-1")
        .expect_text("out of luck");

    put(
        host,
        "hangs.service",
        "[Service]\nType=oneshot\nExecStart=sleep infinity\n",
    );
    run(&sandbox, "a | start | unit: hangs | timeout: 2s")
        .expect_code(1)
        .expect_text("hangs.service is activating (start) on node-1");
    assert_eq!(said(host, "systemctl list-jobs --no-legend --plain"), "");

    run(&sandbox, "a | start | unit: no-such-unit")
        .expect_code(1)
        .expect_text("node-1 has no such unit");
    run(&sandbox, "a | restart | unit: ssh, sudo: false")
        .expect_code(1)
        .expect_text("hint: only root may do that there: write `sudo: true`");
    run(&sandbox, "a | unit | unit: x, content: '[Service]', sudo: false")
        .expect_code(1)
        .expect_text("cannot write /etc/systemd/system/x.service on node-1");
    assert_eq!(
        said(host, "ls /etc/systemd/system | grep -c caxplan || true"),
        "0"
    );

    host.run("mv /usr/bin/systemd-stdio-bridge /usr/bin/elsewhere")
        .expect_code(0);
    run(&sandbox, "a | status | unit: ssh")
        .expect_code(1)
        .expect_text("`systemd-stdio-bridge` must be there");
}

#[test]
fn a_rollback_restores_what_ran_and_what_was_enabled() {
    let (fleet, sandbox) = world("ops");
    let host = &fleet[0];
    put(host, "one.service", STAYS);
    put(host, "two.service", STAYS);
    put(host, "bad.service", "[Service]\nType=oneshot\nExecStart=false\n");
    host.run("systemctl enable --now one").expect_code(0);
    let picture = "systemctl is-active one two; systemctl is-enabled one two ssh.socket; cat /etc/systemd/system/two.service; ls /etc/systemd/system";
    let before = said(host, picture);
    let steps = "stop | disable | unit: one, now: true
         start | enable | unit: two, now: true
         mask | mask | unit: ssh.socket
         file | unit | unit: two, content: \"[Service]\\nExecStart=sleep 1000\\n\"
         new | unit | unit: three, content: \"[Service]\\nExecStart=sleep 1000\\n\"
         run | start | unit: three
         fail | start | unit: bad | on_failure: rollback";
    run(&sandbox, steps).expect_code(3);
    assert_eq!(said(host, picture), before);
    assert_eq!(said(host, "systemctl show -P LoadState three"), "not-found");
}

#[test]
fn a_unit_file_that_makes_a_service_fail_is_rolled_back_and_the_service_runs() {
    let (fleet, sandbox) = world("ops");
    let host = &fleet[0];
    put(host, "app.service", STAYS);
    host.run("systemctl enable --now app").expect_code(0);
    run(
        &sandbox,
        "file | unit | unit: app, drop_in: bad, content: \"[Service]\\nExecStart=\\nExecStart=sh -c 'sleep 1; exit 7'\\n\"
         again | restart | unit: app, settle: 4s | on_failure: rollback",
    )
    .expect_code(3)
    .expect_text("it exited with status 7");
    assert_eq!(said(host, "systemctl is-active app"), "active");
    assert_eq!(
        said(host, "systemctl show -P DropInPaths -P NeedDaemonReload app"),
        "no"
    );
    assert!(
        said(
            host,
            "tr '\\0' ' ' < /proc/$(systemctl show -P MainPID app)/cmdline"
        )
        .starts_with("sleep infinity")
    );
}

#[test]
fn a_host_that_dies_in_mid_restart_leaves_a_doubt_that_the_probe_decides() {
    let (fleet, sandbox) = world("root");
    let host = &fleet[0];
    // Its start takes as long as a file is there.
    put(
        host,
        "app.service",
        "[Service]\nExecStartPre=sh -c 'while [ -e /var/lib/hold ]; do sleep 0.1; done'\nExecStart=sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
    );
    host.run("systemctl enable --now app && touch /var/lib/hold && sync")
        .expect_code(0);
    let first = said(host, "systemctl show -P InvocationID app");
    let inventory = sandbox.read("inventory.yaml") + "        ssh_keepalive: 1s\n";
    sandbox.file("inventory.yaml", &inventory);
    sandbox.file(
        "plan.yaml",
        &plan("r | restart | unit: app | retry: {attempts: 2}"),
    );

    let running = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the restart", LIMIT, || {
        said(host, "systemctl show -P ActiveState app") == "activating"
    });
    host.crash();
    std::fs::remove_file(host.root().join("var/lib/hold")).expect("its disk is ours");
    host.boot();
    let ended = running.wait();
    ended.expect_code(0);
    assert_eq!(said(host, "systemctl is-active app"), "active");
    let second = said(host, "systemctl show -P InvocationID app");
    assert_ne!(first, second);
    let show = sandbox.caxplan(&["show", "--last", "--output", "json"]).json();
    let attempts = show["account"].to_string().matches("InvocationID").count();
    assert_eq!(attempts, 0, "nothing of the adapter's inner life is shown");

    // The engine dies in mid-restart, and the job goes on without it.
    host.run("touch /var/lib/hold").expect_code(0);
    let mut running = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the restart", LIMIT, || {
        said(host, "systemctl show -P ActiveState app") == "activating"
    });
    running.kill();
    host.run("rm /var/lib/hold").expect_code(0);
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    let third = said(host, "systemctl show -P InvocationID app");
    assert_ne!(second, third);
    // One restart, not two: the service has been started once since the second life.
    let started = said(
        host,
        "journalctl -b -u app -o cat | grep -c '^Started app.service'",
    );
    assert_eq!(started, "2");
}

#[test]
fn a_unit_that_finds_no_room_is_left_as_it_was() {
    let (fleet, sandbox) = world("ops");
    let host = &fleet[0];
    put(host, "app.service", STAYS);
    host.run("systemctl start app").expect_code(0);
    let before = said(
        host,
        "cat /etc/systemd/system/app.service; systemctl show -P MainPID app",
    );
    let long = format!(
        "[Service]\\nExecStart=sleep infinity\\n# {}\\n",
        "x".repeat(10_000)
    );
    let write = format!("u | unit | unit: app, content: \"{long}\"");
    host.fill_disk();
    let end = run(&sandbox, &write);
    host.free_disk();
    end.expect_code(1).expect_text("o space left");
    assert_eq!(
        said(
            host,
            "cat /etc/systemd/system/app.service; systemctl show -P MainPID app"
        ),
        before
    );
    assert_eq!(
        said(host, "ls -A /etc/systemd/system | grep -c caxplan"),
        "0",
        "nothing half written is left"
    );
    run(&sandbox, &write).expect_code(0);
    assert_ne!(said(host, "cat /etc/systemd/system/app.service"), before);
}

#[test]
fn the_example_with_hosts_does_what_it_says() {
    let (fleet, sandbox) = (Fleet::new(2), Sandbox::new());
    let inventory = sandbox.path().join("hosts.yaml");
    fleet.inventory(&inventory, "ops");
    let plan = caxton_tests::root().join("examples/features/hosts.yaml");
    let run = |command: &str, more: &[&str]| {
        let (plan, inventory) = (plan.display().to_string(), inventory.display().to_string());
        sandbox.caxplan(&[&[command, &plan, "--inventory", &inventory], more].concat())
    };
    let is_there = "test -e /srv/caxplan-example -o -e /etc/systemd/system/caxplan-example.service";

    run("preview", &[])
        .expect_code(0)
        .expect_text("would make the folder node-1:/srv/caxplan-example");
    // A host refuses the settings: what the first one got goes away again.
    run("run", &["-p", "port=99999"]).expect_code(3);
    for host in fleet.hosts() {
        host.run(is_there).expect_code(1);
    }
    run("run", &[]).expect_code(0);
    for host in fleet.hosts() {
        assert_eq!(
            said(
                host,
                "systemctl is-active caxplan-example; systemctl is-enabled caxplan-example"
            ),
            "active\nenabled"
        );
    }
    // All is as it should be: a second time only the restart changes something.
    run("preview", &["--limit", "node-2"])
        .expect_code(0)
        .expect_text("1 would change something");
}
