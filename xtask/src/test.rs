//! The one test command.

use crate::{dist, hosts, python, setup, shell};
use anyhow::Result;

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
    shell::run_command(
        &words,
        shell::command(&words).env("CAXTON_RELEASES", releases.folder()),
    )
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
