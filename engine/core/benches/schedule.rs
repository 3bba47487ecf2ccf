//! What one event costs in a chain of 100,000 steps: `cargo bench -p caxplan-core`.

use caxplan_core::schedule::{Event, Scheduler, State};
use caxplan_model::{
    ActionCall, ActionStep, AttemptNo, Digest, Graph, InDoubtPolicy, Node, NodeIndex, NodeKind, Outcome,
    Record, SharedMap, StepId, Timestamp, Undo, Value,
};

const STEPS: u32 = 100_000;

#[allow(clippy::disallowed_methods, clippy::print_stdout)] // A measurement reads the clock and prints.
fn main() {
    let mut state = State::new(chain(STEPS));
    let created = Record::RunCreated {
        at: Timestamp(0),
        graph: Digest::ZERO,
        seed: 7,
        by: "bench".to_owned(),
    };
    state.apply(&created).expect("the first record");
    let mut scheduler = Scheduler::new(state);
    let mut out = Vec::new();
    let resume = Event::Resume {
        in_doubt: InDoubtPolicy::Ask,
        from: None,
    };
    scheduler.handle(Timestamp(1), resume, &mut out);
    let start = std::time::Instant::now();
    for node in 1..=STEPS {
        out.clear();
        let ended = Event::Ended {
            node: NodeIndex(node),
            attempt: AttemptNo::FIRST,
            outcome: Outcome::Changed { output: Value::Null },
        };
        scheduler.handle(Timestamp(2), ended, &mut out);
    }
    println!("{} ns per event", start.elapsed().as_nanos() / u128::from(STEPS));
}

fn chain(length: u32) -> Graph {
    let mut graph = Graph::empty("chain");
    for at in 1..=length {
        let step = ActionStep {
            call: ActionCall {
                action: "noop.run".into(),
                with: SharedMap::default(),
            },
            target: None,
            retry: None,
            timeout: None,
            expect: Vec::new(),
            probe: None,
            undo: Undo::NotNeeded,
            idempotent: false,
            read_only: false,
            probes: false,
            records_before: false,
            availability: 0,
        };
        let id = StepId::new(format!("step-{at}"));
        graph
            .nodes
            .push(Node::new(id, Some(NodeIndex::ROOT), NodeKind::Action(step)));
    }
    graph.nodes[0].kind = NodeKind::Sequence {
        children: (1..=length).map(NodeIndex).collect(),
    };
    graph
}
