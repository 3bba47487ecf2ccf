//! Times.

use super::{LIMIT, effects, runs, sandbox};
use caxton_tests::{Sandbox, wait_until};
use std::time::{SystemTime, UNIX_EPOCH};

/// The next `count` times of a schedule after `from`.
fn next(schedule: &str, from: &str, count: usize) -> Vec<String> {
    let sandbox = sandbox(&format!(
        "schedule: {schedule}\nphases: [{{name: work, steps: [{{shell.run: {{script: 'true'}}}}]}}]\n"
    ));
    let count = count.to_string();
    let arguments = [
        "schedule",
        "next",
        "plan.yaml",
        "-n",
        &count,
        "--from",
        from,
        "--output",
        "json",
    ];
    let list = sandbox.caxplan(&arguments).expect_code(0).json();
    let times = list.as_array().expect("a list");
    times
        .iter()
        .map(|time| time["due"].as_str().expect("a time").to_owned())
        .collect()
}

/// argo-workflows#2328: with a time zone a daily workflow ran twice a day, the second time an hour later.
#[test]
fn argo_2328_a_daily_plan_runs_once_a_day_in_its_time_zone() {
    let times = next(
        "{cron: 35 5 * * *, timezone: Etc/GMT-1}",
        "2020-02-28T00:00:00Z",
        3,
    );
    assert_eq!(
        times,
        [
            "2020-02-28T04:35:00Z",
            "2020-02-29T04:35:00Z",
            "2020-03-01T04:35:00Z"
        ]
    );
}

/// argo-workflows#8140, #13365: "once, twice, or not at all" when the clocks change.
#[test]
fn argo_8140_a_daily_time_comes_once_whatever_the_clocks_do() {
    let zone = "timezone: America/Los_Angeles";
    // 2:01 does not exist on 8 March: it comes right after the leap.
    let spring = next(&format!("{{cron: 1 2 * * *, {zone}}}"), "2020-03-07T12:00:00Z", 2);
    assert_eq!(spring, ["2020-03-08T10:00:00Z", "2020-03-09T09:01:00Z"]);
    // 1:01 comes twice on 1 November: the first one counts.
    let autumn = next(&format!("{{cron: 1 1 * * *, {zone}}}"), "2020-10-31T12:00:00Z", 2);
    assert_eq!(autumn, ["2020-11-01T08:01:00Z", "2020-11-02T09:01:00Z"]);
}

/// A folder of one plan that is due at this minute of UTC, in a time zone.
fn due_now(timezone: &str) -> Sandbox {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let (minute, hour) = (seconds / 60 % 60, seconds / 3600 % 24);
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path().join("plans")).expect("made");
    let effects = sandbox.path().join("effects");
    let plan = format!(
        "schedule: {{cron: '{minute} {hour} * * *', timezone: {timezone}, misfire: once}}\nphases: [{{name: work, steps: [{{shell.run: {{script: 'echo ran >> {}'}}}}]}}]\n",
        effects.display()
    );
    std::fs::write(sandbox.path().join("plans/plan.yaml"), plan).expect("written");
    sandbox
}

/// argo-workflows#13786: whether a time had been missed was judged by UTC, and workflows with a time zone ran at wrong times.
#[test]
fn argo_13786_what_is_due_is_judged_in_the_plan_s_time_zone() {
    for zone in ["Pacific/Auckland", "America/Los_Angeles", "Asia/Kathmandu"] {
        let sandbox = due_now(zone);
        for own_zone in ["UTC", zone] {
            sandbox
                .caxplan_with(&[("TZ", own_zone)], &["schedule", "run-due", "plans"])
                .expect_code(0);
        }
        assert_eq!(effects(&sandbox), [""; 0], "{zone}");
    }
}

/// A folder of one plan that is due every second, whose step begins and goes on until there is a file `go`.
fn every_second(overlap: &str, steps: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path().join("plans")).expect("made");
    let plan = format!(
        "schedule: {{cron: '* * * * * *', overlap: {overlap}}}\nphases:\n  - name: work\n    steps:\n      - shell.run: {{cwd: {}, script: 'echo begun >> effects; until test -e go; do sleep 0.02; done'}}\n{steps}",
        sandbox.path().display()
    );
    std::fs::write(sandbox.path().join("plans/plan.yaml"), plan).expect("written");
    sandbox
}

/// What became of the due times, the newest first.
fn history(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    let list = [
        "schedule",
        "list",
        "plans",
        "--history",
        "100",
        "--output",
        "json",
    ];
    let list = sandbox.caxplan(&list).expect_code(0).json();
    list[0]["history"].as_array().expect("a history").clone()
}

/// This moment of UTC, written as due times are, so that it can be compared with them as a text.
fn now() -> String {
    let date = std::process::Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])
        .output();
    let text = String::from_utf8(date.expect("date").stdout).expect("a text");
    text.trim().to_owned()
}

fn pause(seconds: u64) {
    std::thread::sleep(std::time::Duration::from_secs(seconds));
}

