//! Membership by gossip: SWIM over UDP, each datagram encrypted and authenticated.

mod datagram;
mod driver;
mod peer;
mod roster;
mod seal;

pub use driver::GossipCounters;
pub(crate) use driver::{Gossip, GossipConfig};
pub(crate) use peer::Generation;
