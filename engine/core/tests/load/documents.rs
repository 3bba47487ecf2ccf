//! Files that hold several plans: calendars, policies, monitors, alert rules. The blocks of `tests/fixtures/seeds` stand
//! there character for character.

use crate::{actions, fixtures};
use caxplan_core::load::{
    All, Diagnostics, Entry, LoadRequest, Monitors, ReadError, entries, load, load_all, monitors,
};
use caxplan_model::{Map, Misfire, NodeKind, Overlap};
use serde_json::json;
use std::fmt::Write as _;
use std::fs;

/// A library that binds every bare name of the blocks.
const LIBRARY: &str = "../valid/lib/documents.yaml";

fn read(path: &str) -> Result<String, ReadError> {
    fs::read_to_string(fixtures().join("seeds").join(path)).map_err(|error| ReadError {
        message: error.kind().to_string(),
    })
}

fn with_request<T>(file: &str, entry: Option<&str>, ask: impl FnOnce(&LoadRequest<'_>) -> T) -> T {
    ask(&LoadRequest {
        plan: file,
        entry,
        libraries: &[LIBRARY.to_owned()],
        inventory: None,
        params: &Map::new(),
        actions: &actions::actions(),
        limit: &[],
        discover: None,
    })
}

#[track_caller]
fn sound<T>(answer: Result<T, Diagnostics>) -> T {
    answer.unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
}

fn all(file: &str) -> All {
    let all = sound(with_request(file, None, |request| load_all(request, &mut read)));
    assert_eq!(all.warnings.render(false), "");
    all
}

fn all_monitors(file: &str) -> Monitors {
    sound(with_request(file, None, |request| monitors(request, &mut read)))
}

/// All plans as text: when each runs, its steps, and what is bound for them.
fn outline(all: &All) -> String {
    let mut text = String::new();
    for (entry, loaded) in &all.plans {
        let schedule = entry.schedule.as_ref();
        let cron = schedule.map_or("never by itself", |schedule| &schedule.cron);
        let header = &loaded.graph.header;
        assert_eq!(header.entry, entry.name);
        assert_eq!(header.schedule, entry.schedule);
        writeln!(text, "{}: {cron}", header.name).expect("written");
        for node in &loaded.graph.nodes[1..] {
            let kind = serde_json::to_value(&node.kind).expect("plain data");
            let kind = kind["kind"].as_str().unwrap_or_default();
            writeln!(text, "  {} {kind}", node.id).expect("written");
            for (name, value) in node.bindings.iter() {
                let what = ["name", "type"].iter().find_map(|key| value.get(key));
                writeln!(text, "    {name}: {}", what.unwrap_or(value)).expect("written");
            }
        }
    }
    text
}

#[test]
fn the_calendar_of_the_seed_is_one_plan_per_period() {
    insta::assert_snapshot!(outline(&all("maintenance.yaml")));
}

#[test]
fn the_policy_of_the_seed_is_one_plan_per_entry() {
    insta::assert_snapshot!(outline(&all("backup.yaml")));
}

#[test]
fn the_monitors_of_the_seed_are_plans_that_only_look() {
    insta::assert_snapshot!(outline(&all("health_checks.yaml")));
}

#[test]
fn the_alert_rules_of_the_seed_are_the_plans_of_their_actions() {
    insta::assert_snapshot!(outline(&all("alerts.yaml")));
}

#[test]
fn every_check_is_answered_by_a_node_that_only_looks() {
    for (file, count) in [("health_checks.yaml", 3), ("alerts.yaml", 6)] {
        let monitors = all_monitors(file).monitors;
        assert_eq!(monitors.len(), count);
        for monitor in &monitors {
            assert!(!monitor.checks.is_empty());
            for check in &monitor.checks {
                match &monitor.loaded.graph.node(check.node).kind {
                    NodeKind::Action(step) => assert!(step.read_only, "{}", check.text),
                    NodeKind::Watch(watch) => assert!(watch.checks.contains(&check.text), "{}", check.text),
                    other => panic!("{} is answered by {other:?}", check.text),
                }
            }
        }
    }
}

#[test]
fn a_rule_says_when_it_fires_and_what_then() {
    let monitors = all_monitors("alerts.yaml").monitors;
    let rule = |name: &str| {
        let monitor = monitors
            .iter()
            .find(|monitor| monitor.name == name)
            .expect("a rule");
        let rule = monitor.rule.as_ref().expect("a rule");
        let alert = &rule.action.graph.nodes[2].bindings["alert"];
        (
            rule.severity,
            rule.duration.to_string(),
            monitor.checks[0].text.clone(),
            alert["name"].clone(),
        )
    };
    assert_eq!(
        rule("high_cpu_usage"),
        (
            "warning",
            "5m".to_owned(),
            "cpu_usage > 70%".to_owned(),
            json!("high_cpu_usage")
        )
    );
    assert_eq!(
        rule("node_down"),
        (
            "critical",
            "0s".to_owned(),
            "node_unreachable > 60s".to_owned(),
            json!("node_down")
        )
    );
}

#[test]
fn a_bare_name_that_a_library_binds_is_a_check_of_its_own() {
    let monitors = all_monitors("health_checks.yaml").monitors;
    let kinds: Vec<(String, bool)> = monitors[0]
        .checks
        .iter()
        .map(|check| {
            let node = monitors[0].loaded.graph.node(check.node);
            (check.text.clone(), matches!(node.kind, NodeKind::Action(_)))
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("cluster_membership".to_owned(), true),
            ("gossip_convergence".to_owned(), false),
            ("partition_detection".to_owned(), false),
        ]
    );
}

/// The entries of a text.
fn entries_of(text: &str) -> Vec<Entry> {
    let actions = actions::actions();
    let request = LoadRequest {
        plan: "plan.yaml",
        entry: None,
        libraries: &[],
        inventory: None,
        params: &Map::new(),
        actions: &actions,
        limit: &[],
        discover: None,
    };
    sound(entries(&request, &mut |_| Ok(text.to_owned())))
}

#[test]
fn schedules_come_from_the_header_and_from_the_period() {
    let found = entries_of(
        r#"
schedule:
  timezone: Europe/Berlin
  jitter: 10m
  daily: "30 1 * * *"
  weekly: {cron: "0 1 * * 6", overlap: queue}
maintenance:
  weekly: [a]
  daily: [a]
  quarterly:
    schedule: {misfire: skip, timezone: UTC}
    steps: [a]
"#,
    );
    let seen: Vec<_> = found
        .iter()
        .map(|entry| {
            let schedule = entry.schedule.as_ref().expect("scheduled");
            (
                entry.name.as_deref().unwrap_or_default(),
                schedule.cron.as_str(),
                schedule.timezone.as_deref().unwrap_or_default(),
                schedule.jitter.to_string(),
                schedule.misfire,
                schedule.overlap,
            )
        })
        .collect();
    let jitter = || "10m".to_owned();
    assert_eq!(
        seen,
        [
            (
                "weekly",
                "0 1 * * 6",
                "Europe/Berlin",
                jitter(),
                Misfire::Once,
                Overlap::Queue
            ),
            (
                "daily",
                "30 1 * * *",
                "Europe/Berlin",
                jitter(),
                Misfire::Once,
                Overlap::Forbid
            ),
            (
                "quarterly",
                "0 6 1 1,4,7,10 *",
                "UTC",
                jitter(),
                Misfire::Skip,
                Overlap::Forbid
            ),
        ]
    );
}

#[test]
fn a_frequency_becomes_a_cron_expression() {
    for (entry, expected) in [
        ("frequency: daily", "0 2 * * *"),
        ("frequency: daily, time: 02:00", "0 2 * * *"),
        ("frequency: daily, time: 5:07", "7 5 * * *"),
        ("frequency: daily, time: '23:59:00'", "59 23 * * *"),
        ("frequency: hourly", "0 * * * *"),
        ("frequency: hourly, time: 00:15", "15 * * * *"),
        ("frequency: weekly", "0 2 * * 0"),
        ("frequency: weekly, day: Friday, time: 04:30", "30 4 * * 5"),
        ("frequency: weekly, day: mon", "0 2 * * 1"),
        ("frequency: monthly", "0 2 1 * *"),
        ("frequency: monthly, day: 15", "0 2 15 * *"),
        ("cron: '*/5 * * * *'", "*/5 * * * *"),
    ] {
        let text =
            format!("backup:\n  schedule:\n    full: {{{entry}}}\n  destinations: [{{type: local}}]\n");
        let found = entries_of(&text);
        let schedule = found[0].schedule.as_ref().expect("scheduled");
        assert_eq!(schedule.cron, expected, "{entry}");
    }
}

#[test]
fn a_plan_is_its_only_entry() {
    let found = entries_of("schedule: 0 2 * * *\nphases:\n  - {name: a, steps: [b]}\n");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name, None);
    assert!(found[0].schedule.is_some());
}

