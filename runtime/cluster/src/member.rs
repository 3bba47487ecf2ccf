//! Members as gossip sees them.

use caxton_model::NodeId;
use std::fmt;

/// A node as gossip sees it. The own node is a member too, always alive until it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Its name.
    pub id: NodeId,
    /// How it is.
    pub state: MemberState,
    /// Milliseconds since a datagram of it came in. At this node's start, for a member known from others
    /// only.
    pub last_seen_ms: u64,
    /// Where it gossips and answers requests, `host:port`.
    pub cluster_addr: String,
}

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberState {
    /// It answers, directly or through others.
    Alive,
    /// It did not answer the last probe, and has a while to object. Treat it as alive.
    Suspect,
    /// It did not answer, nor object.
    Failed,
    /// It said good-bye.
    Left,
}

impl MemberState {
    /// Whether it counts as live: for placement, suspicion is no reason to move agents.
    pub fn is_live(self) -> bool {
        match self {
            Self::Alive | Self::Suspect => true,
            Self::Failed | Self::Left => false,
        }
    }
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Failed => "failed",
            Self::Left => "left",
        })
    }
}
