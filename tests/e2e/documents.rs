//! Files that hold several plans, or things to look at: the blocks of `tests/fixtures/seeds`, which stand there character for
//! character, do what they say once a library binds their names.

use caxton_tests::{Sandbox, root, wait_until};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The verbatim block of this name.
fn seed(name: &str) -> String {
    let path = root().join("tests/fixtures/seeds").join(format!("{name}.yaml"));
    path.to_str().expect("UTF-8").to_owned()
}

/// A library entry that notes its name in `effects`.
fn noting(names: &[&str]) -> String {
    let entries = names.iter().map(|name| {
        format!("  {name}: {{shell.run: {{script: echo {name} >> effects, cwd: '{{{{ vars.here }}}}'}}}}\n")
    });
    entries.collect()
}

/// A sandbox with a library. `here` is the sandbox, for the seeds' own folder is another.
fn with_library(actions: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let library = format!("vars: {{here: {}}}\n{actions}", sandbox.path().display());
    sandbox.file("library.yaml", &library);
    sandbox
}

#[test]
fn each_period_of_the_calendar_is_a_plan() {
    let periods = [
        ("daily", ["rotate_logs", "cleanup_temp_files", "verify_backups"]),
        (
            "weekly",
            [
                "compact_database",
                "analyze_performance_trends",
                "review_error_logs",
            ],
        ),
        (
            "monthly",
            [
                "certificate_rotation_check",
                "security_audit",
                "capacity_planning_review",
            ],
        ),
        (
            "quarterly",
            [
                "disaster_recovery_drill",
                "upgrade_planning",
                "architecture_review",
            ],
        ),
    ];
    let names: Vec<&str> = periods.iter().flat_map(|(_, tasks)| *tasks).collect();
    let sandbox = with_library(&format!("actions:\n{}", noting(&names)));
    let file = seed("maintenance");
    for (period, tasks) in periods {
        let plan = format!("{file}#{period}");
        let name = format!("maintenance/{period} succeeded");
        sandbox
            .caxplan(&["run", &plan, "--use", "library.yaml"])
            .expect_code(0)
            .expect_text(&name);
        assert_eq!(sandbox.read("effects"), tasks.join("\n") + "\n");
        sandbox.file("effects", "");
    }
    sandbox
        .caxplan(&["validate", &file, "--use", "library.yaml"])
        .expect_code(0)
        .expect_text("#quarterly is valid");
    sandbox
        .caxplan(&["run", &file, "--use", "library.yaml"])
        .expect_code(2)
        .expect_text("`#daily`, `#weekly`, `#monthly`, `#quarterly`");
}

/// The folders below one, by name.
fn folders(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(path)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    found.sort();
    found
}

fn make_older(path: &Path, days: u64) {
    let folder = std::fs::File::open(path).expect("a folder");
    let then = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    folder.set_modified(then).expect("its time can be set");
}

/// A library for the policy of the seed: files of the sandbox, and a folder in place of S3.
fn backup_library(sandbox: &Sandbox) -> String {
    format!(
        r#"
use: {library}
vars:
  backup_root: {here}/root
  backup_staging: {here}/staging
  destination_root: {here}
actions:
  store_s3:
    action: shell.run
    with:
      env: {{STAGED: "{{{{ vars.backup_staging }}}}/{{{{ backup.name }}}}/{{{{ run.id }}}}", BUCKET: "{here}/{{{{ destination.region }}}}/{{{{ destination.bucket }}}}/{{{{ backup.name }}}}"}}
      script: mkdir -p "$BUCKET"; cp -R "$STAGED" "$BUCKET"
  prune_s3: {{shell.run: {{script: 'echo "{{{{ destination.bucket }}}} {{{{ backup.retention_seconds }}}}" >> "{here}/pruned"'}}}}
"#,
        library = root().join("plans/actions/backup-files.yaml").display(),
        here = sandbox.path().display(),
    )
}

