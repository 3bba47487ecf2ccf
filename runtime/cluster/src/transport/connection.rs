//! One connection to a peer, from the asking side.

use super::frame::{self, Frames, Header, PROTOCOL, RequestId};
use crate::Service;
use crate::security::Identity;
use bytes::Bytes;
use caxton_model::NodeId;
use futures_util::StreamExt as _;
use rustls::pki_types::ServerName;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many frames wait to be written to one peer; beyond, requests wait.
const OUTGOING_MAX: usize = 256;

/// How long a peer may leave everything unanswered. Beyond, the peer or the way to it is gone and TCP has not
/// noticed: dial anew.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// What nodes call each other in TLS. Names are checked after the handshake, see [`Identity::peer`].
const SERVER_NAME: &str = "caxton";

/// How a request over a connection failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection was broken before the request was handed to it.
    NotSent(String),
    /// It broke before the answer.
    Interrupted(String),
    /// No answer came in time.
    TimedOut,
    /// The peer said no.
    Refused(String),
}

/// One connection to a peer. Many requests share it; it ends when the last handle is dropped, when the peer
/// closes it, or by the token.
pub(super) struct Connection {
    outgoing: mpsc::Sender<Bytes>,
    shared: Arc<Shared>,
}

struct Shared {
    open: Mutex<Open>,
    /// Ends this connection's task only.
    closed: CancellationToken,
}

struct Open {
    next: RequestId,
    waiting: BTreeMap<RequestId, oneshot::Sender<Result<Bytes, String>>>,
    /// Since when nothing has come although something was asked.
    silent_since: Option<Instant>,
    /// Why the connection is over, once it is.
    broken: Option<String>,
}

