//! Processes that outlive the command that started them, and are found again.

use anyhow::{Context as _, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Environment that a detached process gets; nothing else of the caller's reaches it.
const ENVIRONMENT: [&str; 6] = ["PATH", "HOME", "LANG", "TMPDIR", "TZ", "RUST_LOG"];
/// How long a process may take to end after it was asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// How long a killed process may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How often to look whether it has.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How much of a log an error shows, in lines.
const TAIL_LINES: usize = 5;

/// A program in a folder of its own: its log, and who runs it.
pub(super) struct Program {
    folder: PathBuf,
}

/// Which process it is. A process id alone may be somebody else's by now; with the time of its start it is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// In ticks since the machine started, as the kernel says it. It stays when another binary takes over by exec.
    started: u64,
}

impl Program {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The process, if it runs.
    pub(super) fn process(&self) -> Option<Process> {
        let text = fs::read(self.folder.join("process.json")).ok()?;
        let process: Process = serde_json::from_slice(&text).ok()?;
        (started(process.pid) == Some(process.started)).then_some(process)
    }

    /// Starts a process in a session of its own, with a clean environment, and its output in `log`. Does not wait for it.
    pub(super) fn start(&self, binary: &Path, arguments: &[&str]) -> anyhow::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let log = self.log();
        let output = || -> std::io::Result<File> { OpenOptions::new().create(true).append(true).open(&log) };
        let kept = ENVIRONMENT
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let child = Command::new(std::env::current_exe()?)
            .args(["dev", "detach", "--"])
            .arg(binary)
            .args(arguments)
            .env_clear()
            .envs(kept)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let pid = i32::try_from(child.id())?;
        let Some(started) = started(pid) else {
            bail!("{} ended at once: {}", binary.display(), self.tail());
        };
        let process = serde_json::to_vec(&Process { pid, started })?;
        fs::write(self.folder.join("process.json"), process)?;
        Ok(())
    }

    /// Asks the process to end, waits until it has, and kills it if it does not. False if it did not run.
    pub(super) async fn stop(&self) -> anyhow::Result<bool> {
        let Some(process) = self.process() else {
            return Ok(false);
        };
        process.signal(Signal::TERM)?;
        if !self.wait_gone(STOP_PATIENCE).await {
            process.signal(Signal::KILL)?;
            self.wait_gone(KILL_PATIENCE).await;
        }
        Ok(true)
    }

    /// Kills the process and waits until it is gone. False if it did not run.
    pub(super) async fn kill(&self) -> anyhow::Result<bool> {
        let Some(process) = self.process() else {
            return Ok(false);
        };
        process.signal(Signal::KILL)?;
        if !self.wait_gone(KILL_PATIENCE).await {
            bail!("process {} is still there after it was killed", process.pid);
        }
        Ok(true)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The end of the log, for an error.
    pub(super) fn tail(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        format!("{tail}\n(log: {})", self.log().display())
    }

    async fn wait_gone(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.process().is_some() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        true
    }
}

impl Process {
    /// Sends a signal to this process and to no other, even if it ends meanwhile and its id is used again.
    fn signal(self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(self.pid).context("a process id is positive")?;
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
            return Ok(()); // It is gone.
        };
        // The handle names the process that had the id just now; if that is ours, it is the right one for good.
        if started(self.pid) != Some(self.started) {
            return Ok(());
        }
        match pidfd_send_signal(&handle, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot send a signal to process {}", self.pid)),
        }
    }
}

/// When a process started; `None` if it is gone, or has ended and only waits for its parent to ask.
fn started(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name in parentheses, may hold anything: count from its end. See proc(5).
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(started)
}
