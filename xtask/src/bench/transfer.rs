//! Files to and from a real SSH server, beside `sftp` and `rsync` at the same server in the same minutes.
//!
//! caxplan verifies what arrived by a hash on the host and makes it durable before it says so; the others do neither, so each
//! time they are asked for that too (`sync`), where that can be had.

use super::{median, ratio, show, timed};
use crate::shell;
use anyhow::{Context, Result};
use caxton_tests::{Account, Sshd};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How often each is measured.
const RUNS: usize = 3;

/// The length of the large file.
const LARGE_MIB: usize = 1024;

/// How many small files there are, and how long they are.
const SMALL: (usize, usize) = (10_000, 1_000);

/// The program, the server, and a folder on a disk.
struct Transfer {
    caxplan: PathBuf,
    fleet: Sshd,
    folder: tempfile::TempDir,
}

/// Prints the table.
pub(crate) fn run() -> Result<()> {
    let bench = Transfer {
        caxplan: super::program()?,
        fleet: Sshd::start(1),
        folder: tempfile::tempdir_in(shell::target_dir()).context("a folder on the disk to measure")?,
    };
    bench.fill()?;
    shell::say(&format!(
        "{:<44} {:>10} {:>10} {:>12}",
        "what", "time", "to sftp", "to rsync"
    ));
    for (name, src, fresh) in [
        ("1 GiB, one file, upload", "large", true),
        ("1 GiB, one file, nothing to do", "large", false),
        ("10,000 files of 1 kB, upload", "small", true),
        ("10,000 files of 1 kB, nothing to do", "small", false),
    ] {
        let time = bench.median(fresh, || bench.ours("ssh.upload", src))?;
        let sftp = fresh
            .then(|| bench.median(fresh, || bench.sftp(src)))
            .transpose()?;
        let rsync = bench.median(fresh, || bench.rsync(src, true)).ok();
        row(name, time, sftp, rsync);
    }
    for (name, src) in [
        ("1 GiB, one file, download", "large"),
        ("10,000 files of 1 kB, download", "small"),
    ] {
        let time = bench.median(true, || bench.ours("ssh.download", src))?;
        let rsync = bench.median(true, || bench.rsync(src, false)).ok();
        row(name, time, None, rsync);
    }
    Ok(())
}

fn row(name: &str, time: Duration, sftp: Option<Duration>, rsync: Option<Duration>) {
    let beside = |of: Option<Duration>| of.map_or("-".to_owned(), |of| format!("{:.2}", ratio(time, of)));
    shell::say(&format!(
        "{name:<44} {:>10} {:>10} {:>12}",
        show(time),
        beside(sftp),
        beside(rsync)
    ));
}

impl Transfer {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn fill(&self) -> Result<()> {
        // No zeros: a file system or a tool may be quick with those.
        let chunk: Vec<u8> = (0_u32..1 << 18)
            .flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        let mut large = std::fs::File::create(self.path("large"))?;
        for _ in 0..LARGE_MIB {
            std::io::Write::write_all(&mut large, &chunk)?;
        }
        for number in 0..SMALL.0 {
            let folder = self.path("small").join((number / 100).to_string());
            std::fs::create_dir_all(&folder)?;
            let from = number % (chunk.len() - SMALL.1);
            std::fs::write(folder.join(number.to_string()), &chunk[from..from + SMALL.1])?;
        }
        Ok(())
    }

    /// The median, where the destination is removed before each time if it shall be `fresh`.
    fn median(&self, fresh: bool, mut measure: impl FnMut() -> Result<Duration>) -> Result<Duration> {
        let dest = self.path("dest");
        median(RUNS, || {
            if fresh {
                let _ = std::fs::remove_file(&dest);
                let _ = std::fs::remove_dir_all(&dest);
            }
            // What others wrote is not our load.
            rustix::fs::sync();
            measure()
        })
    }

    fn ours(&self, action: &str, src: &str) -> Result<Duration> {
        let mut plan = String::from("name: transfer\n");
        let _ = writeln!(plan, "{}", self.fleet.inventory(&Account::own()));
        let _ = writeln!(
            plan,
            "phases:\n  - name: go\n    steps:\n      - id: go\n        target: h1\n        action: {action}\n        with: {{src: {}, dest: {}}}",
            self.path(src).display(),
            self.path("dest").display()
        );
        let file = self.path("plan.yaml");
        std::fs::write(&file, plan)?;
        timed(
            Command::new(&self.caxplan)
                .arg("run")
                .arg(&file)
                .env("CAXPLAN_STATE_DIR", self.path("state")),
        )
    }

    fn sftp(&self, src: &str) -> Result<Duration> {
        let batch = self.path("batch");
        let flags = if src == "small" { "-r" } else { "" };
        std::fs::write(
            &batch,
            format!(
                "put {flags} {} {}\n",
                self.path(src).display(),
                self.path("dest").display()
            ),
        )?;
        let mut command = self.fleet.client("sftp");
        command
            .args(["-q", "-P", &self.fleet.port().to_string(), "-b"])
            .arg(&batch)
            .arg(format!("{}@{}", Account::own().name(), self.fleet.address(0)));
        let time = timed(&mut command)?;
        Ok(time + timed(&mut flush(self.folder.path()))?)
    }

    fn rsync(&self, src: &str, up: bool) -> Result<Duration> {
        let options = self.fleet.client_options().join(" ");
        let slash = if src == "small" { "/" } else { "" };
        let there = |name: &str| {
            format!(
                "{}@{}:{}{slash}",
                Account::own().name(),
                self.fleet.address(0),
                self.path(name).display()
            )
        };
        let here = |name: &str| format!("{}{slash}", self.path(name).display());
        let (from, to) = if up {
            (here(src), there("dest"))
        } else {
            (there(src), here("dest"))
        };
        let mut command = Command::new("rsync");
        command
            .args(["-a", "-e", &format!("ssh {options} -p {}", self.fleet.port())])
            .args([from, to]);
        let time = timed(&mut command)?;
        Ok(time + timed(&mut flush(self.folder.path()))?)
    }
}

/// Makes durable what was written.
fn flush(folder: &Path) -> Command {
    let mut command = Command::new("sync");
    command.arg("-f").arg(folder);
    command
}
