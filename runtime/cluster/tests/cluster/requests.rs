//! Requests between nodes.

use crate::support::{House, PATIENCE, until};
use bytes::Bytes;
use caxton_cluster::{Cluster, ClusterError, FRAME_BYTES_MAX, Service};
use caxton_model::NodeId;
use std::sync::Arc;
use std::time::Duration;

async fn ask(cluster: &Arc<Cluster>, node: &str, body: &'static [u8]) -> Result<Bytes, ClusterError> {
    let body = Bytes::from_static(body);
    cluster
        .request(&NodeId::from(node), Service::MESSAGES, body, PATIENCE)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_back_and_errors_say_what_may_have_happened() {
    let house = House::new();
    let first = house.start("node-1", &[]).await;
    let second = house.start("node-2", &[&first]).await;
    assert_eq!(ask(&first, "node-2", b"hello").await.unwrap(), "node-1: hello");
    assert_eq!(ask(&second, "node-1", b"hello").await.unwrap(), "node-2: hello");
    assert_eq!(
        ask(&first, "node-1", b"hello").await.unwrap(),
        "node-1: hello",
        "to itself"
    );
    assert!(first.ping(second.node()).await.unwrap() < PATIENCE);

    let error = ask(&first, "node-2", b"fail").await.unwrap_err();
    assert_eq!(error.to_string(), "node-2 refused: as you wish");
    let error = ask(&first, "node-3", b"hello").await.unwrap_err();
    assert!(
        matches!(error, ClusterError::UnknownNode { .. }) && !error.may_have_been_received(),
        "{error}"
    );
    let short = Duration::from_millis(50);
    let error = first
        .request(second.node(), Service::MODULE, Bytes::from_static(b"wait"), short)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClusterError::TimedOut { .. }) && error.may_have_been_received(),
        "{error}"
    );
    let large = Bytes::from(vec![0; FRAME_BYTES_MAX + 1]);
    let error = first
        .request(second.node(), Service::MODULE, large, PATIENCE)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClusterError::TooLarge { .. }) && !error.may_have_been_received(),
        "{error}"
    );

    // One that waits does not hold up the others, and learns when the connection breaks.
    let waiting = tokio::spawn({
        let first = Arc::clone(&first);
        async move { ask(&first, "node-2", b"wait").await }
    });
    for _ in 0..1_000 {
        assert_eq!(ask(&first, "node-2", b"quick").await.unwrap(), "node-1: quick");
    }
    assert!(!waiting.is_finished());
    let address = second.local_addr();
    second.shutdown().await;
    let error = waiting.await.unwrap().unwrap_err();
    assert!(
        matches!(error, ClusterError::Interrupted { .. }) && error.may_have_been_received(),
        "{error}"
    );
    let error = ask(&first, "node-2", b"hello").await.unwrap_err();
    assert!(
        matches!(error, ClusterError::Unreachable { .. }) && !error.may_have_been_received(),
        "{error}"
    );

    // When it is back, it is reached again without further ado.
    let mut config = house.config("node-2", &[&first]);
    config.bind = address;
    let second = crate::support::start(config).await.unwrap();
    until("it is alive", || first.live_nodes().contains(second.node())).await;
    assert_eq!(ask(&first, "node-2", b"again").await.unwrap(), "node-1: again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_arrives_whole() {
    let house = House::new();
    let first = house.start("node-1", &[]).await;
    let second = house.start("node-2", &[&first]).await;
    let body: Vec<u8> = (0..16 << 20).map(|index: u32| index.to_le_bytes()[1]).collect();
    let answer = first
        .request(
            second.node(),
            Service::MODULE,
            Bytes::from(body.clone()),
            PATIENCE,
        )
        .await
        .unwrap();
    assert_eq!(answer.len(), body.len() + b"node-1: ".len());
    assert_eq!(answer[b"node-1: ".len()..], body);
}
