//! End-to-end tests: the built programs, driven as their users drive them.

mod cli;
mod crash;
mod documents;
mod engine;
mod examples;
mod flow;
mod interrupt;
mod lock;
mod schedule;
mod upgrade;
