//! One method per route of the management API. What a route does and answers is said in [`caxton_model::api`].

use crate::client::{Body, Call};
use crate::{CHANGE_TIMEOUT, Client, ClientError, LONG_TIMEOUT, READ_TIMEOUT};
use caxton_model::api::{
    AgentInfo, BackupInfo, BackupRequest, Checkpoint, ClusterStatus, Health, MailboxPage, Member,
    MetricsSummary, ModuleInfo, NodeInfo, PingResult, SendReceipt, SendRequest, UpgradeRequest,
    UpgradeStatus, Verification,
};
use caxton_model::{AgentName, AgentSpec, NodeId};
use reqwest::Method;
use serde::Serialize;
use std::time::Duration;

/// What the cluster as a whole answers: any endpoint serves.
impl Client {
    /// All members, as the node that answers sees them.
    pub async fn members(&self) -> Result<Vec<Member>, ClientError> {
        self.json(get(&["v1", "cluster", "members"])).await
    }

    /// How the cluster stands, as the node that answers sees it.
    pub async fn cluster_status(&self) -> Result<ClusterStatus, ClientError> {
        self.json(get(&["v1", "cluster", "status"])).await
    }

    /// Asks every node for its view and compares.
    pub async fn verify(&self) -> Result<Verification, ClientError> {
        self.json(post(&["v1", "cluster", "verify"], Body::None).repeatable())
            .await
    }

    /// Round trips from the node that answers to all others, over mutual TLS.
    pub async fn ping(&self) -> Result<Vec<PingResult>, ClientError> {
        self.json(get(&["v1", "cluster", "ping"])).await
    }

    /// Moves a node's agents elsewhere; returns when none are left.
    pub async fn drain(&self, node: &NodeId) -> Result<NodeInfo, ClientError> {
        self.json(long(&["v1", "nodes", node.as_str(), "drain"], Body::None))
            .await
    }

    /// Lets a node take agents again.
    pub async fn undrain(&self, node: &NodeId) -> Result<NodeInfo, ClientError> {
        self.json(long(&["v1", "nodes", node.as_str(), "undrain"], Body::None))
            .await
    }

    /// Validates a module, stores it, and copies it to all live nodes. Safe to repeat.
    pub async fn put_module(&self, bytes: Vec<u8>) -> Result<ModuleInfo, ClientError> {
        self.json(long(&["v1", "modules"], Body::Bytes(bytes)).repeatable())
            .await
    }

    /// Deploys an agent, or changes its specification; returns when it runs.
    pub async fn deploy(&self, spec: &AgentSpec) -> Result<AgentInfo, ClientError> {
        self.json(post(&["v1", "agents"], json(spec))).await
    }

    /// All agents.
    pub async fn agents(&self) -> Result<Vec<AgentInfo>, ClientError> {
        self.json(get(&["v1", "agents"])).await
    }

    /// Removes an agent and its state.
    pub async fn remove_agent(&self, agent: &AgentName) -> Result<(), ClientError> {
        self.empty(delete(&["v1", "agents", agent.as_str()])).await
    }

    /// Gives an agent no more messages until it is resumed.
    pub async fn suspend_agent(&self, agent: &AgentName) -> Result<AgentInfo, ClientError> {
        self.json(post(&["v1", "agents", agent.as_str(), "suspend"], Body::None))
            .await
    }

    /// Gives an agent messages again.
    pub async fn resume_agent(&self, agent: &AgentName) -> Result<AgentInfo, ClientError> {
        self.json(post(&["v1", "agents", agent.as_str(), "resume"], Body::None))
            .await
    }

    /// Sends one message; returns when it is accepted. If the answer was lost, send it again with the same id.
    pub async fn send_message(&self, request: &SendRequest) -> Result<SendReceipt, ClientError> {
        self.json(post(&["v1", "messages"], json(request))).await
    }

    /// Sends many messages; all are accepted, or none.
    pub async fn send_messages(&self, requests: &[SendRequest]) -> Result<Vec<SendReceipt>, ClientError> {
        self.json(post(&["v1", "messages"], json(requests))).await
    }
}

