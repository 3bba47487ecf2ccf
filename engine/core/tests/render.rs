//! What reviewers and operators read: previews before a run, accounts after it.

use caxplan_core::account::{Account, TextStyle};
use caxplan_core::preview::{Change, Forecasted, Foresight, build};
use caxplan_core::schedule::{Command, Event, Scheduler, State};
use caxplan_model::{
    ActionCall, ActionStep, Digest, FailureKind, Graph, InDoubtPolicy, Map, Node, NodeIndex, NodeKind,
    OnFailure, Outcome, Record, Rolling, SharedMap, StepId, Timestamp, Undo, UndoEnd, Value, Watch,
};
use serde_json::json;
use std::collections::BTreeMap;

fn action(name: &str, with: Value, undo: Undo, availability: i8) -> NodeKind {
    let Value::Object(with) = with else {
        panic!("arguments are an object");
    };
    NodeKind::Action(ActionStep {
        call: ActionCall {
            action: name.into(),
            with: with.into(),
        },
        target: None,
        retry: None,
        timeout: None,
        expect: Vec::new(),
        probe: None,
        read_only: undo == Undo::NotNeeded,
        undo,
        idempotent: false,
        probes: name == "caxton.node.upgrade",
        records_before: false,
        availability,
    })
}

fn push(graph: &mut Graph, id: &str, parent: u32, kind: NodeKind) -> u32 {
    let at = u32::try_from(graph.nodes.len()).expect("few");
    graph
        .nodes
        .push(Node::new(StepId::new(id), Some(NodeIndex(parent)), kind));
    at
}

/// A small rolling upgrade: a check, three nodes one after the other, a watch.
fn upgrade() -> Graph {
    let mut graph = Graph::empty("rolling-upgrade");
    "Upgrades a cluster, node by node".clone_into(&mut graph.header.description);
    graph.header.on_failure = OnFailure::Rollback;
    graph.header.locks = vec!["cluster".into()];
    let sequence = |children: &[u32]| NodeKind::Sequence {
        children: children.iter().copied().map(NodeIndex).collect(),
    };
    push(&mut graph, "validation", 0, sequence(&[2]));
    push(
        &mut graph,
        "validation/verify_health",
        1,
        action("caxton.cluster.check", json!({}), Undo::NotNeeded, 0),
    );
    push(&mut graph, "rolling", 0, sequence(&[4]));
    let group = push(&mut graph, "rolling/each", 3, sequence(&[]));
    let mut batches = Vec::new();
    for name in ["node-1", "node-2", "node-3"] {
        let element = push(&mut graph, &format!("rolling/{name}"), group, sequence(&[]));
        let steps = [
            ("drain", "caxton.node.drain", json!({}), Undo::Native, -1),
            (
                "upgrade",
                "caxton.node.upgrade",
                json!({"version": "1.1.0", "from": "{{ steps.verify_health.output.version }}"}),
                Undo::Native,
                0,
            ),
            (
                "notify",
                "shell.run",
                json!({"argv": ["notify", name]}),
                Undo::Impossible,
                0,
            ),
            ("restore", "caxton.node.undrain", json!({}), Undo::Native, 1),
        ];
        let children: Vec<u32> = steps
            .into_iter()
            .map(|(step, call, with, undo, availability)| {
                let kind = action(call, with, undo, availability);
                push(&mut graph, &format!("rolling/{name}/{step}"), element, kind)
            })
            .collect();
        let node = &mut graph.nodes[element as usize];
        node.kind = sequence(&children);
        node.bindings.insert("target".to_owned(), json!({"name": name}));
        batches.push(vec![NodeIndex(element)]);
    }
    graph.nodes[group as usize].kind = NodeKind::Rolling(Rolling {
        batches,
        delay: Some("5m".to_owned()),
        max_failures: 0,
        max_unavailable: Some(1),
    });
    let soak = push(&mut graph, "soak", 0, sequence(&[]));
    let watch = push(
        &mut graph,
        "soak/monitor",
        soak,
        NodeKind::Watch(Box::new(Watch {
            duration: "24h".to_owned(),
            every: "30s".to_owned(),
            observe: ActionCall {
                action: "caxton.cluster.metrics".into(),
                with: SharedMap::default(),
            },
            target: None,
            checks: vec!["error_rate < 1%".to_owned()],
            max_breaches: 2,
            outside: 0,
        })),
    );
    graph.nodes[soak as usize].kind = sequence(&[watch]);
    graph.nodes[0].kind = sequence(&[1, 3, soak]);
    for phase in [1, 3, soak] {
        graph.nodes[phase as usize].phase = Some(Box::default());
    }
    graph
}