#[test]
fn the_policy_makes_stores_verifies_and_then_removes_what_is_too_old() {
    let sandbox = Sandbox::new();
    let components = [
        "agent_registry",
        "agent_state",
        "message_queues",
        "configuration",
        "certificates",
    ];
    for component in components {
        std::fs::create_dir_all(sandbox.path().join("root").join(component)).expect("made");
        sandbox.file(&format!("root/{component}/file"), component);
    }
    sandbox.file("library.yaml", &backup_library(&sandbox));
    let back_up = |entry: &str| {
        let plan = format!("{}#{entry}", seed("backup"));
        sandbox
            .caxplan(&["run", &plan, "--use", "library.yaml"])
            .expect_code(0);
    };
    let local = sandbox.path().join("backup/caxton");
    back_up("full_backup");
    let first = folders(&local.join("full_backup"));
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(
        folders(&sandbox.path().join("us-east-1/caxton-backups/full_backup")).len(),
        1
    );
    assert_eq!(sandbox.read("pruned"), "caxton-backups 2592000\n");
    assert!(folders(&sandbox.path().join("staging/full_backup")).is_empty());

    // What is in it can be read back.
    let archive = first[0].join("files.tar.gz");
    let unpacked = std::process::Command::new("tar")
        .args(["-xzOf", archive.to_str().expect("UTF-8"), "agent_state/file"])
        .output()
        .expect("tar runs");
    assert_eq!(String::from_utf8_lossy(&unpacked.stdout), "agent_state");

    // An incremental one holds what changed since, and is kept for a shorter time.
    sandbox.file("root/agent_state/new", "new");
    back_up("incremental_backup");
    let incremental = folders(&local.join("incremental_backup"));
    let listed = std::process::Command::new("tar")
        .arg("-tzf")
        .arg(incremental[0].join("files.tar.gz"))
        .output()
        .expect("tar runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        listed.contains("agent_state/new") && !listed.contains("agent_state/file"),
        "{listed}"
    );

    // Only what is older than its own retention goes, and only once there is a newer one.
    make_older(&first[0], 29);
    make_older(&incremental[0], 29);
    back_up("full_backup");
    assert_eq!(folders(&local.join("full_backup")).len(), 2);
    assert_eq!(folders(&local.join("incremental_backup")), incremental);
    make_older(&first[0], 31);
    std::fs::create_dir(local.join("full_backup/not-a-backup")).expect("made");
    make_older(&local.join("full_backup/not-a-backup"), 1000);
    back_up("full_backup");
    let left = folders(&local.join("full_backup"));
    assert!(!left.contains(&first[0]) && left.len() == 3, "{left:?}");
    back_up("incremental_backup");
    let left = folders(&local.join("incremental_backup"));
    assert!(left.len() == 1 && left != incremental, "{left:?}");
}

#[test]
fn a_backup_that_cannot_be_verified_removes_nothing() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path().join("root/data")).expect("made");
    let library = backup_library(&sandbox);
    sandbox.file("library.yaml", &library);
    sandbox.file(
        "backup.yaml",
        "backup:\n  schedule: {full_backup: {frequency: daily, retention: 1d}}\n  \
         destinations: [{type: local, path: /near}]\n  components: [data]\n",
    );
    let run = |library: &str| {
        sandbox.caxplan(&[
            "run",
            "backup.yaml#full_backup",
            "--use",
            "library.yaml",
            "--use",
            library,
        ])
    };
    run("library.yaml").expect_code(0);
    let near = sandbox.path().join("near/full_backup");
    make_older(&folders(&near)[0], 100);
    // What is stored is not what was made.
    sandbox.file(
        "broken.yaml",
        r#"
actions:
  store_local:
    action: shell.run
    with:
      env: {STAGED: "{{ vars.backup_staging }}/{{ backup.name }}/{{ run.id }}", PARENT: "{{ vars.destination_root }}{{ destination.path }}/{{ backup.name }}"}
      script: cp -R "$STAGED" "$PARENT"; echo broken > "$PARENT/$(basename "$STAGED")/files.tar.gz"
"#,
    );
    run("broken.yaml").expect_code(1).expect_text("verify_copies");
    assert_eq!(folders(&near).len(), 2, "the old one must be there still");
}

