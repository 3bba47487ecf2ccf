//! Starting the program of one run, and what it says by its end.

use super::look::Due;
use super::sources::With;
use crate::failure::Answer;
use std::process::{Command, ExitCode, Output, Stdio};

/// The end of a `fire` that has left its run out, as its plan says. It has said so.
pub(super) const LEFT_OUT: u8 = 75;

/// The program that claims the time, runs the plan, and ends with the run's code. It says nothing if all is well.
pub(super) fn command(due: &Due, with: &With) -> Answer<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["schedule", "fire"])
        .arg(due.scheduled.path().to_string())
        .arg(format!("--due={}", due.due.0));
    if let Some(run) = &due.run {
        command.arg(format!("--run={run}"));
    }
    for library in &with.libraries {
        command.arg("--use").arg(library);
    }
    if let Some(inventory) = &with.inventory {
        command.arg("--inventory").arg(inventory);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// The exit code of a run, and what is to be said about it: nothing if all is well.
pub(super) fn judge(due: &Due, output: &Output) -> (u8, String) {
    use std::os::unix::process::ExitStatusExt as _;
    let code = match output.status.code() {
        Some(code) => u8::try_from(code).unwrap_or(1),
        None => 130,
    };
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stdout));
    let one = &due.scheduled;
    let at = one.local(due.due);
    match code {
        0 => (0, String::new()),
        LEFT_OUT => (0, said),
        code => {
            let ended = match output.status.signal() {
                Some(signal) => format!("ended by signal {signal}"),
                None => format!("exit code {code}"),
            };
            (code, format!("{one}, due {at}: {ended}\n{said}"))
        }
    }
}

/// The worst of several exit codes: an invalid plan and a failed rollback before all others.
pub(super) fn worst(codes: impl IntoIterator<Item = u8>) -> ExitCode {
    const FROM_GOOD_TO_BAD: [u8; 8] = [0, 5, 6, 130, 3, 1, 2, 4];
    let rank = |code: &u8| {
        let known = FROM_GOOD_TO_BAD.iter().position(|of| of == code);
        known.unwrap_or(FROM_GOOD_TO_BAD.len())
    };
    ExitCode::from(codes.into_iter().max_by_key(rank).unwrap_or(0))
}
