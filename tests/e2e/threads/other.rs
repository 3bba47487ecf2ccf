//! What fits nowhere else.

use super::{effects, runs, sandbox, start_until};
use caxton_tests::Sandbox;

/// temporal#3006: the wish to pause a run, with nothing lost and no timer forgotten, and to let it go on later.
#[test]
fn temporal_3006_a_run_is_paused_and_goes_on() {
    let sandbox = sandbox(
        "
phases:
  - name: work
    steps:
      - {id: one, action: shell.run, with: {script: 'echo one >> effects; until test -e go; do sleep 0.02; done'}}
      - {id: two, action: shell.run, with: {script: echo two >> effects}}
",
    );
    let run = start_until(&sandbox, "one");
    sandbox.caxplan(&["pause", "--last"]).expect_code(0);
    sandbox.file("go", "");
    run.wait().expect_code(5);
    assert_eq!(runs(&sandbox)[0]["status"], "waiting");
    assert_eq!(
        effects(&sandbox),
        ["one"],
        "what ran has ended, nothing else began"
    );
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(effects(&sandbox), ["one", "two"]);
}

/// temporal#3006: it is heard although steps end all the time.
#[test]
fn temporal_3006_a_busy_run_is_paused_too() {
    let sandbox = sandbox(
        r#"
phases:
  - name: work
    steps:
      - foreach: {var: number, in: "{{ range(200) | list }}"}
        steps:
          - {id: step, action: shell.run, with: {script: 'sleep 0.02; echo {{ number }} >> effects'}}
"#,
    );
    let run = start_until(&sandbox, "3");
    sandbox.caxplan(&["pause", "--last"]).expect_code(0);
    let begun = effects(&sandbox).len();
    run.wait().expect_code(5);
    let ended = effects(&sandbox).len();
    assert!(ended <= begun + 1 && ended < 200, "{begun} {ended}");
}

/// temporalio/sdk-go#1271: a workflow whose code was changed while it ran died with errors that did not say that this was the reason.
#[test]
fn sdk_go_1271_an_edited_file_does_not_break_a_run_of_what_was_there_before() {
    let sandbox = sandbox(
        "
phases:
  - name: work
    steps:
      - {id: one, action: shell.run, with: {script: echo one >> effects}}
      - {id: two, action: shell.run, with: {script: test -e fixed; echo two >> effects}}
",
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    sandbox.file("fixed", "");
    sandbox.file(
        "plan.yaml",
        "phases: [{name: other, steps: [{shell.run: {script: echo other >> effects}}]}]\n",
    );
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(effects(&sandbox), ["one", "two"]);
}

/// runmedev/runme#659: when all cells of a notebook were run, a failed one did not stop those after it.
#[test]
fn runme_659_a_block_of_a_runbook_that_fails_stops_those_after_it() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "runbook.md",
        "# Move\n\n## Do it\n\n1. Stop the service\n\n   ```sh\n   echo stop >> effects\n   ```\n\n2. Copy the data\n\n   ```sh\n   false\n   echo copied >> effects\n   ```\n\n3. Delete the old data\n\n   ```sh\n   echo deleted >> effects\n   ```\n",
    );
    sandbox
        .caxplan(&["import", "runbook.md", "--output", "plan.yaml"])
        .expect_code(0);
    sandbox.caxplan(&["run", "plan.yaml", "--yes"]).expect_code(1);
    assert_eq!(effects(&sandbox), ["stop"], "{}", sandbox.read("plan.yaml"));
}
