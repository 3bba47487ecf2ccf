//! Clusters of real nodes on loopback.

mod formation;
mod membership;
mod requests;
mod strangers;
mod support;
mod turmoil;
