use super::{
    Batch, Grant, Journal, JournalError, Ledger, LogChunk, LogCursor, NewRun, Request, RunName, ScheduleKey,
    Tail,
};
use crate::StateDir;
use caxplan_adapter::Stream;
use caxplan_model::{
    AttemptNo, Graph, Node, NodeIndex, NodeKind, Overlap, Record, RunEnd, RunId, StepId, Timestamp,
};
use std::path::Path;

struct World {
    folder: tempfile::TempDir,
    journal: Journal,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let journal = open(folder.path());
        Self { folder, journal }
    }

    fn create(&mut self, id: &str) -> (RunId, Tail) {
        let id = RunId::from(id);
        let new = NewRun {
            id: &id,
            plan: Path::new("/plans/x.yaml"),
            graph: &Graph::empty("x"),
            secret_params: &["token".to_owned()],
            seed: 7,
            by: "me@here",
        };
        let (_, tail) = self.journal.create(&new).expect("created");
        (id, tail)
    }
}

fn open(folder: &Path) -> Journal {
    Journal::open(&StateDir::at(folder).expect("made")).expect("opened")
}

fn paused(at: u64) -> Record {
    Record::Paused {
        at: Timestamp(at),
        paused: true,
    }
}

fn records(records: Vec<Record>) -> Batch {
    Batch {
        records,
        ..Batch::default()
    }
}

#[test]
fn what_was_committed_is_read_again_by_another_process() {
    let mut world = World::new();
    let (id, mut tail) = world.create("01aa");
    world
        .journal
        .commit(&id, &mut tail, &records(vec![paused(1), paused(2)]))
        .expect("committed");
    let read = open(world.folder.path()).load(&id).expect("whole");
    assert_eq!(read.records[1..], [paused(1), paused(2)]);
    assert_eq!(read.tail, tail);
    assert_eq!(
        (read.summary.end, read.secret_params),
        (None, vec!["token".to_owned()])
    );
}

#[test]
fn runs_are_found_as_users_name_them() {
    let mut world = World::new();
    assert!(matches!(
        world.journal.find(&RunName::Last),
        Err(JournalError::NoRuns)
    ));
    world.create("01aa");
    let (newest, mut tail) = world.create("01ab");
    let ended = Record::RunEnded {
        at: Timestamp(5),
        end: RunEnd::Failed,
    };
    world
        .journal
        .commit(&newest, &mut tail, &records(vec![ended]))
        .expect("committed");
    let prefix = |text: &str| world.journal.find(&RunName::Prefix(text.to_owned()));
    assert_eq!(prefix("01AB").expect("one").as_str(), "01ab");
    assert!(
        matches!(prefix("01a"), Err(JournalError::Ambiguous { candidates, .. }) if candidates.len() == 2)
    );
    assert!(matches!(prefix("02"), Err(JournalError::UnknownRun(_))));
    assert_eq!(world.journal.find(&RunName::Last).expect("one"), newest);
    assert_eq!(world.journal.runs(1).expect("read")[0].end, Some(RunEnd::Failed));
}

#[test]
fn damage_is_seen() {
    fn check(damage: &str, expected: &str) {
        let mut world = World::new();
        let (id, mut tail) = world.create("01aa");
        let ended = Record::RunEnded {
            at: Timestamp(5),
            end: RunEnd::Failed,
        };
        let batch = records(vec![paused(1), paused(2), ended]);
        world.journal.commit(&id, &mut tail, &batch).expect("committed");
        world.journal.connection.execute_batch(damage).expect("damaged");
        let error = world.journal.load(&id).expect_err("damaged");
        assert!(error.to_string().contains(expected), "{damage}: {error}");
    }
    check(
        "UPDATE records SET body = replace(body, 'true', 'false') WHERE seq = 2",
        "record 2 was altered",
    );
    check("DELETE FROM records WHERE seq = 3", "record 3 is missing");
    check(
        "DELETE FROM records WHERE seq = 4",
        "records after number 3 are missing",
    );
    check(
        "UPDATE runs SET graph = replace(graph, 'x', 'y')",
        "graph was altered",
    );
}

