//! The adapter against two independent servers, each strict where the other is lax, and against faults on the way.

#![expect(clippy::print_stderr, reason = "what is left out is said")]

mod conformance;
mod faults;
mod objects;
mod relay;
mod servers;
mod sync;
mod versions;
mod world;
