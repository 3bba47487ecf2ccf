//! What users of other engines asked for or suffered, as plans that show that it is not so here. A test is named after the public
//! thread in which they said it.

mod cron;
mod dry_run;
mod errors;
mod locks;
mod other;
mod resume;
mod rollback;
mod rolling;
mod scale;
mod secrets;

// Not here, because their text was not found: orquesta#259; argo-workflows#10017; ansible#24181, #29688; temporalio/ui#2958; runme#29.
// ansible#6108 is in `preview.rs`.
// Not here, because it is not so yet: rundeck#716 (no more than three runs on a node at a time: a lock has one holder); of st2#4779, that
// a *lock* counts a run that is paused or waits for a person: its engine has left, and the lock is free.
// dagu#1180 is in `schedule.rs` and in the tests of the calendar.

use caxton_tests::{Background, Sandbox, wait_until};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// A sandbox with a plan.
fn sandbox(plan: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", plan);
    sandbox
}

/// What the steps wrote down, in the order in which they ran.
fn effects(sandbox: &Sandbox) -> Vec<String> {
    sandbox.read("effects").lines().map(str::to_owned).collect()
}

/// Starts the plan and waits until a step has written `line`.
fn start_until(sandbox: &Sandbox, line: &str) -> Background {
    let run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until(line, LIMIT, || {
        effects(sandbox).iter().any(|effect| effect == line)
    });
    run
}

/// All runs, the newest first.
fn runs(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    let list = sandbox
        .caxplan(&["runs", "--output", "json"])
        .expect_code(0)
        .json();
    list.as_array().expect("a list").clone()
}
