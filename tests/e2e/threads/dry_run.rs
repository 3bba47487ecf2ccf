//! Looking before running.

use super::{effects, runs, sandbox};

/// ansible#8753: in check mode a step that fails counted as a success, so what depends on its failure was shown wrongly.
#[test]
fn ansible_8753_what_depends_on_a_step_that_has_not_run_is_unknown() {
    let sandbox = sandbox(
        "
phases:
  - name: work
    steps:
      - {id: probe, action: shell.run, with: {script: 'exit 1', ok_codes: [0, 1], changes: false}}
      - {id: repair, action: shell.run, when: steps.probe.output.exit_code == 0, with: {script: echo repaired >> effects}}
",
    );
    let preview = sandbox.caxplan(&["preview", "plan.yaml"]).expect_code(0);
    let line = preview.stdout.lines().find(|line| line.contains(" repair "));
    let line = line.unwrap_or_else(|| panic!("no repair in\n{}", preview.stdout));
    assert!(line.contains("[unknown: `when` ← work/probe]"), "{line}");
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    assert_eq!(effects(&sandbox), [""; 0], "it is skipped then");
}

/// ansible#31113: check mode died with "'dict object' has no attribute 'rc'" at the first use of what a skipped step would have
/// given.
#[test]
fn ansible_31113_a_preview_does_not_fail_for_want_of_an_output() {
    let sandbox = sandbox(
        r#"
phases:
  - name: work
    steps:
      - {id: ask, action: shell.run, with: {script: echo hello}}
      - {id: one, action: shell.run, when: steps.ask.output.exit_code == 0, with: {script: 'echo one'}}
      - {id: two, action: shell.run, with: {script: 'echo {{ steps.ask.output.stdout | upper | trim }}'}}
      - foreach: {var: word, in: "{{ steps.ask.output.stdout | split }}"}
        steps: [{id: three, shell.run: {script: 'echo {{ word }}'}}]
"#,
    );
    sandbox.caxplan(&["preview", "plan.yaml"]).expect_code(0);
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
}

/// ansible#6845: check mode evaluated what a step says about its own result, and failed.
#[test]
fn ansible_6845_a_preview_does_not_judge_results_that_are_not_there() {
    let sandbox = sandbox(
        "
phases:
  - name: work
    steps:
      - id: own
        action: shell.run
        with: {script: echo ok}
        expect: [output.exit_code == 0, \"'ok' in output.stdout\"]
        probe: {action: shell.run, with: {script: 'true', changes: false}, done_when: output.exit_code == 0}
",
    );
    sandbox.caxplan(&["preview", "plan.yaml"]).expect_code(0);
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
}

/// rundeck#9422: the wish to add a flag to "run job now" that shows what would be, without another copy of the job.
#[test]
fn rundeck_9422_the_same_command_with_one_flag_more_changes_nothing() {
    let sandbox = sandbox(
        r#"
params: {version: {type: version, required: true}}
phases:
  - name: work
    steps:
      - {id: pin, file.write: {path: version, content: "{{ params.version }}"}}
"#,
    );
    let run = ["run", "plan.yaml", "-p", "version=1.2.3"];
    let dry: Vec<&str> = run.iter().copied().chain(["--dry-run"]).collect();
    sandbox
        .caxplan(&dry)
        .expect_code(0)
        .expect_text("would create version");
    assert!(!sandbox.path().join("version").exists());
    sandbox.caxplan(&run).expect_code(0);
    assert_eq!(sandbox.read("version"), "1.2.3");
}

/// rundeck#4209: the wish to go through a job with its order and its links, none of its steps executed, and to be told so.
#[test]
fn rundeck_4209_a_simulated_job_executes_none_of_its_steps() {
    let sandbox = sandbox(
        "
phases:
  - name: work
    steps:
      - {id: one, action: shell.run, with: {script: echo one >> effects}, rollback: {shell.run: {script: echo undo >> effects}}}
      - {id: two, action: shell.run, with: {script: echo two >> effects}}
",
    );
    let end = sandbox.caxplan(&["simulate", "plan.yaml"]);
    assert!([0, 1].contains(&end.code), "{}{}", end.stdout, end.stderr);
    assert!(end.stdout.contains("work/one"), "{}", end.stdout);
    assert_eq!(effects(&sandbox), [""; 0]);
    assert_eq!(runs(&sandbox).len(), 0);
}

/// argo-workflows#12944: `--dry-run` of a workflow that was submitted from a template created it.
#[test]
fn argo_12944_no_way_of_looking_creates_a_run() {
    let sandbox = sandbox(
        "
lock: deploy
phases: [{name: work, steps: [{id: one, shell.run: {script: echo one >> effects}}]}]
",
    );
    sandbox.file(
        "calendar.yaml",
        "maintenance:\n  daily:\n    - {id: one, shell.run: {script: echo one >> effects}}\n",
    );
    for arguments in [
        &["run", "plan.yaml", "--dry-run"][..],
        &["run", "plan.yaml", "--dry-run", "--offline"],
        &["run", "plan.yaml", "--dry-run", "--output", "json"],
        &["run", "calendar.yaml#daily", "--dry-run"],
        &["preview", "plan.yaml", "--save", "seen.json"],
        &["validate", "plan.yaml"],
        &["graph", "plan.yaml"],
    ] {
        sandbox.caxplan(arguments).expect_code(0);
        assert_eq!(effects(&sandbox), [""; 0], "{arguments:?}");
        assert_eq!(runs(&sandbox).len(), 0, "{arguments:?}");
    }
}
