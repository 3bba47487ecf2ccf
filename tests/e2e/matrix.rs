//! The engine dies at every record of a run: once as soon as the record is durable, before anything follows from it, and
//! once when what it speaks of has happened and the record is not durable. Whatever the moment, nothing is lost, nothing is
//! done twice that must not be, and the account says what happened.
//!
//! The steps keep the ledger: each execution writes one line. So the world itself tells what was done, not the engine.

use caxton_tests::{Finished, Sandbox};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// Runs beside each other: most of the time they wait, for timers and for the disk.
const THREADS: u32 = 6;
/// Engines that one run may take after its crash: one more is for a step in doubt, the others are for a second crash.
const ENGINES_MAX: u32 = 6;

/// Every form of a step. `FAILS` is replaced by what lets the last phase fail.
const PLAN: &str = r#"
name: matrix
on_failure: rollback
phases:
  - name: forms
    steps:
      # Only reads: may run as often as it likes.
      - {id: list, action: shell.run, with: {argv: [echo, "x y"], changes: false}}
      # Can be told by nobody whether it acted: never run again without a person.
      - {id: once, action: shell.run, with: {script: echo once >> ledger}, rollback: {shell.run: {script: echo undo-once >> ledger}}}
      # A probe tells.
      - id: probed
        action: shell.run
        with: {script: echo probed >> ledger}
        probe: {action: shell.run, with: {script: grep -qx probed ledger, changes: false, ok_codes: [0, 1, 2]}, done_when: output.exit_code == 0}
        rollback: {shell.run: {script: echo undo-probed >> ledger}}
      # Fails once, and its probe says that it may be tried again.
      - id: retried
        action: shell.run
        with: {script: 'echo tried-retried >> ledger; test -e flag || { touch flag; exit 1; }; echo retried >> ledger'}
        retry: {attempts: 3, initial: 10ms, on: [exit]}
        probe: {action: shell.run, with: {script: grep -qx retried ledger, changes: false, ok_codes: [0, 1, 2]}, done_when: output.exit_code == 0}
        rollback: {shell.run: {script: echo undo-retried >> ledger}}
      # Undone by its adapter.
      - {id: config, action: file.write, with: {path: config, content: "new\n"}}
      - wait: 20ms
      - watch: {for: 150ms, every: 100ms, observe: {shell.run: {argv: ["true"], changes: false}}, checks: [output.exit_code == 0]}
      - {id: go, approve: Go on?}
      - {id: lines, checklist: [Looked at it]}
  - name: graph
    order: dag
    steps:
      - {id: roof, needs: [left, right], action: shell.run, with: {script: echo roof >> ledger}, PROBE roof, rollback: {shell.run: {script: echo undo-roof >> ledger}}}
      - {id: left, action: shell.run, with: {script: echo left >> ledger}, PROBE left, rollback: {shell.run: {script: echo undo-left >> ledger}}}
      - {id: right, action: shell.run, with: {script: echo right >> ledger}, PROBE right, rollback: {shell.run: {script: echo undo-right >> ledger}}}
  - name: groups
    steps:
      - parallel:
          - {id: here, action: shell.run, with: {script: echo here >> ledger}, PROBE here, rollback: {shell.run: {script: echo undo-here >> ledger}}}
          - {id: there, action: shell.run, with: {script: echo there >> ledger}, PROBE there, rollback: {shell.run: {script: echo undo-there >> ledger}}}
      - block:
          - {id: wobbly, action: shell.run, with: {argv: ["false"], changes: false}}
        rescue:
          - {id: rescued, action: shell.run, with: {script: echo rescued >> ledger}, PROBE rescued, rollback: {shell.run: {script: echo undo-rescued >> ledger}}}
        always:
          - {id: cleaned, action: shell.run, with: {script: echo cleaned >> ledger}, PROBE cleaned, rollback: {shell.run: {script: echo undo-cleaned >> ledger}}}
      - foreach: {var: name, in: [a, b], batch_size: 1, batch_delay: 20ms}
        steps:
          - {id: static, action: shell.run, with: {script: 'echo static-$NAME >> ledger', env: {NAME: "{{ name }}"}}, probe: {action: shell.run, with: {script: 'grep -qx static-$NAME ledger', env: {NAME: "{{ name }}"}, changes: false, ok_codes: [0, 1, 2]}, done_when: output.exit_code == 0}, rollback: {shell.run: {script: 'echo undo-static-$NAME >> ledger', env: {NAME: "{{ name }}"}}}}
      - foreach: {var: name, in: "{{ steps.list.output.stdout | trim | split(' ') | list }}", batch_size: 2}
        steps:
          - {id: dynamic, action: shell.run, with: {script: 'echo dynamic-$NAME >> ledger', env: {NAME: "{{ name }}"}}, probe: {action: shell.run, with: {script: 'grep -qx dynamic-$NAME ledger', env: {NAME: "{{ name }}"}, changes: false, ok_codes: [0, 1, 2]}, done_when: output.exit_code == 0}, rollback: {shell.run: {script: 'echo undo-dynamic-$NAME >> ledger', env: {NAME: "{{ name }}"}}}}
      - {id: last, action: assert.that, with: {that: HEALTHY, message: it is not healthy}}
