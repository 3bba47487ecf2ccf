//! End-to-end tests: the built programs, driven as their users drive them.

mod account;
mod adapters;
mod child;
mod cli;
mod crash;
mod documentation;
mod documents;
mod edited;
mod editor;
mod engine;
mod examples;
mod flow;
mod import;
mod interrupt;
mod invariants;
mod lock;
mod matrix;
mod preview;
mod prune;
mod recover;
mod review;
mod schedule;
mod serve;
mod terminal;
mod threads;
mod upgrade;
