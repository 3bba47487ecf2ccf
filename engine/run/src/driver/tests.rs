use super::{DriverError, Orders, RollbackOrder};
use crate::{Journal, LogCursor, MASK, Registry, Request, Session, StateDir, StoredRun, Unobserved, user};
use caxplan_adapter::{Adapter, Call, Change, Context, Forecast, Stream, async_trait};
use caxplan_core::load::Loaded;
use caxplan_model::{
    ActionCall, ActionSpec, ActionStep, Answer, AttemptNo, Cause, Effect, FailureKind, Graph, InDoubtPolicy,
    Map, Node, NodeIndex, NodeKind, Notification, OnFailure, Outcome, Record, RunEnd, RunId, StepId, Undo,
    UndoSupport, Value, Wording,
};
use serde_json::json;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// An adapter whose steps do what their arguments say, and that looks into the journal while it acts.
struct Fake {
    dir: StateDir,
    /// What it was told to do, in order.
    done: Mutex<Vec<String>>,
}

#[async_trait]
impl Adapter for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn describe(&self) -> Vec<ActionSpec> {
        vec![ActionSpec {
            name: "fake.act".to_owned(),
            summary: String::new(),
            arguments: json!({}),
            output: json!({}),
            effect: Effect::Changes,
            changes_argument: None,
            idempotent: false,
            probes: false,
            undo: UndoSupport::Native,
            records_before: true,
            availability: 0,
            default_timeout: None,
            public_arguments: Vec::new(),
            examples: Vec::new(),
        }]
    }

    async fn forecast(&self, call: &Call, _: &Context) -> Result<Forecast, Cause> {
        Ok(Forecast {
            change: Change::Would,
            summary: String::new(),
            before: json!({"was": call.with.get("was")}),
        })
    }

    async fn perform(&self, call: &Call, context: &Context) -> Outcome {
        if call.step.as_str().starts_with("notify-") {
            self.check_told_of_what_is_durable(call);
        } else if !call.step.as_str().contains("#undo") {
            self.check_write_ahead(call);
        }
        self.done.lock().expect("whole").push(format!("do {}", call.step));
        if let Some(Value::String(text)) = call.with.get("print") {
            context.output.write(Stream::Stdout, text.as_bytes());
        }
        let text = |name: &str| {
            call.with
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        match text("act").as_str() {
            "refuse" => Outcome::failed(FailureKind::Unavailable, text("message")),
            "fail" => Outcome::failed_midway(FailureKind::Other, text("message")),
            "hang" => {
                context.cancel.cancelled().await;
                Outcome::failed_midway(FailureKind::Cancelled, "stopped")
            }
            "print much" => {
                context.output.write(Stream::Stdout, &[b'x'; 100_000]);
                Outcome::Changed { output: Value::Null }
            }
            _ => Outcome::Changed {
                output: call.with.get("output").cloned().unwrap_or_default(),
            },
        }
    }

    async fn undo(&self, call: &Call, before: &Value, _: &Context) -> Outcome {
        self.done
            .lock()
            .expect("whole")
            .push(format!("undo {} {before}", call.step));
        Outcome::Changed { output: Value::Null }
    }
}

impl Fake {
    /// Nobody is told of an end that a crash could take back.
    fn check_told_of_what_is_durable(&self, call: &Call) {
        let stored = Journal::open(&self.dir)
            .expect("opened")
            .load(&call.run)
            .expect("whole");
        let last = stored.records.last();
        assert!(matches!(last, Some(Record::RunEnded { .. })), "{last:?}");
    }

    /// That this attempt starts is durable; that all before it ended is durable too.
    fn check_write_ahead(&self, call: &Call) {
        let stored = Journal::open(&self.dir)
            .expect("opened")
            .load(&call.run)
            .expect("whole");
        let node = stored.graph.find(call.step.as_str()).expect("there");
        let last = stored.records.last().expect("some");
        assert!(
            matches!(last, Record::StepStarted { node: of, attempt, .. } if *of == node && *attempt == call.attempt),
            "{last:?}"
        );
        let of = |wanted: fn(&Record) -> bool| stored.records.iter().filter(|record| wanted(record)).count();
        let started = of(|record| matches!(record, Record::StepStarted { .. }));
        assert_eq!(
            started,
            of(|record| matches!(record, Record::StepEnded { .. })) + 1
        );
    }
}

