//! What the scheduler tells the driver, word for word.

use caxplan_core::schedule::{
    Command, Event, Interrupt, NodeStatus, ProbeReport, Scheduler, State, UndoStatus,
};
use caxplan_model::{
    ActionCall, ActionStep, Answer, AttemptNo, Cause, Digest, FailureKind, Graph, InDoubtPolicy, Node,
    NodeIndex, NodeKind, OnFailure, Outcome, Record, Retry, Rolling, RunEnd, SharedMap, StepId, Timestamp,
    Undo, UndoEnd, Value, Watch,
};

fn action() -> ActionStep {
    ActionStep {
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
        Command::Prepare { node, .. } => format!("prepare {}", node.0),
        Command::Start { node, .. } => format!("start {}", node.0),
        Command::Probe { node, .. } => format!("probe {}", node.0),
        Command::Undo { node, .. } => format!("undo {}", node.0),
        Command::Observe { node } => format!("observe {}", node.0),
        Command::Evaluate { node, text } => format!("evaluate {} {text}", node.0),
        Command::ArmTimer { node, due } => format!("timer {} {}", node.0, due.0),
        Command::Abort { node } => format!("abort {}", node.0),
        Command::Finish(end) => format!("finish {end:?}"),
    };
    commands.iter().map(word).collect()
}

/// Plays a script: at each time an event, and the commands that must follow from it.
fn check(graph: Graph, script: &[(u64, Event, &[&str])]) -> State {
    let mut scheduler = Scheduler::new(created(graph));
    let mut records = Vec::new();
    for (now, event, expected) in script {
        // A resume in the middle of a script is a crash: all but the records is forgotten.
        if matches!(event, Event::Resume { .. }) && !records.is_empty() {
            let mut state = created(scheduler.state().graph().clone());
            for record in &records {
                state
                    .apply(record)
                    .expect("a journal that was written can be read");
            }
            scheduler = Scheduler::new(state);
        }
        let mut out = Vec::new();
        scheduler.handle(Timestamp(*now), event.clone(), &mut out);
        assert_eq!(words(&out), *expected, "at {now}, after {event:?}");
        records.extend(out.into_iter().filter_map(|command| match command {
            Command::Append(record) => Some(record),
            _ => None,
        }));
    }
    scheduler.state().clone()
}

fn ended(node: u32, attempt: u32, outcome: Outcome) -> Event {
    Event::Ended {
        node: NodeIndex(node),
        attempt: AttemptNo(attempt),
        outcome,
    }
}

fn probed(node: u32, attempt: u32, report: ProbeReport) -> Event {
    Event::Probed {
        node: NodeIndex(node),
        attempt: AttemptNo(attempt),
        report,
    }
}

fn prepared(node: u32, attempt: u32, before: &str) -> Event {
    Event::Prepared {
        node: NodeIndex(node),
        attempt: AttemptNo(attempt),
        before: Ok(Value::from(before)),
    }
}

fn undone(node: u32, attempt: u32) -> Event {
    Event::Undone {
        node: NodeIndex(node),
        attempt: AttemptNo(attempt),
        end: UndoEnd::Undone,
    }
}

/// A chain whose first action is changed.
fn first(change: impl Fn(&mut ActionStep)) -> Graph {
    let mut graph = chain(1);
    let NodeKind::Action(action) = &mut graph.nodes[1].kind else {
        panic!("a chain of actions");
    };
    change(action);
    graph
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

#[test]
fn a_lost_attempt_is_probed_and_not_repeated_blindly() {
    let probes = || first(|action| action.probes = true);
    let begin: [(u64, Event, &[&str]); 2] = [
        (1, resume(), &["resumed", "step_started 1", "start 1"]),
        (2, resume(), &["resumed", "probe 1"]),
    ];
    let after = |report, expected: &'static [&'static str]| {
        let mut script = begin.to_vec();
        script.push((3, probed(1, 1, report), expected));
        check(probes(), &script)
    };
    let output = Value::from("as before");
    let state = after(
        ProbeReport::Done {
            output: output.clone(),
        },
        &["step_ended 1", "run_ended", "finish Succeeded"],
    );
    assert_eq!(
        state.outcome(NodeIndex(1)).and_then(Outcome::output),
        Some(&output)
    );
    after(
        ProbeReport::NotDone,
        &["step_ended 1", "step_started 1", "start 1"],
    );
    let reason = "unreachable".to_owned();
    after(
        ProbeReport::Unknown { reason },
        &["waiting", "run_ended", "finish Waiting"],
    );
}

