//! Work on other machines over SSH.

use caxplan_adapter::{ActionSet, Adapter};
use std::sync::Arc;

/// The adapter.
pub fn adapter() -> Arc<dyn Adapter> {
    Arc::new(ActionSet::new("ssh"))
}
