//! What a simulation says of a plan, and what a test of a plan says.

// The fixtures' actions are shared with the tests of the loader.
#[path = "load/actions.rs"]
mod actions;

use caxplan_core::load::{LoadRequest, ReadError, load, load_test};
use caxplan_core::simulate::{End, Gate, Model, Options, Script, Trouble, explore, judge, tell};
use caxplan_model::Map;
use std::collections::{BTreeMap, BTreeSet};

/// Nodes are drained, upgraded and undrained; what was announced cannot be taken back.
const UPGRADE: &str = r#"
name: upgrade
on_failure: rollback
inventory: {targets: {node-1: , node-2: }}
phases:
  - name: pick
    steps:
      - {id: pick, cluster.pick: {}, timeout: 10s}
  - name: nodes
    steps:
      - foreach: {var: node, in: "{{ targets() }}", batch_delay: 5m}
        steps:
          - {id: drain, cluster.drain: {}, timeout: 1m, rollback: {cluster.undrain: {}}, when: target.name != steps.pick.output.node}
          - {id: upgrade, cluster.upgrade: {version: "2"}, timeout: 10m, retry: {attempts: 2}}
          - {id: undrain, cluster.undrain: {}, timeout: 1m, rollback: {cluster.drain: {}}}
          - watch: {for: 24h, every: 30s, observe: {cluster.metrics: {}}, checks: [error_rate < 1%], max_breaches: 2}
  - name: tell
    steps:
      - {id: approve, approve: Tell everybody?}
      - {id: announce, shell.run: {argv: [announce]}, timeout: 5s}
"#;

fn model(text: &str) -> Model {
    let request = LoadRequest {
        plan: "plan.yaml",
        entry: None,
        libraries: &[],
        inventory: None,
        params: &Map::new(),
        actions: &actions::actions(),
        limit: &[],
        discover: None,
    };
    let loaded = load(&request, &mut |_| Ok(text.to_owned())).unwrap_or_else(|wrong| {
        panic!("{}", wrong.render(false));
    });
    Model::new(loaded.graph, BTreeSet::new(), BTreeMap::new(), 2)
}

const SINGLY: Options = Options {
    pairs: false,
    crashes: false,
    scenarios_max: 1_000,
    records_max: caxplan_core::simulate::RECORDS_MAX,
};

#[test]
fn outcomes_are_grouped_and_summed_up() {
    insta::assert_snapshot!(explore(&model(UPGRADE), &SINGLY).to_text());
    insta::assert_snapshot!(explore(&model(UPGRADE), &SINGLY).to_markdown());
}

#[test]
fn one_scenario_is_a_timeline() {
    let check = |id: &str| {
        let script: Script = id.parse().expect("an id");
        assert_eq!(script.to_string(), id);
        let (story, ending) = tell(&model(UPGRADE), &script).expect("it comes to pass");
        insta::assert_snapshot!(id.replace([':', '/', ',', '@'], "_"), story.to_text(&ending));
    };
    check("good-path");
    check("nodes/node-2/upgrade:fails-midway,nodes/node-1/upgrade:undo-fails");
    check("tell/announce:in-doubt-unknown");
    check("nodes/node-1/watch:breaches");
    check("rollback-after-success@30+acted");
}

#[test]
fn ids_of_scenarios_are_read_as_they_are_written() {
    for row in explore(
        &model(UPGRADE),
        &Options {
            pairs: true,
            crashes: true,
            ..SINGLY
        },
    )
    .rows
    {
        let script: Script = row.id.parse().expect("an id");
        assert_eq!(script.to_string(), row.id);
        let (_, ending) = tell(&model(UPGRADE), &script)
            .unwrap_or_else(|deaf| panic!("{} does not come to pass in {}", deaf.fault, row.id));
        assert_eq!(ending, row.ending, "{}", row.id);
    }
    for wrong in ["nodes", "nodes:explodes", "a:fails@x"] {
        assert!(wrong.parse::<Script>().is_err(), "{wrong}");
    }
    let deaf = tell(&model(UPGRADE), &"nowhere:fails".parse().expect("an id"));
    assert!(deaf.is_err(), "there is no such step");
}

#[test]
fn what_is_left_out_is_counted() {
    let all = explore(&model(UPGRADE), &SINGLY);
    let few = explore(
        &model(UPGRADE),
        &Options {
            scenarios_max: 10,
            records_max: caxplan_core::simulate::RECORDS_MAX,
            ..SINGLY
        },
    );
    assert_eq!(few.rows.len(), 10);
    // Scenarios that follow from those that were left out are not known.
    assert!(few.left_out > 0 && few.left_out + 10 <= all.rows.len() as u64);
    assert!(few.to_text().contains("LEFT OUT"));
}

