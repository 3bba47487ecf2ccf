//! systemd units, over D-Bus: on this machine by its bus, on others through SSH.
//!
//! There is one way to ask systemd something, `bus`, and two ways for it to get there: the bus's socket, or a
//! `systemd-stdio-bridge` that runs at the other end of an SSH connection, or of sudo.

mod actions;
mod arguments;
mod bridge;
mod bus;
mod change;
mod diff;
mod failure;
mod job;
mod lines;
mod place;
mod settle;
mod state;
mod unit_file;

use caxplan_adapter::{ActionSet, Adapter};
use caxplan_ssh::Connections;
use std::sync::Arc;

/// The adapter, with SSH connections of its own.
pub fn adapter() -> Arc<dyn Adapter> {
    adapter_through(&Arc::new(Connections::new()))
}

/// The adapter, on SSH connections that others use too.
pub fn adapter_through(connections: &Arc<Connections>) -> Arc<dyn Adapter> {
    Arc::new(actions::add_to(ActionSet::new("systemd"), connections))
}
