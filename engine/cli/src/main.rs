//! `caxplan`: runs operational runbooks written as plans.

mod command;
mod composition;
mod failure;
mod plan;
mod select;
mod ui;

use clap::Parser;
use std::process::ExitCode;

/// Run operational runbooks written as plans: preview them, run them, resume them after a crash, roll them back.
///
/// Exit codes: 0 succeeded, 1 failed (can be resumed), 2 invalid plan or usage, 3 rolled back, 4 rollback failed,
/// 5 waits for a person, 6 lock held, 130 cancelled.
#[derive(Debug, Parser)]
#[command(name = "caxplan", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: command::Command,
}

fn main() -> ExitCode {
    match Arguments::parse().command.execute() {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
