//! A node: cluster, host, delivery, management API, metrics, backup, upgrade.

pub mod backup;
pub mod config;
pub mod release;
