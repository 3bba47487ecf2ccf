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
        "\n{:<8} {:>10} {:>10} {:>11} {:>10} {:>10} {:>11}   bytes a step of each",
        "steps", "validate", "preview", "first step", "run", "resume", "µs a step"
    ));
    for steps in SIZES {
        let plan = bench.plan(&format!("size-{steps}"), steps, Shape::Chain, NOOP)?;
        let validate = cost(bench, &["validate"], &plan, 0)?;
        let preview = cost(bench, &["preview", "--offline"], &plan, 0)?;
        let run = cost(bench, &["run"], &plan, 0)?;
        let first_step = first_step(bench, steps)?;
        let resume = resume(bench, steps)?;
        let bytes = |cost: &Cost| cost.memory_kib.saturating_sub(base.memory_kib) * 1024 / u64::from(steps);
        shell::say(&format!(
            "{steps:<8} {:>10} {:>10} {:>11} {:>10} {:>10} {:>11.0}   validate {}, preview {}, run {}, resume {}",
            show(validate.time),
            show(preview.time),
            show(first_step),
            show(run.time),
            show(resume.time),
            run.time.saturating_sub(base.time).as_secs_f64() * 1e6 / f64::from(steps),
            bytes(&validate),
            bytes(&preview),
            bytes(&run),
            bytes(&resume),
        ));
    }
    shell::say(
        "first step: from the start of the process until the first step of a new run has acted\n\
         resume: of a run that failed at its last step, the whole process, until it has failed there again\n\
         bytes a step: the most that was resident, beyond a run of one step",
    );
    Ok(())
}

/// The time from the start of the process until the first of many steps has acted. The run is ended then.
fn first_step(bench: &Bench, steps: u32) -> Result<Duration> {
    let acted = bench.folder.path().join(format!("acted-{steps}"));
    let path = bench.plan(&format!("begins-{steps}"), steps, Shape::Chain, NOOP)?;
    let text = std::fs::read_to_string(&path)?;
    let first = format!(
        "    steps:\n      - {{id: first, action: shell.run, with: {{argv: [touch, \"{}\"]}}}}\n",
        acted.display()
    );
    std::fs::write(&path, text.replacen("    steps:\n", &first, 1))?;
    let start = Instant::now();
    let mut child = Command::new(&bench.caxplan)
        .arg("run")
        .arg(&path)
        .env("CAXPLAN_STATE_DIR", bench.folder.path().join("scale"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    while !acted.exists() {
        if let Some(status) = child.try_wait()? {
            bail!("{} ended with {status} before its first step", path.display());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let time = start.elapsed();
    child.kill()?;
    child.wait()?;
    Ok(time)
}

/// The time of a resume that finds all steps done but the last, which fails.
fn resume(bench: &Bench, steps: u32) -> Result<Cost> {
    let path = bench.plan(&format!("fails-{steps}"), steps, Shape::Chain, NOOP)?;
    let mut text = std::fs::read_to_string(&path)?;
    text.push_str("      - {id: last, action: shell.run, with: {argv: [\"false\"]}}\n");
    std::fs::write(&path, text)?;
    cost(bench, &["run"], &path, 1)?;
    cost(bench, &["resume"], Path::new("--last"), 1)
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
