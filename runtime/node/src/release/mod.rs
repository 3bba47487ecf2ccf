//! Releases: archives, staging on a node, switching to another binary in place, and back.

mod archive;
mod digest;
mod error;
mod handover;
mod layout;
mod releases;
mod stage;

pub use archive::{ReleaseManifest, pack, unpack};
pub use digest::{sha256_of, sha256_of_file};
pub use error::ReleaseError;
pub use handover::{Handover, before_start, exec_current, give_up};
pub use layout::Layout;
pub use releases::Releases;

#[cfg(test)]
mod tests;
