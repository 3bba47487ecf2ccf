//! What a datagram says.

use super::peer::Peer;
use super::seal::OVERHEAD_BYTES;
use caxton_model::NodeId;
use serde::{Deserialize, Serialize};

/// The largest datagram: one that crosses the Internet in one piece.
pub(super) const DATAGRAM_BYTES_MAX: usize = 1_400;

/// Room for what [`Datagram`] adds to a SWIM packet: a name of 64 bytes and a few lengths.
const WRAPPING_BYTES_MAX: usize = 80;

/// The largest SWIM packet.
pub(super) const SWIM_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - OVERHEAD_BYTES - WRAPPING_BYTES_MAX;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Datagram {
    pub(super) from: NodeId,
    pub(super) packet: Packet,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Packet {
    /// A packet of foca's.
    Swim(Vec<u8>),
    /// To an address of which only that is known: who are you?
    Hello(Peer),
    /// The answer.
    IAm(Peer),
    /// The sender leaves for good: what follows is no failure.
    Leaving(Peer),
}

impl Datagram {
    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("plain data always encodes")
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}
