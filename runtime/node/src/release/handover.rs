//! From one binary to the other, in the same process.

use super::{Layout, ReleaseError};
use caxton_model::Version;
use std::convert::Infallible;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// How often a new release may begin to start without coming up before the node goes back to the one before.
const STARTS_MAX: u32 = 3;

/// Who goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// The running binary.
    Stay,
    /// The binary of the release `current`: call [`exec_current`].
    Exec,
}

/// Decides, before a node starts, whether this binary or that of the release `current` runs it. Counts the starts of a
/// release that was just switched to, and goes back to the one before if it does not come up.
pub fn before_start(data_dir: &Path, running: &Version) -> Result<Handover, ReleaseError> {
    let layout = Layout::new(data_dir);
    let mut record = layout.record(running)?;
    if record.status.phase == "switching" {
        if record.starts >= STARTS_MAX {
            give_up(
                data_dir,
                running,
                &format!("it was started {STARTS_MAX} times and did not come up"),
            )?;
        } else if is_current(&layout) {
            record.starts += 1;
            layout.set_record(&record)?;
        }
    }
    Ok(match layout.current() {
        Some(_) if !is_current(&layout) => Handover::Exec,
        Some(_) | None => Handover::Stay,
    })
}

/// Notes that a switch under way has failed, and makes the release before the current one again. Returns whether there
/// was such a switch; if so, call [`exec_current`].
pub fn give_up(data_dir: &Path, running: &Version, reason: &str) -> Result<bool, ReleaseError> {
    let layout = Layout::new(data_dir);
    let mut record = layout.record(running)?;
    let from = record.status.from.clone();
    if record.status.phase != "switching" || !layout.binary(&from).is_file() {
        return Ok(false);
    }
    let to = record
        .status
        .to
        .as_ref()
        .map_or("the new release", Version::as_str);
    record.status.error = Some(format!(
        "{to} did not start: {reason}; the node went back to {from}"
    ));
    record.status.phase = "failed".to_owned();
    layout.set_current(&from)?;
    layout.set_previous(None)?;
    layout.set_record(&record)?;
    Ok(true)
}

/// Replaces this process's program by the binary of the release `current`, with the same arguments and the same process
/// id. Returns only if that failed. All that must be durable has to be so before.
pub fn exec_current(data_dir: &Path) -> Result<Infallible, ReleaseError> {
    let layout = Layout::new(data_dir);
    let version = layout.current().ok_or(ReleaseError::NoPrevious)?;
    let binary = layout.binary(&version);
    let source = Command::new(&binary).args(std::env::args_os().skip(1)).exec();
    Err(ReleaseError::Io {
        action: "run",
        path: binary,
        source,
    })
}

/// Whether the running binary is that of the release `current`. It is after an exec of it, so that execs cannot go round
/// in circles.
fn is_current(layout: &Layout) -> bool {
    let current = layout
        .current()
        .and_then(|version| layout.binary(&version).canonicalize().ok());
    let running = std::env::current_exe()
        .ok()
        .and_then(|exe| exe.canonicalize().ok());
    current.is_some() && current == running
}
