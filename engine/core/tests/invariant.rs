//! The invariant `max_unavailable`, in the scheduler: who starts, who waits, who fails, and across a crash.

use caxplan_core::schedule::{Command, Event, Scheduler, State};
use caxplan_model::{
    ActionCall, ActionStep, AttemptNo, Digest, Graph, InDoubtPolicy, Invariant, Node, NodeIndex, NodeKind,
    Outcome, Record, SharedMap, StepId, Timestamp, Undo, Value,
};

/// Chains of steps beside each other; a step is its effect on availability and its target.
fn plan(max_unavailable: u32, chains: &[&[(i8, &str)]]) -> Graph {
    let mut graph = Graph::empty("invariant");
    graph.header.invariants = vec![Invariant {
        max_unavailable,
        targets: None,
        written: format!("max_unavailable: {max_unavailable}"),
    }];
    let add = |graph: &mut Graph, parent: NodeIndex, id: String, kind: NodeKind| {
        let at = NodeIndex(u32::try_from(graph.nodes.len()).expect("few"));
        graph.nodes.push(Node::new(StepId::new(id), Some(parent), kind));
        at
    };
    let group = || NodeKind::Sequence { children: Vec::new() };
    let mut children = Vec::new();
    for (number, steps) in chains.iter().enumerate() {
        let chain = add(&mut graph, NodeIndex::ROOT, format!("chain-{number}"), group());
        let mut inner = Vec::new();
        for (availability, target) in *steps {
            let action = NodeKind::Action(action(*availability, target));
            let what = ["down", "work", "up"][usize::try_from(availability + 1).expect("-1, 0 or 1")];
            inner.push(add(&mut graph, chain, format!("{what}-{target}"), action));
        }
        graph.nodes[chain.index()].kind = NodeKind::Sequence { children: inner };
        children.push(chain);
    }
    graph.nodes[0].kind = NodeKind::Parallel { children, max: 0 };
    graph
}

fn action(availability: i8, target: &str) -> ActionStep {
    ActionStep {
        call: ActionCall {
            action: "noop.run".into(),
            with: SharedMap::default(),
        },
        target: Some(target.into()),
        retry: None,
        timeout: None,
        expect: Vec::new(),
        probe: None,
        undo: Undo::NotNeeded,
        idempotent: false,
        read_only: false,
        probes: false,
        records_before: false,
        availability,
    }
}