#[test]
fn the_gate_objects() {
    let findings = explore(&model(UPGRADE), &SINGLY);
    let gate = Gate {
        troubles: vec![
            Trouble::Stuck,
            Trouble::InDoubt,
            Trouble::NotUndone,
            Trouble::Down,
            Trouble::HalfApplied,
            Trouble::Twice,
            Trouble::NotResumable,
            Trouble::LeftOut,
        ],
        rollback_coverage: Some(100.0),
        down_max: Some(0),
        duration_max: Some("1h".parse().expect("a duration")),
    };
    insta::assert_snapshot!(gate.objections(&findings).join("\n"));
    let lenient = Gate {
        troubles: vec![Trouble::Twice, Trouble::LeftOut],
        rollback_coverage: Some(10.0),
        down_max: Some(1),
        duration_max: Some("90d".parse().expect("a duration")),
    };
    assert_eq!(lenient.objections(&findings), Vec::<String>::new());
}

/// Loads a test of [`UPGRADE`] and answers what it says: what is wrong with it, or what came of its cases.
fn hear(text: &str) -> String {
    let cases = load_test(
        "folder/upgrade.test.yaml",
        &actions::actions(),
        &mut |path| match path {
            "folder/upgrade.test.yaml" => Ok(text.to_owned()),
            "folder/plan.yaml" => Ok(UPGRADE.to_owned()),
            other => Err(ReadError {
                message: format!("there is no {other}"),
            }),
        },
    );
    match cases {
        Ok(cases) => cases
            .iter()
            .map(|case| {
                let model = Model::new(case.loaded.graph.clone(), BTreeSet::new(), BTreeMap::new(), 1);
                let complaints = judge(&model, &case.trial).complaints;
                format!("{}: {}\n", case.trial.name, complaints.join("\n  "))
            })
            .collect(),
        Err(wrong) => wrong.iter().map(|wrong| wrong.render(false)).collect(),
    }
}

#[test]
fn cases_are_judged() {
    insta::assert_snapshot!(hear(
        r#"
plan: plan.yaml
cases:
  - name: good
    steps: {pick: {output: {node: node-2}}}
    expect:
      end: succeeded
      ran: [nodes/node-1/drain, upgrade, announce]
      skipped: nodes/node-2/drain
      down: []
      max_down: 1
      within: 3d
      attempts: {upgrade: 1}
      conditions: ["steps.announce.status == 'succeeded'"]
  - name: tried again
    steps: {pick: {output: {node: none}}, nodes/node-1/upgrade: {fails: {kind: unavailable, attempts: 1}}}
    expect: {end: succeeded, attempts: {nodes/node-1/upgrade: 2}}
  - name: all of it wrong
    steps: {pick: {output: {node: none}}, nodes/node-2/upgrade: {fails: true}}
    answers: {approve: nobody}
    expect:
      end: [succeeded, waiting]
      ran: announce
      not_ran: nodes/node-1/drain
      skipped: nodes/node-1/drain
      failed: nodes/node-1/upgrade
      undone: announce
      not_undone: nodes/node-1/drain
      down: [node-2]
      max_down: 0
      within: 1h
      attempts: {nodes/node-2/upgrade: 1}
      conditions: ["steps.pick.output.node == 'node-1'"]
  - name: does not say what is needed
    expect: {end: succeeded}
"#
    ));
}

#[test]
fn wrong_tests_are_explained() {
    insta::assert_snapshot!(hear(
        r#"
plan: plan.yaml
cases:
  - name: twice
    steps:
      upgrad: {fails: true}
      announce: {breaches: true, undo_fails: true}
      nodes/node-1/watch: {output: {}}
      pick: {outputs: {}, in_doubt: perhaps, fails: 7}
    answers: {approve: maybe}
    expect: {end: exploded, ran: [anounce], within: long, conditions: ["a <"]}
  - name: twice
    expect: {}
"#
    ));
    insta::assert_snapshot!(hear(
        "plan: other.yaml\ncases: [{name: a, expect: {end: failed}}]\n"
    ));
    insta::assert_snapshot!(hear("cases: {}\nplans: x\n"));
}

#[test]
fn a_stuck_rollback_is_found_and_said_to_be_resumable() {
    let findings = explore(&model(UPGRADE), &SINGLY);
    let stuck: Vec<_> = findings
        .rows
        .iter()
        .filter(|row| row.ending.end == End::Stuck)
        .collect();
    assert!(!stuck.is_empty(), "undos fail");
    for row in stuck {
        assert_eq!(row.resumed, Some(End::RolledBack), "{}", row.id);
        assert!(!row.ending.not_undone.is_empty(), "{}", row.id);
    }
}
