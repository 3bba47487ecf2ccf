//! What the scheduler tells the driver, word for word.

use caxplan_core::schedule::{Command, Event, Scheduler, State};
use caxplan_model::{
    ActionCall, ActionStep, AttemptNo, Digest, Graph, InDoubtPolicy, Map, Node, NodeIndex, NodeKind, Outcome,
    Record, Retry, StepId, Timestamp, Undo, Value,
};

fn action() -> ActionStep {
    ActionStep {
        call: ActionCall {
            action: "noop.run".to_owned(),
            with: Map::new(),
        },
        target: None,
        retry: Retry::default(),
        timeout: None,
        expect: Vec::new(),
        probe: None,
        undo: Undo::NotNeeded,
        idempotent: false,
        read_only: false,
        probes: false,
        records_before: false,
        availability: 0,
    }
}

/// A sequence of so many actions.
fn chain(length: u32) -> Graph {
    let mut graph = Graph::empty("chain");
    for at in 1..=length {
        graph.nodes.push(Node::new(
            StepId::new(format!("step-{at}")),
            Some(NodeIndex::ROOT),
            NodeKind::Action(action()),
        ));
    }
    graph.nodes[0].kind = NodeKind::Sequence {
        children: (1..=length).map(NodeIndex).collect(),
    };
    graph
}

fn created(graph: Graph) -> State {
    let mut state = State::new(graph);
    state
        .apply(&Record::RunCreated {
            at: Timestamp(0),
            graph: Digest::ZERO,
            seed: 7,
            by: "test".to_owned(),
        })
        .expect("the first record");
    state
}

fn resume() -> Event {
    Event::Resume {
        in_doubt: InDoubtPolicy::Ask,
        from: None,
    }
}

fn done(node: u32, attempt: u32) -> Event {
    Event::Ended {
        node: NodeIndex(node),
        attempt: AttemptNo(attempt),
        outcome: Outcome::Changed { output: Value::Null },
    }
}

/// Commands in few words.
fn words(commands: &[Command]) -> Vec<String> {
    let word = |command: &Command| match command {
        Command::Append(record) => {
            let record = serde_json::to_value(record).expect("plain data");
            match record.get("node") {
                Some(node) => format!("{} {node}", record["record"].as_str().expect("tagged")),
                None => record["record"].as_str().expect("tagged").to_owned(),
            }
        }
        Command::Start { node, .. } => format!("start {}", node.0),
        Command::Finish(end) => format!("finish {end:?}"),
        other => format!("{other:?}"),
    };
    commands.iter().map(word).collect()
}

#[test]
fn a_chained_step_starts_in_the_call_that_ends_the_one_before() {
    let mut scheduler = Scheduler::new(created(chain(2)));
    let mut out = Vec::new();
    scheduler.handle(Timestamp(1), resume(), &mut out);
    assert_eq!(words(&out), ["resumed", "step_started 1", "start 1"]);
    out.clear();
    scheduler.handle(Timestamp(2), done(1, 1), &mut out);
    assert_eq!(words(&out), ["step_ended 1", "step_started 2", "start 2"]);
    out.clear();
    scheduler.handle(Timestamp(2), done(1, 1), &mut out);
    assert_eq!(words(&out), [""; 0], "a doubled answer is ignored");
    scheduler.handle(Timestamp(3), done(2, 1), &mut out);
    assert_eq!(words(&out), ["step_ended 2", "run_ended", "finish Succeeded"]);
}

#[test]
fn a_hundred_thousand_chained_steps_are_linear() {
    let length = 100_000;
    let mut scheduler = Scheduler::new(created(chain(length)));
    let mut out = Vec::new();
    scheduler.handle(Timestamp(1), resume(), &mut out);
    for node in 1..=length {
        out.clear();
        scheduler.handle(Timestamp(2), done(node, 1), &mut out);
    }
    assert_eq!(words(&out[1..]), ["run_ended", "finish Succeeded"]);
}