#[test]
fn a_person_answers_for_a_lost_attempt_that_nothing_can_tell_of() {
    let answered = Event::Answered {
        node: NodeIndex(1),
        answer: Answer::Rerun,
        by: "ada".to_owned(),
    };
    let mut scheduler = Scheduler::new(created(chain(1)));
    let mut out = Vec::new();
    scheduler.handle(Timestamp(1), resume(), &mut out);
    let mut scheduler = Scheduler::new(scheduler.state().clone());
    out.clear();
    scheduler.handle(Timestamp(2), resume(), &mut out);
    assert_eq!(words(&out), ["resumed", "waiting", "run_ended", "finish Waiting"]);
    out.clear();
    scheduler.handle(Timestamp(3), answered.clone(), &mut out);
    scheduler.handle(Timestamp(3), answered, &mut out);
    assert_eq!(
        words(&out),
        ["answered 1"; 2],
        "until the run is resumed, another answer counts"
    );
    out.clear();
    scheduler.handle(Timestamp(4), resume(), &mut out);
    assert_eq!(
        words(&out),
        ["resumed", "step_ended 1", "step_started 1", "start 1"]
    );
}

#[test]
fn an_idempotent_step_runs_again_after_a_crash_and_counts_as_having_acted() {
    let graph = first(|action| {
        (action.idempotent, action.records_before, action.undo) = (true, true, Undo::Native);
    });
    let state = check(
        graph,
        &[
            (1, resume(), &["resumed", "prepare 1"]),
            (2, prepared(1, 1, "v1"), &["step_started 1", "start 1"]),
            (3, resume(), &["resumed", "step_ended 1", "prepare 1"]),
            (4, prepared(1, 2, "half v2"), &["step_started 1", "start 1"]),
            (
                5,
                ended(1, 2, Outcome::failed(FailureKind::Denied, "no")),
                &["step_ended 1", "run_ended", "finish Failed"],
            ),
        ],
    );
    assert!(state.may_have_acted(NodeIndex(1)), "the first attempt may have");
    assert_eq!(
        state.before(NodeIndex(1)),
        Some(&Value::from("v1")),
        "an undo restores what was there before all attempts"
    );
}

#[test]
fn a_step_whose_connection_broke_is_probed_at_once() {
    let lost = || Outcome::Unknown {
        cause: Cause::new(FailureKind::Lost, "the connection broke"),
    };
    let graph = || first(|action| action.probes = true);
    let done = || ProbeReport::Done { output: Value::Null };
    check(
        graph(),
        &[
            (1, resume(), &["resumed", "step_started 1", "start 1"]),
            (2, ended(1, 1, lost()), &["probe 1"]),
            (
                3,
                probed(1, 1, done()),
                &["step_ended 1", "run_ended", "finish Succeeded"],
            ),
        ],
    );
    let state = check(
        graph(),
        &[
            (1, resume(), &["resumed", "step_started 1", "start 1"]),
            (2, ended(1, 1, lost()), &["probe 1"]),
            (
                3,
                probed(1, 1, ProbeReport::NotDone),
                &["step_ended 1", "run_ended", "finish Failed"],
            ),
        ],
    );
    assert!(
        state.may_have_acted(NodeIndex(1)),
        "a rollback undoes it all the same"
    );
}

