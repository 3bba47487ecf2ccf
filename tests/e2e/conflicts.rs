//! `caxplan schedule conflicts`: what scheduled runs would do to each other, before they do.

use caxton_tests::Sandbox;

/// A plan that takes at most so long, with this header.
fn plan(header: &str, takes: &str, target: &str) -> String {
    format!(
        "{header}\ninventory: {{targets: {{one: {{}}, two: {{}}}}}}\nphases:\n  - name: work\n    steps:\n      - {{shell.run: {{script: 'true'}}, target: {target}, timeout: {takes}}}\n"
    )
}

#[test]
fn runs_that_would_meet_over_a_lock_a_target_or_themselves_are_told_with_what_becomes_of_them() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path().join("plans")).expect("made");
    let lock = |if_held: &str| format!("lock: {{name: db, {if_held}}}");
    let files = [
        (
            "nightly.yaml",
            plan(
                &format!("schedule: \"0 2 * * *\"\n{}", lock("if_held: queue")),
                "90m",
                "one",
            ),
        ),
        (
            "report.yaml",
            plan(
                &format!(
                    "schedule: \"0 3 * * MON\"\n{}",
                    lock("if_held: queue, wait_max: 10m")
                ),
                "5m",
                "two",
            ),
        ),
        // No lock keeps it from the nightly run, and they act on the same target.
        ("patch.yaml", plan("schedule: \"30 2 * * TUE\"", "5m", "one")),
        (
            "often.yaml",
            plan(
                "schedule: {cron: \"0 12-14 * * *\", overlap: queue}",
                "70m",
                "two",
            ),
        ),
        ("alone.yaml", plan("schedule: \"0 20 * * *\"", "5m", "one")),
    ];
    for (name, text) in &files {
        std::fs::write(sandbox.path().join("plans").join(name), text).expect("written");
    }
    let arguments = [
        "schedule",
        "conflicts",
        "plans",
        "--from",
        "2026-11-30T00:00Z",
        "--within",
        "7d",
    ];
    let end = sandbox.caxplan(&arguments).expect_code(1);
    for text in [
        "2026-11-30 03:00:00 UTC report.yaml\n  nightly.yaml is going on: 2026-11-30 02:00:00 to 2026-11-30 03:30:00 (1h30m, by its time limits)",
        "both hold the lock `db`: it waits until 2026-11-30 03:10:00 and is refused then, exit code 6 (`wait_max`)",
        "2026-12-01 02:30:00 UTC patch.yaml",
        "both act on `one`: both run beside each other (no lock keeps them apart)",
        "2026-11-30 13:00:00 UTC often.yaml\n  the run before is going on",
        "both are runs of one plan: it waits 10m, until 2026-11-30 13:10:00 (`overlap: queue`)",
        "more times, the last 2026-12-06",
    ] {
        assert!(
            end.stdout.contains(text),
            "no {text:?} in\n{}\n{}",
            end.stdout,
            end.stderr
        );
    }
    assert!(!end.stdout.contains("alone.yaml"), "{}", end.stdout);

    let mut with_json = arguments.to_vec();
    with_json.extend(["--output", "json"]);
    let list = sandbox.caxplan(&with_json).expect_code(1).json();
    let of = |plan: &str| {
        let all = list.as_array().expect("a list");
        let found = all.iter().find(|one| {
            one["run"]["plan"]
                .as_str()
                .is_some_and(|file| file.ends_with(plan))
        });
        found.unwrap_or_else(|| panic!("no {plan} in {list}")).clone()
    };
    let report = of("report.yaml");
    assert_eq!(report["at"], "2026-11-30T03:00:00Z");
    assert_eq!(report["becomes"], "gives-up");
    assert_eq!(report["locks"], serde_json::json!(["db"]));
    assert_eq!(report["count"], 1);
    assert_eq!(of("patch.yaml")["targets"], serde_json::json!(["one"]));
    assert_eq!(of("often.yaml")["count"], 14, "twice a day");

    // Two that never meet, and a file that is no plan.
    sandbox
        .caxplan(&["schedule", "conflicts", "plans/alone.yaml", "plans/patch.yaml"])
        .expect_code(0)
        .expect_text("no conflict");
    sandbox.file(
        "plans/broken.yaml",
        "schedule: \"0 2 * * *\"\nphases: [{nam: x}]\n",
    );
    sandbox
        .caxplan(&arguments)
        .expect_code(2)
        .expect_text("broken.yaml");
}

#[test]
fn how_long_runs_take_is_taken_from_those_that_were() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path().join("plans")).expect("made");
    for name in ["a", "b"] {
        let text = format!(
            "schedule: \"{} 2 * * *\"\nlock: db\nphases: [{{name: w, steps: [{{shell.run: {{script: 'true'}}}}]}}]\n",
            if name == "a" { 0 } else { 5 }
        );
        sandbox.file(&format!("plans/{name}.yaml"), &text);
    }
    let check = |code: i32, text: &str| {
        sandbox
            .caxplan(&["schedule", "conflicts", "plans", "--within", "2d"])
            .expect_code(code)
            .expect_text(text);
    };
    check(1, "(10m, assumed)");
    sandbox.caxplan(&["run", "plans/a.yaml"]).expect_code(0);
    check(0, "4 starts of 2 plans within 2d: no conflict");
}