/// dagu#2742: after the scheduler had slept, the minutes that it had slept through were run one by one, beside what was still running.
#[test]
fn dagu_2742_times_that_a_scheduler_has_slept_through_are_not_run_one_by_one() {
    for overlap in ["allow", "forbid"] {
        let sandbox = every_second(overlap, "");
        let daemon = sandbox.start_caxplan(&["schedule", "daemon", "plans"]);
        wait_until("a run", LIMIT, || effects(&sandbox).contains(&"begun".to_owned()));
        daemon.signal(rustix::process::Signal::STOP);
        pause(1);
        let asleep = now();
        pause(4);
        let awake = now();
        pause(1);
        daemon.signal(rustix::process::Signal::CONT);
        wait_until("a time after it woke", LIMIT, || {
            history(&sandbox)
                .iter()
                .any(|past| past["due"].as_str().is_some_and(|due| due > awake.as_str()))
        });
        if overlap == "forbid" {
            assert_eq!(effects(&sandbox), ["begun"], "one goes on, so no other begins");
        }
        sandbox.file("go", "");
        daemon.signal(rustix::process::Signal::TERM);
        daemon.wait().expect_code(0);
        for past in history(&sandbox) {
            let due = past["due"].as_str().expect("a time");
            let slept_through = asleep.as_str() < due && due <= awake.as_str();
            assert!(!slept_through || past["run"].is_null(), "{overlap}: {past}");
        }
    }
}

/// argo-workflows#4325: a schedule without a time zone was listed with another next time by each who asked from another time zone.
#[test]
fn argo_4325_whoever_asks_is_told_the_same_next_time() {
    let plan = "schedule: '1 1 29 2 *'\nphases: [{name: work, steps: [{shell.run: {script: 'true'}}]}]\n";
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path().join("plans")).expect("made");
    std::fs::write(sandbox.path().join("plans/plan.yaml"), plan).expect("written");
    let ask = |zone: &str| {
        let from = [
            "schedule",
            "next",
            "plans",
            "-n",
            "1",
            "--from",
            "2021-10-20T12:00:00Z",
        ];
        let next = sandbox.caxplan_with(&[("TZ", zone)], &from).expect_code(0);
        let list = sandbox.caxplan_with(&[("TZ", zone)], &["schedule", "list", "plans"]);
        (next.stdout, list.expect_code(0).stdout)
    };
    let in_utc = ask("UTC");
    assert!(in_utc.0.contains("2024-02-29T01:01:00Z"), "{}", in_utc.0);
    assert!(in_utc.1.contains("-02-29 01:01:00"), "{}", in_utc.1);
    for zone in ["Asia/Shanghai", "America/Los_Angeles", "Asia/Kathmandu"] {
        assert_eq!(ask(zone), in_utc, "{zone}");
    }
}

/// temporal#6820: a schedule left out some of its times, and nothing said which ones, or why.
#[test]
fn temporal_6820_every_time_that_is_left_out_is_said_with_its_reason() {
    let sandbox = every_second("forbid", "");
    let first = sandbox.start_caxplan(&["schedule", "run-due", "plans"]);
    wait_until("a run", LIMIT, || effects(&sandbox).contains(&"begun".to_owned()));
    let run = runs(&sandbox)[0]["id"].as_str().expect("an id").to_owned();
    let mut said = String::new();
    for _ in 0..4 {
        pause(1);
        let look = sandbox.caxplan(&["schedule", "run-due", "plans"]).expect_code(0);
        said.push_str(&look.stderr);
    }
    sandbox.file("go", "");
    first.wait().expect_code(0);
    assert_eq!(effects(&sandbox), ["begun"]);

    // From one line to the next no second is missing: the first time that a line stands for follows the last one of the line before.
    let second = |text: &str| -> u32 {
        let time = text.split(' ').nth(1).expect("a time of day");
        time[6..8].parse().expect("seconds")
    };
    let begun = history(&sandbox).pop().expect("the first");
    assert_eq!(begun["end"], "succeeded");
    let mut last = begun["due"].as_str().expect("a time")[17..19]
        .parse()
        .expect("seconds");
    let mut lines = 0;
    for line in said.lines() {
        assert!(line.starts_with("skipped: "), "{line}");
        assert!(line.ends_with(&format!("run {run} was still going on")), "{line}");
        let (_, due) = line.split_once(", due ").expect("a due time");
        let from = due.split_once(", from ").map_or(due, |(_, from)| from);
        assert_eq!(second(from), (last + 1) % 60, "{said}");
        last = second(due);
        lines += 1;
    }
    assert!(lines >= 2, "{said}");
    let skipped = history(&sandbox);
    let skipped = skipped.iter().filter(|past| past["end"] == "skipped");
    assert_eq!(skipped.count(), lines, "and they are kept");
}

/// st2#4779: a limit of one execution counted what ran, and not what was paused; so a second one began beside it.
#[test]
fn st2_4779_a_schedule_starts_no_run_beside_one_that_is_paused_or_waits_for_a_person() {
    let sandbox = every_second("forbid", "      - {id: ask, approve: Go on?}\n");
    let first = sandbox.start_caxplan(&["schedule", "run-due", "plans"]);
    wait_until("a run", LIMIT, || effects(&sandbox).contains(&"begun".to_owned()));
    sandbox.caxplan(&["pause", "--last"]).expect_code(0);
    sandbox.file("go", "");
    first.wait().expect_code(5);
    let nothing_begins = || {
        pause(1);
        let look = sandbox.caxplan(&["schedule", "run-due", "plans"]).expect_code(0);
        assert!(look.stderr.contains("was still going on"), "{}", look.stderr);
        assert_eq!(effects(&sandbox), ["begun"]);
    };
    assert_eq!(runs(&sandbox)[0]["status"], "waiting");
    nothing_begins();
    sandbox.caxplan(&["resume", "--last"]).expect_code(5);
    nothing_begins();
    sandbox.caxplan(&["resume", "--last", "--yes"]).expect_code(0);
    // The second of the last look is settled.
    pause(1);
    sandbox.caxplan(&["schedule", "run-due", "plans"]);
    assert_eq!(effects(&sandbox), ["begun", "begun"]);
}
