//! `caxplan show`, as an operator reads it at three in the morning.

use caxton_tests::{Finished, Sandbox, wait_until};
use std::time::Duration;

const UPGRADE: &str = r#"
name: upgrade
inventory: {targets: {node-1: {}, node-2: {}, node-3: {}}}
phases:
  - name: prepare
    steps:
      - {id: backup, action: shell.run, with: {script: echo saved}}
      - {id: sure, approve: "Canary fine?"}
  - name: rolling
    steps:
      - foreach: {var: node, in: "{{ targets() }}"}
        steps:
          - {id: drain, action: shell.run, target: "{{ node.name }}", with: {script: echo drained}, rollback: {shell.run: {script: echo undrained}}}
          - id: upgrade
            action: shell.run
            target: "{{ node.name }}"
            with: {script: "if [ {{ node.name }} = node-2 ]; then echo no space left >&2; exit 9; fi"}
            rollback: {shell.run: {script: "test -e undo"}}
"#;

#[track_caller]
fn shows(end: &Finished, lines: &[&str]) {
    for line in lines {
        assert!(end.stdout.contains(line), "no `{line}` in\n{}", end.stdout);
    }
}

#[test]
fn a_failed_a_stuck_and_a_rolled_back_run_say_where_everything_stands() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", UPGRADE);
    sandbox.caxplan(&["run", "plan.yaml", "--yes"]).expect_code(1);
    let run = sandbox.caxplan(&["runs", "--output", "json"]).json()[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let failed = sandbox.caxplan(&["show", "--last"]).expect_code(0);
    shows(
        &failed,
        &[
            "`rolling/node-2/upgrade` failed",
            "│ no space left",
            "it may have changed something",
            "node-1  changed       by rolling/node-1/drain and rolling/node-1/upgrade",
            "node-2  half applied",
            "node-3  unchanged     2 steps not reached",
            "approved by --yes of",
            "A rollback would undo, in this order\n  rolling/node-2/upgrade\n  rolling/node-2/drain\n",
            "A rollback could not undo\n  prepare/backup\n",
            &format!("\n  caxplan resume {run}\n"),
            &format!("\n  caxplan rollback {run}\n"),
        ],
    );
    sandbox.caxplan(&["rollback", "--last"]).expect_code(4);
    let stuck = sandbox.caxplan(&["show", "--last"]).expect_code(0);
    shows(
        &stuck,
        &[
            "Could not be undone\n  rolling/node-2/upgrade",
            "Still to be undone",
            "undoing `rolling/node-2/upgrade`, attempt 3: failed",
            &format!("caxplan resume {run}"),
        ],
    );
    sandbox.file("undo", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(3);
    let rolled_back = sandbox.caxplan(&["show", "--last"]).expect_code(0);
    shows(
        &rolled_back,
        &["node-1  undone", "node-2  undone", "Left as it is"],
    );

    // One step, with every attempt at it and at undoing it.
    let step = sandbox
        .caxplan(&["show", "--last", "rolling/node-2/upgrade"])
        .expect_code(0);
    shows(
        &step,
        &[
            "attempt 1: failed",
            "│ no space left",
            "undo 3: failed",
            "undo 4: undone",
        ],
    );
    let group = sandbox
        .caxplan(&["show", "--last", "rolling/node-2"])
        .expect_code(0);
    shows(&group, &["rolling/node-2/drain: ", "rolling/node-2/upgrade: "]);
    sandbox
        .caxplan(&["show", "--last", "nothing"])
        .expect_code(2)
        .expect_text("--steps");

    // A finished run gives the same bytes each time.
    for format in ["text", "json", "yaml", "markdown"] {
        let show = || {
            sandbox
                .caxplan(&["show", "--last", "--output", format])
                .expect_code(0)
                .stdout
        };
        assert_eq!(show(), show(), "{format}");
    }
}

#[test]
fn a_killed_engine_leaves_a_step_in_doubt_and_the_account_says_so_at_once() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        "phases:\n  - name: work\n    steps:\n      - {id: risky, action: shell.run, with: {script: touch begun; sleep 60}}\n",
    );
    let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the step", Duration::from_secs(30), || {
        sandbox.path().join("begun").exists()
    });
    run.kill();
    let shown = sandbox.caxplan(&["show", "--last"]).expect_code(0);
    shows(
        &shown,
        &[
            "its engine died",
            "In doubt",
            "work/risky: attempt 1 was going on",
            "caxplan resume",
        ],
    );
    sandbox.caxplan(&["resume", "--last"]).expect_code(5);
    let shown = sandbox.caxplan(&["show", "--last"]).expect_code(0);
    shows(
        &shown,
        &[
            "the engine had died (`work/risky` was going on)",
            "--in-doubt assume-done",
            "--in-doubt rerun",
        ],
    );
}

#[test]
fn a_big_run_is_folded() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        "phases:\n  - name: work\n    steps:\n      - foreach: {var: n, in: \"{{ range(3000) | list }}\", batch_size: 3000, max_failures: 3000}\n        steps:\n          - {id: try, action: shell.run, when: 'n == 7', with: {script: exit 1}}\n",
    );
    sandbox.caxplan(&["run", "plan.yaml", "--quiet"]);
    let folded = sandbox.caxplan(&["show", "--last"]).expect_code(0);
    assert!(
        folded.stdout.lines().count() < 150,
        "{} lines",
        folded.stdout.lines().count()
    );
    shows(&folded, &["2999 steps skipped", "--steps"]);
    let all = sandbox.caxplan(&["show", "--last", "--steps"]).expect_code(0);
    assert!(all.stdout.lines().count() > 3000);
}
