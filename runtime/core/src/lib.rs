//! The pure runtime: the facts that all nodes agree on, and the decisions where agents run.
//!
//! Deliberately absent: I/O, clock, randomness, async. The same commands in the same order give the same
//! catalog on every node; the same catalog and the same live nodes give the same placement.

mod catalog;
pub mod placement;

pub use catalog::Catalog;
