//! The sandbox: the engine, the functions that agents may call, and one live instance.

mod abi;
mod engine;
mod failure;
mod guest;
mod instance;
mod module;
mod state;

pub(crate) use engine::{Engine, Prepared};
pub(crate) use failure::Failure;
pub(crate) use guest::{Effects, Identity};
pub(crate) use instance::Instance;
pub(crate) use state::State;
