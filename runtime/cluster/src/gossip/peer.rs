//! Who a member is, to gossip.

use caxton_model::NodeId;
use serde::{Deserialize, Serialize};

/// Who a member is, to gossip: a node since one of its starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Peer {
    pub(super) id: NodeId,
    /// Where it gossips, `host:port`. It may differ from start to start.
    pub(super) address: String,
    pub(super) generation: Generation,
}

/// Counts a node's starts, with gaps: of two members of one name, the one of the higher generation is the
/// real one. A restarted node is thus a new member at once, whatever is said of its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Generation(pub(crate) u64);

impl foca::Identity for Peer {
    type Addr = NodeId;

    /// A node that was wrongly declared dead comes back by itself.
    fn renew(&self) -> Option<Self> {
        Some(Self {
            generation: Generation(self.generation.0 + 1),
            ..self.clone()
        })
    }

    fn addr(&self) -> NodeId {
        self.id.clone()
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.generation > adversary.generation
    }
}