"#;

/// The steps that leave a line, each of which must be there once.
const ONCE: [&str; 14] = [
    "once",
    "probed",
    "retried",
    "left",
    "right",
    "roof",
    "here",
    "there",
    "rescued",
    "cleaned",
    "static-a",
    "static-b",
    "dynamic-x",
    "dynamic-y",
];

/// Where the engine dies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    After(u32),
    Before(u32),
}

#[test]
fn the_good_path_survives_a_crash_at_every_record() {
    let records = matrix(true);
    assert!(
        records > 50,
        "only {records} records: the plan has lost its forms"
    );
}

#[test]
fn a_rollback_survives_a_crash_at_every_record() {
    let records = matrix(false);
    assert!(records > 80, "only {records} records: nothing was rolled back");
}

/// Tries every record; answers how many there are without a crash.
fn matrix(healthy: bool) -> u32 {
    let calm = sandbox(healthy);
    calm.caxplan(&["run", "plan.yaml", "--yes"])
        .expect_code(end(healthy));
    judge(&calm, healthy, "no crash");
    let records = records(&calm);
    let next = AtomicU32::new(0);
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let at = match number % 2 {
                        0 => At::After(1 + number / 2),
                        _ => At::Before(2 + number / 2),
                    };
                    if number / 2 >= records {
                        return;
                    }
                    let fault = std::panic::catch_unwind(|| crash(at, healthy));
                    if let Err(fault) = fault {
                        let text = fault.downcast_ref::<String>().cloned();
                        faults
                            .lock()
                            .expect("no thread panics with it")
                            .push((number, format!("{at:?}: {}", text.unwrap_or_default())));
                    }
                }
            });
        }
    });
    let mut faults = faults.into_inner().expect("no thread panics with it");
    faults.sort();
    let shown: Vec<&str> = faults.iter().take(3).map(|(_, text)| text.as_str()).collect();
    assert!(
        faults.is_empty(),
        "{} of {} crashes ended wrong:\n{}",
        faults.len(),
        records * 2,
        shown.join("\n\n")
    );
    records
}

fn sandbox(healthy: bool) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut plan = String::new();
    for line in PLAN.lines() {
        // A probe is the same for all: the line that the step writes is there.
        match line.split_once("PROBE ") {
            Some((before, rest)) => {
                let (name, after) = rest.split_once(',').expect("more follows");
                plan.push_str(&format!(
                    "{before}probe: {{action: shell.run, with: {{script: grep -qx {name} ledger, changes: false, ok_codes: [0, 1, 2]}}, done_when: output.exit_code == 0}},{after}\n"
                ));
            }
            None => plan.push_str(&format!("{line}\n")),
        }
    }
    sandbox.file("plan.yaml", &plan.replace("HEALTHY", &healthy.to_string()));
    sandbox.file("config", "old\n");
    sandbox
}

fn end(healthy: bool) -> i32 {
    if healthy { 0 } else { 3 }
}

