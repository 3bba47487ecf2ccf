//! What a run does when a lock that it needs is held: with real processes, and holders that die.

use caxton_tests::{Background, Sandbox, wait_until};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// A plan whose step notes that it has begun, and ends when it is let go.
fn plan(sandbox: &Sandbox, name: &str, lock: &str) -> String {
    let file = format!("{name}.yaml");
    let text = format!(
        "lock: {lock}
phases:
  - name: work
    steps:
      - shell.run: {{script: 'echo {name} >> begun; while ! test -e go-{name}; do sleep 0.05; done'}}
"
    );
    std::fs::write(sandbox.path().join(&file), text).expect("written");
    file
}

fn start_and_wait(sandbox: &Sandbox, file: &str, name: &str) -> Background {
    let run = sandbox.start_caxplan(&["run", file]);
    wait_until(&format!("{name} to begin"), LIMIT, || {
        sandbox.read("begun").contains(name)
    });
    run
}

/// Waits until a process of this sandbox waits for a lock: its thread of that name is there.
fn wait_until_queued(run: &Background) {
    let tasks = format!("/proc/{}/task", run.id());
    wait_until("a thread that waits for a lock", LIMIT, || {
        std::fs::read_dir(&tasks).is_ok_and(|tasks| {
            tasks.flatten().any(|task| {
                std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "lock\n")
            })
        })
    });
}

/// rundeck#2684, st2#4481: a second run of a locked plan is refused, and says who holds the lock.
#[test]
fn a_run_is_refused_by_default_and_the_holder_is_named() {
    let sandbox = Sandbox::new();
    let first = plan(&sandbox, "first", "[db, web]");
    let second = plan(&sandbox, "second", "{name: db}");
    let holder = start_and_wait(&sandbox, &first, "first");
    let refused = sandbox.caxplan(&["run", &second]).expect_code(6);
    assert!(
        refused.stderr.contains("the lock `db` is held by run"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("`first`"), "{}", refused.stderr);
    sandbox.file("go-first", "");
    holder.wait().expect_code(0);
    assert_eq!(sandbox.read("begun"), "first\n");
}

#[test]
fn a_run_that_is_skipped_is_well_and_leaves_a_line() {
    let sandbox = Sandbox::new();
    let first = plan(&sandbox, "first", "db");
    let second = plan(&sandbox, "second", "{name: db, if_held: skip}");
    let holder = start_and_wait(&sandbox, &first, "first");
    let skipped = sandbox.caxplan(&["run", &second]).expect_code(0);
    assert!(
        skipped
            .stderr
            .starts_with("skipped: the lock `db` is held by run"),
        "{}",
        skipped.stderr
    );
    sandbox.file("go-first", "");
    holder.wait().expect_code(0);
    assert_eq!(sandbox.read("begun"), "first\n", "nothing of the second ran");
    let runs = sandbox.caxplan(&["runs", "--output", "json"]).json();
    assert_eq!(
        runs.as_array().map(Vec::len),
        Some(1),
        "a skipped run is no run: {runs}"
    );
}

#[test]
fn a_queued_run_begins_when_the_holder_ends_or_is_killed() {
    for kill in [false, true] {
        let sandbox = Sandbox::new();
        let first = plan(&sandbox, "first", "db");
        let second = plan(&sandbox, "second", "{name: [web, db], if_held: queue}");
        let mut holder = start_and_wait(&sandbox, &first, "first");
        let waiting = sandbox.start_caxplan(&["run", &second]);
        wait_until_queued(&waiting);
        assert_eq!(sandbox.read("begun"), "first\n", "it waits");
        if kill {
            holder.kill();
        } else {
            sandbox.file("go-first", "");
            holder.wait().expect_code(0);
        }
        sandbox.file("go-second", "");
        let end = waiting.wait().expect_code(0);
        assert!(
            end.stderr.starts_with("waiting: the lock `db` is held by run"),
            "{}",
            end.stderr
        );
        assert_eq!(sandbox.read("begun"), "first\nsecond\n");
    }
}

#[test]
fn a_queued_run_is_refused_after_its_longest_wait() {
    let sandbox = Sandbox::new();
    let first = plan(&sandbox, "first", "db");
    let second = plan(&sandbox, "second", "{name: db, if_held: queue, wait_max: 200ms}");
    let holder = start_and_wait(&sandbox, &first, "first");
    sandbox
        .caxplan(&["run", &second])
        .expect_code(6)
        .expect_text("the lock `db` is still held after 200ms by run");
    sandbox.file("go-first", "");
    holder.wait().expect_code(0);
    assert_eq!(sandbox.read("begun"), "first\n");
}

#[test]
fn an_interrupt_ends_the_wait_and_there_is_no_run() {
    let sandbox = Sandbox::new();
    let first = plan(&sandbox, "first", "db");
    let second = plan(&sandbox, "second", "{name: db, if_held: queue}");
    let holder = start_and_wait(&sandbox, &first, "first");
    let waiting = sandbox.start_caxplan(&["run", &second]);
    wait_until_queued(&waiting);
    waiting.signal(rustix::process::Signal::INT);
    let end = waiting.wait();
    assert_ne!(end.code, 0, "{}", end.stderr);
    sandbox.file("go-first", "");
    holder.wait().expect_code(0);
    let runs = sandbox.caxplan(&["runs", "--output", "json"]).json();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
    // What it waited for is free.
    sandbox.file("go-second", "");
    sandbox.caxplan(&["run", &second]).expect_code(0);
}