#[test]
fn a_failure_that_may_have_acted_is_probed_before_it_is_tried_again() {
    let retry = Some(Box::new(Retry {
        attempts: 3,
        jitter: false,
        ..Retry::default()
    }));
    let broke_off = || Outcome::failed_midway(FailureKind::Timeout, "broke off");
    let probes = first(|action| (action.probes, action.retry) = (true, retry.clone()));
    check(
        probes,
        &[
            (1, resume(), &["resumed", "step_started 1", "start 1"]),
            (2, ended(1, 1, broke_off()), &["probe 1"]),
            (
                3,
                probed(1, 1, ProbeReport::NotDone),
                &["step_ended 1", "timer 1 1003"],
            ),
            (
                1003,
                Event::Timer { node: NodeIndex(1) },
                &["step_started 1", "start 1"],
            ),
            (
                1004,
                done(1, 2),
                &["step_ended 1", "run_ended", "finish Succeeded"],
            ),
        ],
    );
    let cannot_tell = first(|action| action.retry = retry.clone());
    check(
        cannot_tell,
        &[
            (1, resume(), &["resumed", "step_started 1", "start 1"]),
            (
                2,
                ended(1, 1, broke_off()),
                &["step_ended 1", "run_ended", "finish Failed"],
            ),
            // A person saw the failure and resumes: a fresh set of attempts, with numbers that go on.
            (3, resume(), &["resumed", "step_started 1", "start 1"]),
            (4, done(1, 2), &["step_ended 1", "run_ended", "finish Succeeded"]),
        ],
    );
}

#[test]
fn a_rollback_undoes_in_reverse_order_and_goes_on_after_a_crash() {
    let mut graph = chain(3);
    graph.header.on_failure = OnFailure::Rollback;
    for node in &mut graph.nodes[1..] {
        if let NodeKind::Action(action) = &mut node.kind {
            action.undo = Undo::Native;
        }
    }
    let state = check(
        graph,
        &[
            (1, resume(), &["resumed", "step_started 1", "start 1"]),
            (2, done(1, 1), &["step_ended 1", "step_started 2", "start 2"]),
            (3, done(2, 1), &["step_ended 2", "step_started 3", "start 3"]),
            (
                4,
                ended(3, 1, Outcome::failed(FailureKind::Denied, "no")),
                &["step_ended 3", "rollback_started", "undo_started 2", "undo 2"],
            ),
            (5, resume(), &["resumed", "undo_started 2", "undo 2"]),
            (6, undone(2, 1), &[]),
            (7, undone(2, 2), &["undo_ended 2", "undo_started 1", "undo 1"]),
            (
                8,
                undone(1, 1),
                &["undo_ended 1", "run_ended", "finish RolledBack"],
            ),
        ],
    );
    assert_eq!(state.undo_status(NodeIndex(1)), UndoStatus::Undone);
    assert_eq!(
        state.undo_status(NodeIndex(3)),
        UndoStatus::NotTried,
        "it did nothing"
    );
}

