//! What a request between nodes is about.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a request between nodes is about. A number, not an enum: a node of a newer release may ask for what
/// this one does not know, and must get an answer rather than a broken connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Service(u16);

impl Service {
    /// Messages for agents and clients' mailboxes.
    pub const MESSAGES: Self = Self(0x100);
    /// An agent's state, from the node that ran it to the node that will.
    pub const HANDOFF: Self = Self(0x101);
    /// A module's bytes.
    pub const MODULE: Self = Self(0x102);
    /// Copies of agents' state, kept for a peer.
    pub const CHECKPOINT: Self = Self(0x103);
    /// How a node is doing.
    pub const STATUS: Self = Self(0x104);
    /// A call of the management API that another node must answer.
    pub const API: Self = Self(0x105);

    pub(crate) const PING: Self = Self(1);
    pub(crate) const LEADER: Self = Self(2);
    pub(crate) const APPEND_ENTRIES: Self = Self(3);
    pub(crate) const INSTALL_SNAPSHOT: Self = Self(4);
    pub(crate) const VOTE: Self = Self(5);

    /// Numbers below this one are the cluster's own.
    const APPLICATION_FROM: u16 = 0x100;

    /// Whether requests go to the [`crate::RequestHandler`]; the cluster answers the others itself.
    pub fn is_application(self) -> bool {
        self.0 >= Self::APPLICATION_FROM
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MESSAGES => f.write_str("messages"),
            Self::HANDOFF => f.write_str("handoff"),
            Self::MODULE => f.write_str("module"),
            Self::CHECKPOINT => f.write_str("checkpoint"),
            Self::STATUS => f.write_str("status"),
            Self::API => f.write_str("api"),
            Self::PING => f.write_str("ping"),
            Self::LEADER => f.write_str("leader"),
            Self::APPEND_ENTRIES => f.write_str("append-entries"),
            Self::INSTALL_SNAPSHOT => f.write_str("install-snapshot"),
            Self::VOTE => f.write_str("vote"),
            Self(number) => write!(f, "service {number}"),
        }
    }
}
