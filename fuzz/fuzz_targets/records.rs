//! Whatever records a run has, they fold to a state that can be told and taken up, or the first bad one is refused.
//!
//! The input is one record per line, as JSON, over one of a few graphs that a first byte chooses.

#![no_main]

use caxplan_core::account::{Account, TextStyle};
use caxplan_core::load::{LoadRequest, load};
use caxplan_core::schedule::{Event, Scheduler, State};
use caxplan_model::{Graph, InDoubtPolicy, Map, Record, Timestamp};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

#[allow(dead_code)]
#[path = "../../engine/core/tests/load/actions.rs"]
mod actions;

const PLAN: &str = r#"
phases:
  - name: a
    steps:
      - shell.run: {script: a}
        checkpoint: c
      - cluster.upgrade: {version: "1"}
      - parallel: [{wait: 1s}, {approve: "ok?"}, {checklist: [x]}]
      - block: [{id: b, shell.run: {script: b}}]
        rescue: [{shell.run: {script: r}}]
        always: [{shell.run: {script: z}}]
  - name: d
    order: dag
    on_failure: rollback
    steps:
      - {id: x, cluster.drain: {}}
      - {id: y, cluster.undrain: {}, needs: [x], when: "steps.x.status == 'succeeded'"}
      - {id: pick, cluster.nodes: {}}
      - watch: {for: 1m, every: 1s, observe: {cluster.metrics: {}}, checks: ["a < 1"], max_breaches: 1}
  - name: e
    steps:
      - foreach: {var: n, in: "{{ steps.pick.output.list }}", batch_size: 2, batch_delay: 1s}
        steps: [{shell.run: {argv: ["{{ n }}"]}}]
      - foreach: {in: [1, 2, 3], batch_size: 50%, batch_delay: 1s, max_failures: 1, max_unavailable: 1}
        steps: [{cluster.drain: {}}, {cluster.upgrade: {version: "2"}}]
"#;

static GRAPH: LazyLock<Graph> = LazyLock::new(|| {
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
    match load(&request, &mut |_| Ok(PLAN.to_owned())) {
        Ok(loaded) => loaded.graph,
        Err(wrong) => panic!("{}", wrong.render(false)),
    }
});

fuzz_target!(|text: &str| {
    let mut state = State::new(GRAPH.clone());
    let mut applied: Vec<Record> = Vec::new();
    for line in text.lines() {
        let Ok(record) = serde_json::from_str::<Record>(line) else {
            continue;
        };
        // A record that is refused leaves the state as it was.
        match state.apply(&record) {
            Ok(()) => applied.push(record),
            Err(illegal) => assert!(!illegal.to_string().is_empty()),
        }
    }
    if applied.is_empty() {
        // The journal answers no run without its first record.
        return;
    }
    let account = Account::of(&state, &applied);
    let time = |at: Timestamp| at.0.to_string();
    account.to_text(TextStyle {
        color: false,
        all: true,
        time: &time,
        clock: &time,
    });
    let mut scheduler = Scheduler::new(state);
    let event = Event::Resume {
        in_doubt: InDoubtPolicy::default(),
        from: None,
    };
    let mut commands = Vec::new();
    scheduler.handle(Timestamp(1), event, &mut commands);
});