/// What happens in a script: a step ends well or fails, or the engine dies and the run is taken up again.
enum Happens {
    Well(&'static str),
    Fails(&'static str),
    Crash,
}

use Happens::{Crash, Fails, Well};

/// Plays a script. After each line, exactly these steps start, or end without a start (`! step`), or the run ends.
fn check(graph: &Graph, first: &[&str], script: &[(Happens, &[&str])]) {
    let mut state = State::new(graph.clone());
    let created = Record::RunCreated {
        at: Timestamp(0),
        graph: Digest::ZERO,
        seed: 7,
        by: "test".to_owned(),
    };
    state.apply(&created).expect("the first record");
    let mut records = vec![created];
    let mut scheduler = Scheduler::new(state);
    let resume = || Event::Resume {
        in_doubt: InDoubtPolicy::Rerun,
        from: None,
    };
    let play = |scheduler: &mut Scheduler,
                records: &mut Vec<Record>,
                event: Event,
                expected: &[&str],
                line: usize| {
        let mut out = Vec::new();
        scheduler.handle(Timestamp(1), event, &mut out);
        let id = |node: NodeIndex| graph.node(node).id.to_string();
        let mut seen = Vec::new();
        for command in out {
            match command {
                Command::Start { node, .. } => seen.push(id(node)),
                Command::Finish(end) => seen.push(format!("{end:?}")),
                Command::Append(record) => {
                    if let Record::StepEnded { node, outcome, .. } = &record
                        && let Some(cause) = outcome.cause()
                        && cause.kind.to_string() == "invariant"
                    {
                        seen.push(format!("! {}: {}", id(*node), cause.message));
                    }
                    records.push(record);
                }
                _ => {}
            }
        }
        assert_eq!(seen, expected, "line {line}");
    };
    play(&mut scheduler, &mut records, resume(), first, 0);
    for (line, (happens, expected)) in script.iter().enumerate() {
        let end = |id: &str, outcome: Outcome| Event::Ended {
            node: graph.find(id).expect("a step of the plan"),
            attempt: AttemptNo(1),
            outcome,
        };
        let event = match happens {
            Well(id) => end(id, Outcome::Changed { output: Value::Null }),
            Fails(id) => end(
                id,
                Outcome::failed_midway(caxplan_model::FailureKind::Other, "no"),
            ),
            Crash => {
                let mut state = State::new(graph.clone());
                for record in &records {
                    state
                        .apply(record)
                        .expect("a journal that was written can be read");
                }
                scheduler = Scheduler::new(state);
                resume()
            }
        };
        play(&mut scheduler, &mut records, event, expected, line + 1);
    }
}

#[test]
fn a_step_that_takes_one_too_many_down_waits_until_one_is_back() {
    let one: &[(i8, &str)] = &[(-1, "a"), (1, "a")];
    let two: &[(i8, &str)] = &[(-1, "b"), (1, "b")];
    let three: &[(i8, &str)] = &[(0, "c")];
    check(
        &plan(1, &[one, two, three]),
        &["down-a", "work-c"],
        &[
            (Well("work-c"), &[]),
            (Well("down-a"), &["up-a"]),
            (Well("up-a"), &["down-b"]),
            (Well("down-b"), &["up-b"]),
            (Well("up-b"), &["Succeeded"]),
        ],
    );
    check(
        &plan(2, &[one, two]),
        &["down-a", "down-b"],
        &[(Well("down-b"), &["up-b"]), (Well("down-a"), &["up-a"])],
    );
}

#[test]
fn it_fails_before_it_starts_when_nothing_brings_one_back() {
    let why = "! down-b: not started: it would take `b` down, which `max_unavailable: 1` does not allow; \
               down now: `a` (by `down-a`)";
    check(
        &plan(1, &[&[(-1, "a"), (0, "a"), (-1, "b")]]),
        &["down-a"],
        &[
            (Well("down-a"), &["work-a"]),
            (Well("work-a"), &[why, "Failed"]),
            // Who takes the run up again finds the same: the records say what is down.
            (
                Crash,
                &[
                    "! down-b: not started: it would take `b` down, which `max_unavailable: 1` does not allow; \
                       down now: `a` (by `down-a`)",
                    "Failed",
                ],
            ),
        ],
    );
    check(
        &plan(0, &[&[(-1, "a")]]),
        &[
            "! down-a: not started: it would take `a` down, which `max_unavailable: 0` does not allow; down now: none",
            "Failed",
        ],
        &[],
    );
}

#[test]
fn what_failed_half_way_stays_down() {
    let mut graph = plan(1, &[&[(-1, "a"), (1, "a")], &[(-1, "b"), (1, "b")]]);
    graph.nodes[1].on_failure = Some(caxplan_model::OnFailure::Continue);
    let why = "! down-b: not started: it would take `b` down, which `max_unavailable: 1` does not allow; \
               down now: `a` (by `down-a`)";
    check(&graph, &["down-a"], &[(Fails("down-a"), &[why, "Failed"])]);
    check(
        &graph,
        &["down-a"],
        &[(Well("down-a"), &["up-a"]), (Fails("up-a"), &[why, "Failed"])],
    );
}

#[test]
fn a_crash_forgets_nothing_of_what_is_down() {
    let graph = plan(1, &[&[(-1, "a"), (0, "a"), (1, "a")], &[(-1, "b")]]);
    let Some(at) = graph.find("work-a") else {
        panic!("a step of the plan")
    };
    let mut graph = graph;
    if let NodeKind::Action(action) = &mut graph.nodes[at.index()].kind {
        action.read_only = true;
    }
    check(
        &graph,
        &["down-a"],
        &[(Well("down-a"), &["work-a"]), (Crash, &["work-a"])],
    );
}
