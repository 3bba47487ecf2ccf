//! The actions, one file for each kind of change.

mod activate;
mod enable;
mod journal;
mod manager;
mod status;
mod unit;
mod wait;

use caxplan_adapter::ActionSet;
use caxplan_ssh::Connections;
use std::sync::Arc;

pub(crate) fn add_to(set: ActionSet, connections: &Arc<Connections>) -> ActionSet {
    set.with_through::<activate::Start, _>(connections)
        .with_through::<activate::Stop, _>(connections)
        .with_through::<activate::Restart, _>(connections)
        .with_through::<activate::Reload, _>(connections)
        .with_through::<enable::Enable, _>(connections)
        .with_through::<enable::Disable, _>(connections)
        .with_through::<enable::Mask, _>(connections)
        .with_through::<enable::Unmask, _>(connections)
        .with_through::<manager::DaemonReload, _>(connections)
        .with_through::<unit::Unit, _>(connections)
        .with_through::<status::ReadStatus, _>(connections)
        .with_through::<wait::Wait, _>(connections)
        .with_through::<journal::ReadJournal, _>(connections)
}
