//! The composition root: which adapters there are.

use caxplan_run::{Registry, RunAdapter, StateDir};
use std::sync::Arc;

/// Every adapter of this program. Making them costs nothing: what they connect to, they connect to when first used.
pub(crate) fn registry(dir: &StateDir) -> Registry {
    let mut adapters = caxplan_local::adapters();
    adapters.push(caxplan_caxton::adapter());
    // One connection to each host, whoever needs it.
    let connections = Arc::new(caxplan_ssh::Connections::new());
    adapters.push(caxplan_ssh::adapter_through(&connections));
    adapters.push(caxplan_systemd::adapter_through(&connections));
    adapters.push(caxplan_s3::adapter());
    adapters.push(Arc::new(RunAdapter::new(dir.clone())));
    Registry::new(adapters)
}

/// The runtime of this process. One thread, the main one: local children end with the thread that started them.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
