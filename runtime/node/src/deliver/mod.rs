//! How messages get from the node that accepted them to the agent or client that they are for.

mod lanes;
mod outbox;
mod receive;
mod route;
mod volatile;

pub(crate) use outbox::run as run_outbox;
pub(crate) use receive::receive;
pub(crate) use route::is_client;
pub(crate) use volatile::{Volatile, run as run_volatile};
