//! `caxplan`: runs operational runbooks written as plans.

mod artefact;
mod command;
mod composition;
mod discover;
mod failure;
mod help;
mod plan;
mod select;
mod serve;
mod ui;

use clap::{FromArgMatches as _, Parser};
use failure::Failure;
use std::process::ExitCode;

/// Run operational runbooks written as plans: preview them, run them, resume them after a crash, roll them back.
#[derive(Debug, Parser)]
#[command(
    name = "caxplan",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 succeeded, 1 failed (can be resumed), 2 invalid plan or usage, 3 rolled back, \
                  4 rollback failed, 5 waits for a person, 6 lock held, 130 cancelled.\n\
                  A run is named by its id, a beginning of it that no other run has, or --last."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: command::Command,
}

fn main() -> ExitCode {
    let matches = help::command().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let code = arguments
        .command
        .execute()
        .unwrap_or_else(|failure| failure.report());
    match ui::write_error() {
        // What was asked for is not there, so it was not done.
        Some(error) if code == ExitCode::SUCCESS => {
            Failure::new(format!("the output could not be written: {error}")).report()
        }
        _ => code,
    }
}
