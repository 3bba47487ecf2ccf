//! Invariants of a plan whose servers are files: what is alive is what is there.

use caxton_tests::{Sandbox, wait_until};
use std::time::Duration;

const PLAN: &str = r#"
name: servers
params: {broken: {type: string, default: none}}
inventory: {targets: {one: {}, two: {}, three: {}}}
invariants:
  - condition: alive >= 3
    observe:
      shell.run: {script: 'echo "{\"alive\": $(ls alive | wc -l)}"', changes: false}
phases:
  - name: roll
    steps:
      - foreach_node:
          - {id: drain, shell.run: {script: "rm alive/{{ target.name }}"}, availability: -1, rollback: []}
          - id: undrain
            shell.run: {script: "test {{ target.name }} = {{ params.broken }} || touch alive/{{ target.name }}"}
            availability: 1
            rollback: []
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path().join("plan.yaml"), PLAN).expect("written");
    std::fs::create_dir(sandbox.path().join("alive")).expect("made");
    for name in ["one", "two", "three"] {
        std::fs::write(sandbox.path().join("alive").join(name), "").expect("written");
    }
    sandbox
}

#[test]
fn a_condition_that_holds_lets_every_step_go_on() {
    let sandbox = sandbox();
    let end = sandbox.caxplan(&["run", "plan.yaml", "-v"]);
    assert_eq!(end.code, 0, "{}\n{}", end.stdout, end.stderr);
    for step in ["one/drain~invariant", "three/undrain", "three/after~invariant"] {
        assert!(
            end.stderr.contains(step) || end.stdout.contains(step),
            "{step}: {}",
            end.stderr
        );
    }
}

#[test]
fn a_server_that_does_not_come_back_stops_the_next_from_being_taken_down() {
    let sandbox = sandbox();
    let end = sandbox.caxplan(&["run", "plan.yaml", "-v", "-p", "broken=two"]);
    let all = format!("{}\n{}", end.stdout, end.stderr);
    assert_eq!(end.code, 1, "{all}");
    assert!(
        all.contains("roll/two/after~invariant: alive was 2, expected >= 3"),
        "{all}"
    );
    assert!(!all.contains("three/drain"), "{all}");
    assert!(
        sandbox.path().join("alive/three").exists(),
        "it was never taken down"
    );

    // A person brings it back, and the run goes on where it stood.
    std::fs::write(sandbox.path().join("alive/two"), "").expect("written");
    let end = sandbox.caxplan(&["resume", "--last"]);
    assert_eq!(end.code, 0, "{}\n{}", end.stdout, end.stderr);
}

/// Rolls over the servers of the plan that runs it.
const ROLL: &str = r#"
params: {limit: {type: integer, default: 0}}
invariants:
  - {max_unavailable: 1}
  - condition: load <= params.limit
    observe:
      shell.run: {script: 'echo "{\"load\": $(cat load)}"', changes: false}
phases:
  - name: roll
    steps:
      - foreach_node:
          - {id: drain, shell.run: {script: "rm alive/{{ target.name }}"}, availability: -1, rollback: []}
          - id: undrain
            shell.run: {script: "touch alive/{{ target.name }}"}
            availability: 1
            rollback: []
"#;

/// Runs [`ROLL`] under a condition of its own, over what the child does not know.
const AROUND: &str = r#"
params: {least: {type: integer, default: 2}, limit: {default: "7"}}
inventory: {targets: {one: {}, two: {}, three: {}}}
invariants:
  - condition: alive >= params.least
    observe:
      shell.run: {script: 'echo "{\"alive\": $(ls alive | wc -l)}"', changes: false}
phases:
  - name: main
    steps:
      - {id: ask, shell.run: {argv: [echo, "{{ params.limit }}"], changes: false}}
      - id: child
        run: roll.yaml
        params: {limit: LIMIT}
"#;

#[test]
fn conditions_of_a_child_plan_and_of_the_plan_around_it_hold_within_it() {
    for limit in ["7", "\"{{ steps.ask.output.stdout | trim }}\""] {
        let sandbox = sandbox();
        sandbox.file("roll.yaml", ROLL);
        sandbox.file("plan.yaml", &AROUND.replace("LIMIT", limit));
        sandbox.file("load", "5");
        sandbox.caxplan(&["validate", "plan.yaml"]).expect_code(0);
        let end = sandbox.caxplan(&["run", "plan.yaml", "-v"]).expect_code(0);
        let all = format!("{}\n{}", end.stdout, end.stderr);
        for step in [
            "one/drain~invariant ",
            "one/drain~invariant-2",
            "three/after~invariant-2",
        ] {
            assert!(all.contains(step), "{step}: {all}");
        }

        // What the child says.
        sandbox.file("load", "8");
        sandbox
            .caxplan(&["run", "plan.yaml"])
            .expect_code(1)
            .expect_text("load was 8, expected <= params.limit (7)");
        assert!(
            sandbox.path().join("alive/one").exists(),
            "it was never taken down"
        );
        // And after the load went down, the run goes on where it stood.
        sandbox.file("load", "7");
        sandbox.caxplan(&["resume", "--last"]).expect_code(0);

        // What the plan around it says, in its own words: the child has no parameter `least`.
        sandbox
            .caxplan(&["run", "plan.yaml", "-p", "least=4"])
            .expect_code(1)
            .expect_text("alive was 3, expected >= params.least (4)");
        assert!(
            sandbox.path().join("alive/one").exists(),
            "it was never taken down"
        );
    }
}

