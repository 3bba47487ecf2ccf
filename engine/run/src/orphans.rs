//! Processes that an earlier engine of a run left behind.

use caxplan_model::RunId;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use std::time::{Duration, Instant};

/// The variable that every process of a run carries in its environment.
pub const RUN_ID_VARIABLE: &str = "CAXPLAN_RUN_ID";

/// How long killed processes may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// How often it is looked whether they are.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Ends every process that carries the run's mark, with its process group if it leads one, and waits until they are gone.
/// Answers their ids. Does nothing to processes of other runs, nor to those that were started with a clean environment;
/// nor to this process and its ancestors. An error means that some are still there.
pub fn end(run: &RunId) -> Result<Vec<u32>, Vec<u32>> {
    let mut ended = Vec::new();
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let left = marked(run);
        if left.is_empty() {
            ended.sort_unstable();
            return Ok(ended);
        }
        if Instant::now() > deadline {
            return Err(left);
        }
        for pid in left {
            kill(pid, run);
            if !ended.contains(&pid) {
                ended.push(pid);
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn kill(pid: u32, run: &RunId) {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    // The descriptor holds on to this very process; what it carries is read again behind it, for the id may have been
    // given to another process since.
    let Ok(process) = pidfd_open(id, PidfdFlags::empty()) else {
        return;
    };
    if carries_mark(pid, run) {
        if rustix::process::getpgid(Some(id)).is_ok_and(|group| group == id) {
            let _ = kill_process_group(id, Signal::KILL);
        }
        let _ = pidfd_send_signal(&process, Signal::KILL);
    }
}

fn marked(run: &RunId) -> Vec<u32> {
    let spared = self_and_ancestors();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| !spared.contains(pid) && carries_mark(*pid, run))
        .collect()
}

/// Whether the process carries the run's mark. A process that has ended and only waits to be collected has no
/// environment any more.
fn carries_mark(pid: u32, run: &RunId) -> bool {
    let mark = format!("{RUN_ID_VARIABLE}={run}");
    std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|pair| pair == mark.as_bytes())
    })
}

fn self_and_ancestors() -> Vec<u32> {
    let mut line = Vec::new();
    let mut next = Some(std::process::id());
    while let Some(pid) = next.filter(|pid| *pid > 0 && !line.contains(pid)) {
        line.push(pid);
        next = parent(pid);
    }
    line
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it stands in parentheses and may itself hold some.
    let behind_name = stat.rsplit_once(')')?.1;
    behind_name.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{RUN_ID_VARIABLE, end};
    use caxplan_model::RunId;
    use std::process::{Command, Stdio};

    fn sleeper(mark: Option<&str>) -> std::process::Child {
        let mut command = Command::new("sleep");
        command
            .arg("600")
            .stdin(Stdio::null())
            .env_remove(RUN_ID_VARIABLE);
        if let Some(run) = mark {
            command.env(RUN_ID_VARIABLE, run);
        }
        command.spawn().expect("sleep is there")
    }

    #[test]
    fn only_processes_of_the_run_are_ended() {
        let run = format!("orphan-test-{}", std::process::id());
        let mut ours = sleeper(Some(&run));
        let mut other = sleeper(Some(&format!("{run}-other")));
        let mut clean = sleeper(None);
        let ended = end(&RunId::new(run.as_str())).expect("gone");
        assert_eq!(ended, vec![ours.id()]);
        assert!(!ours.wait().expect("collected").success());
        for spared in [&mut other, &mut clean] {
            assert_eq!(spared.try_wait().expect("asked"), None);
            spared.kill().expect("killed");
            spared.wait().expect("collected");
        }
    }
}
