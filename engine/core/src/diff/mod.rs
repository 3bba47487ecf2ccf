//! Two plans beside each other, compared by what would run.
//!
//! [`compare`] is strict: it takes two graphs as they are and pairs their nodes by id. What only says where something
//! stands in a file, or describes it, is no difference. [`Difference`] is for people: it also resolves what is known
//! before the run, finds what was renamed or moved, and says what follows.

mod compare;
mod difference;
mod end_states;
mod fields;
mod lines;
mod pair;
mod render;
mod settle;

pub use compare::{Comparison, FieldChange, NodeChange, compare};
pub use difference::{Consequence, Difference, StepDifference, What};
pub use end_states::{EndState, EndStates};
pub use lines::shown;

pub(crate) use compare::{map_changes, plan_changes};
pub(crate) use fields::fields;
pub(crate) use settle::paths;