#[test]
fn what_must_hold_in_a_child_plan_is_refused_when_it_cannot() {
    let sandbox = sandbox();
    sandbox.file(
        "roll.yaml",
        &ROLL.replace(
            "id: undrain",
            "id: undrain\n            when: \"params.limit > 9\"",
        ),
    );
    sandbox.file("plan.yaml", &AROUND.replace("LIMIT", "7"));
    sandbox
        .caxplan(&["validate", "plan.yaml"])
        .expect_text("could be down at once, and `max_unavailable: 1` does not allow it");
    sandbox.file("load", "0");
    // The second server would be one too many, and nothing goes on that could bring the first one back.
    sandbox
        .caxplan(&["run", "plan.yaml", "-p", "least=0"])
        .expect_code(1)
        .expect_text("which `max_unavailable: 1` of `roll.yaml` does not allow; down now: `one` (by `main/child/roll/one/drain`)");
    assert!(sandbox.path().join("alive/two").exists());
    sandbox
        .caxplan(&["simulate", "plan.yaml", "-p", "least=0"])
        .expect_text("max_unavailable: 1");

    sandbox.file(
        "roll.yaml",
        "invariants: {max_unavailable: 0}\nphases: [{name: a, steps: [{foreach_node: [{shell.run: {argv: [echo]}, availability: -1}]}]}]",
    );
    sandbox.file(
        "plan.yaml",
        "inventory: {targets: {one: {}}}\nphases: [{name: a, steps: [{run: roll.yaml}]}]",
    );
    sandbox
        .caxplan(&["validate", "plan.yaml"])
        .expect_code(2)
        .expect_text("`max_unavailable: 0` cannot hold: `a/run/a/one/shell.run` takes down one too many")
        .expect_text("roll.yaml:1:");
}

#[test]
fn conditions_are_checked_before_each_attempt_also_of_a_run_that_is_resumed() {
    let sandbox = sandbox();
    sandbox.file(
        "plan.yaml",
        r#"
invariants:
  - condition: go == 1
    observe:
      shell.run: {script: 'echo looked >> looks; echo "{\"go\": $(cat go)}"', changes: false}
phases:
  - name: main
    steps:
      - id: down
        shell.run: {script: "echo tried >> tries; sh attempt"}
        availability: -1
        retry: {attempts: 3, initial: 10ms}
        probe: {shell.run: {argv: [echo], changes: false}, done_when: "output.exit_code == 1"}
        rollback: []
"#,
    );
    let lines = |file: &str| sandbox.read(file).lines().count();

    // Two attempts fail, the third one does it: three looks.
    sandbox.file("go", "1");
    sandbox.file("attempt", "test $(wc -l < tries) -ge 3");
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    assert_eq!((lines("tries"), lines("looks")), (3, 3));

    // The first attempt breaks what must hold: there is no second one.
    sandbox.file("tries", "");
    sandbox.file("looks", "");
    sandbox.file("attempt", "echo 0 > go; exit 1");
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(1)
        .expect_text("not tried again: go was 0, expected == 1 (invariant)");
    assert_eq!((lines("tries"), lines("looks")), (1, 2));

    // Nor when the run is resumed, until it holds again.
    sandbox.caxplan(&["resume", "--last"]).expect_code(1);
    assert_eq!((lines("tries"), lines("looks")), (1, 3));
    sandbox.file("go", "1");
    sandbox.file("attempt", "true");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!((lines("tries"), lines("looks")), (2, 4));
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
}

#[test]
fn conditions_are_checked_again_after_an_engine_died_in_an_attempt() {
    let sandbox = sandbox();
    sandbox.file(
        "plan.yaml",
        r#"
invariants:
  - condition: go == 1
    observe:
      shell.run: {script: 'echo looked >> looks; echo "{\"go\": $(cat go)}"', changes: false}
phases:
  - name: main
    steps:
      - {id: down, shell.run: {script: "echo tried >> tries; test -e end || sleep 987657"}, availability: -1, rollback: []}
"#,
    );
    sandbox.file("go", "1");
    let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the attempt", Duration::from_secs(20), || {
        sandbox.path().join("tries").exists()
    });
    run.kill();
    sandbox.file("go", "0");
    sandbox
        .caxplan(&["resume", "--last", "--in-doubt", "rerun"])
        .expect_code(1)
        .expect_text("not tried again: go was 0, expected == 1");
    assert_eq!(sandbox.read("tries"), "tried\n");
    sandbox.file("go", "1");
    sandbox.file("end", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(sandbox.read("tries"), "tried\ntried\n");
    assert_eq!(sandbox.read("looks"), "looked\nlooked\nlooked\n");
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
}
