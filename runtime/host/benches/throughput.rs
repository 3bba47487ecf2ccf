//! How fast one host is: `cargo bench -p caxton-host [-- MODULE]` prints figures of the counter example, or of another
//! agent's module.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use caxton_host::{Host, HostConfig, Store};
use caxton_model::{
    AgentName, AgentSpec, Delivery, Envelope, Epoch, Limits, MessageId, MessageOutcome, ModuleDigest, NodeId,
    Performative, Placement, Priority, RestartPolicy,
};
use std::time::{Duration, Instant};

const COUNTER: &[u8] = include_bytes!("../../../examples/agents/counter.wat");
const CLIENT: &str = "client/bench";
const AGENTS: usize = 1_000;
const MESSAGES: usize = 20_000;
const BATCH: usize = 100;
/// Deliveries under way at the same time.
const SENDERS: usize = 16;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let module = match std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
    {
        Some(path) => std::fs::read(path)?,
        None => COUNTER.to_vec(),
    };
    let dir = tempfile::TempDir::new()?;
    let store = Store::open(dir.path())?;
    let (outgoing, mut sent) = tokio::sync::mpsc::channel(65_536);
    tokio::spawn(async move { while sent.recv().await.is_some() {} });
    let config = HostConfig::new(NodeId::from("node-1"), dir.path().join("cache"));
    let host = Host::new(config, store.clone(), outgoing)?;

    let started = Instant::now();
    let info = host.validate(module.clone()).await?;
    report("validate, with compilation", 1, started.elapsed());
    store.put_module(module).await?;
    let started = Instant::now();
    for n in 0..AGENTS {
        host.start_agent(&spec(n, &info.digest), Epoch(1)).await?;
    }
    report("start agents, one after the other", AGENTS, started.elapsed());

    let started = Instant::now();
    run(&host, Delivery::AtMostOnce, AGENTS, MESSAGES, "first").await;
    report(
        "at most once, fresh instances among them",
        MESSAGES,
        started.elapsed(),
    );
    for (title, delivery, agents) in [
        ("at least once, 1,000 agents", Delivery::AtLeastOnce, AGENTS),
        ("at least once, 10 agents", Delivery::AtLeastOnce, 10),
        ("at least once, 1 agent", Delivery::AtLeastOnce, 1),
    ] {
        let started = Instant::now();
        run(&host, delivery, agents, MESSAGES, title).await;
        report(title, MESSAGES, started.elapsed());
    }
    let started = Instant::now();
    for n in 0..500 {
        run(&host, Delivery::AtLeastOnce, 1, 1, &format!("single-{n}")).await;
    }
    report("at least once, one at a time", 500, started.elapsed());

    let started = Instant::now();
    let batches = (0..MESSAGES).step_by(BATCH).map(|from| {
        let store = store.clone();
        tokio::spawn(async move {
            let batch = (from..from + BATCH)
                .map(|n| message(n, "elsewhere", Delivery::AtLeastOnce, "outbox"))
                .collect();
            store.accept(batch).await
        })
    });
    for batch in batches.collect::<Vec<_>>() {
        batch.await??;
    }
    report("accept into the outbox", MESSAGES, started.elapsed());
    paced(&host).await;
    host.shutdown().await;
    Ok(())
}

/// At-least-once messages to 10 agents at the rate that a node must bear with ease; prints the last ten seconds' latencies.
async fn paced(host: &Host) {
    const SECONDS: usize = 11;
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let mut deliveries = tokio::task::JoinSet::new();
    for n in 0..SECONDS * 100 {
        tick.tick().await;
        let batch = (0..10).map(|agent| {
            message(
                n,
                &format!("agent-{agent}"),
                Delivery::AtLeastOnce,
                &format!("{agent}-paced"),
            )
        });
        let (host, batch) = (host.clone(), batch.collect());
        deliveries.spawn(async move { host.deliver(batch).await });
    }
    deliveries.join_all().await;
    println!("at least once, 1,000 a second: {:?}", host.metrics().recent);
}

/// Delivers messages, spread over the agents, and waits until all are handled.
async fn run(host: &Host, delivery: Delivery, agents: usize, messages: usize, salt: &str) {
    let senders = (0..SENDERS).map(|sender| {
        let (host, salt) = (host.clone(), salt.to_owned());
        tokio::spawn(async move {
            let mine: Vec<usize> = (sender..messages).step_by(SENDERS).collect();
            for batch in mine.chunks(BATCH) {
                let address = |&n: &usize| message(n, &format!("agent-{}", n % agents), delivery, &salt);
                let outcomes = host.deliver(batch.iter().map(address).collect()).await;
                assert!(
                    outcomes.iter().all(|outcome| *outcome == MessageOutcome::Handled),
                    "{outcomes:?}"
                );
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.expect("a sender does not panic");
    }
}

fn report(what: &str, count: usize, elapsed: Duration) {
    let rate = count as f64 / elapsed.as_secs_f64();
    println!("{what:45} {count:7} in {elapsed:10.2?}: {rate:10.0} a second");
}

fn spec(n: usize, module: &ModuleDigest) -> AgentSpec {
    AgentSpec {
        name: AgentName(format!("agent-{n}")),
        module: module.clone(),
        version: String::new(),
        capabilities: Vec::new(),
        priority: Priority::Normal,
        limits: Limits {
            mailbox: 4_096,
            ..Limits::default()
        },
        restart: RestartPolicy::default(),
        placement: Placement::default(),
    }
}

fn message(n: usize, receiver: &str, delivery: Delivery, salt: &str) -> Envelope {
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a time after 1970");
    Envelope {
        id: MessageId(format!("{salt}-{n}")),
        performative: Performative::Request,
        sender: AgentName::from(CLIENT),
        receiver: AgentName::from(receiver),
        content: serde_json::json!({ "number": n }),
        conversation_id: None,
        reply_with: Some(format!("{salt}-{n}")),
        in_reply_to: None,
        home: Some(NodeId::from("node-1")),
        timestamp_ms: u64::try_from(now.as_millis()).expect("a time before the year 500,000,000"),
        delivery,
        traceparent: None,
    }
}
