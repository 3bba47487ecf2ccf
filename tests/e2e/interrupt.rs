//! One interrupt lets running steps end; a second one aborts them.

use caxton_tests::{Sandbox, wait_until};
use rustix::process::Signal;
use std::time::Duration;

const PLAN: &str = r"
phases:
  - name: work
    steps:
      - id: slow
        action: shell.run
        with: {script: 'echo begun >> effects; for i in $(seq 100); do test -e go && break; sleep 0.1; done; echo ended >> effects'}
        probe: {action: shell.run, with: {script: 'grep -qx ended effects', changes: false, ok_codes: [0, 1]}, done_when: output.exit_code == 0}
      - {id: after, action: shell.run, with: {script: echo after >> effects}}
";

#[test]
fn one_interrupt_lets_the_running_step_end_and_starts_no_other() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", PLAN);
    let run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the first step", Duration::from_secs(10), || {
        sandbox.read("effects").contains("begun")
    });
    run.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    sandbox.file("go", "");
    run.wait().expect_code(130).expect_text("caxplan resume");
    assert_eq!(sandbox.read("effects"), "begun\nended\n");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), "begun\nended\nafter\n");
}

#[test]
fn a_second_interrupt_aborts_the_running_step() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", PLAN);
    let run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the first step", Duration::from_secs(10), || {
        sandbox.read("effects").contains("begun")
    });
    run.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    run.signal(Signal::INT);
    run.wait().expect_code(130);
    assert_eq!(sandbox.read("effects"), "begun\n");
    sandbox.file("go", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(
        sandbox.read("effects"),
        "begun\nbegun\nended\nafter\n",
        "the probe saw that it had not ended"
    );
}

#[test]
fn a_paused_run_starts_nothing_until_it_is_resumed() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", PLAN);
    let run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the first step", Duration::from_secs(10), || {
        sandbox.read("effects").contains("begun")
    });
    sandbox.caxplan(&["pause", "--last"]).expect_code(0);
    std::thread::sleep(Duration::from_millis(400));
    sandbox.file("go", "");
    run.wait().expect_code(5);
    assert_eq!(sandbox.read("effects"), "begun\nended\n");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), "begun\nended\nafter\n");
}
