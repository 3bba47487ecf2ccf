//! `caxplan completions`.

use crate::failure::Answer;
use crate::{help, ui};
use clap::Args;
use clap_complete::Shell;
use std::process::ExitCode;

/// Print what a shell needs to complete this program's command line
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn execute(&self) -> Answer {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut help::command(), "caxplan", &mut script);
        ui::print(&String::from_utf8_lossy(&script));
        Ok(ExitCode::SUCCESS)
    }
}
