//! The management API: HTTP with JSON under `/v1`, `Authorization: Bearer TOKEN` everywhere but on health.
//!
//! | method and path | request | answer |
//! |---|---|---|
//! | GET `/v1/health` (no token) | | [`Health`]; status 200 if healthy, else 503 |
//! | GET `/v1/node` | | [`NodeInfo`] of the node that was asked |
//! | GET `/v1/cluster/members` | | `[Member]` |
//! | GET `/v1/cluster/status` | | [`ClusterStatus`] |
//! | POST `/v1/cluster/verify` | | [`Verification`]: asks every node and compares |
//! | GET `/v1/cluster/ping` | | `[PingResult]`: from this node to all others, over mutual TLS |
//! | POST `/v1/nodes/{id}/drain`, `/undrain` | | [`NodeInfo`] once done: no agents left, or active again |
//! | GET `/v1/metrics` | | [`MetricsSummary`] of the node that was asked |
//! | POST `/v1/node/checkpoint` | | [`Checkpoint`]: state of all agents here is durable and copied to a peer |
//! | POST `/v1/node/upgrade` | [`UpgradeRequest`] | [`UpgradeStatus`]; the node stages, checks, and switches by itself |
//! | GET `/v1/node/upgrade` | | [`UpgradeStatus`] of the last upgrade |
//! | POST `/v1/node/upgrade/rollback` | | [`UpgradeStatus`] |
//! | POST `/v1/modules` | the module's bytes | [`ModuleInfo`]: validated, stored, copied to all live nodes |
//! | POST `/v1/agents` | [`crate::AgentSpec`] | [`AgentInfo`] once it runs |
//! | GET `/v1/agents` | | `[AgentInfo]` |
//! | DELETE `/v1/agents/{name}` | | |
//! | POST `/v1/agents/{name}/suspend`, `/resume` | | [`AgentInfo`] |
//! | POST `/v1/messages` | [`SendRequest`] or a list of them | [`SendReceipt`] or a list of them, once accepted |
//! | GET `/v1/mailboxes/{name}?max=&wait_ms=&ack=` | | [`MailboxPage`] of a client; `ack` confirms those up to a cursor |
//! | POST `/v1/backups` | [`BackupRequest`] | [`BackupInfo`] |
//! | GET `/v1/backups` | | `[BackupInfo]` |
//! | POST `/v1/backups/{id}/verify` | | [`BackupInfo`], or an error that names what does not fit |
//!
//! Errors: a status of 400 and above with an [`ApiError`].

use crate::{
    AgentName, AgentSpec, ConversationId, Delivery, Epoch, MessageId, ModuleDigest, NodeId, NodeState,
    Performative, Version,
};
use serde::{Deserialize, Serialize};

/// Why a call was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// A stable name: `unauthorized`, `not_found`, `conflict`, `unavailable`, `no_quorum`, `invalid`, `internal`.
    pub code: String,
    /// For a person.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Whether a node can do its work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// `healthy` or `unhealthy`.
    pub status: String,
    /// The node.
    pub node: NodeId,
    /// The version that it runs.
    pub version: Version,
    /// Each check: cluster membership, quorum, storage, disk space, agents.
    pub checks: Vec<HealthCheck>,
}

/// One check of a node's health.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Its name.
    pub name: String,
    /// Whether it was met.
    pub ok: bool,
    /// What was seen, and what was expected.
    pub detail: String,
}

/// A node, by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name.
    pub id: NodeId,
    /// The version that it runs.
    pub version: Version,
    /// The release before, to which a rollback would go.
    pub previous_version: Option<Version>,
    /// Whether it takes agents.
    pub state: NodeState,
    /// Agents that run here.
    pub agents: u32,
    /// Messages accepted here with at-least-once delivery that no receiver has handled yet.
    pub outbox: u64,
    /// Messages that wait in mailboxes here or are being handled.
    pub in_flight: u64,
    /// Time since this process took over, in milliseconds.
    pub uptime_ms: u64,
    /// The operating system's process id.
    pub pid: u32,
    /// Where its data lies.
    pub data_dir: String,
}

/// A member as gossip and the catalog see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub id: NodeId,
    /// `alive`, `suspect`, `failed`, `left`, `draining` or `maintenance`.
    pub status: String,
    /// Milliseconds since it was last heard of.
    pub last_seen_ms: u64,
    /// Agents placed on it.
    pub agents: u32,
    /// The version that it runs.
    pub version: Version,
    /// Where its management API answers.
    pub api_addr: String,
    /// Where nodes reach it.
    pub cluster_addr: String,
    /// `leader`, `voter` or `learner`.
    pub role: String,
}

/// The cluster as one node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// `HEALTHY`, `DEGRADED`.
    pub status: String,
    /// `READ-WRITE` with a quorum, else `READ-ONLY`.
    pub operations: String,
    /// Who leads, if anyone.
    pub leader: Option<NodeId>,
    /// The consensus term.
    pub term: u64,
    /// Voters of which a majority is needed.
    pub voters: u32,
    /// Members that gossip sees alive.
    pub alive: u32,
    /// Members that gossip sees failed.
    pub failed: u32,
    /// Agents deployed.
    pub agents: u32,
    /// Agents without a live node.
    pub agents_unplaced: u32,
    /// The catalog's revision on this node.
    pub revision: u64,
    /// What to do, if something is wrong.
    pub hint: Option<String>,
}

/// Whether all nodes agree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Whether all is well.
    pub ok: bool,
    /// Each node's view.
    pub nodes: Vec<NodeVerification>,
    /// What is wrong, for a person.
    pub problems: Vec<String>,
}

