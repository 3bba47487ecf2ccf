//! Running other programs.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}

/// Where Cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Prints a line for the developer.
#[allow(clippy::print_stdout)]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// A command in the root of the checkout, without standard input.
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs `words` and fails if the program does.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    run_command(words, &mut command(words))
}

/// Runs `command`, shown as `words`, and fails if the program does.
pub(crate) fn run_command(words: &[&str], command: &mut Command) -> Result<()> {
    say(&format!("▶ {}", words.join(" ")));
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", words[0]))?;
    if !status.success() {
        bail!("{} ended with {status}", words.join(" "));
    }
    Ok(())
}

/// Runs `words` and gives what it wrote to standard output.
pub(crate) fn output(words: &[&str]) -> Result<String> {
    let output = command(words)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", words[0]))?;
    if !output.status.success() {
        bail!("{} ended with {}", words.join(" "), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("the output of {}", words[0]))
}
