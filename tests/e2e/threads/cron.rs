//! Times.

use super::{effects, sandbox};
use caxton_tests::Sandbox;
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
