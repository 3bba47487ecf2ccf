//! Whole-process figures of the engine, beside the floors of the same machine in the same minute.
//!
//! Absolute times mean little on a shared machine; the ratios are what to look at. A ratio of 1.3 means that the engine takes
//! 1.3 times as long as the floor does for the same number of durable writes or processes.

mod objects;
mod peers;
mod scale;
pub(crate) mod ssh;
pub(crate) mod transfer;

pub(crate) use objects::run as objects;

use crate::{release, shell};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Steps of the larger plans.
const STEPS: u32 = 1_000;
/// Runs of which the median is taken.
const RUNS: usize = 5;
/// Runs of the small whole-process measurement.
const SMALL_RUNS: usize = 21;

/// The program to measure: the one that `CAXPLAN` names, else the one that is shipped, which is built.
fn program() -> Result<PathBuf> {
    match std::env::var_os("CAXPLAN") {
        Some(program) => std::path::absolute(program).context("where is that?"),
        None => release::caxplan(),
    }
}

/// Prints the table.
pub(crate) fn run() -> Result<()> {
    let bench = Bench {
        caxplan: program()?,
        folder: tempfile::tempdir_in(shell::target_dir()).context("a folder on the disk to measure")?,
    };

    let sync = median(RUNS, || bench.syncs(STEPS))?;
    let spawn = median(RUNS, || bench.spawns(STEPS))?;
    let spawn_two = median(RUNS, || bench.spawns_two_at_a_time(STEPS))?;
    let shell_true = median(SMALL_RUNS, || timed(Command::new("sh").args(["-c", "true"])))?;
    shell::say(&format!(
        "\nfloors: {STEPS} × append 200 bytes + fdatasync {}, {STEPS} × spawn true {}, two at a time {}, sh -c true {}",
        show(sync),
        show(spawn),
        show(spawn_two),
        show(shell_true)
    ));
    shell::say(&format!(
        "\n{:<44} {:>10} {:>12}  {:<10} {:>6}",
        "what", "time", "steps/s", "floor", "ratio"
    ));

    let one = bench.plan("one", 1, Shape::Chain, NOOP)?;
    bench.row(
        "one no-op step, whole process",
        1,
        &one,
        SMALL_RUNS,
        ("sh -c true", shell_true),
    )?;
    let one = bench.plan("one-true", 1, Shape::Chain, TRUE)?;
    bench.row(
        "one `true` step, whole process",
        1,
        &one,
        SMALL_RUNS,
        ("sh -c true", shell_true),
    )?;
    for (what, name, shape, step, floor) in [
        (
            "chained durable no-op steps",
            "chain",
            Shape::Chain,
            NOOP,
            ("fdatasync", sync),
        ),
        (
            "independent durable no-op steps",
            "fan",
            Shape::Parallel,
            NOOP,
            ("fdatasync", sync),
        ),
        (
            "chained `true` steps",
            "chain-true",
            Shape::Chain,
            TRUE,
            ("spawn", spawn),
        ),
        (
            "independent `true` steps, two at a time",
            "fan-true",
            Shape::Parallel,
            TRUE,
            ("2 spawns", spawn_two),
        ),
    ] {
        let plan = bench.plan(name, STEPS, shape, step)?;
        bench.row(&format!("{STEPS} {what}"), STEPS, &plan, RUNS, floor)?;
    }
    let long = bench.plan("long", STEPS * 10, Shape::Chain, NOOP)?;
    bench.row(
        &format!("{} chained durable no-op steps", STEPS * 10),
        STEPS * 10,
        &long,
        3,
        ("fdatasync", sync * 10),
    )?;
    peers::run(&bench, sync, spawn)?;
    scale::run(&bench)
}

const NOOP: &str = "noop.run: {}";
const TRUE: &str = "shell.run: {argv: [\"true\"]}";

#[derive(Clone, Copy)]
enum Shape {
    Chain,
    Parallel,
}

struct Bench {
    caxplan: PathBuf,
    folder: tempfile::TempDir,
}

impl Bench {
    /// Writes a plan of `steps` equal steps.
    fn plan(&self, name: &str, steps: u32, shape: Shape, step: &str) -> Result<PathBuf> {
        let mut text = format!("name: {name}\nphases:\n  - name: work\n    steps:\n");
        let indent = match shape {
            Shape::Chain => "      ",
            Shape::Parallel => {
                text.insert_str(0, "max_parallel: 2\n");
                text.push_str("      - parallel:\n");
                "          "
            }
        };
        for number in 0..steps {
            writeln!(text, "{indent}- {{id: s{number}, {}}}", full_form(step))?;
        }
        let path = self.folder.path().join(format!("{name}.yaml"));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Measures a plan and prints its row.
    fn row(&self, what: &str, steps: u32, plan: &Path, runs: usize, floor: (&str, Duration)) -> Result<()> {
        let state = self.folder.path().join("state");
        let time = median(runs, || {
            timed(
                Command::new(&self.caxplan)
                    .arg("run")
                    .arg(plan)
                    .env("CAXPLAN_STATE_DIR", &state),
            )
        })?;
        shell::say(&format!(
            "{what:<44} {:>10} {:>12.0}  {:<10} {:>6.2}",
            show(time),
            f64::from(steps) / time.as_secs_f64(),
            floor.0,
            ratio(time, floor.1)
        ));
        Ok(())
    }

    /// The time that `count` small durable appends take.
    fn syncs(&self, count: u32) -> Result<Duration> {
        let mut file = std::fs::File::create(self.folder.path().join("floor"))?;
        let start = Instant::now();
        for _ in 0..count {
            file.write_all(&[b'x'; 200])?;
            file.sync_data()?;
        }
        Ok(start.elapsed())
    }

    /// The time that `count` processes take, one after the other.
    fn spawns(&self, count: u32) -> Result<Duration> {
        let start = Instant::now();
        for _ in 0..count {
            Command::new("true").current_dir(self.folder.path()).status()?;
        }
        Ok(start.elapsed())
    }

    /// The time that `count` processes take, two at a time.
    fn spawns_two_at_a_time(&self, count: u32) -> Result<Duration> {
        let start = Instant::now();
        std::thread::scope(|scope| {
            let halves = [count / 2, count - count / 2].map(|half| scope.spawn(move || self.spawns(half)));
            halves.into_iter().try_for_each(|half| match half.join() {
                Ok(time) => time.map(drop),
                Err(_) => bail!("a thread of the measurement panicked"),
            })
        })?;
        Ok(start.elapsed())
    }
}

/// A step's short form, `action: {arguments}`, as the keys of the full form.
fn full_form(step: &str) -> String {
    let (action, arguments) = step.split_once(": ").unwrap_or((step, "{}"));
    format!("action: {action}, with: {arguments}")
}

fn timed(command: &mut Command) -> Result<Duration> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().with_context(|| format!("{command:?}"))?;
    let time = start.elapsed();
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(time)
}

/// The median of `runs` measurements, after one that is not counted.
fn median(runs: usize, mut measure: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    measure()?;
    let mut times = (0..runs).map(|_| measure()).collect::<Result<Vec<_>>>()?;
    times.sort_unstable();
    Ok(times[runs / 2])
}

fn ratio(time: Duration, floor: Duration) -> f64 {
    time.as_secs_f64() / floor.as_secs_f64()
}

fn show(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}