/// Observations, as one JSON object in a file.
fn monitored(actions: &str) -> Sandbox {
    with_library(&format!(
        "defaults:\n  observe: {{shell.run: {{argv: [cat, '{{{{ vars.here }}}}/observation'], changes: false}}}}\nactions:\n{actions}"
    ))
}

#[test]
fn the_monitors_say_what_is_not_well() {
    let sandbox = monitored(
        "  cluster_membership: {shell.run: {argv: ['true'], changes: false}}\n  \
         gossip_convergence: {shell.run: {script: 'echo two views >&2; test -e \"{{ vars.here }}/converged\"', changes: false}}\n",
    );
    let well = r#"{"partition_detection": true, "cpu_usage": 20, "memory_usage_percent": 30, "disk_usage": "40%", "agent_count": 3,
        "max_agents": 10, "agent_responsiveness": 1, "message_processing_time": true, "error_rate": 0.1}"#;
    sandbox.file("observation", well);
    let file = seed("health_checks");
    let check = |more: &[&str]| {
        let mut arguments = vec!["check", &file, "--use", "library.yaml"];
        arguments.extend(more);
        sandbox.caxplan(&arguments)
    };
    check(&[])
        .expect_code(1)
        .expect_text("`bash` ended with exit code 1: two views");
    sandbox.file("converged", "");
    check(&[])
        .expect_code(0)
        .expect_text("agent_count was 3, expected < max_agents (10)");

    sandbox.file(
        "observation",
        &well
            .replace("\"cpu_usage\": 20", "\"cpu_usage\": 91")
            .replace("agent_responsiveness", "x"),
    );
    let seen = check(&["--output", "json"]).expect_code(1).json();
    let verdict = |check: &str| {
        let line = seen
            .as_array()
            .expect("a list")
            .iter()
            .find(|line| line["check"] == check);
        line.expect("a check")["verdict"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(verdict("cpu_usage < 80%"), "not well");
    assert_eq!(verdict("memory_usage < 90%"), "well");
    assert_eq!(verdict("disk_usage < 85%"), "well");
    assert_eq!(verdict("agent_responsiveness"), "unknown");
    check(&["cluster_health"]).expect_code(0);
    check(&["node_helth"])
        .expect_code(2)
        .expect_text("it holds cluster_health, node_health, agent_health");

    // A monitor is a plan, too.
    let plan = format!("{file}#node_health");
    sandbox
        .caxplan(&["run", &plan, "--use", "library.yaml"])
        .expect_code(1)
        .expect_text("cpu_usage was 91");
}

/// Nobody is to be called.
const QUIET: &str = r#"{"partition_detected": false, "node_unreachable_seconds": 3, "error_rate": 0, "cpu_usage": 20, "disk_usage": 30,
    "cert_expiry": "200d"}"#;

fn alerting() -> Sandbox {
    let sandbox = monitored(
        r#"  page_oncall: {shell.run: {script: 'echo "$TEXT" >> effects; test ! -e broken', cwd: "{{ vars.here }}", env: {TEXT: "page {{ alert.severity }} {{ alert.name }}: {{ alert.seen }}"}}}
  send_alert: {shell.run: {script: 'echo "$TEXT" >> effects', cwd: "{{ vars.here }}", env: {TEXT: "mail {{ alert.name }}"}}}
"#,
    );
    sandbox.file("observation", QUIET);
    sandbox
}

