//! A host that is killed while it works: all that it reported as handled is there, and nothing is there by halves.
#![allow(
    clippy::print_stdout,
    reason = "the process to be killed reports through its output"
)]

mod support;

use caxton_model::{AgentName, MessageOutcome};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::{Bench, COUNTER, message};
use tempfile::TempDir;

/// Tells the test below that it is the process to be killed, and where to work.
const FOLDER: &str = "CAXTON_CRASH_TEST_FOLDER";

/// How often a host is killed, each after more messages than the one before.
const KILLS: usize = 5;

#[test]
fn what_a_killed_host_reported_as_handled_is_there_as_a_whole() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        runtime().block_on(work(folder.into()));
        return;
    }
    let dir = TempDir::new().expect("a temporary folder");
    let mut reported = 0;
    for kill in 0..KILLS {
        let last = run_and_kill(&dir, 40 * (kill + 1));
        reported = last.max(reported);
        let checked = runtime().block_on(check(&dir, reported));
        assert!(checked >= reported);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime")
}

/// The process to be killed: tells how many messages are handled, without end.
async fn work(folder: PathBuf) {
    let bench = Bench::open_in(&folder);
    bench.start("counter", COUNTER).await;
    let mut handled = 0;
    loop {
        let batch: Vec<_> = (handled..handled + 7)
            .map(|n| message(&format!("m{n}"), "counter"))
            .collect();
        let outcomes = bench.host.deliver(batch).await;
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, MessageOutcome::Handled | MessageOutcome::Duplicate))
        );
        handled += 7;
        println!("handled {handled}");
    }
}

/// Runs such a process until it has reported this many lines, kills it, and says how many messages it reported.
fn run_and_kill(dir: &TempDir, lines: usize) -> usize {
    let mut child = Command::new(std::env::current_exe().expect("this test's program"))
        .args([
            "--exact",
            "what_a_killed_host_reported_as_handled_is_there_as_a_whole",
            "--nocapture",
        ])
        .env(FOLDER, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the process starts");
    let output = BufReader::new(child.stdout.take().expect("its output is piped"));
    let reports = output
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("handled ")?.parse().ok());
    let last = reports.take(lines).last().unwrap_or(0);
    child.kill().expect("it can be killed");
    child.wait().expect("it is gone");
    last
}

/// The count, the remembered ids and the answers agree, and cover what was reported. Says how many there are.
async fn check(dir: &TempDir, reported: usize) -> usize {
    let bench = Bench::open_in(dir.path());
    let bundle = bench
        .store
        .snapshot(&AgentName::from("counter"))
        .await
        .expect("a read")
        .expect("it has state");
    let ids: Vec<String> = bundle.handled.iter().map(|id| id.0.clone()).collect();
    let expected: Vec<String> = (0..ids.len()).map(|n| format!("m{n}")).collect();
    assert_eq!(ids, expected);
    let count = u64::from_le_bytes(bundle.state[0].1.as_slice().try_into().expect("8 bytes"));
    assert_eq!(count, ids.len() as u64);
    assert_eq!(bench.answers().await.len(), ids.len());
    assert!(
        ids.len() >= reported,
        "{} of {reported} reported messages are there",
        ids.len()
    );
    bench.store.close().await;
    ids.len()
}
