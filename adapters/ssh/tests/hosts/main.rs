//! The adapter against real OpenSSH servers on this machine.

mod conforms;
mod doubt;
mod reach;
mod run;
mod support;
