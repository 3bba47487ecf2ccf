//! Invariants of a plan whose servers are files: what is alive is what is there.

use caxton_tests::Sandbox;

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