/// Runs into a crash, into a second one shortly after, and then to the end.
fn crash(at: At, healthy: bool) {
    let sandbox = sandbox(healthy);
    let die = |at: At, arguments: &[&str]| -> Finished {
        let at = match at {
            At::After(record) => format!("after:{record}"),
            At::Before(record) => format!("before:{record}"),
        };
        sandbox.caxplan_with(&[("CAXPLAN_CRASH_AT", &at)], arguments)
    };
    let first = die(at, &["run", "plan.yaml", "--yes"]);
    let (At::After(record) | At::Before(record)) = at;
    // The run may have had fewer records this time: batches are as the machine has it.
    if first.code == end(healthy) {
        return judge(&sandbox, healthy, "no crash");
    }
    assert_eq!(first.code, -1, "{}\n{}", first.stdout, first.stderr);
    let mut finished = die(At::After(record + 3), &["resume", "--last", "--yes"]);
    for _ in 0..ENGINES_MAX {
        let code = finished.code;
        if code == end(healthy) {
            return judge(&sandbox, healthy, &format!("{at:?}"));
        }
        let how = match code {
            // In doubt, and only a person can tell: the ledger does.
            5 => {
                let text = format!("{}{}", finished.stdout, finished.stderr);
                assert!(text.contains("in doubt"), "{text}");
                assert!(text.contains("once"), "only `once` has no probe: {text}");
                match sandbox.read("ledger").lines().any(|line| line == "once") {
                    true => "--in-doubt=assume-done",
                    false => "--in-doubt=rerun",
                }
            }
            -1 => "--in-doubt=ask",
            other => panic!(
                "{at:?} ended with {other}\n{}\n{}\n{}",
                finished.stdout,
                finished.stderr,
                sandbox.caxplan(&["show", "--last"]).stdout
            ),
        };
        finished = sandbox.caxplan(&["resume", "--last", "--yes", how]);
    }
    panic!("{at:?} does not end");
}

fn records(sandbox: &Sandbox) -> u32 {
    let text = sandbox.caxplan(&["verify", "--last"]).expect_code(0).stdout;
    let number = text
        .split_whitespace()
        .rev()
        .nth(1)
        .and_then(|word| word.parse().ok());
    number.unwrap_or_else(|| panic!("no number of records in {text}"))
}

/// What must be true of the world and of the account, whatever happened on the way.
fn judge(sandbox: &Sandbox, healthy: bool, at: &str) {
    let ledger = sandbox.read("ledger");
    let mut count: BTreeMap<&str, u32> = BTreeMap::new();
    for line in ledger.lines() {
        *count.entry(line).or_default() += 1;
    }
    let times = |line: &str| count.get(line).copied().unwrap_or(0);
    for step in ONCE {
        assert_eq!(
            times(step),
            1,
            "{at}: `{step}` was done {} times\n{ledger}",
            times(step)
        );
        let undo = format!("undo-{step}");
        if healthy {
            assert_eq!(times(&undo), 0, "{at}: `{step}` was undone\n{ledger}");
        } else {
            // An undo that was cut off runs again.
            assert!(times(&undo) >= 1, "{at}: `{step}` was not undone\n{ledger}");
        }
    }
    if healthy {
        assert_eq!(sandbox.read("config"), "new\n", "{at}");
    } else {
        assert_eq!(sandbox.read("config"), "old\n", "{at}");
        check_order(&ledger, at);
    }
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
    let shown = sandbox
        .caxplan(&["show", "--last", "--output", "json"])
        .expect_code(0)
        .json();
    let status = if healthy { "succeeded" } else { "rolled back" };
    assert_eq!(shown["account"]["end"], status.replace(' ', "_"), "{at}: {shown}");
    let account = sandbox.caxplan(&["show", "--last"]).expect_code(0).stdout;
    assert!(account.contains(status), "{at}: {account}");
    for step in ["once", "probed", "retried", "roof", "dynamic"] {
        assert!(
            account.contains(step),
            "{at}: the account is silent about `{step}`\n{account}"
        );
    }
}

/// What was done in a certain order is undone in the opposite one.
fn check_order(ledger: &str, at: &str) {
    let place = |line: &str| {
        ledger
            .lines()
            .position(|of| of == line)
            .unwrap_or_else(|| panic!("{at}: no `{line}`\n{ledger}"))
    };
    let chain = [
        "once", "probed", "retried", "left", "roof", "here", "rescued", "cleaned", "static-a", "static-b",
    ];
    for pair in chain.windows(2) {
        assert!(place(pair[0]) < place(pair[1]), "{at}: {pair:?}\n{ledger}");
        let (first, second) = (format!("undo-{}", pair[0]), format!("undo-{}", pair[1]));
        assert!(
            place(&second) < place(&first),
            "{at}: the undos of {pair:?}\n{ledger}"
        );
    }
}
