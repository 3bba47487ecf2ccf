//! Backups of a node: making, listing, verifying, restoring.

mod archive;
mod backups;
mod error;
mod restore;

pub use backups::{Backups, Sources};
pub use error::BackupError;
pub use restore::{RESTORED_CATALOG, restore, verify_archive};

#[cfg(test)]
mod tests;
