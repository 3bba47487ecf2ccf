//! The adapter against real systemds: here by the bus, and over SSH by the bridge.

mod remote;
mod support;
mod user;
