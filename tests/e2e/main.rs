//! End-to-end tests: the built programs, driven as their users drive them.

mod cli;
mod crash;
mod engine;
mod interrupt;
mod lock;
mod upgrade;
