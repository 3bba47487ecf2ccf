//! How time and memory grow with the number of steps: both should be linear.

use super::{Bench, NOOP, Shape, show};
use crate::shell;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SIZES: [u32; 3] = [1_000, 10_000, 100_000];

/// How often the memory of a process is looked at: its high-water mark only grows.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What one process took.
struct Cost {
    time: Duration,
    /// The most memory that it had resident, in KiB.
    memory_kib: u64,
}

/// Prints a row for each size.
pub(super) fn run(bench: &Bench) -> Result<()> {
    let one = bench.plan("size-1", 1, Shape::Chain, NOOP)?;
    let base = cost(bench, &["run"], &one, 0)?;
    shell::say(&format!(
        "\none step, whole process: {} and {:.1} MiB resident",
        show(base.time),
        mebibytes(base.memory_kib)
    ));
    shell::say(&format!(
        "\n{:<10} {:>10} {:>10} {:>10} {:>10} {:>14} {:>14}",
        "steps", "validate", "preview", "run", "resume", "bytes a step", "µs a step"
    ));
    for steps in SIZES {
        let plan = bench.plan(&format!("size-{steps}"), steps, Shape::Chain, NOOP)?;
        let validate = cost(bench, &["validate"], &plan, 0)?;
        let preview = cost(bench, &["preview", "--offline"], &plan, 0)?;
        let run = cost(bench, &["run"], &plan, 0)?;
        let resume = resume(bench, steps)?;
        let most = [&validate, &preview, &run]
            .iter()
            .map(|cost| cost.memory_kib)
            .max()
            .unwrap_or_default();
        shell::say(&format!(
            "{steps:<10} {:>10} {:>10} {:>10} {:>10} {:>14} {:>14.0}",
            show(validate.time),
            show(preview.time),
            show(run.time),
            show(resume),
            most.saturating_sub(base.memory_kib) * 1024 / u64::from(steps),
            run.time.saturating_sub(base.time).as_secs_f64() * 1e6 / f64::from(steps),
        ));
    }
    shell::say(
        "resume: of a run that failed at its last step, the whole process, until it has failed there again",
    );
    Ok(())
}

/// The time of a resume that finds all steps done but the last, which fails.
fn resume(bench: &Bench, steps: u32) -> Result<Duration> {
    let path = bench.plan(&format!("fails-{steps}"), steps, Shape::Chain, NOOP)?;
    let mut text = std::fs::read_to_string(&path)?;
    text.push_str("      - {id: last, action: shell.run, with: {argv: [\"false\"]}}\n");
    std::fs::write(&path, text)?;
    cost(bench, &["run"], &path, 1)?;
    Ok(cost(bench, &["resume"], Path::new("--last"), 1)?.time)
}

/// Runs a command of the program on a plan to its end, which must be with the exit code `code`.
fn cost(bench: &Bench, command: &[&str], plan: &Path, code: i32) -> Result<Cost> {
    let start = Instant::now();
    let mut child = Command::new(&bench.caxplan)
        .args(command)
        .arg(plan)
        .env("CAXPLAN_STATE_DIR", bench.folder.path().join("scale"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let about = format!("/proc/{}/status", child.id());
    let mut memory_kib = 0;
    let status = loop {
        let text = std::fs::read_to_string(&about).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = mark.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
        memory_kib = number.unwrap_or(0).max(memory_kib);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    if status.code() != Some(code) {
        bail!("{command:?} {} ended with {status}", plan.display());
    }
    Ok(Cost {
        time: start.elapsed(),
        memory_kib,
    })
}

fn mebibytes(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}
