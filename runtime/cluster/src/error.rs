//! What can go wrong between nodes.

use crate::Service;
use crate::security::SecurityError;
use caxton_model::NodeId;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What can go wrong between nodes. Each says in [`ClusterError::may_have_been_received`] whether the request
/// may have acted.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The configuration contradicts itself. Nothing was started.
    #[error("{reason}")]
    Config {
        /// How.
        reason: String,
    },
    /// The address could not be bound. Nothing was started.
    #[error("cannot listen on {addr}")]
    Bind {
        /// Which address.
        addr: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A certificate or key is not fit.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The consensus log could not be read or written.
    #[error("consensus log {}: {reason}", path.display())]
    Storage {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No seed let this node in before the deadline.
    #[error("no seed let this node join within {after:?}; the last one said: {reason}")]
    Join {
        /// How long it tried.
        after: Duration,
        /// The last answer.
        reason: String,
    },
    /// Neither the catalog nor gossip knows the node. It received nothing.
    #[error("no node is known as {node}")]
    UnknownNode {
        /// Which.
        node: NodeId,
    },
    /// No connection could be made, or the peer is not who it must be. It received nothing.
    #[error("cannot reach {node}: {reason}")]
    Unreachable {
        /// Which node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// The request is larger than [`crate::FRAME_BYTES_MAX`]. It was not sent.
    #[error("a request of {bytes} bytes to {node} is larger than the allowed {max}")]
    TooLarge {
        /// To which node.
        node: NodeId,
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// No answer came in time. The request may have been received.
    #[error("{node} did not answer a {service} request within {after:?}")]
    TimedOut {
        /// Which node.
        node: NodeId,
        /// What it was asked.
        service: Service,
        /// How long it was waited for.
        after: Duration,
    },
    /// The connection broke before the answer. The request may have been received.
    #[error("the connection to {node} broke before it answered: {reason}")]
    Interrupted {
        /// Which node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// The peer received the request and could not do it.
    #[error("{node} refused: {reason}")]
    Refused {
        /// Which node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// There was no leader with a majority until the deadline. A proposal may still be applied later.
    #[error("no majority of voters agreed within {after:?}: {reason}")]
    NoQuorum {
        /// How long it was tried.
        after: Duration,
        /// What was last seen.
        reason: String,
    },
    /// The proposal cannot be kept as it is. It was not proposed.
    #[error("the proposal is not valid: {reason}")]
    InvalidProposal {
        /// Why.
        reason: String,
    },
    /// This node has been shut down.
    #[error("this node has been shut down")]
    Stopped,
}

impl ClusterError {
    /// Whether the request may have acted although it failed. If not, sending it elsewhere or again cannot
    /// double it.
    pub fn may_have_been_received(&self) -> bool {
        match self {
            Self::TimedOut { .. }
            | Self::Interrupted { .. }
            | Self::Refused { .. }
            | Self::NoQuorum { .. } => true,
            Self::Config { .. }
            | Self::Bind { .. }
            | Self::Security(_)
            | Self::Storage { .. }
            | Self::Join { .. }
            | Self::UnknownNode { .. }
            | Self::Unreachable { .. }
            | Self::TooLarge { .. }
            | Self::InvalidProposal { .. }
            | Self::Stopped => false,
        }
    }

    /// What an operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoQuorum { .. } => Some(
                "more than half of the voters must be up and reachable: see `caxton cluster members`, start those that are \
                 down, then try again",
            ),
            Self::Join { .. } => Some(
                "check the seeds' addresses, that a node runs there, and that both certificates are of one CA",
            ),
            Self::Bind { .. } => Some("stop what listens there, or choose another address"),
            Self::UnknownNode { .. } => Some("see `caxton cluster members` for the nodes of this cluster"),
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Interrupted { .. } => {
                Some("see `caxton cluster members` and the node's log")
            }
            Self::Config { .. }
            | Self::Security(_)
            | Self::Storage { .. }
            | Self::TooLarge { .. }
            | Self::Refused { .. }
            | Self::InvalidProposal { .. }
            | Self::Stopped => None,
        }
    }
}
