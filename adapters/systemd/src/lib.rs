//! systemd units, over D-Bus: on this machine directly, on others through SSH.

use caxplan_adapter::{ActionSet, Adapter};
use std::sync::Arc;

/// The adapter.
pub fn adapter() -> Arc<dyn Adapter> {
    Arc::new(ActionSet::new("systemd"))
}
