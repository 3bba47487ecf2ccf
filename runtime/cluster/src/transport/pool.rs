//! The connections to all peers, from the asking side.

use super::connection::{Connection, Failure};
use super::frame::FRAME_BYTES_MAX;
use crate::security::Identity;
use crate::{ClusterError, Service};
use bytes::Bytes;
use caxton_model::NodeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a connection may take to be made, certificates included.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// The connections to all peers. They are made when first needed, and made again when they broke.
pub(crate) struct Pool {
    identity: Identity,
    tasks: TaskTracker,
    stop: CancellationToken,
    links: Mutex<Links>,
}

/// Whoever dials a peer holds its link; the map itself is never held while waiting.
type Links = BTreeMap<(NodeId, Lane), Arc<tokio::sync::Mutex<Link>>>;

/// What shares a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Consensus,
    Application,
}

#[derive(Default)]
struct Link {
    address: String,
    connection: Option<Arc<Connection>>,
}

impl Pool {
    pub(crate) fn new(identity: Identity, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            identity,
            tasks,
            stop,
            links: Mutex::default(),
        }
    }

    /// Asks a node at an address. It must be that node: its certificate says so.
    pub(crate) async fn request(
        &self,
        node: &NodeId,
        address: &str,
        service: Service,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, ClusterError> {
        if body.len() > FRAME_BYTES_MAX {
            return Err(ClusterError::TooLarge {
                node: node.clone(),
                bytes: body.len(),
                max: FRAME_BYTES_MAX,
            });
        }
        let deadline = Instant::now() + timeout;
        let connection = self.connection(node, address, service, timeout).await?;
        let remaining = deadline.saturating_duration_since(Instant::now());
        connection
            .request(service, &body, remaining)
            .await
            .map_err(|failure| error(node, service, timeout, failure))
    }

    /// Asks whoever is at an address, over a connection of its own, and says who it was.
    pub(crate) async fn request_at(
        &self,
        address: &str,
        service: Service,
        body: Bytes,
        timeout: Duration,
    ) -> Result<(NodeId, Bytes), ClusterError> {
        let (node, connection) = self
            .dial(&NodeId(address.to_owned()), address, None, timeout)
            .await?;
        let answer = connection.request(service, &body, timeout).await;
        match answer {
            Ok(body) => Ok((node, body)),
            Err(failure) => Err(error(&node, service, timeout, failure)),
        }
    }

    async fn connection(
        &self,
        node: &NodeId,
        address: &str,
        service: Service,
        timeout: Duration,
    ) -> Result<Arc<Connection>, ClusterError> {
        let lane = if service.is_application() {
            Lane::Application
        } else {
            Lane::Consensus
        };
        let link = {
            let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(links.entry((node.clone(), lane)).or_default())
        };
        // Whoever dials holds the link; others wait for the outcome, no longer than they would wait for an
        // answer.
        let mut link = tokio::time::timeout(timeout, link.lock())
            .await
            .map_err(|_| unreachable(node, format!("no connection within {timeout:?}")))?;
        if let Some(connection) = &link.connection
            && connection.is_open()
            && link.address == address
        {
            return Ok(Arc::clone(connection));
        }
        link.connection = None;
        let (_, connection) = self.dial(node, address, Some(node), timeout).await?;
        let connection = Arc::new(connection);
        *link = Link {
            address: address.to_owned(),
            connection: Some(Arc::clone(&connection)),
        };
        Ok(connection)
    }

    async fn dial(
        &self,
        node: &NodeId,
        address: &str,
        expected: Option<&NodeId>,
        timeout: Duration,
    ) -> Result<(NodeId, Connection), ClusterError> {
        if self.stop.is_cancelled() {
            return Err(ClusterError::Stopped);
        }
        let timeout = timeout.min(DIAL_TIMEOUT);
        let dial = Connection::dial(address, expected, &self.identity, &self.tasks, &self.stop);
        match tokio::time::timeout(timeout, dial).await {
            Ok(dialled) => dialled.map_err(|reason| unreachable(node, reason)),
            Err(_) => Err(unreachable(
                node,
                format!("{address}: no connection within {timeout:?}"),
            )),
        }
    }
}

fn unreachable(node: &NodeId, reason: String) -> ClusterError {
    ClusterError::Unreachable {
        node: node.clone(),
        reason,
    }
}

fn error(node: &NodeId, service: Service, after: Duration, failure: Failure) -> ClusterError {
    let node = node.clone();
    match failure {
        Failure::NotSent(reason) => ClusterError::Unreachable { node, reason },
        Failure::Interrupted(reason) => ClusterError::Interrupted { node, reason },
        Failure::TimedOut => ClusterError::TimedOut { node, service, after },
        Failure::Refused(reason) => ClusterError::Refused { node, reason },
    }
}
