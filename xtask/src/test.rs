//! The one test command.

use crate::{dist, hosts, python, setup, shell};
use anyhow::Result;
use std::num::NonZero;

/// Sets up what is missing and runs everything.
pub(crate) fn all() -> Result<()> {
    setup::packages()?;
    python::moto()?;
    hosts::prepare()?;
    let releases = dist::releases()?;
    // The programs under test, without a release number, as a developer builds them.
    shell::run(&["cargo", "build", "--workspace", "--locked"])?;
    // All of them, also after one that failed: a run of this length should tell everything at once.
    let words = ["cargo", "test", "--workspace", "--locked", "--no-fail-fast"];
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut command = shell::command(&words);
    command.env("CAXTON_RELEASES", releases.folder());
    // The end-to-end tests, which take most of the time, wait for machines and clocks more than they compute.
    command.env("RUST_TEST_THREADS", (2 * cores).to_string());
    shell::run_command(&words, &mut command)
}

/// Runs what needs no set-up: every package's own tests.
pub(crate) fn quick() -> Result<()> {
    shell::run(&[
        "cargo",
        "test",
        "--workspace",
        "--locked",
        "--exclude",
        "caxton-tests",
    ])
}
