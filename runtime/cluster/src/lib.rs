//! What nodes say to each other: certificates, mutual TLS, gossip, consensus.
//!
//! [`Cluster`] is all that a node needs: it starts the parts and ties them together.

mod cluster;
mod config;
mod error;
mod member;
pub mod security;
mod service;

pub use cluster::{Cluster, ConsensusStatus, FRAME_BYTES_MAX, RequestHandler};
pub use config::{ClusterConfig, Timings};
pub use error::ClusterError;
pub use member::{MemberState, MemberView};
pub use service::Service;
