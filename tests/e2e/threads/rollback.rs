//! Undoing, and steps of which nobody knows whether they acted.

use super::{effects, runs, sandbox, start_until};
use caxton_tests::wait_until;

/// argo-workflows#2772: the wish that a deployment which fails is rolled back, the last step first.
#[test]
fn argo_2772_a_failed_run_is_rolled_back_in_reverse_order() {
    let sandbox = sandbox(
        "
on_failure: rollback
phases:
  - name: deploy
    steps:
      - {id: database, action: shell.run, with: {script: echo +database >> effects}, rollback: {shell.run: {script: echo -database >> effects}}}
      - {id: service, action: shell.run, with: {script: echo +service >> effects}, rollback: {shell.run: {script: echo -service >> effects}}}
      - {id: proxy, action: shell.run, with: {script: 'exit 1', changes: false}}
",
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(3);
    assert_eq!(
        effects(&sandbox),
        ["+database", "+service", "-service", "-database"]
    );
}

/// steno#66: an action acted, the engine crashed, the action was repeated and failed cleanly: nobody undid the first attempt.
#[test]
fn steno_66_a_lost_attempt_is_undone_even_if_the_next_one_fails_cleanly() {
    let sandbox = sandbox(
        "
on_failure: rollback
phases:
  - name: work
    steps:
      - id: insert
        action: shell.run
        with: {script: 'test ! -e down || exit 1; echo row > row; echo inserted >> effects; sleep 987652'}
        rollback: {shell.run: {script: rm -f row}}
",
    );
    let mut run = start_until(&sandbox, "inserted");
    run.kill();
    sandbox.file("down", "the database cannot be reached");
    sandbox
        .caxplan(&["resume", "--last", "--in-doubt=rerun"])
        .expect_code(3);
    assert!(
        !sandbox.path().join("row").exists(),
        "the row of the first attempt"
    );
    assert_eq!(effects(&sandbox), ["inserted"]);
}

/// steno#138: an undo that failed was a panic of the engine.
#[test]
fn steno_138_an_undo_that_fails_stops_with_an_account_and_can_be_resumed() {
    let sandbox = sandbox(
        "
on_failure: rollback
phases:
  - name: work
    steps:
      - {id: first, action: shell.run, with: {script: echo +first >> effects}, rollback: {shell.run: {script: echo -first >> effects}}}
      - {id: second, action: shell.run, with: {script: echo +second >> effects}, rollback: {shell.run: {script: test -e mended && echo -second >> effects}}}
      - {id: third, action: shell.run, with: {script: 'exit 1', changes: false}}
",
    );
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(4)
        .expect_text("work/second");
    assert_eq!(runs(&sandbox)[0]["status"], "stuck");
    assert_eq!(
        effects(&sandbox),
        ["+first", "+second"],
        "nothing is undone out of order"
    );
    sandbox.file("mended", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(3);
    assert_eq!(effects(&sandbox), ["+first", "+second", "-second", "-first"]);
}

/// omicron#10531: a saga that was being unwound when its engine died could not be recovered, because a step that joins two others had
/// never started; it was reported as running for ever.
#[test]
fn omicron_10531_a_rollback_of_a_killed_engine_goes_on_although_a_join_never_started() {
    let sandbox = sandbox(
        "
on_failure: rollback
phases:
  - name: work
    order: dag
    steps:
      - {id: a, action: shell.run, needs: [], with: {script: echo +a >> effects}, rollback: {shell.run: {script: 'test -e a-undone || { touch a-undone; sleep 987653; }; echo -a >> effects'}}}
      - {id: b, action: shell.run, needs: [], with: {script: 'while ! grep -q +a effects; do sleep 0.02; done; exit 1', changes: false}}
      - {id: c, action: shell.run, needs: [a, b], with: {script: echo +c >> effects}}
",
    );
    let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the undo of a", super::LIMIT, || {
        sandbox.path().join("a-undone").exists()
    });
    run.kill();
    assert_eq!(runs(&sandbox)[0]["status"], "interrupted", "not running for ever");
    sandbox.caxplan(&["resume", "--last"]).expect_code(3);
    assert_eq!(effects(&sandbox), ["+a", "-a"]);
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
}
