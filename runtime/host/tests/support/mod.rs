//! A host with a store in a temporary folder, and agents written in a few lines of WebAssembly text.
#![allow(dead_code, reason = "each test file uses a part")]

use caxton_host::{Host, HostConfig, Store};
use caxton_model::{
    AgentName, AgentSpec, Delivery, Envelope, Epoch, Limits, MessageId, MessageOutcome, NodeId, Performative,
    Placement, Priority, RestartPolicy,
};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// The example that counts.
pub(crate) const COUNTER: &str = include_str!("../../../../examples/agents/counter.wat");

pub(crate) const CLIENT: &str = "client/test";

/// One node's store and host.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) host: Host,
    pub(crate) outgoing: mpsc::Receiver<Envelope>,
    pub(crate) dir: Option<TempDir>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::open(TempDir::new().expect("a temporary folder"))
    }

    pub(crate) fn open(dir: TempDir) -> Self {
        let bench = Self::open_in(dir.path());
        Self {
            dir: Some(dir),
            ..bench
        }
    }

    /// Works in a folder that someone else removes.
    pub(crate) fn open_in(folder: &Path) -> Self {
        let store = Store::open(folder).expect("the store opens");
        let (sender, outgoing) = mpsc::channel(1_000);
        let config = HostConfig {
            agents_max: 200,
            threads: 2,
            ..HostConfig::new(NodeId::from("node-1"), folder.join("cache"))
        };
        let host = Host::new(config, store.clone(), sender).expect("the host starts");
        Self {
            store,
            host,
            outgoing,
            dir: None,
        }
    }

    /// Opens what an earlier one has left, once its last handles are gone.
    pub(crate) async fn reopen(dir: TempDir) -> Self {
        while let Err(caxton_host::StoreError::Locked { .. }) = Store::open(dir.path()) {
            tokio::task::yield_now().await;
        }
        Self::open(dir)
    }

    /// Starts an agent with this code.
    pub(crate) async fn start(&self, name: &str, code: &str) {
        self.start_with(name, code, |_| {}).await;
    }

    pub(crate) async fn start_with(&self, name: &str, code: &str, change: impl FnOnce(&mut AgentSpec)) {
        let spec = self.spec(name, code, change).await;
        self.host
            .start_agent(&spec, Epoch(1))
            .await
            .expect("the agent starts");
    }

    pub(crate) async fn spec(
        &self,
        name: &str,
        code: &str,
        change: impl FnOnce(&mut AgentSpec),
    ) -> AgentSpec {
        let module = self
            .store
            .put_module(code.into())
            .await
            .expect("the module is kept");
        let mut spec = AgentSpec {
            name: AgentName::from(name),
            module,
            version: String::new(),
            capabilities: Vec::new(),
            priority: Priority::Normal,
            limits: Limits {
                message_time_ms: 300,
                ..Limits::default()
            },
            restart: RestartPolicy {
                backoff_ms: 1,
                ..RestartPolicy::default()
            },
            placement: Placement::default(),
        };
        change(&mut spec);
        spec
    }

    /// Delivers one message.
    pub(crate) async fn deliver(&self, envelope: Envelope) -> MessageOutcome {
        self.host.deliver(vec![envelope]).await.remove(0)
    }

    /// What the client got so far: ids and contents.
    pub(crate) async fn answers(&self) -> Vec<Value> {
        let fetched = self
            .store
            .fetch(&AgentName::from(CLIENT), 0, 100_000)
            .await
            .expect("a fetch");
        fetched
            .into_iter()
            .map(|answer| answer.envelope.content)
            .collect()
    }

    /// All that waits in the outbox: receivers and contents.
    pub(crate) async fn outbox(&self) -> Vec<(AgentName, Value)> {
        let due = self
            .store
            .due(u64::MAX, 1_000, 1_000, Default::default())
            .await
            .expect("a scan");
        due.into_iter()
            .map(|entry| (entry.envelope.receiver, entry.envelope.content))
            .collect()
    }
}

/// An at-least-once request of the client.
pub(crate) fn message(id: &str, receiver: &str) -> Envelope {
    Envelope {
        id: MessageId::from(id),
        performative: Performative::Request,
        sender: AgentName::from(CLIENT),
        receiver: AgentName::from(receiver),
        content: Value::Null,
        conversation_id: None,
        reply_with: Some(format!("answer-to-{id}")),
        in_reply_to: None,
        home: Some(NodeId::from("node-1")),
        timestamp_ms: now_ms(),
        delivery: Delivery::AtLeastOnce,
        traceparent: None,
    }
}

fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).expect("a time after 1970")
}

/// An agent whose `caxton_handle` has this body. Texts that it may use: `{"hello":1}` (11 bytes) at 0, the key `k` at 32,
/// a message to agent `other` (64 bytes) at 64. The message that it handles lies at `$ptr`.
pub(crate) fn agent(body: &str) -> String {
    format!(
        r#"(module
            (import "caxton" "send" (func $send (param i32 i32) (result i32)))
            (import "caxton" "reply" (func $reply (param i32 i32) (result i32)))
            (import "caxton" "state_set" (func $set (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "{{\"hello\":1}}")
            (data (i32.const 32) "k")
            (data (i32.const 64) "{{\"receiver\":\"other\",\"performative\":\"inform\",\"content\":\"from me\"}}")
            (func (export "caxton_alloc") (param i32) (result i32) i32.const 1024)
            (func (export "caxton_handle") (param $ptr i32) (param $len i32) (result i32) (local $i i32)
                {body}))"#
    )
}

/// Instructions that change state, reply and send: the effects that must appear as one, or not at all.
pub(crate) const EFFECTS: &str = "
    (drop (call $set (i32.const 32) (i32.const 1) (i32.const 0) (i32.const 11)))
    (drop (call $reply (i32.const 0) (i32.const 11)))
    (drop (call $send (i32.const 64) (i32.const 64)))";