struct World {
    folder: tempfile::TempDir,
    dir: StateDir,
    fake: Arc<Fake>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = StateDir::at(folder.path()).expect("made");
        let fake = Arc::new(Fake {
            dir: dir.clone(),
            done: Mutex::default(),
        });
        Self { folder, dir, fake }
    }

    fn registry(&self) -> Registry {
        Registry::new([self.fake.clone() as Arc<dyn Adapter>])
    }

    async fn create(&self, graph: Graph) -> Session {
        let loaded = Loaded {
            graph,
            secret_params: Map::new(),
            warnings: Default::default(),
        };
        let plan = PathBuf::from("/plans/x.yaml");
        Session::create(&self.dir, self.registry(), &plan, loaded)
            .await
            .expect("created")
    }

    async fn take_up(&self, id: &RunId) -> Session {
        Session::take_up(&self.dir, self.registry(), id, &Map::new())
            .await
            .expect("taken up")
    }

    fn stored(&self, id: &RunId) -> StoredRun {
        Journal::open(&self.dir).expect("opened").load(id).expect("whole")
    }

    fn done(&self) -> Vec<String> {
        self.fake.done.lock().expect("whole").clone()
    }
}

fn step(with: Value) -> ActionStep {
    let Value::Object(with) = with else {
        panic!("arguments are an object");
    };
    ActionStep {
        call: ActionCall {
            action: "fake.act".into(),
            with: with.into(),
        },
        target: None,
        retry: None,
        timeout: None,
        expect: Vec::new(),
        probe: None,
        undo: Undo::Native,
        idempotent: false,
        read_only: false,
        probes: false,
        records_before: true,
        availability: 0,
    }
}

/// Steps `a`, `b`, … one after the other.
fn chain(steps: Vec<ActionStep>) -> Graph {
    nodes(steps.into_iter().map(NodeKind::Action).collect())
}

