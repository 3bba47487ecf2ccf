//! Old runs are removed; what must stay, stays.

use caxton_tests::{Sandbox, wait_until};
use std::time::Duration;

const TALK: &str = "name: talk\nphases:\n  - name: work\n    steps:\n      - {id: talk, action: shell.run, with: {script: 'head -c 900000 /dev/zero | tr \"\\\\0\" x'}}\n";
const FAIL: &str = "name: fail\nphases:\n  - name: work\n    steps:\n      - {id: no, action: shell.run, with: {script: exit 1}}\n";
const SLOW: &str = "name: slow\nphases:\n  - name: work\n    steps:\n      - {id: slow, action: shell.run, with: {script: 'touch begun; while ! test -e go; do sleep 0.05; done'}}\n      - {id: more, action: shell.run, with: {script: 'true'}}\n";

fn names(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    let listed = sandbox
        .caxplan(&[arguments, &["--output", "json"]].concat())
        .expect_code(0)
        .json();
    let runs = listed.as_array().cloned().unwrap_or_default();
    runs.iter()
        .map(|run| run["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn old_runs_go_their_space_is_freed_and_tombstones_stay() {
    let sandbox = Sandbox::new();
    sandbox.file("talk.yaml", TALK);
    sandbox.file("fail.yaml", FAIL);
    for _ in 0..4 {
        sandbox.caxplan(&["run", "talk.yaml"]).expect_code(0);
    }
    sandbox.caxplan(&["run", "fail.yaml"]).expect_code(1);
    let journal = sandbox.path().join("state/caxplan.db");
    let size = || std::fs::metadata(&journal).expect("a journal").len();
    let runs = sandbox.caxplan(&["runs", "--output", "json"]).json();
    let oldest = runs[4]["id"].as_str().expect("an id").to_owned();

    sandbox
        .caxplan(&["prune"])
        .expect_code(2)
        .expect_text("--older-than");
    assert_eq!(names(&sandbox, &["prune", "--older-than", "1h"]), [""; 0]);
    assert_eq!(
        names(&sandbox, &["prune", "--keep-last", "1", "--dry-run"]),
        ["talk"; 3]
    );
    assert_eq!(
        names(&sandbox, &["prune", "--keep-last", "1", "--keep", "talk=4"]),
        [""; 0]
    );
    assert_eq!(names(&sandbox, &["runs"]).len(), 5, "nothing was removed yet");

    let before = size();
    sandbox
        .caxplan(&["prune", "--keep-last", "1"])
        .expect_code(0)
        .expect_text("3 runs removed");
    assert!(size() + 2_000_000 < before, "{before} bytes became {}", size());
    assert_eq!(names(&sandbox, &["runs"]), ["fail", "talk"]);
    sandbox.caxplan(&["verify"]).expect_code(0);
    assert_eq!(names(&sandbox, &["runs", "--pruned"]), ["talk"; 3]);
    sandbox
        .caxplan(&["show", &oldest])
        .expect_code(1)
        .expect_text("was removed by")
        .expect_text("runs --pruned");
    let tombstone = sandbox.caxplan(&["runs", "--pruned", "--output", "json"]).json();
    assert_eq!(tombstone[2]["id"], oldest);
    assert_eq!(tombstone[2]["status"], "succeeded");
    assert!(tombstone[2]["records"].as_u64() > Some(3), "{tombstone}");
    assert_eq!(tombstone[2]["hash"].as_str().map(str::len), Some(64));
    sandbox.caxplan(&["run", "talk.yaml"]).expect_code(0);

    // What can be resumed goes only when it is said.
    assert_eq!(names(&sandbox, &["prune", "--state", "failed"]), [""; 0]);
    assert_eq!(
        names(&sandbox, &["prune", "--state", "failed", "--include-resumable"]),
        ["fail"]
    );
}

#[test]
fn a_run_that_goes_on_is_not_touched_and_not_disturbed() {
    let sandbox = Sandbox::new();
    sandbox.file("talk.yaml", TALK);
    sandbox.file("slow.yaml", SLOW);
    sandbox.caxplan(&["run", "talk.yaml"]).expect_code(0);
    let run = sandbox.start_caxplan(&["run", "slow.yaml"]);
    wait_until("the slow step", Duration::from_secs(30), || {
        sandbox.path().join("begun").exists()
    });
    assert_eq!(
        names(&sandbox, &["prune", "--keep-last", "0", "--include-resumable"]),
        ["talk"]
    );
    sandbox.file("go", "");
    run.wait().expect_code(0);
    assert_eq!(names(&sandbox, &["runs"]), ["slow"]);
    sandbox.caxplan(&["verify"]).expect_code(0);
}
