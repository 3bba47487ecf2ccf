//! `caxplan schedule uninstall`.

use super::install::{Place, folders};
use super::sources::Sources;
use super::{crontab, systemd};
use crate::failure::Answer;
use clap::Args;
use std::process::ExitCode;

/// Remove what `install` wrote
#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    place: Place,
    /// Print what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

impl Uninstall {
    pub(crate) fn execute(self) -> Answer {
        let folders = folders(&self.sources)?;
        if self.place.crontab {
            crontab::uninstall(&folders, self.dry_run)?;
        } else {
            systemd::uninstall(&folders, self.place.user, self.dry_run)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
