//! Time limits of phases, resume from a checkpoint, and rollbacks that are interrupted, with real processes.

use caxton_tests::{Sandbox, wait_until};
use std::time::Duration;

#[test]
fn a_phase_whose_time_is_over_fails_with_all_that_runs_in_it_and_is_resumed() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        r"
phases:
  - name: work
    timeout: 1s
    steps:
      - parallel:
          - id: slow
            action: shell.run
            with: {script: 'test -e go || sleep 987656; echo done >> effects'}
            rollback: []
          - wait: 1h
            when: params.waits
  - name: after
    steps: [{shell.run: {script: echo after >> effects}}]
params: {waits: {type: boolean, default: true}}
",
    );
    sandbox
        .caxplan(&["run", "plan.yaml", "-p", "waits=false"])
        .expect_code(1)
        .expect_text("the time of work is over")
        .expect_text("timeout");
    assert_eq!(sandbox.read("effects"), "");
    sandbox.file("go", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), "done\nafter\n");
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    sandbox
        .caxplan(&["show", "--last"])
        .expect_text("given up: the time of `work` was over");
}

#[test]
fn the_time_of_a_phase_goes_on_while_no_engine_has_the_run() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        r"
phases:
  - name: work
    timeout: 2s
    steps:
      - {id: slow, action: shell.run, with: {script: 'echo begun >> effects; sleep 987657'}}
",
    );
    let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the step", Duration::from_secs(10), || {
        !sandbox.read("effects").is_empty()
    });
    run.kill();
    std::thread::sleep(Duration::from_secs(2));
    sandbox
        .caxplan(&["resume", "--last"])
        .expect_code(1)
        .expect_text("what became of the attempt is not known");
    assert_eq!(sandbox.read("effects"), "begun\n", "it was not run again blindly");
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
}

#[test]
fn a_loop_learns_its_list_anew_when_the_run_is_resumed_from_before_it() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        r#"
phases:
  - name: begin
    steps: [{id: begin, action: shell.run, with: {argv: ["true"]}, checkpoint: begun}]
  - name: each
    steps:
      - {id: list, action: shell.run, with: {script: cat hosts, changes: false}}
      - foreach: {var: host, in: "{{ steps.list.output.stdout | trim | lines }}"}
        steps: [{shell.run: {script: "echo {{ host }} >> effects"}}]
  - name: gate
    steps: [{id: gate, action: shell.run, with: {argv: [test, -e, gate]}}]
"#,
    );
    sandbox.file("hosts", "a\nb\n");
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    sandbox.file("hosts", "b\nc\n");
    sandbox.file("gate", "");
    sandbox
        .caxplan(&["resume", "--last", "--from", "begun"])
        .expect_code(0)
        .expect_text("each/b/shell.run (attempt 2)")
        .expect_text("each/c/shell.run");
    assert_eq!(sandbox.read("effects"), "a\nb\nb\nc\n");
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
}

#[test]
fn a_rollback_that_is_killed_in_each_of_its_undos_goes_on_where_it_was() {
    let sandbox = Sandbox::new();
    let step = |number: u32| {
        format!(
            "      - {{id: s{number}, action: shell.run, with: {{script: echo do-{number} >> effects}}, \
             rollback: {{shell.run: {{script: 'echo undo-{number} >> effects; test -e go-{number} || sleep 987658'}}}}}}\n"
        )
    };
    let steps: String = (1..=3).map(step).collect();
    sandbox.file(
        "plan.yaml",
        &format!("phases:\n  - name: work\n    steps:\n{steps}      - shell.run: {{argv: ['false']}}\n"),
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    let mut command = "rollback";
    for number in [3, 2, 1] {
        let mut run = sandbox.start_caxplan(&[command, "--last"]);
        wait_until("the undo", Duration::from_secs(10), || {
            sandbox.read("effects").contains(&format!("undo-{number}"))
        });
        run.kill();
        let flight = format!("In flight when the last record was written\n  work/s{number}");
        sandbox.caxplan(&["show", "--last"]).expect_text(&flight);
        sandbox.file(&format!("go-{number}"), "");
        command = "resume";
    }
    sandbox.caxplan(&["resume", "--last"]).expect_code(3);
    assert_eq!(
        sandbox.read("effects"),
        "do-1\ndo-2\ndo-3\nundo-3\nundo-3\nundo-2\nundo-2\nundo-1\nundo-1\n",
        "each undo ran once more after its kill, and none that had ended"
    );
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
}