#[test]
fn an_alert_acts_once_until_it_is_over() {
    let sandbox = alerting();
    let file = seed("alerts");
    let check = || sandbox.caxplan(&["check", &file, "--use", "library.yaml"]);
    check().expect_code(0);
    assert_eq!(sandbox.read("effects"), "");

    let down = QUIET.replace(
        "\"node_unreachable_seconds\": 3",
        "\"node_unreachable_seconds\": 75",
    );
    sandbox.file(
        "observation",
        &down
            .replace("\"cpu_usage\": 20", "\"cpu_usage\": 71")
            .replace("200d", "29d"),
    );
    for _ in 0..3 {
        let seen = check().expect_code(1);
        // It must hold for five minutes.
        assert!(seen.stdout.contains("pending"), "{}", seen.stdout);
    }
    assert_eq!(
        sandbox.read("effects"),
        "page critical node_down: node_unreachable was 75 (s), expected > 60s\nmail certificate_expiring\n"
    );
    let runs = sandbox.caxplan(&["runs"]).expect_code(0);
    assert_eq!(
        runs.stdout.matches("alerts/node_down").count(),
        1,
        "{}",
        runs.stdout
    );

    sandbox.file("observation", QUIET);
    check().expect_code(0);
    sandbox.file("observation", &down);
    check().expect_code(1);
    assert_eq!(sandbox.read("effects").matches("node_down").count(), 2);

    // What cannot be told neither raises an alert nor ends one.
    sandbox.file("observation", "{}");
    check()
        .expect_code(1)
        .expect_text("`node_unreachable` is not known");
    sandbox.file("observation", &down);
    check().expect_code(1);
    assert_eq!(sandbox.read("effects").matches("node_down").count(), 2);
}

#[test]
fn an_action_that_failed_is_tried_again_by_the_next_check() {
    let sandbox = alerting();
    let file = seed("alerts");
    sandbox.file(
        "observation",
        &QUIET.replace("\"partition_detected\": false", "\"partition_detected\": true"),
    );
    sandbox.file("broken", "");
    let check = || sandbox.caxplan(&["check", &file, "cluster_split_brain", "--use", "library.yaml"]);
    check().expect_code(1).expect_text("its action failed");
    std::fs::remove_file(sandbox.path().join("broken")).expect("removed");
    for _ in 0..3 {
        check().expect_code(1).expect_text("succeeded");
    }
    assert_eq!(sandbox.read("effects").lines().count(), 2);
    // Both attempts are one run.
    let runs = sandbox.caxplan(&["runs"]).expect_code(0);
    assert_eq!(
        runs.stdout.matches("alerts/cluster_split_brain").count(),
        1,
        "{}",
        runs.stdout
    );
}

#[test]
fn a_duration_is_kept_from_one_check_to_the_next() {
    let sandbox = alerting();
    sandbox.file(
        "alerts.yaml",
        "alerts:\n  warning:\n    - {name: busy, condition: cpu_usage > 10%, duration: 1s, action: send_alert}\n",
    );
    let check = || {
        sandbox
            .caxplan(&["check", "alerts.yaml", "--use", "library.yaml"])
            .expect_code(1)
    };
    check().expect_text("pending");
    assert_eq!(sandbox.read("effects"), "");
    std::thread::sleep(Duration::from_millis(1_100));
    check().expect_text("firing");
    check();
    assert_eq!(sandbox.read("effects"), "mail busy\n");
}

