//! Calls about this node's release.

use super::error::Refusal;
use super::extract::Body;
use crate::node::Shared;
use crate::release::ReleaseError;
use axum::Json;
use axum::extract::State;
use caxton_model::api::{UpgradeRequest, UpgradeStatus};
use std::sync::Arc;

/// Runs in a task of its own: a client that hangs up (an engine that was killed, say) does not leave an upgrade half staged.
pub(super) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Body(request): Body<UpgradeRequest>,
) -> Result<Json<UpgradeStatus>, Refusal> {
    let upgrade = tokio::spawn(async move { shared.releases.upgrade(&request).await });
    let status = upgrade
        .await
        .map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(Json(status?))
}

pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Result<Json<UpgradeStatus>, Refusal> {
    Ok(Json(shared.releases.status()?))
}

pub(super) async fn rollback(State(shared): State<Arc<Shared>>) -> Result<Json<UpgradeStatus>, Refusal> {
    Ok(Json(shared.releases.rollback().await?))
}

impl From<ReleaseError> for Refusal {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Fetch { .. }
            | ReleaseError::Checksum { .. }
            | ReleaseError::Archive { .. }
            | ReleaseError::Version { .. } => Self::invalid(error.to_string())
                .hint("the node runs on as before; give the release's address, version and SHA-256 as it was published"),
            ReleaseError::Binary { .. } => Self::conflict(error.to_string())
                .hint("the node runs on as before; the release does not fit this machine or its configuration"),
            ReleaseError::Busy { .. } => Self::conflict(error.to_string()).hint("wait until it is over"),
            ReleaseError::NoPrevious => Self::conflict(error.to_string()),
            ReleaseError::Io { .. } => Self::internal(error.to_string()),
        }
    }
}