#[test]
fn a_preview_shows_what_a_reviewer_must_know() {
    let graph = upgrade();
    let upgrade = graph.find("rolling/node-1/upgrade").expect("in the plan");
    let Value::Object(arguments) = json!({"version": "1.1.0"}) else {
        panic!("an object");
    };
    let forecast = Forecasted {
        arguments: arguments.into(),
        change: Change::Would,
        summary: "node-1 would go from 1.0.0 to 1.1.0".into(),
    };
    let preview = build(
        &graph,
        &Foresight::of(&graph, &Map::new()),
        &BTreeMap::from([(upgrade, forecast)]),
    );
    insta::assert_snapshot!("preview_tree", preview.to_tree(false));
    insta::assert_snapshot!("preview_markdown", preview.to_markdown());
    insta::assert_snapshot!("preview_mermaid", preview.to_mermaid());
    insta::assert_snapshot!("preview_dot", preview.to_dot());
}

/// Runs the plan with what `outcome` says of each step, and answers the state with all records.
fn run(
    graph: Graph,
    outcome: &dyn Fn(&str) -> Outcome,
    undo: &dyn Fn(&str) -> UndoEnd,
) -> (State, Vec<Record>) {
    let created = Record::RunCreated {
        at: Timestamp(0),
        graph: Digest::ZERO,
        seed: 1,
        by: "ada@host".to_owned(),
    };
    let mut state = State::new(graph);
    state.apply(&created).expect("the first record");
    let mut records = vec![created];
    let mut scheduler = Scheduler::new(state);
    let mut events = vec![Event::Resume {
        in_doubt: InDoubtPolicy::Ask,
        from: None,
    }];
    let mut now = 0;
    while let Some(event) = events.pop() {
        now += 1_000;
        let mut commands = Vec::new();
        scheduler.handle(Timestamp(now), event, &mut commands);
        for command in commands {
            let id = |node: NodeIndex| scheduler.state().graph().node(node).id.to_string();
            match command {
                Command::Append(record) => records.push(record),
                Command::Start { node, attempt } => events.push(Event::Ended {
                    node,
                    attempt,
                    outcome: outcome(&id(node)),
                }),
                Command::Undo { node, attempt } => events.push(Event::Undone {
                    node,
                    attempt,
                    end: undo(&id(node)),
                }),
                Command::Observe { node } => events.push(Event::Observed { node, breach: None }),
                Command::ArmTimer { node, due } => {
                    now = now.max(due.0);
                    events.push(Event::Timer { node });
                }
                Command::Finish(_) => {}
                other => panic!("{other:?} is not part of this plan"),
            }
        }
    }
    (scheduler.state().clone(), records)
}

fn changed(_: &str) -> Outcome {
    Outcome::Changed { output: Value::Null }
}

fn seconds(at: Timestamp) -> String {
    format!("{} s", at.0 / 1_000)
}

fn plain() -> TextStyle<'static> {
    TextStyle {
        color: false,
        all: false,
        time: &seconds,
        clock: &seconds,
    }
}

#[test]
fn an_account_says_what_happened() {
    let (state, records) = run(upgrade(), &changed, &|_| UndoEnd::Undone);
    let account = Account::of(&state, &records);
    let figures = [("Version".to_owned(), "1.0.0 → 1.1.0".to_owned())];
    insta::assert_snapshot!(
        "report",
        account.to_markdown("Upgrade report", &figures, &seconds)
    );
}

#[test]
fn an_account_says_where_every_target_stands_after_a_rollback() {
    let fails = |id: &str| match id {
        "rolling/node-2/upgrade" => Outcome::failed_midway(FailureKind::Denied, "the release does not start"),
        _ => changed(id),
    };
    let (state, records) = run(upgrade(), &fails, &|_| UndoEnd::Undone);
    insta::assert_snapshot!("rolled_back", Account::of(&state, &records).to_text(plain()));
    let stuck = |id: &str| match id {
        "rolling/node-1/upgrade" => UndoEnd::Failed {
            cause: caxplan_model::Cause::new(FailureKind::Unavailable, "node-1 does not answer"),
        },
        _ => UndoEnd::Undone,
    };
    let (state, records) = run(upgrade(), &fails, &stuck);
    insta::assert_snapshot!("stuck", Account::of(&state, &records).to_text(plain()));
}