fn nodes(kinds: Vec<NodeKind>) -> Graph {
    let mut graph = Graph::empty("x");
    let children = (1..=kinds.len())
        .map(|at| NodeIndex(u32::try_from(at).expect("few")))
        .collect();
    graph.nodes[0].kind = NodeKind::Sequence { children };
    for (kind, name) in kinds.into_iter().zip('a'..) {
        let id = StepId::new(name.to_string());
        graph.nodes.push(Node::new(id, Some(NodeIndex::ROOT), kind));
    }
    graph
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

async fn run(session: Session, orders: Orders) -> RunEnd {
    let (end, _) = session
        .run(orders, Box::new(Unobserved))
        .await
        .expect("carried out");
    end
}

fn last_cause(stored: &StoredRun) -> &Cause {
    let ends = stored.records.iter().rev();
    let mut causes = ends.filter_map(|record| match record {
        Record::StepEnded { outcome, .. } => outcome.cause(),
        _ => None,
    });
    causes.next().expect("a failure")
}

#[test]
fn starts_are_durable_before_effects_and_outputs_reach_later_steps() {
    block_on(async {
        let world = World::new();
        let second = ActionStep {
            expect: vec!["output.n == 3".to_owned()],
            ..step(json!({"output": {"n": "{{ steps.a.output.n + 1 }}"}}))
        };
        // The adapter itself checks the journal.
        let session = world
            .create(chain(vec![step(json!({"output": {"n": 2}})), second]))
            .await;
        assert_eq!(run(session, Orders::default()).await, RunEnd::Succeeded);
        assert_eq!(world.done(), ["do a", "do b"]);
    });
}

#[test]
fn what_is_not_as_expected_or_takes_too_long_has_failed() {
    fn check(step: ActionStep, kind: FailureKind, message: &str) {
        block_on(async {
            let world = World::new();
            let session = world.create(chain(vec![step])).await;
            let id = session.id().clone();
            assert_eq!(run(session, Orders::default()).await, RunEnd::Failed);
            let stored = world.stored(&id);
            let cause = last_cause(&stored);
            assert!(cause.kind == kind && cause.message.contains(message), "{cause}");
        });
    }
    let expecting = ActionStep {
        expect: vec!["output.n == 3".to_owned()],
        ..step(json!({"output": {"n": 2}}))
    };
    check(expecting, FailureKind::Expectation, "output.n was 2");
    let slow = ActionStep {
        timeout: Some(caxplan_model::Duration::from_millis(20)),
        ..step(json!({"act": "hang"}))
    };
    check(slow, FailureKind::Timeout, "took longer than 20ms");
    check(
        step(json!({"print": "{{ steps.nope.output }}"})),
        FailureKind::Template,
        "steps",
    );
}

#[test]
fn a_killed_run_goes_on_without_repeating_what_has_ended() {
    block_on(async {
        let world = World::new();
        let session = world
            .create(chain(vec![step(json!({})), step(json!({"act": "hang"}))]))
            .await;
        let id = session.id().clone();
        {
            // Dropped in the middle of the second step: nothing is written at the end.
            let running = run(session, Orders::default());
            tokio::select! {
                _ = running => panic!("it hangs"),
                () = until(|| world.done().len() == 2) => {}
            }
        }
        assert_eq!(world.stored(&id).summary.end, None);
        // Neither idempotent nor with a probe: a person must say.
        assert_eq!(
            run(world.take_up(&id).await, Orders::default()).await,
            RunEnd::Waiting
        );
        let orders = Orders {
            in_doubt: InDoubtPolicy::AssumeDone,
            ..Orders::default()
        };
        assert_eq!(run(world.take_up(&id).await, orders).await, RunEnd::Succeeded);
        assert_eq!(world.done(), ["do a", "do b"]);
    });
}

#[test]
fn a_second_engine_for_the_same_run_is_refused() {
    block_on(async {
        let world = World::new();
        let session = world.create(chain(vec![step(json!({}))])).await;
        let id = session.id().clone();
        let second = Session::take_up(&world.dir, world.registry(), &id, &Map::new()).await;
        let error = second.map(|_| ()).expect_err("refused").to_string();
        assert!(
            error.contains("is going on") && error.contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(session);
        world.take_up(&id).await;
    });
}

#[test]
fn a_full_disk_stops_the_run_and_resume_goes_on() {
    block_on(async {
        let world = World::new();
        let steps = vec![
            step(json!({})),
            step(json!({"act": "print much"})),
            step(json!({})),
        ];
        let session = world.create(chain(steps)).await;
        let id = session.id().clone();
        session.parts.journal.limit_growth(1);
        let stopped = session
            .run(Orders::default(), Box::new(Unobserved))
            .await
            .map(|(end, _)| end);
        let error = stopped.expect_err("the disk is full");
        let DriverError::Journal { source, .. } = &error else {
            panic!("{error}");
        };
        assert!(source.to_string().contains("is full"), "{source}");
        // The third step did not start, since that the second one ended could not be written.
        assert_eq!(world.done(), ["do a", "do b"]);
        let orders = Orders {
            in_doubt: InDoubtPolicy::AssumeDone,
            ..Orders::default()
        };
        assert_eq!(run(world.take_up(&id).await, orders).await, RunEnd::Succeeded);
        assert_eq!(world.done(), ["do a", "do b", "do c"]);
    });
}

#[test]
fn a_failed_run_is_undone_in_reverse_from_what_was_before() {
    block_on(async {
        let world = World::new();
        let by_plan = ActionStep {
            undo: Undo::Calls(vec![ActionCall {
                action: "fake.act".into(),
                with: Map::from_iter([("act".to_owned(), json!("{{ steps.b.before.was }}"))]).into(),
            }]),
            ..step(json!({"was": "two"}))
        };
        let failing = ActionStep {
            undo: Undo::NotNeeded,
            ..step(json!({"act": "fail", "message": "no"}))
        };
        let mut graph = chain(vec![step(json!({"was": "one"})), by_plan, failing]);
        graph.header.on_failure = OnFailure::Stop;
        let session = world.create(graph).await;
        let id = session.id().clone();
        assert_eq!(run(session, Orders::default()).await, RunEnd::Failed);
        let orders = Orders {
            rollback: Some(RollbackOrder {
                to: None,
                reason: "asked".to_owned(),
            }),
            ..Orders::default()
        };
        assert_eq!(run(world.take_up(&id).await, orders).await, RunEnd::RolledBack);
        // The adapter's own undo gets the id of the step that it undoes; an action of the plan has an id of its own.
        let undone = &world.done()[3..];
        assert_eq!(undone, ["do b#undo-1", r#"undo a {"was":"one"}"#]);
    });
}

#[test]
fn secrets_reach_neither_journal_nor_logs() {
    block_on(async {
        let world = World::new();
        std::fs::write(world.folder.path().join("token"), "hunter2!\n").expect("written");
        let second = step(json!({
            "act": "fail", "print": "login {{ secrets.token }}\n", "message": "refused {{ secrets.token }}",
            "was": "{{ secrets.token }}",
        }));
        let first = step(json!({"output": {"token": "{{ secrets.token }}"}}));
        let mut graph = chain(vec![first, second]);
        let path = world.folder.path().join("token");
        graph.header.secrets = Map::from_iter([("token".to_owned(), json!({ "file": path }))]);
        let session = world.create(graph).await;
        let id = session.id().clone();
        assert_eq!(run(session, Orders::default()).await, RunEnd::Failed);
        let stored = world.stored(&id);
        assert_eq!(last_cause(&stored).message, format!("refused {MASK}"));
        let journal = Journal::open(&world.dir).expect("opened");
        let (logs, _) = journal.logs(&id, Some("b"), LogCursor::default()).expect("read");
        let text: Vec<u8> = logs.into_iter().flat_map(|chunk| chunk.bytes).collect();
        assert_eq!(String::from_utf8_lossy(&text), format!("login {MASK}\n"));
        for entry in std::fs::read_dir(world.folder.path()).expect("read") {
            let path = entry.expect("read").path();
            if path.is_file() && !path.ends_with("token") {
                let bytes = std::fs::read(&path).expect("read");
                let found = bytes.windows(8).any(|window| window == b"hunter2!");
                assert!(!found, "in {}", path.display());
            }
        }
        // What a rollback would restore is not in the journal, and it says so instead of restoring asterisks.
        let orders = Orders {
            rollback: Some(RollbackOrder::default()),
            ..Orders::default()
        };
        let (end, _) = tokio::time::timeout(
            std::time::Duration::from_secs(30),
            world.take_up(&id).await.run(orders, Box::new(Unobserved)),
        )
        .await
        .expect("in time")
        .expect("carried out");
        assert_eq!(end, RunEnd::Stuck);
    });
}

#[test]
fn other_processes_can_answer_pause_and_cancel() {
    block_on(async {
        let world = World::new();
        let question = NodeKind::Approve {
            question: Wording::Known("go?".to_owned()),
        };
        let hanging = NodeKind::Action(step(json!({"act": "hang"})));
        let session = world.create(nodes(vec![question, hanging])).await;
        let id = session.id().clone();
        assert_eq!(run(session, Orders::default()).await, RunEnd::Waiting);
        let mut other = Journal::open(&world.dir).expect("opened");
        let mut ask = |request: Request| other.ask(&id, &user(), &request).expect("asked");
        ask(Request::Pause { paused: true });
        ask(Request::Answer {
            node: NodeIndex(1),
            answer: Answer::Approved,
        });
        let running = run(world.take_up(&id).await, Orders::default());
        let asking = async {
            until(|| world.done() == ["do b"]).await;
            ask(Request::Cancel { abort: true });
        };
        let (end, ()) = tokio::join!(running, asking);
        assert_eq!(end, RunEnd::Cancelled);
        let stored = world.stored(&id);
        let answered = |record: &Record| matches!(record, Record::Answered { by, .. } if *by == user());
        assert!(stored.records.iter().any(answered));
        let ended = |record: &Record| matches!(record, Record::StepEnded { attempt, .. } if *attempt == AttemptNo::FIRST);
        assert!(stored.records.iter().any(ended));
    });
}

#[test]
fn a_rejection_after_the_engine_has_left_stands() {
    block_on(async {
        let world = World::new();
        let question = NodeKind::Approve {
            question: Wording::Known("go?".to_owned()),
        };
        let session = world.create(nodes(vec![question])).await;
        let id = session.id().clone();
        assert_eq!(run(session, Orders::default()).await, RunEnd::Waiting);
        let answer = Answer::Rejected {
            reason: "no".to_owned(),
        };
        let request = Request::Answer {
            node: NodeIndex(1),
            answer,
        };
        let mut other = Journal::open(&world.dir).expect("opened");
        other.ask(&id, &user(), &request).expect("asked");
        assert_eq!(
            run(world.take_up(&id).await, Orders::default()).await,
            RunEnd::Failed
        );
        // Who resumes a run that was rejected is asked again.
        assert_eq!(
            run(world.take_up(&id).await, Orders::default()).await,
            RunEnd::Waiting
        );
    });
}

#[test]
fn approvals_can_be_given_beforehand() {
    block_on(async {
        let world = World::new();
        let question = || NodeKind::Approve {
            question: Wording::Known("go?".to_owned()),
        };
        let session = world.create(nodes(vec![question(), question()])).await;
        let orders = Orders {
            approve_as: Some("policy".to_owned()),
            ..Orders::default()
        };
        assert_eq!(run(session, orders).await, RunEnd::Succeeded);
    });
}

/// Waits until a condition holds, for a minute at most.
async fn until(condition: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it did not come to pass within a minute");
}

/// Whether each notification was sent, in the order of the records, with the words of those that were not.
fn told(stored: &StoredRun) -> Vec<(u32, Option<String>)> {
    let told = stored.records.iter().filter_map(|record| match record {
        Record::Notified {
            notification,
            failure,
            ..
        } => Some((*notification, failure.as_ref().map(ToString::to_string))),
        _ => None,
    });
    told.collect()
}

fn notification(on: &[RunEnd], with: Value) -> Notification {
    Notification {
        on: on.to_vec(),
        call: step(with).call,
    }
}

#[test]
fn each_end_is_told_once_to_those_that_the_plan_names() {
    block_on(async {
        let world = World::new();
        let mut graph = chain(vec![step(json!({"act": "fail", "message": "no luck"}))]);
        let words = "{{ run.end }} {{ run.exit_code }} {{ run.step }} {{ run.message }}";
        graph.header.notify = vec![
            notification(&[RunEnd::Succeeded], json!({})),
            notification(&[RunEnd::Failed], json!({ "print": words })),
            notification(
                &RunEnd::ALL,
                json!({"act": "fail", "message": "nobody is at home"}),
            ),
            notification(&RunEnd::ALL, json!({"print": "{{ run.undefined.deep }}"})),
        ];
        let session = world.create(graph).await;
        let id = session.id().clone();
        assert_eq!(run(session, Orders::default()).await, RunEnd::Failed);
        let stored = world.stored(&id);
        assert_eq!(
            stored.summary.end,
            Some(RunEnd::Failed),
            "a notification changes no end"
        );
        let first = told(&stored);
        assert_eq!(first[0], (1, None));
        assert_eq!(first[1], (2, Some("nobody is at home (other)".to_owned())));
        assert!(
            first[2].1.as_ref().is_some_and(|why| why.contains("(template)")),
            "{first:?}"
        );
        assert_eq!(first.len(), 3);
        let (logs, _) = Journal::open(&world.dir)
            .expect("opened")
            .logs(&id, None, LogCursor::default())
            .expect("read");
        let text: String = logs
            .iter()
            .map(|chunk| String::from_utf8_lossy(&chunk.bytes).into_owned())
            .collect();
        assert!(text.contains("failed 1 a `a` failed: no luck (other)"), "{text}");

        // The next end is another one, and known by another key.
        let session = world.take_up(&id).await;
        assert_eq!(run(session, Orders::default()).await, RunEnd::Failed);
        assert_eq!(told(&world.stored(&id)).len(), 6);
        let mut keys = world.done();
        keys.retain(|done| done.starts_with("do notify-2"));
        assert_eq!(keys.len(), 2);
        assert_ne!(keys[0], keys[1]);
    });
}

#[test]
fn a_service_that_is_not_ready_is_told_again_and_then_given_up() {
    block_on(async {
        let world = World::new();
        let mut graph = chain(vec![step(json!({}))]);
        graph.header.notify = vec![notification(&[RunEnd::Succeeded], json!({"act": "refuse"}))];
        let session = world.create(graph).await;
        let id = session.id().clone();
        assert_eq!(run(session, Orders::default()).await, RunEnd::Succeeded);
        let tries = world
            .done()
            .iter()
            .filter(|done| done.starts_with("do notify-1"))
            .count();
        assert_eq!((tries, told(&world.stored(&id)).len()), (3, 1));
    });
}
