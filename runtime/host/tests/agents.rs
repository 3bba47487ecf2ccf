//! What agents may rely on, and what they cannot do to others.

mod support;

use caxton_host::{AgentStatus, HostError};
use caxton_model::{AgentName, Delivery, Epoch, Limits, MessageOutcome, ModuleDigest, RestartPolicy};
use serde_json::json;
use support::{Bench, COUNTER, EFFECTS, agent, message};

#[tokio::test]
async fn messages_are_handled_in_order_and_once() {
    let bench = Bench::new();
    bench.start("counter", COUNTER).await;
    let messages: Vec<_> = (0..100).map(|n| message(&format!("m{n}"), "counter")).collect();
    let outcomes = bench.host.deliver(messages.clone()).await;
    assert_eq!(outcomes, vec![MessageOutcome::Handled; 100]);
    let answers: Vec<_> = (1..=100).map(|count| json!({ "count": count })).collect();
    assert_eq!(bench.answers().await, answers);

    let mut again = messages;
    again.push(message("new", "counter"));
    again.push(message("new", "counter"));
    let mut expected = vec![MessageOutcome::Duplicate; 100];
    expected.extend([MessageOutcome::Handled, MessageOutcome::Duplicate]);
    assert_eq!(bench.host.deliver(again).await, expected);
    assert_eq!(bench.answers().await.len(), 101);
    assert_eq!(bench.host.metrics().handled_total, 101);
}

#[tokio::test]
async fn an_agent_takes_its_state_and_memory_of_messages_to_another_node() {
    let (old, new) = (Bench::new(), Bench::new());
    let name = AgentName::from("counter");
    old.start("counter", COUNTER).await;
    assert_eq!(
        old.deliver(message("a", "counter")).await,
        MessageOutcome::Handled
    );
    old.host.stop_agent(&name).await.expect("it runs");
    assert_eq!(
        old.deliver(message("b", "counter")).await,
        MessageOutcome::NotHere
    );

    let bundle = old
        .store
        .snapshot(&name)
        .await
        .expect("a read")
        .expect("it has state");
    assert!(new.store.restore(bundle.clone()).await.expect("a write"));
    let spec = new.spec("counter", COUNTER, |_| {}).await;
    new.host.start_agent(&spec, Epoch(2)).await.expect("it starts");
    assert_eq!(
        new.deliver(message("a", "counter")).await,
        MessageOutcome::Duplicate
    );
    assert_eq!(
        new.deliver(message("b", "counter")).await,
        MessageOutcome::Handled
    );
    assert_eq!(new.answers().await, [json!({ "count": 2 })]);

    // What is older than what is here changes nothing.
    assert!(!new.store.restore(bundle).await.expect("a write"));
    let stale = new.host.start_agent(&spec, Epoch(1)).await;
    assert!(
        matches!(
            stale,
            Err(HostError::Store(caxton_host::StoreError::StaleEpoch { .. }))
        ),
        "{stale:?}"
    );
}

