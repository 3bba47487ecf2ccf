//! `kill -9` and full disks: nothing lost, nothing done twice.

use caxton_tests::{Random, Sandbox, wait_until};
use std::time::{Duration, Instant};

/// How often the engine is killed.
const KILLS: u32 = 200;

/// Every step appends one line in one write, and its probe looks for that line: whatever the moment of the kill, the file tells
/// what was done.
fn counting_plan() -> String {
    let step = |id: &str| {
        format!(
            "{{id: {id}, action: shell.run, with: {{script: 'echo {id} >> effects'}}, \
             probe: {{action: shell.run, with: {{script: 'grep -qx {id} effects', changes: false, ok_codes: [0, 1, 2]}}, done_when: output.exit_code == 0}}}}"
        )
    };
    let chain: String = (1..=5)
        .map(|number| format!("      - {}\n", step(&format!("chain-{number}"))))
        .collect();
    let fan: String = (1..=3)
        .map(|number| format!("          - {}\n", step(&format!("fan-{number}"))))
        .collect();
    format!(
        "name: counting\nphases:\n  - name: one\n    steps:\n{chain}      - wait: 30ms\n  - name: two\n    steps:\n      - parallel:\n{fan}      - {}\n",
        step("last")
    )
}

#[test]
fn two_hundred_kills_lose_nothing_and_repeat_nothing() {
    let mut random = Random::from_environment("two_hundred_kills");
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", &counting_plan());
    let has_begun = || !sandbox.read("effects").is_empty();
    let until_it_has_begun = || {
        let start = Instant::now();
        while !has_begun() {
            assert!(start.elapsed() < Duration::from_secs(10), "no step has acted");
            std::thread::sleep(Duration::from_micros(200));
        }
    };
    let micros = |since: Instant| u64::try_from(since.elapsed().as_micros()).expect("short");
    let start = Instant::now();
    let run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    until_it_has_begun();
    let begun = Instant::now();
    run.wait().expect_code(0);
    let (whole, rest) = (micros(start), micros(begun));
    let mut interrupted = 0;
    for kill in 0..KILLS {
        sandbox.file("effects", "");
        let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
        // Every other one from the first effect on: a program that was not optimised spends most of its time before it.
        let within = if kill % 2 == 0 {
            whole
        } else {
            until_it_has_begun();
            rest
        };
        std::thread::sleep(Duration::from_micros(random.below(within)));
        run.kill();
        let runs = sandbox
            .caxplan(&["runs", "--output", "json"])
            .expect_code(0)
            .json();
        let newest = &runs[0];
        if newest["status"] == "succeeded" {
            // Killed before its first record or after its last.
            let effects = sandbox.read("effects");
            assert!(
                effects.is_empty() || effects.lines().count() == 9,
                "kill {kill}: {effects}"
            );
            continue;
        }
        interrupted += 1;
        sandbox.caxplan(&["resume", "--last"]).expect_code(0);
        let mut effects: Vec<String> = sandbox.read("effects").lines().map(str::to_owned).collect();
        effects.sort_unstable();
        let expected = [
            "chain-1", "chain-2", "chain-3", "chain-4", "chain-5", "fan-1", "fan-2", "fan-3", "last",
        ];
        assert_eq!(effects, expected, "kill {kill}");
        sandbox.caxplan(&["verify", "--last"]).expect_code(0);
    }
    assert!(
        interrupted > KILLS / 4,
        "only {interrupted} of {KILLS} kills hit a run in its middle"
    );
}

#[test]
fn nothing_of_a_killed_engine_runs_on_beside_the_resumed_run() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        "phases:\n  - name: work\n    steps:\n      - id: slow\n        action: shell.run\n        with:\n          script: |\n            test -e go && exit 0\n            setsid sleep 987654 & echo $! > grandchild\n            sleep 987655\n        probe: {action: shell.run, with: {argv: ['false'], changes: false, ok_codes: [0, 1]}, done_when: output.exit_code == 0}\n",
    );
    let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the step's grandchild", Duration::from_secs(10), || {
        !sandbox.read("grandchild").trim().is_empty()
    });
    let grandchild = sandbox.read("grandchild").trim().to_owned();
    run.kill();
    sandbox.file("go", "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    let state = std::fs::read_to_string(format!("/proc/{grandchild}/cmdline")).unwrap_or_default();
    assert!(!state.contains("987654"), "the grandchild {grandchild} runs on");
}

#[test]
fn a_step_in_doubt_without_a_probe_waits_for_a_person() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        "phases:\n  - name: work\n    steps:\n      - {id: charge, action: shell.run, with: {script: echo charged >> effects; sleep 100}}\n",
    );
    let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the effect", Duration::from_secs(10), || {
        !sandbox.read("effects").is_empty()
    });
    run.kill();
    sandbox
        .caxplan(&["resume", "--last"])
        .expect_code(5)
        .expect_text("in doubt")
        .expect_text("--in-doubt");
    assert_eq!(
        sandbox.read("effects"),
        "charged\n",
        "it was not run again blindly"
    );
    sandbox
        .caxplan(&["resume", "--last", "--in-doubt=assume-done"])
        .expect_code(0);
    assert_eq!(sandbox.read("effects"), "charged\n");
}

#[test]
fn a_full_disk_stops_the_run_and_resume_goes_on_after_space_was_made() {
    let disk = SmallDisk::mount();
    let sandbox = Sandbox::with_state(disk.path());
    let steps: String = (0..200)
        .map(|number| format!("      - {{id: s{number}, action: shell.run, with: {{script: 'echo {number} >> effects; head -c 4000 /dev/zero | tr \"\\\\0\" x'}}, probe: {{action: shell.run, with: {{script: 'grep -qx {number} effects', changes: false, ok_codes: [0, 1, 2]}}, done_when: output.exit_code == 0}}}}\n"))
        .collect();
    sandbox.file(
        "plan.yaml",
        &format!("phases:\n  - name: work\n    steps:\n{steps}"),
    );
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0_u8; 7_300_000]).expect("the ballast fits");
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(1)
        .expect_text("disk")
        .expect_text("caxplan resume");
    std::fs::remove_file(&ballast).expect("the ballast is there");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    let numbers: Vec<u32> = sandbox
        .read("effects")
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
}

/// A disk of eight megabytes.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(folder.path())
            .status()
            .expect("mount is on every Linux");
        assert!(status.success(), "a small disk can be mounted only by root");
        Self(folder)
    }

    fn path(&self) -> &std::path::Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}
