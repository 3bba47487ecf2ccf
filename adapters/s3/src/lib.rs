//! Object stores that speak S3.

use caxplan_adapter::{ActionSet, Adapter};
use std::sync::Arc;

/// The adapter.
pub fn adapter() -> Arc<dyn Adapter> {
    Arc::new(ActionSet::new("s3"))
}