#[tokio::test]
async fn effects_appear_as_one() {
    let bench = Bench::new();
    bench
        .start("agent", &agent(&format!("{EFFECTS} i32.const 0")))
        .await;
    assert_eq!(
        bench.deliver(message("a", "agent")).await,
        MessageOutcome::Handled
    );
    assert_eq!(bench.answers().await, [json!({ "hello": 1 })]);
    assert_eq!(
        bench.outbox().await,
        [(AgentName::from("other"), json!("from me"))]
    );
    let bundle = bench
        .store
        .snapshot(&AgentName::from("agent"))
        .await
        .expect("a read")
        .expect("state");
    assert_eq!(bundle.state, [(b"k".to_vec(), br#"{"hello":1}"#.to_vec())]);
    let sent = bench
        .store
        .due(u64::MAX, 1, 1, Default::default())
        .await
        .expect("a scan")
        .remove(0)
        .envelope;
    assert_eq!(
        sent.id,
        message("a", "agent").id.derived(&AgentName::from("agent"), 1)
    );
    assert_eq!(
        (sent.home, sent.delivery),
        (message("a", "agent").home, Delivery::AtLeastOnce)
    );
}

/// A way to fail, after the effects: what the reason says, and whether it counts against the agent.
async fn check_failure(ending: &str, reason: &str, crash: bool) {
    let bench = Bench::new();
    let failing = agent(&format!("{EFFECTS} {ending}"));
    bench
        .start_with("agent", &failing, |spec| spec.limits.memory_bytes = 1 << 20)
        .await;
    bench.start("counter", COUNTER).await;
    let failing = bench.deliver(message("a", "agent"));
    let innocent = bench.deliver(message("b", "counter"));
    let (failed, handled) = tokio::join!(failing, innocent);
    match failed {
        MessageOutcome::Failed { reason: said } => assert!(said.contains(reason), "{said}"),
        other => panic!("{ending}: {other:?}"),
    }
    assert_eq!(handled, MessageOutcome::Handled);
    assert_eq!(
        bench.answers().await,
        [json!({ "count": 1 })],
        "{ending}: only the innocent one's answer"
    );
    assert_eq!(bench.outbox().await, []);
    let bundle = bench
        .store
        .snapshot(&AgentName::from("agent"))
        .await
        .expect("a read")
        .expect("an epoch");
    assert_eq!((bundle.state, bundle.handled), (vec![], vec![]));
    assert_eq!(bench.host.metrics().crashes_total, u64::from(crash), "{ending}");
}

#[tokio::test]
async fn nothing_of_a_failed_message_is_kept() {
    check_failure("unreachable", "unreachable", true).await;
    check_failure("i32.const 7", "code 7", false).await;
    check_failure(
        "(loop $forever (br $forever)) i32.const 0",
        "time limit of 300 ms",
        true,
    )
    .await;
    let bomb = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    check_failure(bomb, "reached its memory limit", true).await;
    check_failure(
        "(call $reply (i32.const -4) (i32.const 8))",
        "`reply`: 8 bytes at 4294967292",
        true,
    )
    .await;
    check_failure(
        "(call $reply (i32.const 65530) (i32.const 8))",
        "outside of the agent's memory",
        true,
    )
    .await;
    check_failure("(i32.div_s (i32.const 1) (i32.const 0))", "divide by zero", true).await;
}

#[tokio::test]
async fn an_endless_loop_does_not_delay_others() {
    let bench = Bench::new();
    let endless = agent("(loop $forever (br $forever)) i32.const 0");
    for n in 0..8 {
        let slow = |spec: &mut caxton_model::AgentSpec| spec.limits.message_time_ms = 30_000;
        bench.start_with(&format!("loop-{n}"), &endless, slow).await;
    }
    bench.start("counter", COUNTER).await;
    let loops = bench.host.clone();
    let looping = tokio::spawn(async move {
        let messages = (0..8)
            .map(|n| message(&format!("l{n}"), &format!("loop-{n}")))
            .collect();
        loops.deliver(messages).await
    });
    for n in 0..20 {
        assert_eq!(
            bench.deliver(message(&format!("m{n}"), "counter")).await,
            MessageOutcome::Handled
        );
    }
    // The loops have 30 s; had they delayed the others, they would be over.
    assert!(!looping.is_finished());
    looping.abort();
}

#[tokio::test]
async fn an_agent_that_fails_too_often_is_given_up_until_it_is_started_again() {
    let bench = Bench::new();
    let policy = RestartPolicy {
        max_failures: 2,
        within_ms: 60_000,
        backoff_ms: 1,
    };
    bench
        .start_with("agent", &agent("unreachable"), |spec| spec.restart = policy)
        .await;
    for n in 0..3 {
        let outcome = bench.deliver(message(&format!("m{n}"), "agent")).await;
        assert!(matches!(outcome, MessageOutcome::Failed { .. }), "{outcome:?}");
    }
    let outcome = bench.deliver(message("late", "agent")).await;
    assert!(
        matches!(&outcome, MessageOutcome::Failed { reason } if reason.contains("given up")),
        "{outcome:?}"
    );
    let info = bench.host.agents().remove(0);
    assert_eq!((info.status, info.failed), (AgentStatus::Failed, 3));

    bench
        .start_with("agent", &agent("unreachable"), |spec| spec.restart = policy)
        .await;
    assert_eq!(bench.host.agents().remove(0).status, AgentStatus::Running);
}

#[tokio::test]
async fn a_flood_fills_one_mailbox_only() {
    let bench = Bench::new();
    let slow = agent(
        "(loop $again (local.set $i (i32.add (local.get $i) (i32.const 1)))
                      (br_if $again (i32.lt_u (local.get $i) (i32.const 3000000)))) i32.const 0",
    );
    bench
        .start_with("slow", &slow, |spec| spec.limits.mailbox = 10)
        .await;
    bench.start("counter", COUNTER).await;
    let mut flood: Vec<_> = (0..1_000).map(|n| message(&format!("f{n}"), "slow")).collect();
    flood.push(message("innocent", "counter"));
    let outcomes = bench.host.deliver(flood).await;
    let handled = outcomes[..1_000]
        .iter()
        .filter(|outcome| **outcome == MessageOutcome::Handled)
        .count();
    let full = outcomes[..1_000]
        .iter()
        .filter(|outcome| **outcome == MessageOutcome::Full)
        .count();
    assert_eq!(handled + full, 1_000);
    assert!(handled >= 10 && full >= 900, "{handled} handled, {full} refused");
    let first_full = outcomes
        .iter()
        .position(|outcome| *outcome == MessageOutcome::Full);
    assert_eq!(
        first_full,
        Some(handled),
        "after the first refusal none is taken, so that order holds"
    );
    assert_eq!(outcomes[1_000], MessageOutcome::Handled);
}

#[tokio::test]
async fn limits_of_one_message_are_told_to_the_agent() {
    let bench = Bench::new();
    // Sends until the host says no; answers with the code as its failure.
    let sender = agent(
        "(loop $more (local.set $i (call $send (i32.const 64) (i32.const 64)))
                        (br_if $more (i32.eqz (local.get $i)))) (i32.sub (i32.const 0) (local.get $i))",
    );
    bench.start("sender", &sender).await;
    let outcome = bench.deliver(message("a", "sender")).await;
    assert!(
        matches!(&outcome, MessageOutcome::Failed { reason } if reason.contains("code 3")),
        "{outcome:?}"
    );
    assert_eq!(bench.outbox().await, []);
}

#[tokio::test]
async fn a_message_may_be_as_large_as_the_limit_and_no_larger() {
    let bench = Bench::new();
    bench.start("counter", COUNTER).await;
    let sized = |id: &str, bytes: usize| caxton_model::Envelope {
        content: json!("x".repeat(bytes)),
        ..message(id, "counter")
    };
    assert_eq!(
        bench.deliver(sized("a", (2 << 20) - 1_000)).await,
        MessageOutcome::Handled
    );
    let outcome = bench.deliver(sized("b", 2 << 20)).await;
    assert!(
        matches!(&outcome, MessageOutcome::Failed { reason } if reason.contains("are allowed")),
        "{outcome:?}"
    );
    assert_eq!(bench.host.metrics().crashes_total, 0);
}

#[tokio::test]
async fn an_agent_that_runs_elsewhere_by_now_commits_nothing_here() {
    let bench = Bench::new();
    let name = AgentName::from("counter");
    bench.start("counter", COUNTER).await;
    assert_eq!(
        bench.deliver(message("a", "counter")).await,
        MessageOutcome::Handled
    );
    let mut bundle = bench
        .store
        .snapshot(&name)
        .await
        .expect("a read")
        .expect("it has state");
    bundle.epoch = Epoch(2);
    assert!(bench.store.restore(bundle.clone()).await.expect("a write"));
    assert_eq!(
        bench.deliver(message("b", "counter")).await,
        MessageOutcome::NotHere
    );
    assert_eq!(bench.answers().await.len(), 1);
    assert_eq!(bench.store.snapshot(&name).await.expect("a read"), Some(bundle));
    assert_eq!(bench.host.agents().remove(0).status, AgentStatus::Failed);
}

#[tokio::test]
async fn a_suspended_agent_takes_nothing_and_goes_on_where_it_was() {
    let bench = Bench::new();
    let name = AgentName::from("counter");
    bench.start("counter", COUNTER).await;
    bench.host.set_suspended(&name, true).expect("it runs");
    assert_eq!(bench.deliver(message("a", "counter")).await, MessageOutcome::Full);
    assert_eq!(bench.host.agents().remove(0).status, AgentStatus::Suspended);
    bench.host.set_suspended(&name, false).expect("it runs");
    assert_eq!(
        bench.deliver(message("a", "counter")).await,
        MessageOutcome::Handled
    );
}

#[tokio::test]
async fn a_host_that_dies_while_handling_keeps_nothing_of_it() {
    let bench = Bench::new();
    let endless = agent(&format!("{EFFECTS} (loop $forever (br $forever)) i32.const 0"));
    bench
        .start_with("agent", &endless, |spec| spec.limits.message_time_ms = 60_000)
        .await;
    tokio::select! {
        biased;
        outcomes = bench.host.deliver(vec![message("a", "agent")]) => panic!("{outcomes:?}"),
        () = async {
            while bench.host.agents().remove(0).memory_bytes == 0 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    assert_eq!(
        bench.host.agents().remove(0).mailbox_len,
        1,
        "it is being handled"
    );
    let Bench { store, host, dir, .. } = bench;
    drop(host);
    store.close().await;
    drop(store);

    let bench = Bench::reopen(dir.expect("its own folder")).await;
    assert_eq!((bench.answers().await, bench.outbox().await), (vec![], vec![]));
    let spec = bench
        .spec("agent", &agent(&format!("{EFFECTS} i32.const 0")), |_| {})
        .await;
    bench.host.start_agent(&spec, Epoch(1)).await.expect("it starts");
    assert_eq!(
        bench.deliver(message("a", "agent")).await,
        MessageOutcome::Handled
    );
    assert_eq!(bench.answers().await.len(), 1);
}

#[tokio::test]
async fn at_most_once_messages_go_out_at_once() {
    let mut bench = Bench::new();
    bench
        .start(
            "agent",
            &agent("(drop (call $reply (i32.const 0) (i32.const 11))) i32.const 0"),
        )
        .await;
    let mut request = message("a", "agent");
    request.delivery = Delivery::AtMostOnce;
    assert_eq!(bench.deliver(request).await, MessageOutcome::Handled);
    let reply = bench.outgoing.recv().await.expect("a reply");
    assert_eq!(
        (reply.delivery, reply.in_reply_to.as_deref()),
        (Delivery::AtMostOnce, Some("answer-to-a"))
    );
    let bundle = bench
        .store
        .snapshot(&AgentName::from("agent"))
        .await
        .expect("a read")
        .expect("an epoch");
    assert_eq!(bundle.revision, 0, "nothing was written");
}

#[tokio::test]
async fn limits_are_checked_before_an_agent_starts() {
    let bench = Bench::new();
    type Change = fn(&mut Limits);
    let changes: [(Change, &str); 3] = [
        (
            |limits| limits.memory_bytes = 1 << 40,
            "the memory limit in bytes is 1099511627776",
        ),
        (
            |limits| limits.memory_bytes = 1_000,
            "the memory that the module begins with is 65536, and 1 to 1000",
        ),
        (|limits| limits.mailbox = 0, "the mailbox size is 0"),
    ];
    for (change, problem) in changes {
        let spec = bench
            .spec("counter", COUNTER, |spec| change(&mut spec.limits))
            .await;
        let refused = bench
            .host
            .start_agent(&spec, Epoch(1))
            .await
            .expect_err("it is refused")
            .to_string();
        assert!(refused.contains(problem), "{refused}");
    }
    let mut spec = bench.spec("counter", COUNTER, |_| {}).await;
    spec.module = ModuleDigest::of(b"another");
    let unknown = bench.host.start_agent(&spec, Epoch(1)).await;
    assert!(matches!(unknown, Err(HostError::UnknownModule(_))), "{unknown:?}");
    let stopped = bench.host.stop_agent(&spec.name).await;
    assert!(matches!(stopped, Err(HostError::UnknownAgent(_))), "{stopped:?}");
}

/// Calls each function that the examples do not, and answers with the number of the first whose answer is wrong.
const CALLS: &str = r#"(module
    (import "caxton" "send" (func $send (param i32 i32) (result i32)))
    (import "caxton" "log" (func $log (param i32 i32 i32)))
    (import "caxton" "now_ms" (func $now (result i64)))
    (import "caxton" "random" (func $random (param i32 i32)))
    (import "caxton" "state_get" (func $get (param i32 i32 i32 i32) (result i32)))
    (import "caxton" "state_set" (func $set (param i32 i32 i32 i32) (result i32)))
    (import "caxton" "state_delete" (func $delete (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "key and value")
    (func $wrong (param $number i32) (param $found i32) (param $wanted i32) (result i32)
        (select (i32.const 0) (local.get $number) (i32.eq (local.get $found) (local.get $wanted))))
    (func $set_key (param $key_len i32) (result i32)
        (call $set (i32.const 0) (local.get $key_len) (i32.const 8) (i32.const 5)))
    (func $get_key (result i32)
        (call $get (i32.const 0) (i32.const 3) (i32.const 600) (i32.const 2)))
    (func $delete_key (result i32)
        (call $delete (i32.const 0) (i32.const 3)))
    (func (export "caxton_alloc") (param i32) (result i32) i32.const 1024)
    (func (export "caxton_init") (result i32)
        (i32.or
            (call $wrong (i32.const 1) (call $set_key (i32.const 3)) (i32.const -4))
            (call $wrong (i32.const 2) (call $send (i32.const 0) (i32.const 3)) (i32.const -4))))
    (func (export "caxton_handle") (param i32 i32) (result i32) (local $w i32)
        (call $log (i32.const 2) (i32.const 0) (i32.const 13))
        (call $random (i32.const 512) (i32.const 16))
        (block $done
            (br_if $done (local.tee $w
                (call $wrong (i32.const 3) (i64.eqz (i64.load (i32.const 512))) (i32.const 0))))
            (br_if $done (local.tee $w
                (call $wrong (i32.const 4) (i64.gt_s (call $now) (i64.const 1700000000000)) (i32.const 1))))
            (br_if $done (local.tee $w (call $wrong (i32.const 5) (call $delete_key) (i32.const -1))))
            (br_if $done (local.tee $w (call $wrong (i32.const 6) (call $set_key (i32.const 3)) (i32.const 0))))
            (br_if $done (local.tee $w (call $wrong (i32.const 7) (call $get_key) (i32.const 5))))
            ;; There was room for two bytes: "va", and nothing after it.
            (br_if $done (local.tee $w
                (call $wrong (i32.const 8) (i32.load (i32.const 600)) (i32.const 0x6176))))
            (br_if $done (local.tee $w (call $wrong (i32.const 9) (call $delete_key) (i32.const 0))))
            (br_if $done (local.tee $w (call $wrong (i32.const 10) (call $get_key) (i32.const -1))))
            (br_if $done (local.tee $w (call $wrong (i32.const 11) (call $set_key (i32.const 257)) (i32.const -2))))
            (br_if $done (local.tee $w
                (call $wrong (i32.const 12) (call $send (i32.const 0) (i32.const 13)) (i32.const -2)))))
        (local.get $w)))"#;

#[tokio::test]
async fn each_host_function_answers_as_documented() {
    let bench = Bench::new();
    bench.start("calls", CALLS).await;
    assert_eq!(
        bench.deliver(message("a", "calls")).await,
        MessageOutcome::Handled
    );
}

/// A module that cannot run as an agent, and what is said about it.
async fn check_invalid(bench: &Bench, module: &str, problems: &[&str]) {
    match bench.host.validate(module.into()).await {
        Err(HostError::InvalidModule(invalid)) => {
            assert_eq!(invalid.problems.len(), problems.len(), "{invalid}");
            for (problem, expected) in invalid.problems.iter().zip(problems) {
                assert!(problem.contains(expected), "{problem}");
            }
        }
        other => panic!("{module}: {other:?}"),
    }
}

#[tokio::test]
async fn modules_are_checked_before_they_run() {
    let bench = Bench::new();
    let info = bench.host.validate(COUNTER.into()).await.expect("it is valid");
    assert_eq!(info.imports, ["reply", "state_get", "state_set"]);

    check_invalid(&bench, "(module", &["expected"]).await;
    check_invalid(
        &bench,
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
                   (import "caxton" "exec" (func)) (func (export "caxton_alloc")))"#,
        &[
            "wasi_snapshot_preview1.fd_write",
            "caxton.exec",
            "no memory",
            "`caxton_alloc` is not",
            "`caxton_handle`",
        ],
    )
    .await;
    let wrong_type = agent("i32.const 0").replace("$send (param i32 i32)", "$send (param i64 i32)");
    check_invalid(&bench, &wrong_type, &["incompatible import type"]).await;
    let init = |code: &str| {
        agent("i32.const 0").replace("(data (i32.const 32)", &format!("{code} (data (i32.const 32)"))
    };
    let bad_init = init(r#"(func (export "caxton_init") (result i32) i32.const 9)"#);
    check_invalid(&bench, &bad_init, &["`caxton_init` answered with code 9"]).await;
    let endless = init("(func $go (loop $forever (br $forever))) (start $go)");
    check_invalid(&bench, &endless, &["time limit"]).await;
    let large = agent("i32.const 0").replace("\"memory\") 1)", "\"memory\") 60000)");
    check_invalid(&bench, &large, &["memory"]).await;
}
