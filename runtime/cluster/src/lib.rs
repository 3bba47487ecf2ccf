//! What nodes say to each other: certificates, mutual TLS, gossip, consensus.
//!
//! [`Cluster`] is all that a node needs: it starts the parts and ties them together.

mod cluster;
mod config;
mod consensus;
mod error;
mod gossip;
mod member;
mod port;
mod roll_call;
pub mod security;
mod service;
mod transport;

pub use cluster::{Cluster, RequestHandler};
pub use config::{ClusterConfig, Timings};
pub use consensus::ConsensusStatus;
pub use error::ClusterError;
pub use gossip::GossipCounters;
pub use member::{MemberState, MemberView};
pub use service::Service;
pub use transport::FRAME_BYTES_MAX;
