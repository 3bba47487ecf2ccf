//! What consensus is about.

use caxton_model::{CatalogReply, NodeId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Cursor;

openraft::declare_raft_types!(
    /// The types that Raft works with.
    pub(super) TypeConfig:
        D = Proposal,
        R = Reply,
        NodeId = RaftId,
        Node = RaftNode,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = Cursor<Vec<u8>>,
        AsyncRuntime = openraft::TokioRuntime,
);

pub(super) type LogId = openraft::LogId<RaftId>;
pub(super) type Membership = openraft::StoredMembership<RaftId, RaftNode>;
pub(super) type StorageError = openraft::StorageError<RaftId>;
pub(super) type StorageIOError = openraft::StorageIOError<RaftId>;

/// A participant of consensus: a node with one log. Drawn at random when the log is created, so that a node
/// that lost its log, and with it its promises, is never taken for its former self.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct RaftId(pub(super) u64);

/// Raft's conformance suite counts its participants.
#[cfg(test)]
impl From<u64> for RaftId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for RaftId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Which node a participant is, and where it was when it joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RaftNode {
    pub(super) id: NodeId,
    pub(super) address: String,
}

/// Raft wants a default; nothing uses it.
impl Default for RaftNode {
    fn default() -> Self {
        Self {
            id: NodeId(String::new()),
            address: String::new(),
        }
    }
}

/// A command, to be applied once however often it comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Proposal {
    pub(super) id: ProposalId,
    /// A [`caxton_model::CatalogCommand`] as JSON text: all nodes read the same text, so all get the same
    /// command.
    pub(super) command: String,
}

/// Names a proposal, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct ProposalId(pub(super) String);

/// What applying a log entry said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The entry was Raft's own.
    Nothing,
    /// The entry was a command.
    Catalog(CatalogReply),
}