/// A graph that is too large to lie beside its run in one piece.
fn large() -> Graph {
    let mut graph = Graph::empty("x");
    let ids = (1..=2_000).map(|number| StepId::new(format!("step-{number}")));
    let wait = |id| {
        let duration = "1s".to_owned();
        Node::new(id, Some(NodeIndex::ROOT), NodeKind::Wait { duration })
    };
    graph.nodes.extend(ids.map(wait));
    graph.nodes[0].kind = NodeKind::Sequence {
        children: (1..=2_000).map(NodeIndex).collect(),
    };
    graph
}

#[test]
fn a_large_graph_lies_in_parts_and_damage_of_them_is_seen() {
    let id = RunId::from("01aa");
    let graph = large();
    let world = || {
        let mut world = World::new();
        let new = NewRun {
            id: &id,
            plan: Path::new("/plans/x.yaml"),
            graph: &graph,
            secret_params: &[],
            seed: 7,
            by: "me@here",
        };
        world.journal.create(&new).expect("created");
        world
    };
    let mut whole = world();
    let stored = open(whole.folder.path()).load(&id).expect("whole");
    assert_eq!(stored.graph, graph);
    let Record::RunCreated { graph: digest, .. } = stored.records[0] else {
        panic!("the first record creates the run");
    };
    assert_eq!(digest, graph.digest(), "as if it lay there in one piece");
    let (_, ids) = whole.journal.head_and_ids(&id).expect("read");
    assert!(ids.iter().eq(graph.nodes.iter().map(|node| &node.id)));
    whole.journal.prune(&id, "me@here").expect("pruned");
    let left = whole
        .journal
        .connection
        .query_row("SELECT count(*) FROM graph_parts", [], |row| row.get(0));
    assert_eq!(left, Ok(0));

    for damage in [
        "DELETE FROM graph_parts WHERE part = 3",
        "DELETE FROM graph_parts WHERE part > 0",
        "UPDATE graph_parts SET nodes = (SELECT nodes FROM graph_parts WHERE part = 1) WHERE part = 2",
        "UPDATE graph_parts SET nodes = substr(nodes, 1, 100) WHERE part = 2",
        "UPDATE runs SET graph = replace(graph, 'x', 'y')",
        "DROP TABLE graph_parts",
    ] {
        let world = world();
        world.journal.connection.execute_batch(damage).expect("damaged");
        let error = world.journal.load(&id).expect_err("damaged");
        assert!(
            error.to_string().contains("graph was altered"),
            "{damage}: {error}"
        );
    }
}

#[test]
fn a_replaced_plan_is_read_again_and_damage_of_it_is_seen() {
    let mut world = World::new();
    let (id, mut tail) = world.create("01aa");
    let mut graph = Graph::empty("x");
    graph.vars.insert("word".to_owned(), "later".into());
    let ended = Record::RunEnded {
        at: Timestamp(5),
        end: RunEnd::Failed,
    };
    let replaced = Record::PlanReplaced {
        at: Timestamp(6),
        by: "me@here".to_owned(),
        plan: "/plans/y.yaml".to_owned(),
        secret_params: vec!["key".to_owned()],
        changes: vec!["the plan's vars.word changed".to_owned()],
        graph: Box::new(graph.clone()),
    };
    // An engine that dies here has left the run as the one before it did, with another plan.
    let batch = records(vec![ended, replaced.clone()]);
    world.journal.commit(&id, &mut tail, &batch).expect("committed");
    let stored = open(world.folder.path()).load(&id).expect("read");
    assert_eq!(stored.records[2], replaced);
    assert_eq!(stored.graph, Graph::empty("x"), "the one that it began with");
    assert_eq!(stored.summary.plan, Path::new("/plans/y.yaml"));
    assert_eq!(stored.summary.end, Some(RunEnd::Failed));
    assert_eq!(stored.secret_params, ["key"]);
    let damage = "UPDATE records SET body = replace(body, 'later', 'never') WHERE seq = 3";
    world.journal.connection.execute_batch(damage).expect("damaged");
    let error = world.journal.load(&id).expect_err("damaged");
    assert!(error.to_string().contains("record 3 was altered"), "{error}");
}

