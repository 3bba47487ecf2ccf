//! Consensus: one order of commands for all nodes, by Raft, with a durable log.

mod answered;
mod leader;
mod log;
mod machine;
mod network;
mod raft;
mod store;
mod types;

pub(crate) use network::AddressBook;
pub use raft::ConsensusStatus;
pub(crate) use raft::{Consensus, ConsensusConfig};
pub(crate) use store::Store;
