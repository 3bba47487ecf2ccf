//! The management API over HTTP: the table of routes is in [`caxton_model::api`].

mod agents;
mod auth;
mod backups;
mod cluster;
mod error;
mod extract;
mod messages;
mod nodes;
mod releases;

use crate::metrics;
use crate::modules::MODULE_BYTES_MAX;
use crate::node::Shared;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use error::Refusal;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::error;

/// The largest request body, but for modules: a batch of messages fits.
const BODY_BYTES_MAX: usize = 16 << 20;

/// All routes. Health needs no token.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    let guarded = Router::new()
        .route("/v1/node", get(nodes::info))
        .route("/v1/node/checkpoint", post(nodes::checkpoint))
        .route("/v1/node/upgrade", post(releases::upgrade).get(releases::status))
        .route("/v1/node/upgrade/rollback", post(releases::rollback))
        .route("/v1/nodes/{id}/drain", post(nodes::drain))
        .route("/v1/nodes/{id}/undrain", post(nodes::undrain))
        .route("/v1/metrics", get(nodes::metrics))
        .route("/v1/cluster/members", get(cluster::members))
        .route("/v1/cluster/status", get(cluster::status))
        .route("/v1/cluster/verify", post(cluster::verify))
        .route("/v1/cluster/ping", get(cluster::ping))
        .route(
            "/v1/modules",
            post(agents::put_module).layer(DefaultBodyLimit::max(MODULE_BYTES_MAX)),
        )
        .route("/v1/agents", post(agents::deploy).get(agents::list))
        .route("/v1/agents/{name}", delete(agents::remove))
        .route("/v1/agents/{name}/suspend", post(agents::suspend))
        .route("/v1/agents/{name}/resume", post(agents::resume))
        .route("/v1/messages", post(messages::send))
        .route("/v1/mailboxes/{*name}", get(messages::mailbox))
        .route("/v1/backups", post(backups::create).get(backups::list))
        .route("/v1/backups/{id}/verify", post(backups::verify))
        .layer(axum::middleware::from_fn_with_state(
            shared.clone(),
            auth::require_token,
        ))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    Router::new()
        .route("/v1/health", get(nodes::health))
        .merge(guarded)
        .fallback(|| async { Refusal::not_found("there is no such call") })
        .method_not_allowed_fallback(|| async { Refusal::method_not_allowed() })
        .with_state(shared)
}

/// The page for Prometheus, on a port of its own and without a token, as scrapers expect it.
pub(crate) fn metrics_route(shared: Arc<Shared>) -> Router {
    Router::new().route("/metrics", get(page)).with_state(shared)
}

async fn page(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, metrics::CONTENT_TYPE)],
        metrics::render(metrics::snapshot(&shared)),
    )
}

/// Serves until `stop`, then finishes the calls that are under way.
pub(crate) async fn serve(listener: TcpListener, routes: Router, stop: CancellationToken) {
    let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        error!(%error, "the server has stopped");
    }
}
