//! Paths that are written into configurations and contexts, which are text.

use anyhow::Context as _;
use std::path::Path;

/// A path as text.
///
/// # Errors
/// If it is not UTF-8.
pub(crate) fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| {
        format!(
            "the path {} is not UTF-8, and configurations are: choose another folder",
            path.display()
        )
    })
}
