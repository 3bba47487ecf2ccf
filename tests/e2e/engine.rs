//! Running plans, without a cluster.

use caxton_tests::{Sandbox, root};

/// Steps note their doing in a file, so that a test sees what really happened, and in which order.
const ROLLBACK_PLAN: &str = r"
name: rollback
on_failure: rollback
phases:
  - name: work
    steps:
      - id: first
        action: shell.run
        with: {script: echo first >> effects}
        rollback: {shell.run: {script: echo undo-first >> effects}}
      - id: second
        action: shell.run
        with: {script: echo second >> effects}
        rollback: {shell.run: {script: echo undo-second >> effects}}
      - id: third
        action: shell.run
        with: {script: echo third >> effects; exit 7}
        rollback: {shell.run: {script: echo undo-third >> effects}}
";

#[test]
fn a_failure_undoes_in_reverse_order_what_may_have_acted() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", ROLLBACK_PLAN);
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(3)
        .expect_text("rolled back");
    assert_eq!(
        sandbox.read("effects"),
        "first\nsecond\nthird\nundo-third\nundo-second\nundo-first\n"
    );
}

#[test]
fn a_dry_run_changes_nothing_and_shows_every_step() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", ROLLBACK_PLAN);
    sandbox
        .caxplan(&["run", "plan.yaml", "--dry-run"])
        .expect_code(0)
        .expect_text("first")
        .expect_text("third");
    assert_eq!(sandbox.read("effects"), "");
}

#[test]
fn a_failed_run_is_resumed_where_it_failed() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        r"
phases:
  - name: work
    steps:
      - {id: before, action: shell.run, with: {script: echo before >> effects}}
      - {id: gate, action: shell.run, with: {script: test -e gate}}
      - {id: after, action: shell.run, with: {script: echo after >> effects}}
",
    );
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(1)
        .expect_text("caxplan resume");
    sandbox.file("gate", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), "before\nafter\n");
    sandbox
        .caxplan(&["show", "--last"])
        .expect_code(0)
        .expect_text("gate");
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
}

#[test]
fn an_invalid_plan_ends_with_code_2_and_every_error_in_its_place() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        "phases:\n  - name: work\n    steps:\n      - shell.rum: {script: ls}\n      - shell.run: {scrip: ls}\n      - drain_trafic\n",
    );
    let end = sandbox.caxplan(&["run", "plan.yaml"]).expect_code(2);
    for place in ["plan.yaml:4:9", "plan.yaml:5:21", "plan.yaml:6:9", "did you mean"] {
        assert!(end.stderr.contains(place), "no {place} in\n{}", end.stderr);
    }
    assert!(
        !sandbox.caxplan(&["runs"]).stdout.contains("plan"),
        "an invalid plan is no run"
    );
}

#[test]
fn the_second_of_two_runs_that_need_one_lock_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        "lock: upgrade\nphases:\n  - name: work\n    steps:\n      - shell.run: {script: touch started; while ! test -e go; do sleep 0.05; done}\n",
    );
    let first = sandbox.start_caxplan(&["run", "plan.yaml"]);
    caxton_tests::wait_until("the first run's step", std::time::Duration::from_secs(10), || {
        sandbox.path().join("started").exists()
    });
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(6)
        .expect_text("upgrade");
    sandbox.file("go", "");
    first.wait().expect_code(0);
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
}

#[test]
fn a_secret_reaches_neither_terminal_nor_logs_nor_journal() {
    let sandbox = Sandbox::new();
    sandbox.file("token", "hunter2-hunter2\n");
    sandbox.file(
        "plan.yaml",
        r#"
secrets: {token: {file: token}}
phases:
  - name: work
    steps:
      - id: use
        action: shell.run
        with: {script: "echo token is $TOKEN; echo $TOKEN | base64", env: {TOKEN: "{{ secrets.token }}"}}
"#,
    );
    let run = sandbox
        .caxplan(&["run", "plan.yaml", "--output", "json"])
        .expect_code(0);
    let logs = sandbox
        .caxplan(&["logs", "--last"])
        .expect_code(0)
        .expect_text("token is");
    let show = sandbox
        .caxplan(&["show", "--last", "--output", "json"])
        .expect_code(0);
    let journal = std::fs::read(sandbox.path().join("state/caxplan.db")).expect("a journal");
    let wal = std::fs::read(sandbox.path().join("state/caxplan.db-wal")).unwrap_or_default();
    let everything = [
        run.stdout,
        run.stderr,
        logs.stdout,
        show.stdout,
        lossy(&journal),
        lossy(&wal),
    ]
    .join("\n");
    for form in ["hunter2-hunter2", "aHVudGVyMi1odW50ZXIy"] {
        assert!(!everything.contains(form), "{form} was leaked");
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_run_that_succeeded_can_be_rolled_back() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", &ROLLBACK_PLAN.replace("; exit 7", ""));
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    sandbox.caxplan(&["rollback", "--last"]).expect_code(3);
    assert_eq!(
        sandbox.read("effects"),
        "first\nsecond\nthird\nundo-third\nundo-second\nundo-first\n"
    );
}

/// Every plan in the guide is a plan: what a reader copies works.
#[test]
fn every_plan_of_the_guide_and_the_first_page_is_valid() {
    let sandbox = Sandbox::new();
    let pages = ["docs/guide.md", "README.md"]
        .map(|page| std::fs::read_to_string(root().join(page)).expect("a page"));
    let blocks: Vec<&str> = pages
        .iter()
        .flat_map(|page| page.split("```yaml\n").skip(1))
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    let (libraries, plans): (Vec<_>, Vec<_>) = blocks
        .into_iter()
        .partition(|block| block.starts_with("actions:"));
    sandbox.file(
        "library.yaml",
        libraries.first().expect("the guide shows a library"),
    );
    assert!(plans.len() >= 8, "the guide shows plans");
    for plan in plans {
        sandbox.file("plan.yaml", plan);
        let end = sandbox.caxplan(&["validate", "plan.yaml"]);
        assert_eq!(end.code, 0, "{plan}\n{}", end.stderr);
    }
}
