//! A node: cluster, host, delivery, management API, metrics, backup, upgrade.

mod api;
pub mod backup;
mod checkpoint;
mod clock;
pub mod config;
mod deliver;
mod drain;
mod handoff;
mod health;
mod metrics;
mod modules;
mod node;
mod peer;
mod placement;
mod reconcile;
pub mod release;
mod restored;
mod status;
mod verify;

pub use node::{Node, NodeError};
