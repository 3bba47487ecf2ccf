//! Runs over HTTP: pages for a browser without scripts, and an API for programs.

mod actions;
mod api;
mod guard;
mod html;
mod metrics;
mod pages;
mod refusal;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use caxplan_model::Digest;
use caxplan_run::StateDir;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The largest request body: a reason fits.
const BODY_BYTES_MAX: usize = 64 << 10;
/// How long requests that are being answered may take when the server is told to end.
const DRAIN: Duration = Duration::from_secs(5);

/// What the server knows.
pub(crate) struct Serving {
    dir: StateDir,
    /// The digest of the token: comparing digests tells nothing about the token by the time that it takes.
    token: Option<Digest>,
    /// What a form of ours carries, which no other site can know.
    csrf: String,
    allows_actions: bool,
    hosts: Vec<String>,
}

impl Serving {
    /// A server of the runs in `dir`, which is called by `hosts` beside its own address.
    pub(crate) fn new(
        dir: StateDir,
        token: Option<String>,
        allows_actions: bool,
        address: SocketAddr,
        mut hosts: Vec<String>,
    ) -> Self {
        hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
        hosts.push(match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        });
        let secret = token.clone().unwrap_or_default();
        Self {
            dir,
            token: token.map(|token| Digest::of(token.as_bytes())),
            csrf: Digest::of(format!("form of caxplan serve: {secret}").as_bytes()).to_string(),
            allows_actions,
            hosts: hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect(),
        }
    }
}

/// Serves until an interrupt or SIGTERM.
pub(crate) async fn serve(listener: TcpListener, serving: Serving) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let serving = Arc::new(serving);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, routes(&serving)).with_graceful_shutdown(async {
        // It also ends if the other side is gone.
        let _ = stopped.await;
    });
    let mut server = std::pin::pin!(IntoFuture::into_future(server));
    tokio::select! {
        ended = &mut server => return ended,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    let _ = stop.send(());
    match tokio::time::timeout(DRAIN, server).await {
        Ok(ended) => ended,
        // Whoever still reads has had their time.
        Err(_) => Ok(()),
    }
}

fn routes(serving: &Arc<Serving>) -> Router {
    let actions = Router::new()
        .route("/runs/{run}/answer", post(actions::answer_form))
        .route("/runs/{run}/pause", post(actions::pause_form))
        .route("/runs/{run}/cancel", post(actions::cancel_form))
        .route("/api/runs/{run}/approve", post(actions::answer))
        .route("/api/runs/{run}/pause", post(actions::pause))
        .route("/api/runs/{run}/cancel", post(actions::cancel))
        // Of these routes only: what is no route at all is answered as such.
        .route_layer(from_fn_with_state(serving.clone(), guard::actions));
    Router::new()
        .route("/", get(pages::runs))
        .route("/style.css", get(pages::style))
        .route("/runs/{run}", get(pages::run))
        .route("/runs/{run}/logs", get(pages::logs))
        .route("/api/runs", get(api::runs))
        .route("/api/runs/{run}", get(api::run))
        .route("/api/runs/{run}/logs", get(api::logs))
        .route("/metrics", get(metrics::metrics))
        .merge(actions)
        .layer(from_fn_with_state(serving.clone(), guard::token))
        .route("/healthz", get(api::health))
        .layer(from_fn_with_state(serving.clone(), guard::host))
        .layer(axum::middleware::map_response(guard::headers))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(serving.clone())
}
