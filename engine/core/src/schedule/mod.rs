//! From events to records and commands.

mod event;

pub use event::{Command, Event, Interrupt, ProbeReport};