impl Connection {
    /// Dials a node and proves who both are. Returns the peer's name.
    ///
    /// Errors are for a person; nothing but the certificates was exchanged.
    pub(super) async fn dial(
        address: &str,
        expected: Option<&NodeId>,
        identity: &Identity,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<(NodeId, Self), String> {
        let socket = TcpStream::connect(address)
            .await
            .map_err(|error| format!("{address}: {error}"))?;
        // Requests are small and wait for answers: never hold them back.
        socket
            .set_nodelay(true)
            .map_err(|error| format!("{address}: {error}"))?;
        let name = ServerName::try_from(SERVER_NAME).expect("a constant that is a DNS name");
        let stream = TlsConnector::from(identity.client())
            .connect(name, socket)
            .await
            .map_err(|error| format!("{address}: {}", super::tls_reason(&error)))?;
        let peer = Identity::peer(stream.get_ref().1.peer_certificates())
            .map_err(|reason| format!("{address}: {reason}"))?;
        if let Some(expected) = expected
            && *expected != peer
        {
            return Err(format!("{address} is {peer}, not {expected}"));
        }
        let mut frames = frame::frames(stream);
        greet(&mut frames)
            .await
            .map_err(|reason| format!("{address}: {reason}"))?;

        let (outgoing, queue) = mpsc::channel(OUTGOING_MAX);
        let shared = Arc::new(Shared {
            open: Mutex::new(Open {
                next: RequestId(0),
                waiting: BTreeMap::new(),
                silent_since: None,
                broken: None,
            }),
            closed: stop.child_token(),
        });
        tasks.spawn(run(frames, queue, Arc::clone(&shared)));
        Ok((peer, Self { outgoing, shared }))
    }

    /// Whether requests may still get through.
    pub(super) fn is_open(&self) -> bool {
        !self.shared.closed.is_cancelled() && self.shared.lock().broken.is_none()
    }

    /// Asks, and waits for the answer. Dropping the future gives the answer up; the peer works on.
    pub(super) async fn request(
        &self,
        service: Service,
        body: &[u8],
        timeout: Duration,
    ) -> Result<Bytes, Failure> {
        let (id, answer) = self.shared.register().map_err(Failure::NotSent)?;
        let _forget = Forget {
            shared: &self.shared,
            id,
        };
        let frame = frame::encode(Header::Request { id, service }, body);
        let exchange = async {
            if self.outgoing.send(frame).await.is_err() {
                return Err(Failure::NotSent(self.shared.why()));
            }
            match answer.await {
                Ok(Ok(body)) => Ok(body),
                Ok(Err(reason)) => Err(Failure::Refused(reason)),
                Err(_) => Err(Failure::Interrupted(self.shared.why())),
            }
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .unwrap_or(Err(Failure::TimedOut))
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self) -> Result<(RequestId, oneshot::Receiver<Result<Bytes, String>>), String> {
        let mut open = self.lock();
        if let Some(reason) = &open.broken {
            return Err(reason.clone());
        }
        let id = open.next;
        open.next = RequestId(id.0 + 1);
        let (sender, receiver) = oneshot::channel();
        open.waiting.insert(id, sender);
        open.silent_since.get_or_insert_with(Instant::now);
        Ok((id, receiver))
    }

    fn answered(&self, header: Header, body: Bytes) -> Result<(), String> {
        let mut open = self.lock();
        let (id, answer) = match header {
            Header::Answer { id } => (id, Ok(body)),
            Header::Refusal { id } => (id, Err(String::from_utf8_lossy(&body).into_owned())),
            Header::Hello { .. } | Header::Request { .. } => {
                return Err("the peer asks where it should answer".to_owned());
            }
        };
        // An answer that nobody waits for any more falls away.
        if let Some(waiting) = open.waiting.remove(&id) {
            let _ = waiting.send(answer);
        }
        open.silent_since = (!open.waiting.is_empty()).then(Instant::now);
        Ok(())
    }

    fn why(&self) -> String {
        self.lock()
            .broken
            .clone()
            .unwrap_or_else(|| "it was closed".to_owned())
    }
}

/// Takes a request off the list of those that wait, however it ends.
struct Forget<'a> {
    shared: &'a Shared,
    id: RequestId,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let mut open = self.shared.lock();
        let given_up = open.waiting.remove(&self.id).is_some();
        if given_up
            && open
                .silent_since
                .is_some_and(|since| since.elapsed() > SILENCE_MAX)
        {
            self.shared.closed.cancel();
        }
    }
}

async fn greet(frames: &mut Frames<TlsStream<TcpStream>>) -> Result<(), String> {
    let first = match frames.next().await {
        Some(Ok(frame)) => frame,
        Some(Err(error)) => return Err(format!("it does not let us in: {error}")),
        None => return Err("it closed the connection: it may not accept our certificate".to_owned()),
    };
    match frame::decode(first)?.0 {
        Header::Hello { protocol: PROTOCOL } => Ok(()),
        Header::Hello { protocol } => Err(format!(
            "it speaks protocol {protocol}, this node speaks {PROTOCOL}"
        )),
        Header::Request { .. } | Header::Answer { .. } | Header::Refusal { .. } => {
            Err("it did not introduce itself".to_owned())
        }
    }
}

async fn run(frames: Frames<TlsStream<TcpStream>>, queue: mpsc::Receiver<Bytes>, shared: Arc<Shared>) {
    let (sink, mut stream) = frames.split();
    let read = async {
        loop {
            match stream.next().await {
                Some(Ok(frame)) => {
                    let answered =
                        frame::decode(frame).and_then(|(header, body)| shared.answered(header, body));
                    if let Err(reason) = answered {
                        return reason;
                    }
                }
                Some(Err(error)) => return error.to_string(),
                None => return "the peer closed it".to_owned(),
            }
        }
    };
    let reason = tokio::select! {
        reason = read => reason,
        reason = super::write_queued(sink, queue) => reason,
        () = shared.closed.cancelled() => "it was closed".to_owned(),
    };
    let mut open = shared.lock();
    open.broken = Some(reason);
    // Dropping the senders tells everyone who waits.
    open.waiting.clear();
}
