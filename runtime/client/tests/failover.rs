//! A client against real sockets: which endpoint it asks, and what it says of a failure.

use caxton_client::{Client, ClientError};
use caxton_model::api::SendRequest;
use caxton_model::{AgentName, Delivery, NodeId, Performative};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What the server does with each connection.
#[derive(Clone, Copy)]
enum Behaviour {
    Answer { status: u16, body: &'static str },
    HangUp,
}

/// A server that treats every request the same; its address, and how many requests it has seen.
async fn serve(behaviour: Behaviour) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 16 * 1024];
            let _ = stream.read(&mut buffer).await;
            counter.fetch_add(1, Ordering::Relaxed);
            if let Behaviour::Answer { status, body } = behaviour {
                let text = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(text.as_bytes()).await;
            }
        }
    });
    (address, seen)
}

/// An address at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

const NO_MEMBERS: Behaviour = Behaviour::Answer {
    status: 200,
    body: "[]",
};
const RECEIPT: Behaviour = Behaviour::Answer {
    status: 200,
    body: r#"{"id": "1", "node": "node-2"}"#,
};

fn message() -> SendRequest {
    SendRequest {
        id: Some("1".into()),
        performative: Performative::Request,
        sender: AgentName::from("client/test"),
        receiver: AgentName::from("echo"),
        content: serde_json::Value::Null,
        conversation_id: None,
        reply_with: None,
        in_reply_to: None,
        delivery: Delivery::AtLeastOnce,
    }
}

#[tokio::test]
async fn reads_go_to_the_next_endpoint() {
    let (hangs_up, _) = serve(Behaviour::HangUp).await;
    let (answers, seen) = serve(NO_MEMBERS).await;
    let client = Client::new([nobody().await, hangs_up, answers], "t").unwrap();
    assert!(client.members().await.unwrap().is_empty());
    assert!(client.members().await.unwrap().is_empty());
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn changes_go_on_only_if_nothing_was_sent() {
    let (answers, _) = serve(RECEIPT).await;
    let client = Client::new([nobody().await, answers.clone()], "t").unwrap();
    assert_eq!(
        client.send_message(&message()).await.unwrap().node,
        NodeId::from("node-2")
    );

    let (hangs_up, _) = serve(Behaviour::HangUp).await;
    let client = Client::new([hangs_up, answers], "t").unwrap();
    let error = client.send_message(&message()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.may_have_acted());
}

#[tokio::test]
async fn refusals_say_what_the_node_said() {
    let (refuses, _) = serve(Behaviour::Answer {
        status: 409,
        body: r#"{"code": "conflict", "message": "echo exists", "hint": "Remove it first."}"#,
    })
    .await;
    let client = Client::new([refuses], "t").unwrap();
    let error = client.send_message(&message()).await.unwrap_err();
    assert_eq!(error.to_string(), "echo exists (conflict). Remove it first.");
    assert!(!error.may_have_acted());

    let (something_else, _) = serve(Behaviour::Answer {
        status: 200,
        body: "<html>",
    })
    .await;
    let client = Client::new([something_else], "t").unwrap();
    assert!(matches!(client.members().await, Err(ClientError::Decode { .. })));
    assert!(matches!(
        Client::new(["https://x"], "t"),
        Err(ClientError::BadEndpoint { .. })
    ));
}
