//! What a plan hands over to one that it runs: secrets, and values that only the run knows.

use caxton_tests::{Sandbox, wait_until};
use std::time::Duration;

const SECRET: &str = "correct-horse-battery";

/// Nothing that the run has kept or shown holds the secret.
fn expect_no_secret(sandbox: &Sandbox, said: &[String]) {
    for text in said {
        assert!(!text.contains(SECRET), "shown:\n{text}");
    }
    let mut open = vec![sandbox.path().join("state")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("the state folder").flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            let found = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
            assert!(!found, "kept in {}", entry.path().display());
        }
    }
}

/// A plan that writes its token down twice, the second time when it may, by way of a plan of its own.
fn write_child(sandbox: &Sandbox) {
    sandbox.file(
        "child.yaml",
        r#"
params:
  token: {secret: true, min: 8}
  name: {}
  unset: {secret: true, required: false}
phases:
  - name: use
    steps:
      - id: first
        action: shell.run
        with: {script: "printf %s \"$TOKEN\" > {{ params.name }}; echo it is $TOKEN", env: {TOKEN: "{{ params.token }}"}}
        rollback: {shell.run: {script: "printf %s \"$TOKEN\" > undone", env: {TOKEN: "{{ params.token }}"}}}
      - {id: gate, action: shell.run, with: {script: "touch waiting; test -e go || sleep 987658", changes: false}}
      - id: inner
        run: inner.yaml
        params: {key: "<{{ params.token }}>"}
"#,
    );
    sandbox.file(
        "inner.yaml",
        r#"
params: {key: {secret: true, pattern: "<.*>"}}
phases:
  - name: deep
    steps:
      - action: shell.run
        with: {script: "printf %s \"$KEY\" > deep", env: {KEY: "{{ params.key }}"}}
        rollback: []
"#,
    );
}

#[test]
fn a_secret_reaches_the_steps_of_a_child_plan_and_no_record_also_when_the_engine_dies() {
    let sandbox = Sandbox::new();
    write_child(&sandbox);
    sandbox.file("token", SECRET);
    sandbox.file(
        "plan.yaml",
        r#"
on_failure: rollback
secrets: {token: {file: token}}
phases:
  - name: main
    steps:
      - {id: name, action: shell.run, with: {argv: [echo, got], changes: false}}
      - id: child
        run: child.yaml
        params: {token: "{{ secrets.token }}", name: "{{ steps.name.output.stdout | trim }}"}
      - shell.run: {script: exit 1, changes: false}
"#,
    );
    let preview = sandbox.caxplan(&["preview", "plan.yaml"]).expect_code(0);
    let offline = sandbox
        .caxplan(&["preview", "plan.yaml", "--offline", "--output", "json"])
        .expect_code(0);
    let simulated = sandbox.caxplan(&["simulate", "plan.yaml"]);
    expect_no_secret(
        &sandbox,
        &[preview.stdout, offline.stdout, simulated.stdout, simulated.stderr],
    );

    let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the gate of the child", Duration::from_secs(20), || {
        sandbox.path().join("waiting").exists()
    });
    run.kill();
    assert_eq!(sandbox.read("got"), SECRET);
    sandbox.file("go", "");
    let end = sandbox.caxplan(&["resume", "--last", "-v"]).expect_code(3);
    assert_eq!(sandbox.read("deep"), format!("<{SECRET}>"));
    assert_eq!(sandbox.read("undone"), SECRET, "an undo has it too");
    let show = sandbox.caxplan(&["show", "--last", "--output", "json"]);
    let logs = sandbox.caxplan(&["logs", "--last"]).expect_text("it is ***");
    expect_no_secret(
        &sandbox,
        &[end.stdout, end.stderr, show.stdout, logs.stdout, logs.stderr],
    );
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
}

#[test]
fn a_secret_that_does_not_fit_fails_the_step_that_wants_it_and_is_not_shown() {
    let sandbox = Sandbox::new();
    write_child(&sandbox);
    sandbox.file("go", "");
    sandbox.file("token", "short1");
    sandbox.file(
        "plan.yaml",
        r#"
params: {pin: {secret: true}}
phases: [{name: main, steps: [{run: child.yaml, params: {token: "{{ params.pin }}", name: got}}]}]
"#,
    );
    let end = sandbox
        .caxplan(&["run", "plan.yaml", "-p", "pin=short1"])
        .expect_code(1)
        .expect_text("parameter `token`: the length of ");
    assert!(!end.stderr.contains("short1") && !end.stdout.contains("short1"));
    assert!(!sandbox.path().join("got").exists());
    sandbox
        .caxplan(&["run", "plan.yaml", "-p", &format!("pin={SECRET}")])
        .expect_code(0);
    assert_eq!(sandbox.read("got"), SECRET);
    expect_no_secret(&sandbox, &[]);
}

const WITH_VARS: &str = r#"
params: {name: {}, count: {type: integer, default: 1, min: 1}}
inventory: {targets: {one: {}, two: {}}}
vars:
  plain: "{{ targets() | length }}"
  path: "made-{{ params.name }}"
  files: ["{{ vars.path }}-a", "{{ vars.path }}-{{ vars.plain }}"]
  share: "{{ 100 // (params.count - 1) }}"
phases:
  - name: make
    steps:
      - foreach: "{{ vars.files }}"
        steps: [{shell.run: {script: "touch {{ item }}"}, rollback: {shell.run: {script: "rm {{ item }}"}}}]
      - {when: "vars.share > 10", shell.run: {script: "echo {{ vars.share }} of {{ vars.path }} > share"}, rollback: []}
outputs: {path: "{{ vars.path }}", all: "{{ vars.files }}"}
"#;

#[test]
fn variables_of_a_child_plan_may_depend_on_what_only_the_run_knows() {
    let sandbox = Sandbox::new();
    sandbox.file("child.yaml", WITH_VARS);
    sandbox.file(
        "plan.yaml",
        r#"
params: {count: {default: "5"}}
phases:
  - name: main
    steps:
      - {id: ask, action: shell.run, with: {argv: [echo, "x{{ params.count }}"], changes: false}}
      - id: child
        run: child.yaml
        params: {name: "{{ steps.ask.output.stdout | trim }}", count: "{{ steps.ask.output.stdout | trim | replace('x', '') }}"}
      - {id: after, action: shell.run, with: {argv: [echo, "{{ steps.child.output.all | join('+') }}"], changes: false}}
"#,
    );
    sandbox.caxplan(&["preview", "plan.yaml"]).expect_code(0);
    sandbox.caxplan(&["simulate", "plan.yaml"]).expect_text("child");
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    sandbox
        .caxplan(&["logs", "--last"])
        .expect_text("made-x5-a+made-x5-2");
    assert_eq!(sandbox.read("share"), "25 of made-x5\n");
    sandbox.caxplan(&["rollback", "--last"]).expect_code(3);
    assert!(!sandbox.path().join("made-x5-a").exists());

    // One that cannot be had fails before anything of the child has run.
    sandbox
        .caxplan(&["run", "plan.yaml", "-p", "count=1"])
        .expect_code(1)
        .expect_text("variable share");
    assert!(!sandbox.path().join("made-x1-a").exists());
}
