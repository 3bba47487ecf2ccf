//! The adapter that drives a Caxton cluster through its management API.

mod actions;
mod cluster;
mod failure;
mod release;
mod wait;

#[cfg(test)]
mod tests;

pub use cluster::ClusterRef;

use caxplan_adapter::{ActionSet, Adapter};
use std::sync::Arc;

/// The adapter `caxton`.
pub fn adapter() -> Arc<dyn Adapter> {
    Arc::new(actions::add_to(ActionSet::new("caxton")))
}
