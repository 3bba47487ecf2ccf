//! Undoing, and steps of which nobody knows whether they acted.

use super::{effects, runs, sandbox, start_until};
use caxton_tests::{Sandbox, wait_until};

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

/// steno#460: nobody had tested what becomes of a saga whose engine dies in the middle of an action, and again in the middle of an
/// undo.
#[test]
fn steno_460_an_engine_may_die_in_the_middle_of_an_action_and_of_an_undo() {
    let sandbox = sandbox(
        "
phases:
  - name: work
    steps:
      - {id: first, action: shell.run, with: {script: echo +first >> effects}, rollback: {shell.run: {script: echo -first >> effects}}}
      - id: second
        action: shell.run
        with: {script: 'echo +second >> effects; test -e go || sleep 987658'}
        probe: {action: shell.run, with: {script: grep -q +second effects, changes: false, ok_codes: [0, 1]}, done_when: output.exit_code == 0}
        rollback: {shell.run: {script: 'grep -q -e -second effects || echo -second >> effects; test -e undo || sleep 987658'}}
      - {id: third, action: shell.run, with: {script: echo +third >> effects}, rollback: {shell.run: {script: echo -third >> effects}}}
",
    );
    let mut run = start_until(&sandbox, "+second");
    run.kill();
    sandbox.file("go", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(
        effects(&sandbox),
        ["+first", "+second", "+third"],
        "nothing twice"
    );

    let mut rollback = sandbox.start_caxplan(&["rollback", "--last"]);
    wait_until("the undo of the second", super::LIMIT, || {
        effects(&sandbox).iter().any(|effect| effect == "-second")
    });
    rollback.kill();
    assert_eq!(runs(&sandbox)[0]["status"], "interrupted");
    sandbox.file("undo", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(3);
    assert_eq!(effects(&sandbox)[3..], ["-third", "-second", "-first"]);
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
}

/// A plan that runs another, whose second step must not act twice: it fails if it finds its own effect.
fn not_idempotent(probe: &str) -> Sandbox {
    let sandbox = sandbox("phases: [{name: project, steps: [{id: vpc, run: child.yaml}]}]\n");
    let text = format!(
        "
phases:
  - name: create
    steps:
      - {{id: router, action: shell.run, with: {{script: echo router >> effects}}}}
      - id: subnet
        action: shell.run
        with: {{script: 'if grep -q subnet effects; then echo it overlaps with an existing one >&2; exit 1; fi; echo subnet >> effects; sleep 987659'}}
{probe}
      - {{id: firewall, action: shell.run, with: {{script: echo firewall >> effects}}}}
"
    );
    sandbox.file("child.yaml", &text);
    let mut run = start_until(&sandbox, "subnet");
    run.kill();
    sandbox
}

/// omicron#6069: after a restart a node of a subsaga was executed again, found what it had made itself, and took it for a conflict.
#[test]
fn omicron_6069_what_a_lost_attempt_has_made_is_not_made_again() {
    let probe = "        probe: {action: shell.run, with: {script: grep -q subnet effects, changes: false, ok_codes: [0, 1]}, done_when: output.exit_code == 0}";
    let sandbox = not_idempotent(probe);
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(effects(&sandbox), ["router", "subnet", "firewall"]);
}

/// omicron#6069: where nothing can tell, a person is asked; nothing is tried blindly.
#[test]
fn omicron_6069_where_nobody_can_know_a_person_is_asked() {
    let sandbox = not_idempotent("");
    sandbox
        .caxplan(&["resume", "--last"])
        .expect_code(5)
        .expect_text("project/vpc/create/subnet is in doubt");
    assert_eq!(effects(&sandbox), ["router", "subnet"]);
    sandbox
        .caxplan(&["resume", "--last", "--in-doubt=assume-done"])
        .expect_code(0);
    assert_eq!(effects(&sandbox), ["router", "subnet", "firewall"]);
}