/// The engine is killed in the middle of an action: the next check finds that run, and does not start another.
#[test]
fn a_kill_in_the_middle_of_an_action_makes_no_second_one() {
    let sandbox = with_library("actions: {}\n");
    sandbox.file("observation", r#"{"down": true}"#);
    let plan = |probe: &str| {
        format!(
            r#"
defaults: {{observe: {{shell.run: {{argv: [cat, observation], changes: false}}}}}}
alerts:
  critical:
    - name: outage
      condition: down
      action:
        id: call
        action: shell.run
        with: {{script: "echo called >> effects; touch started; until test -e go; do sleep 0.02; done"}}
        {probe}
"#
        )
    };
    // Nobody can tell whether the call went out: a person must.
    sandbox.file("asks.yaml", &plan(""));
    // Here the action says how to find out.
    let probe = "probe: {shell.run: {argv: [test, -s, effects], ok_codes: [0, 1], changes: false}, done_when: output.exit_code == 0}";
    sandbox.file("probes.yaml", &plan(probe));
    for (file, after, text) in [("asks.yaml", 1, "waiting"), ("probes.yaml", 1, "succeeded")] {
        for name in ["effects", "started", "go"] {
            let _ = std::fs::remove_file(sandbox.path().join(name));
        }
        let mut check = sandbox.start_caxplan(&["check", file]);
        wait_until("the action", Duration::from_secs(60), || {
            sandbox.path().join("started").exists()
        });
        check.kill();
        sandbox.file("go", "");
        for _ in 0..2 {
            sandbox
                .caxplan(&["check", file])
                .expect_code(after)
                .expect_text(text);
        }
        assert_eq!(sandbox.read("effects"), "called\n", "{file}");
        let name = format!("{}/outage", file.trim_end_matches(".yaml"));
        let runs = sandbox.caxplan(&["runs"]).expect_code(0);
        assert_eq!(runs.stdout.matches(&name).count(), 1, "{}", runs.stdout);
    }
}

#[test]
fn a_watch_says_what_changes_and_ends_when_it_is_told() {
    let sandbox = alerting();
    sandbox.file(
        "alerts.yaml",
        "alerts:\n  critical:\n    - {name: outage, condition: partition_detected, every: 100ms, action: page_oncall}\n",
    );
    let watch = sandbox.start_caxplan(&["check", "alerts.yaml", "--use", "library.yaml", "--watch"]);
    let effects = || sandbox.read("effects").lines().count();
    for rounds in 1..3 {
        sandbox.file(
            "observation",
            &QUIET.replace("\"partition_detected\": false", "\"partition_detected\": true"),
        );
        wait_until("the action", Duration::from_secs(60), || effects() == rounds);
        sandbox.file("observation", QUIET);
        wait_until("the end of the alert", Duration::from_secs(60), || {
            let seen = sandbox.caxplan(&["check", "alerts.yaml", "--use", "library.yaml"]);
            seen.code == 0
        });
    }
    watch.signal(Signal::INT);
    let ended = watch.wait().expect_code(0);
    assert!(
        ended
            .stdout
            .contains("critical outage  partition_detected  firing"),
        "{}",
        ended.stdout
    );
    assert_eq!(effects(), 2);
}

#[test]
fn what_is_no_monitor_cannot_be_checked() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", "phases:\n  - {name: a, steps: [noop.run: {}]}\n");
    sandbox
        .caxplan(&["check", "plan.yaml"])
        .expect_code(2)
        .expect_text("this file holds nothing to check");
    sandbox
        .caxplan(&["run", "plan.yaml#daily"])
        .expect_code(2)
        .expect_text("this file is one plan");
}

/// The files that ship hold the blocks of the seeds, and their libraries bind every name.
#[test]
fn the_documents_that_ship_are_valid_and_hold_the_seeds() {
    let sandbox = Sandbox::new();
    for (file, name) in [
        ("maintenance", "maintenance"),
        ("backup", "backup"),
        ("health-checks", "health_checks"),
        ("alerts", "alerts"),
    ] {
        let path = root().join(format!("plans/{file}.yaml"));
        let text = std::fs::read_to_string(&path).expect("a plan");
        let block = std::fs::read_to_string(seed(name)).expect("a seed");
        assert!(text.ends_with(&block), "{}", path.display());
        sandbox
            .caxplan(&["validate", path.to_str().expect("UTF-8")])
            .expect_code(0);
    }
}
