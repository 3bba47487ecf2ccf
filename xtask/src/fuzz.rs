//! Hostile input for the parsers: every target of `fuzz/`, for a bounded time.

use crate::shell;
use anyhow::{Context, Result, bail};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The targets, as `fuzz/Cargo.toml` lists them.
const TARGETS: [&str; 5] = ["plan", "condition", "template", "records", "journal"];
/// How long each target runs as a part of CI, in seconds: long enough to run all seeds and their neighbours.
pub(crate) const CI_SECONDS: u32 = 20;
/// What one input may take: anything slower than this, or larger, is found as a crash would be.
const INPUT_SECONDS_MAX: u32 = 10;
const MEMORY_MB_MAX: u32 = 2048;
/// The version of cargo-fuzz that this was tried with.
const CARGO_FUZZ: &str = "0.13.2";

/// Builds all targets and runs each for `seconds`. An input that breaks one stays in `fuzz/artifacts/`.
///
/// No nightly compiler is needed: without a sanitizer all that cargo-fuzz asks of the compiler is stable, and the code
/// under test is safe Rust. `cargo-fuzz` itself is installed into the target folder if it is not there.
pub(crate) fn run(seconds: u32) -> Result<()> {
    let program = cargo_fuzz()?;
    fuzz(&program, &["build", "--sanitizer", "none"])?;
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    for targets in TARGETS.chunks(cores) {
        std::thread::scope(|scope| {
            let runs: Vec<_> = targets
                .iter()
                .map(|target| scope.spawn(|| try_target(&program, target, seconds)))
                .collect();
            runs.into_iter().try_for_each(|run| {
                run.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })?;
    }
    Ok(())
}

fn fuzz(program: &Path, words: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    command
        .current_dir(shell::root().join("fuzz"))
        .arg("fuzz")
        .args(words)
        // The main workspace's folder: its builds are not mixed up, for these have a target triple of their own.
        .env("CARGO_TARGET_DIR", shell::target_dir().join("fuzz"));
    shell::run_command(&[&["cargo", "fuzz"], words].concat(), &mut command)
}

fn try_target(program: &Path, target: &str, seconds: u32) -> Result<()> {
    let grown = shell::target_dir().join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&grown).with_context(|| grown.display().to_string())?;
    let grown = grown.to_str().context("the target folder's path is not UTF-8")?;
    fuzz(
        program,
        &[
            "run",
            "--sanitizer",
            "none",
            target,
            grown,
            &format!("seeds/{target}"),
            "--",
            &format!("-max_total_time={seconds}"),
            &format!("-timeout={INPUT_SECONDS_MAX}"),
            &format!("-rss_limit_mb={MEMORY_MB_MAX}"),
            "-max_len=8192",
            "-dict=words.dict",
            "-verbosity=0",
        ],
    )
    .with_context(|| {
        format!(
            "`{target}` breaks: the input lies in fuzz/artifacts/{target}; keep it as a seed once it is fixed"
        )
    })
}

/// The program cargo-fuzz: the developer's own, else one in the target folder.
fn cargo_fuzz() -> Result<PathBuf> {
    let answers = |program: &PathBuf| {
        let mut command = Command::new(program);
        command
            .args(["fuzz", "--version"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    let tools = shell::target_dir().join("tools");
    let own = tools.join("bin/cargo-fuzz");
    for program in [PathBuf::from("cargo-fuzz"), own.clone()] {
        if answers(&program) {
            return Ok(program);
        }
    }
    let root = tools.to_str().context("the target folder's path is not UTF-8")?;
    shell::run(&[
        "cargo",
        "install",
        "cargo-fuzz",
        "--locked",
        "--version",
        CARGO_FUZZ,
        "--root",
        root,
    ])?;
    if !answers(&own) {
        bail!(
            "cargo-fuzz was installed as {}, and does not answer",
            own.display()
        );
    }
    Ok(own)
}
