//! Other tools at the same work, in the same minutes. One that cannot be had is left out, with the reason.

use super::{Bench, RUNS, STEPS, median, ratio, show, timed};
use crate::shell;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Python packages with the peers: `just`, not durable, and DBOS, a durable engine, here on SQLite.
const PACKAGES: [&str; 2] = ["rust-just==1.59.0", "dbos==3.4.0"];

/// A chain of steps as a workflow of DBOS.
const WORKFLOW: &str = r#"
import logging, subprocess, sys
from dbos import DBOS, DBOSConfig

config: DBOSConfig = {"name": "bench", "system_database_url": f"sqlite:///{sys.argv[1]}", "log_level": "ERROR"}
DBOS(config=config)

@DBOS.step()
def noop() -> None:
    pass

@DBOS.step()
def true() -> None:
    subprocess.run(["true"], check=True)

@DBOS.workflow()
def chain(what: str, count: int) -> None:
    step = noop if what == "noop" else true
    for _ in range(count):
        step()

DBOS.launch()
chain(sys.argv[2], int(sys.argv[3]))
DBOS.destroy()
"#;

/// Prints a line per peer.
pub(super) fn run(bench: &Bench, sync: Duration, spawn: Duration) -> Result<()> {
    shell::say("\npeers at the same work:");
    row("make, chained `true`, not durable", make(bench), "spawn", spawn)?;
    let tools = match install() {
        Ok(tools) => tools,
        Err(error) => {
            shell::say(&format!("  just and DBOS are left out: {error:#}"));
            return Ok(());
        }
    };
    row(
        "just, chained `true`, not durable",
        just(bench, &tools),
        "spawn",
        spawn,
    )?;
    row(
        "DBOS, chained no-op steps",
        dbos(bench, &tools, "noop"),
        "fdatasync",
        sync,
    )?;
    row(
        "DBOS, chained `true` steps",
        dbos(bench, &tools, "true"),
        "spawn",
        spawn,
    )
}

fn row(what: &str, time: Result<Duration>, floor: &str, of: Duration) -> Result<()> {
    match time {
        Ok(time) => shell::say(&format!(
            "{:<44} {:>10} {:>12.0}  {floor:<10} {:>6.2}",
            format!("{STEPS} {what}"),
            show(time),
            f64::from(STEPS) / time.as_secs_f64(),
            ratio(time, of)
        )),
        Err(error) => shell::say(&format!("  {what}: left out: {error:#}")),
    }
    Ok(())
}

fn make(bench: &Bench) -> Result<Duration> {
    let mut text = format!("all: s{}\n", STEPS - 1);
    for number in 0..STEPS {
        let before = number
            .checked_sub(1)
            .map(|before| format!("s{before}"))
            .unwrap_or_default();
        writeln!(text, ".PHONY: s{number}\ns{number}: {before}\n\t@true")?;
    }
    let path = bench.folder.path().join("Makefile");
    std::fs::write(&path, text)?;
    median(RUNS, || {
        timed(Command::new("make").arg("-f").arg(&path).arg("SHELL=/bin/sh"))
    })
}

fn just(bench: &Bench, tools: &std::path::Path) -> Result<Duration> {
    let mut text = String::new();
    for number in (0..STEPS).rev() {
        let before = number
            .checked_sub(1)
            .map(|before| format!("s{before}"))
            .unwrap_or_default();
        writeln!(text, "@s{number}: {before}\n    true")?;
    }
    let path = bench.folder.path().join("justfile");
    std::fs::write(&path, text)?;
    median(RUNS, || {
        timed(Command::new(tools.join("just")).arg("--justfile").arg(&path))
    })
}

fn dbos(bench: &Bench, tools: &std::path::Path, what: &str) -> Result<Duration> {
    let script = bench.folder.path().join("workflow.py");
    std::fs::write(&script, WORKFLOW)?;
    let database = bench.folder.path().join("dbos.sqlite");
    let python = || Command::new(tools.join("python"));
    let run = |count: u32| {
        median(2, || {
            timed(
                python()
                    .arg(&script)
                    .arg(&database)
                    .args([what, &count.to_string()]),
            )
        })
    };
    // Without the start of the interpreter, which is not what is compared.
    Ok(run(STEPS)?.saturating_sub(run(1)?))
}

/// Installs the peers below the target folder, once. Answers the folder of their programs.
fn install() -> Result<PathBuf> {
    let folder = shell::target_dir().join("bench-peers");
    let programs = folder.join("bin");
    let quiet = |command: &mut Command| -> Result<()> {
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        status
            .success()
            .then_some(())
            .context("it could not be installed")
    };
    if !programs.join("just").exists() {
        quiet(Command::new("python3").args(["-m", "venv"]).arg(&folder)).context("python3 -m venv")?;
        quiet(
            Command::new(programs.join("pip"))
                .args(["install", "--quiet"])
                .args(PACKAGES),
        )
        .context("pip install")?;
    }
    Ok(programs)
}
