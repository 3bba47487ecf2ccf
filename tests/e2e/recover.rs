//! What goes on where it stood: over `kill -9`, and from other terminals.

use caxton_tests::{Sandbox, wait_until};
use serde_json::Value;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// The account of the newest run.
fn account(sandbox: &Sandbox) -> Value {
    sandbox.caxplan(&["show", "--last", "--output", "json"]).json()["account"].clone()
}

/// When each event of a kind happened, in milliseconds, with its text.
fn events(sandbox: &Sandbox, kind: &str) -> Vec<String> {
    let account = account(sandbox);
    let events = account["events"].as_array().cloned().unwrap_or_default();
    let of_kind = events.iter().filter(|event| event["kind"] == kind);
    of_kind
        .map(|event| event["text"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Runs a plan whose engine dies as soon as a record is durable.
fn die_after(sandbox: &Sandbox, plan: &str, record: u32) {
    sandbox.file("plan.yaml", plan);
    let at = format!("after:{record}");
    let died = sandbox.caxplan_with(&[("CAXPLAN_CRASH_AT", &at)], &["run", "plan.yaml"]);
    assert_eq!(died.code, -1, "it did not die: {}\n{}", died.stdout, died.stderr);
}

/// The number of milliseconds from an event of a kind to the end of the run.
fn to_the_end(sandbox: &Sandbox, kind: &str) -> u64 {
    let account = account(sandbox);
    let events = account["events"].as_array().cloned().unwrap_or_default();
    let at = events
        .iter()
        .find(|event| event["kind"] == kind)
        .map(|event| event["at"].clone());
    let at = at.as_ref().and_then(Value::as_u64).expect("when it happened");
    account["last"].as_u64().expect("when it ended") - at
}

#[test]
fn a_rollback_to_a_checkpoint_undoes_what_came_after_it_and_nothing_else() {
    let sandbox = Sandbox::new();
    let step = |id: &str, more: &str| {
        format!(
            "      - {{id: {id}, action: shell.run, with: {{script: 'echo {id} >> effects{more}'}}, rollback: [{{shell.run: {{script: echo un{id} >> effects}}}}]}}\n"
        )
    };
    let plan = format!(
        "phases:\n  - name: one\n    checkpoint: prepared\n    steps:\n{}  - name: two\n    steps:\n{}{}{}",
        step("a", ""),
        step("b", ""),
        step("c", ""),
        step("d", "; exit 1"),
    );
    sandbox.file("plan.yaml", &plan);
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    sandbox
        .caxplan(&["rollback", "--last", "--to", "nowhere"])
        .expect_code(2)
        .expect_text("it has reached prepared");
    sandbox
        .caxplan(&["rollback", "--last", "--to", "prepared", "--yes"])
        .expect_code(3);
    assert_eq!(sandbox.read("effects"), "a\nb\nc\nd\nund\nunc\nunb\n");
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
}

#[test]
fn an_approval_that_was_given_while_no_engine_ran_is_taken_in_by_resume() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        "phases:\n  - name: work\n    steps:\n      - {id: sure, approve: 'Fine?'}\n      - {id: after, action: shell.run, with: {script: echo after >> effects}}\n",
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(5);
    sandbox.caxplan(&["resume", "--last"]).expect_code(5);
    sandbox.caxplan(&["approve", "--last"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), "", "no engine has the run");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), "after\n");
    assert_eq!(events(&sandbox, "answered").len(), 1);
}

#[test]
fn a_wait_goes_on_where_it_stood_when_the_engine_died() {
    let sandbox = Sandbox::new();
    // Created, taken up, timer set.
    die_after(
        &sandbox,
        "phases:\n  - name: work\n    steps:\n      - {id: rest, wait: 2s}\n      - {id: after, action: shell.run, with: {script: echo after >> effects}}\n",
        3,
    );
    assert_eq!(events(&sandbox, "timer"), ["`work/rest` waits 2s"]);
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(
        events(&sandbox, "timer"),
        ["`work/rest` waits 2s"],
        "it was not set anew"
    );
    assert!(to_the_end(&sandbox, "timer") >= 2_000, "it was waited for");
    assert_eq!(sandbox.read("effects"), "after\n");
}

#[test]
fn a_watch_goes_on_where_it_stood_with_the_breaches_it_has_seen() {
    const PLAN: &str = "phases:\n  - name: work\n    steps:\n      - id: look\n        watch: {for: 2s, every: 100ms, observe: {shell.run: {script: 'echo seen >> seen; test -e good', ok_codes: [0, 1], changes: false}}, checks: [exit_code == 0], max_breaches: 1}\n      - {id: after, action: shell.run, with: {script: echo after >> effects}}\n";
    for (good, code, breaches, effects) in [(true, 0, 1, "after\n"), (false, 1, 2, "")] {
        let sandbox = Sandbox::new();
        // Created, taken up, timer set, breached.
        die_after(&sandbox, PLAN, 4);
        assert_eq!(events(&sandbox, "breached").len(), 1);
        if good {
            sandbox.file("good", "");
        }
        sandbox.caxplan(&["resume", "--last"]).expect_code(code);
        assert_eq!(
            events(&sandbox, "timer"),
            ["`work/look` watches for 2s"],
            "it was not set anew"
        );
        assert_eq!(
            events(&sandbox, "breached").len(),
            breaches,
            "the breach before the crash counts"
        );
        assert_eq!(sandbox.read("effects"), effects);
        if good {
            assert!(
                to_the_end(&sandbox, "timer") >= 2_000,
                "it was watched to its end"
            );
        }
    }
}

#[test]
fn a_pause_between_two_attempts_goes_on_where_it_stood() {
    let sandbox = Sandbox::new();
    // Created, taken up, started, ended.
    die_after(
        &sandbox,
        "phases:\n  - name: work\n    steps:\n      - id: flaky\n        action: shell.run\n        with: {script: 'echo try $CAXPLAN_ATTEMPT >> effects; test $CAXPLAN_ATTEMPT -ge 2', changes: false}\n        retry: {attempts: 2, initial: 2s, jitter: false}\n",
        4,
    );
    assert_eq!(sandbox.read("effects"), "try 1\n");
    assert_eq!(events(&sandbox, "retried").len(), 1);
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), "try 1\ntry 2\n");
    assert_eq!(events(&sandbox, "retried").len(), 1);
    assert!(to_the_end(&sandbox, "retried") >= 2_000, "it was not tried early");
}

#[test]
fn a_run_that_was_paused_from_elsewhere_goes_on_by_resume_from_elsewhere() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        "phases:\n  - name: work\n    steps:\n      - {id: long, action: shell.run, with: {script: 'touch begun; while ! test -e end; do sleep 0.05; done'}}\n      - {id: after, action: shell.run, with: {script: echo after >> effects}}\n",
    );
    let run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the first step", LIMIT, || sandbox.path().join("begun").exists());
    sandbox.caxplan(&["pause", "--last"]).expect_code(0);
    wait_until("the pause", LIMIT, || !events(&sandbox, "paused").is_empty());
    sandbox
        .caxplan(&["resume", "--last"])
        .expect_code(0)
        .expect_text("goes on");
    wait_until("the end of the pause", LIMIT, || {
        events(&sandbox, "paused").len() == 2
    });
    sandbox.file("end", "");
    run.wait().expect_code(0);
    assert_eq!(sandbox.read("effects"), "after\n");
}
