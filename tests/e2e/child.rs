//! Plans that run within another, with real processes.

use caxton_tests::{Sandbox, wait_until};
use std::time::Duration;

/// A plan that makes a file, waits until it may go on, and makes another.
const CHILD: &str = r#"
params:
  name: {}
  count: {type: integer, default: 1, min: 1}
phases:
  - name: make
    steps:
      - id: make
        action: shell.run
        with: {script: "echo make-{{ params.name }} >> effects"}
        rollback: {shell.run: {script: "echo unmake-{{ params.name }} >> effects"}}
      - {id: gate, action: shell.run, with: {script: "touch waiting; test -e go || sleep 987658", changes: false}}
  - name: finish
    steps:
      - id: make
        action: shell.run
        with: {script: "echo finish-{{ params.name }} >> effects; echo {{ params.count }}"}
        rollback: {shell.run: {script: "echo unfinish-{{ params.name }} >> effects"}}
outputs:
  count: "{{ steps.make.output.stdout | trim | int }}"
  all: ["{{ params.name }}"]
"#;

#[test]
fn a_run_that_was_killed_in_a_child_plan_goes_on_there_and_is_undone_through_it() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path().join("sub")).expect("the sandbox can be written");
    sandbox.file("sub/child.yaml", CHILD);
    sandbox.file(
        "plan.yaml",
        r#"
on_failure: rollback
phases:
  - name: begin
    steps:
      - {id: make, action: shell.run, with: {script: "echo begin >> effects; echo 3"}, rollback: {shell.run: {script: echo unbegin >> effects}}}
  - name: middle
    steps:
      - id: child
        run: sub/child.yaml
        params: {name: "x-{{ steps.make.output.stdout | trim }}", count: "{{ steps.make.output.stdout | trim }}"}
      - id: after
        action: shell.run
        with: {script: "echo after-{{ steps.child.output.count + 1 }}-{{ steps.child.output.all | first }}-{{ steps.make.output.stdout | trim }} >> effects"}
        rollback: []
      - shell.run: {script: exit 1, changes: false}
"#,
    );
    let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the gate of the child", Duration::from_secs(20), || {
        sandbox.path().join("waiting").exists()
    });
    run.kill();
    assert_eq!(sandbox.read("effects"), "begin\nmake-x-3\n");
    sandbox.file("go", "");
    sandbox
        .caxplan(&["resume", "--last"])
        .expect_code(3)
        .expect_text("middle/child/finish/make undone in");
    assert_eq!(
        sandbox.read("effects"),
        "begin\nmake-x-3\nfinish-x-3\nafter-4-x-3-3\nunfinish-x-3\nunmake-x-3\nunbegin\n"
    );
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
}

#[test]
fn a_value_of_the_run_that_is_no_parameter_fails_before_the_child_begins() {
    let sandbox = Sandbox::new();
    sandbox.file("child.yaml", CHILD);
    sandbox.file("go", "");
    sandbox.file(
        "plan.yaml",
        r#"
phases:
  - name: a
    steps:
      - {id: many, action: shell.run, with: {argv: [echo, many], changes: false}}
      - block:
          - id: child
            run: child.yaml
            params: {name: x, count: "{{ steps.many.output.stdout | trim }}"}
        rescue:
          - shell.run: {script: echo rescued >> effects}
"#,
    );
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(0)
        .expect_text("parameter `count`: expected a whole number, found `many`");
    assert_eq!(sandbox.read("effects"), "rescued\n");
}

