//! What the store keeps, and what it recognises.

mod support;

use caxton_host::{Store, StoreError};
use caxton_model::{AgentName, Envelope, MessageId, MessageOutcome};
use std::collections::BTreeSet;
use support::{CLIENT, message};
use tempfile::TempDir;

fn open() -> (TempDir, Store) {
    let dir = TempDir::new().expect("a temporary folder");
    let store = Store::open(dir.path()).expect("the store opens");
    (dir, store)
}

/// Ids of messages that are due at this time.
async fn due(store: &Store, now_ms: u64, per_receiver: usize, busy: &[&str]) -> Vec<String> {
    let busy: BTreeSet<AgentName> = busy.iter().map(|name| AgentName::from(*name)).collect();
    let due = store.due(now_ms, per_receiver, 100, busy).await.expect("a scan");
    due.into_iter().map(|entry| entry.envelope.id.0).collect()
}

fn ids(ids: &[&str]) -> Vec<MessageId> {
    ids.iter().map(|id| MessageId::from(*id)).collect()
}

#[tokio::test]
async fn the_outbox_keeps_messages_until_they_are_done() {
    let (dir, store) = open();
    let messages = vec![
        message("1", "b"),
        message("2", "a"),
        message("3", "b"),
        message("4", "b"),
    ];
    assert_eq!(store.accept(messages.clone()).await.expect("a write"), [true; 4]);
    assert_eq!(
        store
            .accept(vec![message("3", "b"), message("5", "a")])
            .await
            .expect("a write"),
        [false, true]
    );
    assert_eq!(store.outbox_len(), 5);
    assert_eq!(
        due(&store, 0, 2, &[]).await,
        ["2", "5", "1", "3"],
        "each receiver's oldest, in order"
    );
    assert_eq!(due(&store, 0, 9, &["a"]).await, ["1", "3", "4"]);

    store.retry(ids(&["1"]), 1_000).await.expect("a write");
    assert_eq!(due(&store, 999, 9, &["a"]).await, ["3", "4"]);
    let retried = store
        .due(1_000, 1, 1, [AgentName::from("a")].into())
        .await
        .expect("a scan")
        .remove(0);
    assert_eq!((retried.envelope, retried.attempts), (messages[0].clone(), 1));

    store.done(ids(&["2", "3", "unknown"])).await.expect("a write");
    store
        .bury(ids(&["1"]), "nobody there".to_owned())
        .await
        .expect("a write");
    let letter = store.dead_letters(9).await.expect("a read").remove(0);
    assert_eq!(
        (
            letter.envelope.id.as_str(),
            letter.attempts,
            letter.reason.as_str()
        ),
        ("1", 1, "nobody there")
    );

    store.close().await;
    assert!(matches!(store.accept(messages).await, Err(StoreError::Closed)));
    drop(store);
    let store = Store::open(dir.path()).expect("the store opens again");
    assert_eq!(
        (store.outbox_len(), due(&store, 0, 9, &[]).await),
        (2, vec!["5".to_owned(), "4".to_owned()])
    );
}

#[tokio::test]
async fn a_client_gets_each_answer_once() {
    let (_dir, store) = open();
    let client = AgentName::from(CLIENT);
    let answer = |id: &str, in_reply_to: Option<&str>| Envelope {
        in_reply_to: in_reply_to.map(str::to_owned),
        ..message(id, CLIENT)
    };
    let deposit = async |envelope: Envelope| store.deposit(vec![envelope]).await.expect("a write").remove(0);
    let fetch = async |cursor| {
        let fetched = store.fetch(&client, cursor, 10).await.expect("a read");
        fetched
            .into_iter()
            .map(|answer| (answer.cursor, answer.envelope.id.0))
            .collect::<Vec<_>>()
    };
    let mut deposits = store.subscribe_deposits();
    assert_eq!(deposit(answer("1", Some("q"))).await, MessageOutcome::Handled);
    assert!(deposits.has_changed().expect("the store is open"));
    deposits.mark_unchanged();
    assert_eq!(deposit(answer("1", Some("q"))).await, MessageOutcome::Duplicate);
    assert_eq!(
        deposit(answer("2", Some("q"))).await,
        MessageOutcome::Duplicate,
        "the same question's second answer"
    );
    assert!(!deposits.has_changed().expect("the store is open"));
    assert_eq!(deposit(answer("3", None)).await, MessageOutcome::Handled);
    assert_eq!(deposit(answer("4", None)).await, MessageOutcome::Handled);

    let fetched = fetch(0).await;
    assert_eq!(
        fetched.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>(),
        ["1", "3", "4"]
    );
    store.ack(&client, fetched[1].0).await.expect("a write");
    assert_eq!(fetch(0).await, fetched[2..]);
    assert_eq!(fetch(fetched[2].0).await, []);
    assert_eq!(
        deposit(answer("1", Some("q"))).await,
        MessageOutcome::Duplicate,
        "acknowledged, and remembered"
    );
}

#[tokio::test]
async fn a_store_has_one_process_and_a_backup_is_a_store() {
    let (dir, store) = open();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Locked { .. })));
    store.accept(vec![message("1", "a")]).await.expect("a write");
    let digest = store.put_module(b"(module)".to_vec()).await.expect("a write");
    store.checkpoint().await.expect("a checkpoint");

    let copy = TempDir::new().expect("a temporary folder");
    let file = copy.path().join("store.db");
    store.backup(&file).await.expect("a backup");
    assert!(
        matches!(store.backup(&file).await, Err(StoreError::Path { .. })),
        "it overwrites nothing"
    );
    store.done(ids(&["1"])).await.expect("a write");

    let restored = Store::open(copy.path()).expect("the copy opens");
    assert_eq!(due(&restored, 0, 9, &[]).await, ["1"]);
    assert_eq!(
        restored.module(&digest).await.expect("a read").as_deref(),
        Some(b"(module)".as_slice())
    );
    assert_eq!(restored.modules().await.expect("a read"), [digest]);
}

#[tokio::test]
async fn many_writers_share_commits() {
    let (_dir, store) = open();
    let writers = (0..200).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.accept(vec![message(&format!("{n}"), "a")]).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        assert_eq!(writer.await.expect("it does not panic").expect("a write"), [true]);
    }
    assert_eq!(store.outbox_len(), 200);
}
