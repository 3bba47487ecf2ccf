//! Calls about this node's backups.

use super::error::Refusal;
use super::extract::Body;
use crate::backup::{BackupError, Backups, Sources};
use crate::node::Shared;
use axum::Json;
use axum::extract::{Path, State};
use caxton_model::api::{BackupInfo, BackupRequest};
use std::sync::Arc;

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    Body(request): Body<BackupRequest>,
) -> Result<Json<BackupInfo>, Refusal> {
    let catalog = serde_json::to_vec(&*shared.cluster.catalog()).expect("a catalog is JSON");
    let sources = Sources {
        store: &shared.store,
        catalog,
    };
    Ok(Json(
        Backups::new(&shared.config).create(&request, sources).await?,
    ))
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Vec<BackupInfo>>, Refusal> {
    let backups = Backups::new(&shared.config);
    blocking(move || backups.list()).await
}

pub(super) async fn verify(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<BackupInfo>, Refusal> {
    let backups = Backups::new(&shared.config);
    blocking(move || backups.verify(&id)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<Json<T>, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|_| Refusal::internal("reading the backup was broken off"))?;
    Ok(Json(done?))
}

impl From<BackupError> for Refusal {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Unsupported(_) => Self::invalid(error.to_string()),
            BackupError::NotFound { .. } => Self::not_found(error.to_string()),
            BackupError::Damaged { .. } | BackupError::NotEmpty { .. } => Self::conflict(error.to_string()),
            BackupError::Store(error) => error.into(),
            BackupError::Io { .. } => Self::internal(error.to_string()),
        }
    }
}