/// What one node answers for itself: meant for a client that [`Client::node`] has pinned to it.
impl Client {
    /// Whether the node can do its work. A node that says it cannot is an answer, not an error.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.json(get(&["v1", "health"]).answers_with(&[503])).await
    }

    /// The node, by itself.
    pub async fn node_info(&self) -> Result<NodeInfo, ClientError> {
        self.json(get(&["v1", "node"])).await
    }

    /// The node's figures over the last ten seconds.
    pub async fn metrics(&self) -> Result<MetricsSummary, ClientError> {
        self.json(get(&["v1", "metrics"])).await
    }

    /// Makes the state of all agents on the node durable and copies it to a peer.
    pub async fn checkpoint(&self) -> Result<Checkpoint, ClientError> {
        self.json(long(&["v1", "node", "checkpoint"], Body::None)).await
    }

    /// Asks the node to run another release; it stages and checks the release before it answers, and switches afterwards.
    pub async fn upgrade(&self, request: &UpgradeRequest) -> Result<UpgradeStatus, ClientError> {
        self.json(long(&["v1", "node", "upgrade"], json(request))).await
    }

    /// How the node's last upgrade stands.
    pub async fn upgrade_status(&self) -> Result<UpgradeStatus, ClientError> {
        self.json(get(&["v1", "node", "upgrade"])).await
    }

    /// Asks the node to go back to the release before.
    pub async fn rollback(&self) -> Result<UpgradeStatus, ClientError> {
        self.json(long(&["v1", "node", "upgrade", "rollback"], Body::None))
            .await
    }

    /// Reads a page of at most `max` messages of a client's mailbox (`client/NAME`) on the node, after waiting up to
    /// `wait` for the first one. `ack` confirms, and so removes, everything up to an earlier page's cursor.
    pub async fn mailbox(
        &self,
        client: &AgentName,
        max: u32,
        wait: Duration,
        ack: Option<u64>,
    ) -> Result<MailboxPage, ClientError> {
        let mut query = vec![
            ("max", max.to_string()),
            ("wait_ms", wait.as_millis().to_string()),
        ];
        if let Some(cursor) = ack {
            query.push(("ack", cursor.to_string()));
        }
        self.json(
            get(&["v1", "mailboxes", client.as_str()])
                .with_query(query)
                .waits(wait),
        )
        .await
    }

    /// Makes a backup of the node.
    pub async fn create_backup(&self, request: &BackupRequest) -> Result<BackupInfo, ClientError> {
        self.json(long(&["v1", "backups"], json(request))).await
    }

    /// The backups that the node has made.
    pub async fn backups(&self) -> Result<Vec<BackupInfo>, ClientError> {
        self.json(get(&["v1", "backups"])).await
    }

    /// Compares a backup with its manifest.
    pub async fn verify_backup(&self, id: &str) -> Result<BackupInfo, ClientError> {
        self.json(long(&["v1", "backups", id, "verify"], Body::None).repeatable())
            .await
    }
}

impl<'a> Call<'a> {
    fn new(method: Method, path: &'a [&'a str], body: Body, timeout: Duration) -> Self {
        Self {
            repeatable: method == Method::GET,
            method,
            path,
            query: Vec::new(),
            body,
            timeout,
            answers_with: &[],
        }
    }

    /// Says that doing it twice is the same as doing it once, although it is no GET.
    fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    fn with_query(mut self, query: Vec<(&'static str, String)>) -> Self {
        self.query = query;
        self
    }

    /// Says that the node may take its time before it answers.
    fn waits(mut self, wait: Duration) -> Self {
        self.timeout += wait;
        self
    }

    fn answers_with(mut self, statuses: &'static [u16]) -> Self {
        self.answers_with = statuses;
        self
    }
}

fn get<'a>(path: &'a [&'a str]) -> Call<'a> {
    Call::new(Method::GET, path, Body::None, READ_TIMEOUT)
}

fn post<'a>(path: &'a [&'a str], body: Body) -> Call<'a> {
    Call::new(Method::POST, path, body, CHANGE_TIMEOUT)
}

fn long<'a>(path: &'a [&'a str], body: Body) -> Call<'a> {
    Call::new(Method::POST, path, body, LONG_TIMEOUT)
}

fn delete<'a>(path: &'a [&'a str]) -> Call<'a> {
    Call::new(Method::DELETE, path, Body::None, CHANGE_TIMEOUT)
}

fn json<T: Serialize + ?Sized>(value: &T) -> Body {
    Body::Json(serde_json::to_value(value).expect("the API's types are JSON"))
}
