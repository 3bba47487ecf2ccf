//! The adapter against real systemds: here by the bus, and over SSH by the bridge.

#![expect(clippy::print_stderr, reason = "what is left out is said")]

mod remote;
mod support;
mod user;