#[test]
fn a_block_is_rescued_and_always_cleaned_up() {
    let block = || {
        let mut graph = chain(0);
        let root = NodeIndex::ROOT;
        let sequence = |child: u32| NodeKind::Sequence {
            children: vec![NodeIndex(child)],
        };
        let kinds = [
            (
                root,
                NodeKind::Block {
                    body: NodeIndex(2),
                    rescue: Some(NodeIndex(4)),
                    always: Some(NodeIndex(6)),
                },
            ),
            (NodeIndex(1), sequence(3)),
            (NodeIndex(2), NodeKind::Action(action())),
            (NodeIndex(1), sequence(5)),
            (NodeIndex(4), NodeKind::Action(action())),
            (NodeIndex(1), sequence(7)),
            (NodeIndex(6), NodeKind::Action(action())),
        ];
        for (at, (parent, kind)) in (1..).zip(kinds) {
            graph
                .nodes
                .push(Node::new(StepId::new(format!("n{at}")), Some(parent), kind));
        }
        graph.nodes[0].kind = sequence(1);
        graph
    };
    let no = || Outcome::failed(FailureKind::Denied, "no");
    check(
        block(),
        &[
            (1, resume(), &["resumed", "step_started 3", "start 3"]),
            (
                2,
                ended(3, 1, no()),
                &["step_ended 3", "step_started 5", "start 5"],
            ),
            (3, done(5, 1), &["step_ended 5", "step_started 7", "start 7"]),
            (4, done(7, 1), &["step_ended 7", "run_ended", "finish Succeeded"]),
        ],
    );
    // An interrupt lets the running step end and still cleans up; a resume goes on, and cleans up again.
    check(
        block(),
        &[
            (1, resume(), &["resumed", "step_started 3", "start 3"]),
            (2, Event::Interrupt(Interrupt::Drain), &["cancel_requested"]),
            (
                3,
                ended(3, 1, no()),
                &["step_ended 3", "step_started 7", "start 7"],
            ),
            (4, done(7, 1), &["step_ended 7", "run_ended", "finish Cancelled"]),
            (5, resume(), &["resumed", "step_started 3", "start 3"]),
            (6, done(3, 2), &["step_ended 3", "step_started 7", "start 7"]),
            (7, done(7, 2), &["step_ended 7", "run_ended", "finish Succeeded"]),
        ],
    );
    // A second interrupt aborts; what became of the step is asked when the run is resumed.
    check(
        block(),
        &[
            (1, resume(), &["resumed", "step_started 3", "start 3"]),
            (2, Event::Interrupt(Interrupt::Drain), &["cancel_requested"]),
            (
                3,
                Event::Interrupt(Interrupt::Abort),
                &["cancel_requested", "abort 3"],
            ),
            (
                4,
                ended(3, 1, Outcome::failed_midway(FailureKind::Cancelled, "aborted")),
                &["step_ended 3", "run_ended", "finish Cancelled"],
            ),
            (
                5,
                resume(),
                &["resumed", "waiting", "run_ended", "finish Waiting"],
            ),
        ],
    );
}

#[test]
fn batches_pause_between_each_other_across_a_crash() {
    let mut graph = chain(2);
    graph.nodes[0].kind = NodeKind::Rolling(Rolling {
        batches: vec![vec![NodeIndex(1)], vec![NodeIndex(2)]],
        delay: Some("5m".to_owned()),
        max_failures: 1,
        max_unavailable: None,
    });
    let no = Outcome::failed(FailureKind::Denied, "no");
    let state = check(
        graph,
        &[
            (0, resume(), &["resumed", "step_started 1", "start 1"]),
            (
                1_000,
                ended(1, 1, no),
                &["step_ended 1", "timer_set 0", "timer 0 301000"],
            ),
            (100_000, resume(), &["resumed", "timer 0 301000"]),
            (
                301_000,
                Event::Timer {
                    node: NodeIndex::ROOT,
                },
                &["timer_fired 0", "step_started 2", "start 2"],
            ),
            (
                302_000,
                done(2, 1),
                &["step_ended 2", "run_ended", "finish Succeeded"],
            ),
        ],
    );
    assert!(
        matches!(state.status(NodeIndex(1)), NodeStatus::Failed(_)),
        "noted, and tolerated"
    );
}

#[test]
fn a_watch_goes_on_where_it_stood_and_fails_on_too_many_breaches() {
    let mut graph = chain(1);
    graph.nodes[1].kind = NodeKind::Watch(Box::new(Watch {
        duration: "{{ params.soak }}".to_owned(),
        every: "30s".to_owned(),
        observe: action().call,
        target: None,
        checks: vec!["error_rate < 1%".to_owned()],
        max_breaches: 1,
        outside: 0,
    }));
    let node = NodeIndex(1);
    let observed = |breach: Option<&str>| Event::Observed {
        node,
        breach: breach.map(str::to_owned),
    };
    let evaluated = Event::Evaluated {
        node,
        value: Ok(Value::from("24h")),
    };
    check(
        graph,
        &[
            (0, resume(), &["resumed", "evaluate 1 {{ params.soak }}"]),
            (0, evaluated, &["timer_set 1", "observe 1"]),
            (10, observed(Some("too many")), &["breached 1", "timer 1 30010"]),
            (20_000, resume(), &["resumed", "observe 1"]),
            (20_010, observed(None), &["timer 1 50010"]),
            (50_010, Event::Timer { node }, &["observe 1"]),
            (
                50_020,
                observed(Some("too many")),
                &["breached 1", "run_ended", "finish Failed"],
            ),
        ],
    );
}

