//! `caxton dev detach`: how a process leaves the session of the one that started it.

use crate::exit::Exit;
use anyhow::Context as _;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Detach {
    /// The program with its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    argv: Vec<OsString>,
}

impl Detach {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        rustix::process::setsid().context("cannot begin a session")?;
        let program = &self.argv[0];
        let error = Command::new(program).args(&self.argv[1..]).exec();
        Err(error).with_context(|| format!("cannot run {}", program.display()))
    }
}