#[test]
fn an_entry_of_a_file_is_loaded_alone() {
    let loaded = sound(with_request(
        "backup.yaml",
        Some("incremental_backup"),
        |request| load(request, &mut read),
    ));
    assert_eq!(loaded.graph.header.name, "backup/incremental_backup");
    let prune = loaded.graph.find("incremental_backup/prune_s3").expect("a step");
    let bindings = &loaded.graph.node(prune).bindings;
    assert_eq!(
        bindings["destination"],
        json!({"type": "s3", "bucket": "caxton-backups", "region": "us-east-1"})
    );
    assert_eq!(
        bindings["backup"],
        json!({
            "name": "incremental_backup",
            "frequency": "hourly",
            "retention": "7d",
            "retention_seconds": 604_800,
            "components": ["agent_registry", "agent_state", "message_queues", "configuration", "certificates"],
            "destinations": [
                {"type": "local", "path": "/backup/caxton"},
                {"type": "s3", "bucket": "caxton-backups", "region": "us-east-1"},
            ],
        })
    );
}

#[test]
fn without_a_retention_nothing_is_removed() {
    let text = "backup:\n  schedule: {full: {frequency: daily}}\n  destinations: [{type: local, path: /b}]\n";
    let wrong = with_request("plan.yaml", Some("full"), |request| {
        load(request, &mut |path| match path {
            "plan.yaml" => Ok(text.to_owned()),
            other => read(other),
        })
    });
    let wrong = wrong.expect_err("nothing binds `full`").render(false);
    assert!(!wrong.contains("prune_local"), "{wrong}");
}

#[test]
fn what_is_no_file_of_monitors_cannot_be_checked() {
    let wrong = with_request("backup.yaml", None, |request| monitors(request, &mut read));
    let said = wrong.expect_err("no monitors").render(false);
    assert!(
        said.starts_with("error[no-monitors]: this file holds nothing to check"),
        "{said}"
    );
}
