//! Three nodes in one process, with real sockets, certificates, stores and agents.

mod support;

use caxton_model::api::SendRequest;
use caxton_model::{AgentName, Delivery, Performative};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::{Cluster, NODES};

/// Messages of one test.
const MESSAGES: usize = 1_000;
/// Messages of one call.
const BATCH: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_answered_once_while_a_node_is_drained() {
    let cluster = Cluster::start().await;
    let module = cluster.client(0).put_module(support::ECHO.into()).await.unwrap();
    for node in NODES {
        let info = cluster.deploy(&format!("echo-{node}"), &module.digest).await;
        assert_eq!(info.status, "running");
    }
    let verification = cluster.client(0).verify().await.unwrap();
    assert!(verification.ok, "{verification:?}");

    let draining = tokio::spawn({
        let client = cluster.client(0);
        async move { client.drain(&NODES[1].into()).await }
    });
    let mut sent = 0;
    while sent < MESSAGES {
        let batch: Vec<SendRequest> = (sent..sent + BATCH).map(request).collect();
        cluster
            .client(sent / BATCH % 2 * 2)
            .send_messages(&batch)
            .await
            .unwrap();
        sent += BATCH;
    }
    let drained = draining.await.unwrap().unwrap();
    assert_eq!((drained.agents, drained.outbox), (0, 0));

    let mut answers: BTreeMap<String, u32> = BTreeMap::new();
    let deadline = Instant::now() + Duration::from_secs(15);
    while answers.len() < MESSAGES && Instant::now() < deadline {
        for node in [0, 2] {
            for answer in cluster.answers(node).await {
                assert_eq!(answer.performative, Performative::Inform, "{answer:?}");
                *answers.entry(answer.in_reply_to.unwrap()).or_default() += 1;
            }
        }
    }
    assert_eq!(answers.len(), MESSAGES, "answers missing");
    assert!(
        answers.values().all(|&count| count == 1),
        "answered twice: {answers:?}"
    );

    let agents = cluster.client(0).agents().await.unwrap();
    assert!(
        agents.iter().all(|agent| agent.node != Some(NODES[1].into())),
        "{agents:?}"
    );
    let active = cluster.client(2).undrain(&NODES[1].into()).await.unwrap();
    assert_eq!(active.state, caxton_model::NodeState::Active);
    cluster.stop().await;
}

fn request(number: usize) -> SendRequest {
    SendRequest {
        id: None,
        performative: Performative::Request,
        sender: AgentName::from("client/test"),
        receiver: AgentName(format!("echo-{}", NODES[number % NODES.len()])),
        content: serde_json::json!({ "number": number }),
        conversation_id: Some(format!("conversation-{}", number % 10).as_str().into()),
        reply_with: Some(number.to_string()),
        in_reply_to: None,
        delivery: Delivery::AtLeastOnce,
    }
}
