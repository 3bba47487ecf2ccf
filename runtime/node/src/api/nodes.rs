//! Calls about one node.

use super::error::Refusal;
use super::extract::Params;
use crate::drain::{self, DRAIN_TIMEOUT, DRAIN_TIMEOUT_MAX, DrainError};
use crate::node::Shared;
use crate::{checkpoint, health, status};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use caxton_model::NodeId;
use caxton_model::api::{Checkpoint, Health, MetricsSummary, NodeInfo};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// How long the caller is ready to wait.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    timeout_ms: Option<u64>,
}

impl Wait {
    fn timeout(&self) -> Duration {
        self.timeout_ms
            .map_or(DRAIN_TIMEOUT, Duration::from_millis)
            .min(DRAIN_TIMEOUT_MAX)
    }
}

pub(super) async fn health(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<Health>) {
    let health = health::check(&shared).await;
    let healthy = health.checks.iter().all(|check| check.ok);
    let status = if healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(health))
}

pub(super) async fn info(State(shared): State<Arc<Shared>>) -> Json<NodeInfo> {
    Json(status::node_info(&shared))
}

pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Json<MetricsSummary> {
    Json(crate::metrics::summary(&shared))
}

pub(super) async fn checkpoint(State(shared): State<Arc<Shared>>) -> Result<Json<Checkpoint>, Refusal> {
    Ok(Json(checkpoint::all(&shared).await?))
}

pub(super) async fn drain(
    State(shared): State<Arc<Shared>>,
    Path(node): Path<NodeId>,
    Params(wait): Params<Wait>,
) -> Result<Json<NodeInfo>, Refusal> {
    Ok(Json(drain::drain(&shared, &node, wait.timeout()).await?))
}

pub(super) async fn undrain(
    State(shared): State<Arc<Shared>>,
    Path(node): Path<NodeId>,
    Params(wait): Params<Wait>,
) -> Result<Json<NodeInfo>, Refusal> {
    Ok(Json(drain::undrain(&shared, &node, wait.timeout()).await?))
}

impl From<DrainError> for Refusal {
    fn from(error: DrainError) -> Self {
        match error {
            DrainError::UnknownNode(_) => Self::not_found(error.to_string())
                .hint("`caxton cluster members` lists the nodes of this cluster"),
            DrainError::Refused(_) => Self::conflict(error.to_string()),
            DrainError::Cluster(error) => error.into(),
            DrainError::TimedOut { .. } => Self::timed_out(error.to_string()).hint(
                "the node stays as it is and goes on; call again to wait longer, or undrain it to take agents back",
            ),
        }
    }
}
