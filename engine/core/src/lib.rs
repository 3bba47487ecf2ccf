//! The pure engine.
//!
//! Two halves, joined by [`caxplan_model::Graph`]: [`load`] turns plan text into a graph (YAML with spans → validate →
//! bind → expand), and [`schedule`] turns events into records and commands. Both read [`template`]s and
//! [`condition`]s, and both [`expand`] a `foreach`. Nothing here does I/O, reads a clock, draws randomness or is async:
//! time, seeds and file contents are arguments.

pub mod account;
pub mod calendar;
pub mod condition;
pub mod diff;
pub mod expand;
mod guard;
pub mod import;
pub mod load;
pub mod monitor;
pub mod preview;
pub mod schedule;
pub mod select;
pub mod simulate;
pub mod template;
