//! `caxplan schedule`: plans that run by themselves.
//!
//! `run-due`, the timers that call it, and `daemon` are one thing: each looks which times have passed (`look`), and
//! starts a program of its own for each run (`fire`), which claims the time before anything else.

mod conflicts;
mod crontab;
mod daemon;
mod fire;
mod from_time;
mod install;
mod list;
mod look;
mod next;
mod run_due;
mod sources;
mod start;
mod systemd;
mod told;
mod uninstall;

use crate::failure::Answer;
use clap::Subcommand;

/// Run plans at their times: list the times, start what is due, install what looks
#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    RunDue(run_due::RunDue),
    Daemon(daemon::Daemon),
    Next(next::Next),
    Conflicts(conflicts::Conflicts),
    List(list::List),
    Install(install::Install),
    Uninstall(uninstall::Uninstall),
    #[command(hide = true)]
    Fire(fire::Fire),
}

impl Schedule {
    /// Does it.
    pub(crate) fn execute(self) -> Answer {
        match self {
            Self::RunDue(run_due) => run_due.execute(),
            Self::Daemon(daemon) => daemon.execute(),
            Self::Next(next) => next.execute(),
            Self::Conflicts(conflicts) => conflicts.execute(),
            Self::List(list) => list.execute(),
            Self::Install(install) => install.execute(),
            Self::Uninstall(uninstall) => uninstall.execute(),
            Self::Fire(fire) => fire.execute(),
        }
    }
}