/// One node's view of the catalog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeVerification {
    /// Which.
    pub id: NodeId,
    /// Whether it answered.
    pub reachable: bool,
    /// The version that it runs.
    pub version: Option<Version>,
    /// Its catalog's revision.
    pub revision: u64,
    /// The digest of its catalog at that revision.
    pub catalog_digest: String,
    /// Its health.
    pub healthy: bool,
}

/// How long a message to another node and back takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PingResult {
    /// To which node.
    pub node: NodeId,
    /// The round trip in microseconds; `None` if it did not answer.
    pub round_trip_us: Option<u64>,
    /// Why not.
    pub error: Option<String>,
}

/// Figures over the last ten seconds, in the names that plans check. The exact series are at the Prometheus port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricsSummary {
    /// Messages handled a second.
    pub message_rate: f64,
    /// Failed handlings among all, in percent.
    pub error_rate_percent: f64,
    /// Half of the messages were handled within this, from acceptance, in milliseconds.
    pub p50_latency_ms: f64,
    /// 99 of 100 messages were handled within this, from acceptance, in milliseconds.
    pub p99_latency_ms: f64,
    /// The processor's load in percent.
    pub cpu_usage_percent: f64,
    /// Used memory in percent.
    pub memory_usage_percent: f64,
    /// Used space of the data folder's disk in percent.
    pub disk_usage_percent: f64,
    /// Agents that run here.
    pub agent_count: u32,
    /// Traps and limits hit since the start.
    pub agent_crashes_total: u64,
    /// Members alive.
    pub nodes_alive: u32,
    /// Members failed.
    pub nodes_failed: u32,
}

/// What a checkpoint wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Agents whose state was written.
    pub agents: u32,
    /// Bytes of state.
    pub bytes: u64,
    /// Nodes that hold a copy.
    pub copied_to: Vec<NodeId>,
}

/// Asks a node to run another release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeRequest {
    /// The version that the release must have.
    pub version: Version,
    /// The release archive: a path on the node, or an `http://…` or `file://…` address.
    pub source: String,
    /// The SHA-256 of the archive in hexadecimal digits.
    pub sha256: String,
}

/// How an upgrade stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpgradeStatus {
    /// `none`, `staging`, `switching`, `active`, `failed`, `rolled_back`.
    pub phase: String,
    /// From which version.
    pub from: Version,
    /// To which.
    pub to: Option<Version>,
    /// What went wrong.
    pub error: Option<String>,
}

/// A module that a node has validated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleInfo {
    /// Its digest.
    pub digest: ModuleDigest,
    /// Its size in bytes.
    pub bytes: u64,
    /// The host functions that it wants.
    pub imports: Vec<String>,
    /// Nodes that hold it.
    pub nodes: Vec<NodeId>,
}

/// An agent, by the catalog and by the node that runs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// What was deployed.
    pub spec: AgentSpec,
    /// `running`, `starting`, `suspended`, `failed`, `unplaced`.
    pub status: String,
    /// Where.
    pub node: Option<NodeId>,
    /// Since which placement.
    pub epoch: Epoch,
}

/// Asks to send a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    /// The message's id; made up if absent. Sending the same id again is no second message.
    #[serde(default)]
    pub id: Option<MessageId>,
    /// What it is meant as.
    pub performative: Performative,
    /// Who sends it: `client/NAME`, whose mailbox gets the answers.
    pub sender: AgentName,
    /// Who shall get it.
    pub receiver: AgentName,
    /// What it says.
    #[serde(default)]
    pub content: serde_json::Value,
    /// The conversation it belongs to.
    #[serde(default)]
    pub conversation_id: Option<ConversationId>,
    /// What the answer shall name.
    #[serde(default)]
    pub reply_with: Option<String>,
    /// What it answers.
    #[serde(default)]
    pub in_reply_to: Option<String>,
    /// How hard the runtime tries.
    #[serde(default)]
    pub delivery: Delivery,
}

/// Says that a message was accepted: with at-least-once delivery, that it is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SendReceipt {
    /// Its id.
    pub id: MessageId,
    /// The node that accepted it.
    pub node: NodeId,
}

/// A page of a client's mailbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MailboxPage {
    /// The messages in the order of arrival.
    pub messages: Vec<crate::Envelope>,
    /// Hand it back as `ack` to confirm all of them.
    pub cursor: u64,
}

/// Asks for a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// `full` or `incremental`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A folder on the node; its own `backups` folder if absent.
    #[serde(default)]
    pub destination: Option<String>,
    /// Whether to compress.
    #[serde(default)]
    pub compress: bool,
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackupInfo {
    /// Its id, `backup-20240115-0200-node-1`.
    pub id: String,
    /// The node that made it.
    pub node: NodeId,
    /// `full` or `incremental`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When, in milliseconds since 1970.
    pub created_ms: u64,
    /// The version that made it.
    pub version: Version,
    /// Where it lies.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of the archive.
    pub sha256: String,
    /// What it holds: `agent_registry`, `agent_state`, `message_queues`, `configuration`, `certificates`.
    pub components: Vec<String>,
    /// Whether it was verified after it was written.
    pub verified: bool,
}

/// Where a client finds a cluster: the file that `caxton dev up` and `caxton init` write, and `--context` names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientContext {
    /// Addresses of management APIs, `http://host:port`; any live one serves.
    pub endpoints: Vec<String>,
    /// A file with the token, relative to the context's own folder; mode 0600.
    pub token_file: String,
}