#[test]
fn a_wait_of_a_day_is_over_when_it_was_due_whatever_happened_meanwhile() {
    const DAY: u64 = 24 * 60 * 60 * 1_000;
    let mut graph = chain(1);
    graph.nodes[1].kind = NodeKind::Wait {
        duration: "24h".to_owned(),
    };
    let again = format!("timer 1 {DAY}");
    check(
        graph,
        &[
            (0, resume(), &["resumed", "timer_set 1", &again]),
            // The engine dies twice, and the second one is taken up when the time is over.
            (3_600_000, resume(), &["resumed", &again]),
            (
                DAY + 5,
                resume(),
                &["resumed", "timer_fired 1", "run_ended", "finish Succeeded"],
            ),
        ],
    );
}

#[test]
fn a_resume_from_a_checkpoint_runs_again_what_came_after_it() {
    let mut graph = chain(2);
    graph.nodes[1].checkpoint = Some(Box::new("prepared".into()));
    let from = Event::Resume {
        in_doubt: InDoubtPolicy::Ask,
        from: Some("prepared".into()),
    };
    let pause = Event::Pause(true);
    check(
        graph,
        &[
            (1, resume(), &["resumed", "step_started 1", "start 1"]),
            (2, done(1, 1), &["step_ended 1", "step_started 2", "start 2"]),
            (3, pause, &["paused"]),
            (
                4,
                ended(2, 1, Outcome::failed(FailureKind::Denied, "no")),
                &["step_ended 2", "waiting", "run_ended", "finish Waiting"],
            ),
            (5, from, &["resumed", "step_started 2", "start 2"]),
            (6, done(2, 2), &["step_ended 2", "run_ended", "finish Succeeded"]),
        ],
    );
}

#[test]
fn illegal_records_are_refused() {
    let at = Timestamp(1);
    let (node, attempt) = (NodeIndex(1), AttemptNo::FIRST);
    let before = Value::Null;
    let outcome = Outcome::Changed { output: Value::Null };
    let mut scheduler = Scheduler::new(created(chain(2)));
    scheduler.handle(at, resume(), &mut Vec::new());
    let check = |record: Record, reason: &str| {
        let mut state = scheduler.state().clone();
        let error = state.apply(&record).expect_err("illegal");
        assert_eq!(
            error.to_string(),
            format!("record 4 of the journal is illegal{reason}")
        );
        assert_eq!(
            state.records(),
            scheduler.state().records(),
            "the state is unchanged"
        );
    };
    check(
        Record::StepStarted {
            at,
            node,
            attempt,
            before: before.clone(),
        },
        " for `step-1`: the step cannot start from where it stands",
    );
    check(
        Record::StepStarted {
            at,
            node: NodeIndex(2),
            attempt: AttemptNo(2),
            before,
        },
        " for `step-2`: this is not the next attempt",
    );
    check(
        Record::StepEnded {
            at,
            node: NodeIndex(2),
            attempt,
            outcome,
            retry_at: None,
        },
        " for `step-2`: what did not start cannot have acted",
    );
    check(Record::TimerFired { at, node }, " for `step-1`: no timer was set");
    check(
        Record::UndoStarted { at, node, attempt },
        " for `step-1`: no rollback is going on",
    );
    check(
        Record::TimerFired {
            at,
            node: NodeIndex(9),
        },
        ": there is no node 9",
    );
    let mut state = State::new(chain(1));
    let ended = Record::RunEnded {
        at,
        end: RunEnd::Failed,
    };
    assert!(
        state.apply(&ended).is_err(),
        "a run that was not created cannot end"
    );
}
