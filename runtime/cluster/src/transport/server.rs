//! The answering side.

use super::frame::{self, Frames, Header, PROTOCOL, RequestId};
use crate::security::Identity;
use crate::{RequestHandler, Service};
use bytes::Bytes;
use caxton_model::NodeId;
use futures_util::{SinkExt as _, StreamExt as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many connections a node accepts: two from each of some hundred peers, and strangers that are being
/// refused.
const CONNECTIONS_MAX: usize = 1_024;

/// How many requests of one connection are handled at the same time. One more is refused: the peer shall not
/// wait blindly.
const REQUESTS_MAX: usize = 256;

/// How many answers wait to be written to one peer.
const ANSWERS_MAX: usize = 256;

/// How long a peer may take to prove who it is.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause after the operating system could not accept a connection, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the token is cancelled; then the port is free.
pub(crate) async fn serve(
    listener: TcpListener,
    identity: Identity,
    handler: Arc<dyn RequestHandler>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (socket, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            tracing::warn!(%address, limit = CONNECTIONS_MAX, "too many connections: one is refused");
            continue;
        };
        let identity = identity.clone();
        let handler = Arc::clone(&handler);
        let requests = tasks.clone();
        let stop = stop.clone();
        tasks.spawn(async move {
            let _permit = permit;
            let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, welcome(socket, &identity));
            let welcomed = tokio::select! {
                welcomed = handshake => welcomed,
                () = stop.cancelled() => return,
            };
            let (peer, frames) = match welcomed {
                Ok(Ok(welcomed)) => welcomed,
                Ok(Err(reason)) => {
                    tracing::warn!(%address, reason, "a stranger was refused");
                    return;
                }
                Err(_) => {
                    tracing::warn!(%address, "a stranger took too long to say who it is");
                    return;
                }
            };
            let reason = answer(&peer, frames, handler, &requests, &stop).await;
            tracing::debug!(%peer, %address, reason, "a connection ended");
        });
    }
}

async fn welcome(
    socket: TcpStream,
    identity: &Identity,
) -> Result<(NodeId, Frames<TlsStream<TcpStream>>), String> {
    socket.set_nodelay(true).map_err(|error| error.to_string())?;
    let stream = TlsAcceptor::from(identity.server())
        .accept(socket)
        .await
        .map_err(|error| super::tls_reason(&error))?;
    let peer = Identity::peer(stream.get_ref().1.peer_certificates())?;
    let mut frames = frame::frames(stream);
    let hello = frame::encode(Header::Hello { protocol: PROTOCOL }, &[]);
    frames.send(hello).await.map_err(|error| error.to_string())?;
    Ok((peer, frames))
}

/// Answers the requests of one connection; returns why it ended.
async fn answer(
    peer: &NodeId,
    frames: Frames<TlsStream<TcpStream>>,
    handler: Arc<dyn RequestHandler>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> String {
    let (sink, mut stream) = frames.split();
    let (answers, queue) = mpsc::channel(ANSWERS_MAX);
    let permits = Arc::new(Semaphore::new(REQUESTS_MAX));
    let read = async {
        loop {
            let (header, body) = match stream.next().await {
                Some(Ok(frame)) => match frame::decode(frame) {
                    Ok(decoded) => decoded,
                    Err(reason) => return reason,
                },
                Some(Err(error)) => return error.to_string(),
                None => return "the peer closed it".to_owned(),
            };
            let (id, service) = match header {
                Header::Request { id, service } => (id, service),
                Header::Hello { .. } | Header::Answer { .. } | Header::Refusal { .. } => {
                    return "the peer answers where it should ask".to_owned();
                }
            };
            let request = Request {
                id,
                service,
                body,
                peer: peer.clone(),
                answers: answers.clone(),
            };
            match Arc::clone(&permits).try_acquire_owned() {
                Ok(permit) => {
                    tasks.spawn(request.run(permit, Arc::clone(&handler), stop.clone()));
                }
                Err(_) => {
                    let reason = format!("busy: {REQUESTS_MAX} requests of this node are being handled");
                    request.refuse(&reason).await;
                }
            }
        }
    };
    tokio::select! {
        reason = read => reason,
        reason = super::write_queued(sink, queue) => reason,
        () = stop.cancelled() => "this node stops".to_owned(),
    }
}

struct Request {
    id: RequestId,
    service: Service,
    body: Bytes,
    peer: NodeId,
    answers: mpsc::Sender<Bytes>,
}

impl Request {
    async fn run(
        self,
        _permit: OwnedSemaphorePermit,
        handler: Arc<dyn RequestHandler>,
        stop: CancellationToken,
    ) {
        let handled = tokio::select! {
            handled = handler.handle(self.peer.clone(), self.service, self.body.clone()) => handled,
            () = stop.cancelled() => return,
        };
        match handled {
            Ok(body) if body.len() > frame::FRAME_BYTES_MAX => {
                self.refuse(&format!(
                    "the answer has {} bytes, more than the allowed",
                    body.len()
                ))
                .await;
            }
            Ok(body) => self.send(Header::Answer { id: self.id }, &body).await,
            Err(reason) => self.refuse(&reason).await,
        }
    }

    async fn refuse(&self, reason: &str) {
        self.send(Header::Refusal { id: self.id }, reason.as_bytes())
            .await;
    }

    async fn send(&self, header: Header, body: &[u8]) {
        // If the connection is over, so is the interest in the answer.
        let _ = self.answers.send(frame::encode(header, body)).await;
    }
}
