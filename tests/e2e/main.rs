//! End-to-end tests: the built programs, driven as their users drive them.

mod account;
mod cli;
mod crash;
mod documents;
mod engine;
mod examples;
mod flow;
mod import;
mod interrupt;
mod lock;
mod prune;
mod schedule;
mod serve;
mod terminal;
mod preview;
mod review;
mod upgrade;
