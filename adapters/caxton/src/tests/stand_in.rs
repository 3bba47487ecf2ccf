//! A management API over a cluster that remembers what it is told.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use caxton_model::api::{
    AgentInfo, ApiError, BackupInfo, BackupRequest, Checkpoint, ClusterStatus, Health, HealthCheck,
    MailboxPage, Member, MetricsSummary, ModuleInfo, NodeInfo, NodeVerification, SendReceipt, SendRequest,
    UpgradeRequest, UpgradeStatus, Verification,
};
use caxton_model::{
    AgentName, AgentSpec, Envelope, Epoch, MessageId, ModuleDigest, NodeId, NodeState, Performative, Version,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) const TOKEN: &str = "s3cret-token";

/// Three nodes that are well, of which `node-1` leads; `node-4` is not healthy and no other node sees it alive.
pub(super) struct StandIn {
    folder: tempfile::TempDir,
    shared: Shared,
}

type Shared = Arc<Mutex<World>>;
/// The node that is asked, and all of them.
type At = State<(NodeId, Shared)>;
type Answer<T> = Result<Json<T>, (StatusCode, Json<ApiError>)>;

#[derive(Default)]
struct World {
    nodes: BTreeMap<NodeId, Node>,
    agents: BTreeMap<AgentName, AgentSpec>,
    mailboxes: BTreeMap<String, Vec<Envelope>>,
}

struct Node {
    address: String,
    state: NodeState,
    version: Version,
    previous: Option<Version>,
    upgrade: UpgradeStatus,
}

