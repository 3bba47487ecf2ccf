//! Two plans beside each other, compared by what would run.
//!
//! [`compare`] is strict: it takes two graphs as they are and pairs their nodes by id. What only says where something
//! stands in a file, or describes it, is no difference.

mod compare;
mod fields;

pub use compare::{Comparison, FieldChange, NodeChange, compare};
