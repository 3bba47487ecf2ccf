//! The file system of the hosts that tests start.

use anyhow::{Result, anyhow};

/// Makes it, once, in the user's cache folder.
pub(crate) fn prepare() -> Result<()> {
    caxton_tests::hosts::prepare()
        .map(drop)
        .map_err(|why| anyhow!("the file system of test hosts: {why}"))
}