impl StandIn {
    pub(super) async fn start(version: &str) -> Self {
        let shared = Shared::default();
        for number in 1..=4 {
            let id = NodeId(format!("node-{number}"));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
                .await
                .expect("loopback");
            let node = Node {
                address: listener.local_addr().expect("it is bound").to_string(),
                state: NodeState::Active,
                version: version.into(),
                previous: None,
                upgrade: status("none", version, None),
            };
            lock(&shared).nodes.insert(id.clone(), node);
            let router = router().with_state((id, shared.clone()));
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        let echo = serde_json::from_value(json!({
            "name": "echo", "module": "00", "capabilities": ["echo"],
        }));
        lock(&shared)
            .agents
            .insert("echo".into(), echo.expect("a specification"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("token"), TOKEN).expect("writes to a file");
        let endpoint = &lock(&shared).nodes[&NodeId::from("node-1")].address.clone();
        let context = format!("endpoints: [\"http://{endpoint}\"]\ntoken_file: token\n");
        std::fs::write(folder.path().join("context.yaml"), context).expect("writes to a file");
        Self { folder, shared }
    }

    /// The client context.
    pub(super) fn context(&self) -> String {
        self.folder.path().join("context.yaml").display().to_string()
    }

    /// A release archive of that version, with its checksum beside it.
    pub(super) fn archive(&self, version: &str) -> String {
        let path = self.folder.path().join(format!("caxton-{version}.tar.gz"));
        crate::release::write_archive(&path, &[("release.yaml", &format!("version: {version}\n"))]);
        let found = crate::release::inspect(&path).expect("a good archive");
        let sidecar = format!("{}.sha256", path.display());
        std::fs::write(sidecar, found.sha256).expect("writes to a file");
        path.display().to_string()
    }

    /// What actions can change.
    pub(super) fn world(&self) -> Value {
        let world = lock(&self.shared);
        let nodes: Vec<Value> = world
            .nodes
            .values()
            .map(|node| json!([node.state, node.version]))
            .collect();
        json!({ "nodes": nodes, "agents": world.agents })
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, World> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn status(phase: &str, from: &str, to: Option<&Version>) -> UpgradeStatus {
    UpgradeStatus {
        phase: phase.to_owned(),
        from: from.into(),
        to: to.cloned(),
        error: None,
    }
}

fn refuse<T>(status: StatusCode, code: &str, message: &str) -> Answer<T> {
    let error = ApiError {
        code: code.to_owned(),
        message: message.to_owned(),
        hint: None,
    };
    Err((status, Json(error)))
}

fn is_sick(id: &NodeId) -> bool {
    id.as_str() == "node-4"
}

impl World {
    fn info(&self, id: &NodeId) -> NodeInfo {
        let node = &self.nodes[id];
        NodeInfo {
            id: id.clone(),
            version: node.version.clone(),
            previous_version: node.previous.clone(),
            state: node.state,
            agents: u32::from(node.state == NodeState::Active),
            outbox: 0,
            in_flight: 0,
            uptime_ms: 1,
            pid: 1,
            data_dir: String::new(),
        }
    }
}

#[rustfmt::skip]
fn router() -> Router<(NodeId, Shared)> {
    Router::new()
        .route("/v1/cluster/members", get(async |State((_, shared)): At| {
            let world = lock(&shared);
            Json(world.nodes.iter().map(|(id, node)| member(id, node, &world)).collect::<Vec<_>>())
        }))
        .route("/v1/cluster/status", get(async || Json(ClusterStatus {
            status: "HEALTHY".to_owned(),
            operations: "READ-WRITE".to_owned(),
            leader: Some("node-1".into()),
            term: 1,
            voters: 3,
            alive: 3,
            failed: 1,
            agents: 1,
            agents_unplaced: 0,
            revision: 7,
            hint: None,
        })))
        .route("/v1/cluster/verify", post(verify))
        .route("/v1/nodes/{id}/drain", post(async |state: At, id: Path<NodeId>| set_state(&state, &id, NodeState::Draining)))
        .route("/v1/nodes/{id}/undrain", post(async |state: At, id: Path<NodeId>| set_state(&state, &id, NodeState::Active)))
        .route("/v1/node", get(async |State((id, shared)): At| Json(lock(&shared).info(&id))))
        .route("/v1/health", get(health))
        .route("/v1/metrics", get(async || Json(MetricsSummary::default())))
        .route("/v1/node/checkpoint", post(async || Json(Checkpoint { agents: 1, bytes: 1, copied_to: Vec::new() })))
        .route("/v1/node/upgrade", get(upgrade_status).post(upgrade))
        .route("/v1/node/upgrade/rollback", post(rollback))
        .route("/v1/modules", post(async |body: axum::body::Bytes| Json(ModuleInfo {
            digest: ModuleDigest::of(&body),
            bytes: body.len() as u64,
            imports: Vec::new(),
            nodes: Vec::new(),
        })))
        .route("/v1/agents", get(async |State((_, shared)): At| {
            Json(lock(&shared).agents.values().map(running).collect::<Vec<_>>())
        }).post(async |State((_, shared)): At, Json(spec): Json<AgentSpec>| {
            lock(&shared).agents.insert(spec.name.clone(), spec.clone());
            Json(running(&spec))
        }))
        .route("/v1/agents/{name}", delete(async |State((_, shared)): At, Path(name): Path<AgentName>| {
            lock(&shared).agents.remove(&name);
        }))
        .route("/v1/messages", post(send))
        .route("/v1/mailboxes/{name}", get(mailbox))
        .route("/v1/backups", post(async |State((id, _)): At, Json(request): Json<BackupRequest>| {
            Json(backup(&id, &request.kind))
        }))
        .route("/v1/backups/{id}/verify", post(async |State((id, _)): At| Json(backup(&id, "full"))))
}

fn member(id: &NodeId, node: &Node, world: &World) -> Member {
    let status = match node.state {
        _ if is_sick(id) => "left",
        NodeState::Active => "alive",
        NodeState::Draining => "draining",
        NodeState::Maintenance => "maintenance",
    };
    Member {
        id: id.clone(),
        status: status.to_owned(),
        last_seen_ms: 1,
        agents: world.info(id).agents,
        version: node.version.clone(),
        api_addr: node.address.clone(),
        cluster_addr: String::new(),
        role: if id.as_str() == "node-1" {
            "leader"
        } else {
            "voter"
        }
        .to_owned(),
    }
}

async fn verify(State((_, shared)): At) -> Json<Verification> {
    let nodes = lock(&shared)
        .nodes
        .iter()
        .filter(|(id, _)| !is_sick(id))
        .map(|(id, node)| NodeVerification {
            id: id.clone(),
            reachable: true,
            version: Some(node.version.clone()),
            revision: 7,
            catalog_digest: "d".to_owned(),
            healthy: true,
        })
        .collect();
    Json(Verification {
        ok: true,
        nodes,
        problems: Vec::new(),
    })
}

fn set_state(state: &At, id: &NodeId, wanted: NodeState) -> Answer<NodeInfo> {
    let mut world = lock(&state.1);
    match world.nodes.get_mut(id) {
        Some(node) => node.state = wanted,
        None => return refuse(StatusCode::NOT_FOUND, "not_found", "no such node"),
    }
    Ok(Json(world.info(id)))
}

async fn health(State((id, shared)): At) -> (StatusCode, Json<Health>) {
    let ok = !is_sick(&id);
    let health = Health {
        status: if ok { "healthy" } else { "unhealthy" }.to_owned(),
        version: lock(&shared).nodes[&id].version.clone(),
        node: id,
        checks: vec![HealthCheck {
            name: "disk".to_owned(),
            ok,
            detail: "1 % is free".to_owned(),
        }],
    };
    let status = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(health))
}

/// Each look brings a switch to its end.
async fn upgrade_status(State((id, shared)): At) -> Json<UpgradeStatus> {
    let mut world = lock(&shared);
    let node = world.nodes.get_mut(&id).expect("a node of this cluster");
    let seen = node.upgrade.clone();
    if let ("switching", Some(to)) = (seen.phase.as_str(), &seen.to) {
        let back = node.previous.as_ref() == Some(to);
        node.upgrade.phase = if back { "rolled_back" } else { "active" }.to_owned();
        node.previous = (!back).then(|| node.version.clone());
        node.version = to.clone();
    }
    Json(seen)
}

/// Version 6.6.6 never starts.
async fn upgrade(State((id, shared)): At, Json(request): Json<UpgradeRequest>) -> Json<UpgradeStatus> {
    let mut world = lock(&shared);
    let node = world.nodes.get_mut(&id).expect("a node of this cluster");
    let phase = if request.version.as_str() == "6.6.6" {
        "failed"
    } else {
        "switching"
    };
    node.upgrade = status(phase, node.version.as_str(), Some(&request.version));
    Json(node.upgrade.clone())
}

async fn rollback(State((id, shared)): At) -> Answer<UpgradeStatus> {
    let mut world = lock(&shared);
    let node = world.nodes.get_mut(&id).expect("a node of this cluster");
    if node.previous.is_none() {
        return refuse(StatusCode::CONFLICT, "conflict", "there is no release before");
    }
    node.upgrade = status("switching", node.version.as_str(), node.previous.as_ref());
    Ok(Json(node.upgrade.clone()))
}

fn running(spec: &AgentSpec) -> AgentInfo {
    AgentInfo {
        spec: spec.clone(),
        status: "running".to_owned(),
        node: Some("node-1".into()),
        epoch: Epoch(1),
    }
}

/// Every agent but `mute` answers at once, with what it was sent.
async fn send(State((id, shared)): At, Json(request): Json<SendRequest>) -> Json<SendReceipt> {
    let message = request.id.unwrap_or_else(|| MessageId::from("m"));
    if request.receiver.as_str() != "mute" {
        let answer = Envelope {
            id: message.derived(&request.receiver, 0),
            performative: Performative::Inform,
            sender: request.receiver,
            receiver: request.sender.clone(),
            content: json!({ "echo": request.content, "count": 1 }),
            conversation_id: request.conversation_id,
            reply_with: None,
            in_reply_to: request.reply_with,
            home: Some(id.clone()),
            timestamp_ms: 0,
            delivery: request.delivery,
            traceparent: None,
        };
        let mut world = lock(&shared);
        world.mailboxes.entry(request.sender.0).or_default().push(answer);
    }
    Json(SendReceipt {
        id: message,
        node: id,
    })
}

async fn mailbox(
    State((_, shared)): At,
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, u64>>,
) -> Json<MailboxPage> {
    let mut world = lock(&shared);
    let messages = world.mailboxes.entry(name).or_default();
    let seen = usize::try_from(query.get("ack").copied().unwrap_or(0)).unwrap_or(usize::MAX);
    let messages: Vec<Envelope> = messages.iter().skip(seen).cloned().collect();
    let cursor = (seen + messages.len()) as u64;
    Json(MailboxPage { messages, cursor })
}

fn backup(id: &NodeId, kind: &str) -> BackupInfo {
    BackupInfo {
        id: format!("backup-{id}"),
        node: id.clone(),
        kind: kind.to_owned(),
        created_ms: 0,
        version: "1.0.0".into(),
        path: "/backups".to_owned(),
        bytes: 10,
        sha256: String::new(),
        components: Vec::new(),
        verified: true,
    }
}
