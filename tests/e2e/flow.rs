//! Phases with a time limit and a rollback of their own, with real processes.

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