#[test]
fn child_plans_run_in_parallel_in_graphs_and_in_loops_of_both_kinds() {
    let sandbox = Sandbox::new();
    sandbox.file("child.yaml", CHILD);
    sandbox.file("go", "");
    sandbox.file(
        "plan.yaml",
        r#"
phases:
  - name: beside
    steps:
      - parallel:
          - {run: child.yaml, params: {name: p1}}
          - {run: child.yaml, params: {name: p2}}
  - name: graph
    order: dag
    steps:
      - {id: second, needs: [first], run: child.yaml, params: {name: "{{ steps.first.output.all | first }}-then"}}
      - {id: first, run: child.yaml, params: {name: d1}}
  - name: loops
    steps:
      - foreach: [s1, s2]
        steps: [{id: static, run: child.yaml, params: {name: "{{ item }}"}}]
      - {id: list, action: shell.run, with: {argv: [echo, r1 r2], changes: false}}
      - foreach: "{{ steps.list.output.stdout | split }}"
        steps: [{id: dynamic, run: child.yaml, params: {name: "{{ item }}"}}]
"#,
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    let effects = sandbox.read("effects");
    let mut lines: Vec<&str> = effects.lines().collect();
    assert_eq!(
        lines[4..],
        [
            "make-d1",
            "finish-d1",
            "make-d1-then",
            "finish-d1-then",
            "make-s1",
            "finish-s1",
            "make-s2",
            "finish-s2",
            "make-r1",
            "finish-r1",
            "make-r2",
            "finish-r2",
        ]
    );
    lines.truncate(4);
    lines.sort_unstable();
    assert_eq!(lines, ["finish-p1", "finish-p2", "make-p1", "make-p2"]);
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
    sandbox.caxplan(&["rollback", "--last"]).expect_code(3);
    let undone = sandbox.read("effects");
    assert_eq!(undone.lines().filter(|line| line.starts_with("un")).count(), 16);
    let mut last: Vec<&str> = undone.lines().rev().take(4).collect();
    last.sort_unstable();
    assert_eq!(last, ["unfinish-p1", "unfinish-p2", "unmake-p1", "unmake-p2"]);
}

#[test]
fn a_child_plan_that_takes_too_long_fails_as_a_whole_and_what_comes_after_it_sees_that() {
    let sandbox = Sandbox::new();
    sandbox.file("child.yaml", CHILD);
    sandbox.file(
        "plan.yaml",
        r#"
phases:
  - name: a
    steps:
      - block:
          - {id: child, run: child.yaml, params: {name: slow}, timeout: 1s}
        rescue:
          - {shell.run: {script: "echo {{ steps.child.status }} >> effects"}, rollback: []}
"#,
    );
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(0)
        .expect_text("the time of a/block/child is over");
    assert_eq!(sandbox.read("effects"), "make-slow\nfailed\n");
}

#[test]
fn a_child_plan_may_be_one_of_several_in_a_file() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "calendar.yaml",
        r#"
use: [lib.yaml]
maintenance:
  daily: [tidy]
  weekly: [tidy, check]
"#,
    );
    sandbox.file(
        "lib.yaml",
        "actions: {tidy: {shell.run: {script: echo tidy >> effects}}, check: {shell.run: {script: echo check >> effects}}}",
    );
    sandbox.file(
        "plan.yaml",
        "phases: [{name: a, steps: [{run: 'calendar.yaml#weekly'}, {run: 'calendar.yaml#daily'}]}]",
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), "tidy\ncheck\ntidy\n");
    sandbox.file(
        "plan.yaml",
        "phases: [{name: a, steps: [{run: 'calendar.yaml#weekyl'}]}]",
    );
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(2)
        .expect_text("did you mean `weekly`?");
}

#[test]
fn a_limit_reaches_child_plans_with_targets_of_their_own_and_those_without() {
    let sandbox = Sandbox::new();
    let steps = "phases: [{name: a, steps: [{foreach_node: [{shell.run: {script: 'echo NAME-{{ node.name }} >> effects'}}]}]}]";
    sandbox.file(
        "with.yaml",
        &format!(
            "inventory: {{targets: {{one: {{}}, three: {{}}}}}}\n{}",
            steps.replace("NAME", "own")
        ),
    );
    sandbox.file("without.yaml", &steps.replace("NAME", "lent"));
    sandbox.file(
        "plan.yaml",
        "inventory: {targets: {one: {}, two: {}}}\nphases: [{name: a, steps: [{run: with.yaml}, {run: without.yaml}]}]",
    );
    sandbox
        .caxplan(&["run", "plan.yaml", "--limit", "one"])
        .expect_code(0);
    assert_eq!(sandbox.read("effects"), "own-one\nlent-one\n");
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    assert_eq!(
        sandbox.read("effects").lines().skip(2).collect::<Vec<_>>(),
        ["own-one", "own-three", "lent-one", "lent-two"]
    );
    // A limit that leaves a child nothing to act on is a mistake.
    sandbox
        .caxplan(&["run", "plan.yaml", "--limit", "two"])
        .expect_code(2)
        .expect_text("with.yaml");
}

#[test]
fn a_child_plan_is_undone_by_its_own_rollback_in_place_of_its_steps_also_after_a_crash() {
    let sandbox = Sandbox::new();
    sandbox.file("child.yaml", CHILD);
    sandbox.file(
        "plan.yaml",
        r#"
phases:
  - name: a
    steps:
      - id: first
        run: child.yaml
        params: {name: one}
        rollback: {shell.run: {script: "echo undo-first >> effects"}}
      - {id: second, run: child.yaml, params: {name: two}}
"#,
    );
    let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the gate of the child", Duration::from_secs(20), || {
        sandbox.path().join("waiting").exists()
    });
    run.kill();
    sandbox.file("go", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    sandbox.caxplan(&["rollback", "--last"]).expect_code(3);
    assert_eq!(
        sandbox.read("effects").lines().collect::<Vec<_>>(),
        [
            "make-one",
            "finish-one",
            "make-two",
            "finish-two",
            "unfinish-two",
            "unmake-two",
            "undo-first"
        ]
    );
}
