//! A node: cluster, host, delivery, management API, metrics, backup, upgrade.