#[test]
fn a_full_disk_leaves_what_was_committed_and_says_so() {
    let mut world = World::new();
    let (id, mut tail) = world.create("01aa");
    world.journal.limit_growth(0);
    let before = tail.clone();
    let batch = records((0..1_000).map(paused).collect());
    let error = world.journal.commit(&id, &mut tail, &batch).expect_err("full");
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    assert!(error.hint().expect("a hint").contains("make space"));
    assert_eq!(tail, before);
    assert_eq!(world.journal.load(&id).expect("whole").tail, before);
    world.journal.limit_growth(1_000);
    world
        .journal
        .commit(&id, &mut tail, &batch)
        .expect("there is space again");
    assert_eq!(world.journal.load(&id).expect("whole").records.len(), 1_001);
}

#[test]
fn requests_stay_until_they_are_handled() {
    let mut world = World::new();
    let (id, mut tail) = world.create("01aa");
    let seen = world.journal.data_version().expect("read");
    let request = Request::Pause { paused: true };
    open(world.folder.path())
        .ask(&id, "me@there", &request)
        .expect("asked");
    assert_ne!(world.journal.data_version().expect("read"), seen);
    let asked = world.journal.requests(&tail).expect("read");
    assert_eq!((asked[0].by.as_str(), &asked[0].request), ("me@there", &request));
    let mut batch = records(vec![paused(1)]);
    batch.handled.push(asked[0].id);
    world.journal.commit(&id, &mut tail, &batch).expect("committed");
    assert_eq!(world.journal.requests(&tail).expect("read"), []);
    let unknown = world.journal.ask(&RunId::from("01zz"), "me", &request);
    assert!(matches!(unknown, Err(JournalError::UnknownRun(_))));
}

#[test]
fn logs_are_read_by_step_and_from_where_the_reader_stands() {
    let mut world = World::new();
    let (id, mut tail) = world.create("01aa");
    let chunk = |step: &str| LogChunk {
        at: Timestamp(1),
        step: StepId::from(step),
        attempt: AttemptNo::FIRST,
        stream: Stream::Stderr,
        bytes: step.as_bytes().to_vec(),
    };
    let batch = Batch {
        logs: ["a", "a/b", "ab"].map(chunk).to_vec(),
        ..Batch::default()
    };
    world.journal.commit(&id, &mut tail, &batch).expect("committed");
    let (of_a, end) = world
        .journal
        .logs(&id, Some("a"), LogCursor::default())
        .expect("read");
    assert_eq!(of_a, [chunk("a"), chunk("a/b")]);
    let (rest, _) = world.journal.logs(&id, None, end).expect("read");
    assert_eq!(rest, [chunk("ab")]);
}

#[test]
fn a_claimed_time_whose_run_was_removed_is_not_due_again() {
    let mut world = World::new();
    let dir = StateDir::at(world.folder.path()).expect("made");
    let mut ledger = Ledger::open(&dir).expect("opened");
    let key = ScheduleKey {
        plan: Path::new("/plans/x.yaml").to_owned(),
        entry: None,
    };
    let id = RunId::from("01aa");
    let mut claim = |id: &RunId| {
        ledger
            .claim(&key, "x", Timestamp(1), id, Overlap::Forbid, Timestamp(2))
            .expect("decided")
    };
    assert_eq!(claim(&id), Grant::Granted);
    // Its process died before it had created the run.
    assert_eq!(claim(&id), Grant::Granted);
    world.create("01aa");
    assert_eq!(claim(&id), Grant::Gone);
    world.journal.prune(&id, "me@here").expect("removed");
    assert_eq!(claim(&id), Grant::Gone);
    assert_eq!(Ledger::open(&dir).expect("opened").lost(&key).expect("read"), []);
}
