//! How a command ends.

use caxton_client::ClientError;
use std::io::Write as _;
use std::process::ExitCode;

/// What `--help` says about it.
pub(crate) const HELP: &str = "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the cluster does not answer; \
4 done, and the answer is no (unhealthy, different, damaged)";

/// How a command that did what it should ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Done,
    /// The answer is no: unhealthy, different, damaged.
    No,
}

impl Exit {
    /// `Done` if something holds, else `No`.
    pub(crate) fn when(holds: bool) -> Self {
        if holds { Self::Done } else { Self::No }
    }
}

/// The exit code; says why if it is a failure.
pub(crate) fn code(result: anyhow::Result<Exit>) -> ExitCode {
    match result {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::No) => ExitCode::from(4),
        Err(error) => {
            // Nobody may be reading; there is no one else to tell.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            match error.downcast_ref::<ClientError>() {
                Some(ClientError::Unreachable { .. }) => ExitCode::from(3),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
