//! The whole thing on a fresh machine: a local cluster, upgraded by one command.

use crate::{dist, shell};
use anyhow::Result;

/// Builds all that is needed and runs the plan.
pub(crate) fn run() -> Result<()> {
    dist::releases()?;
    // All of the workspace, as the releases were built: for single packages Cargo would choose other features, and build
    // the dependencies a second time.
    shell::run(&["cargo", "build", "--workspace", "--locked"])?;
    let caxplan = shell::target_dir().join("debug/caxplan");
    let words = [
        caxplan.to_str().unwrap_or("caxplan"),
        "run",
        "plans/rolling-upgrade.yaml",
    ];
    shell::run_command(&words, &mut shell::command(&words))?;
    shell::say(
        "\nThe cluster stays up: look around with `target/debug/caxton dev status`, end it with `target/debug/caxton dev down`.",
    );
    Ok(())
}
