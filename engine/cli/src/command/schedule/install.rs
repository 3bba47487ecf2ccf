//! `caxplan schedule install`.

use super::sources::{Reader, Sources, With};
use super::{crontab, systemd};
use crate::failure::{Answer, Failure};
use crate::ui;
use caxplan_run::{Ledger, StateDir};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write what runs the plans of a folder at their times: a line of your crontab, or timers of systemd
///
/// Doing it again replaces what was written before.
#[derive(Debug, Args)]
pub(crate) struct Install {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    with: With,
    #[command(flatten)]
    place: Place,
    /// Print what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Where it is written.
#[derive(Clone, Debug, Args)]
pub(super) struct Place {
    /// Into the crontab of the user who runs this
    #[arg(long, required_unless_present = "systemd", conflicts_with = "systemd")]
    pub(super) crontab: bool,
    /// As units of systemd: a timer and a service for each plan
    #[arg(long)]
    pub(super) systemd: bool,
    /// With --systemd: as units of your own, not of the machine
    #[arg(long, requires = "systemd")]
    pub(super) user: bool,
}

/// The programs and folders that a line or unit names.
pub(super) struct Names {
    pub(super) program: PathBuf,
    pub(super) state: PathBuf,
    /// `--use` and `--inventory`, absolute.
    pub(super) with: Vec<String>,
}

impl Install {
    pub(crate) fn execute(self) -> Answer {
        let dir = StateDir::locate()?;
        let found = Reader::default().read(&self.sources)?;
        if let Some(bad) = found.bad.first() {
            ui::say(&bad.all);
            let message = format!("{} is no valid plan; nothing was written", bad.file.display());
            return Err(Failure::invalid(message));
        }
        if found.scheduled.is_empty() {
            ui::say("no plan there has a schedule yet\n");
        }
        let mut with = Vec::new();
        for library in &self.with.libraries {
            with.push("--use".to_owned());
            with.push(std::path::absolute(library)?.to_string_lossy().into_owned());
        }
        if let Some(inventory) = &self.with.inventory {
            with.push("--inventory".to_owned());
            with.push(std::path::absolute(inventory)?.to_string_lossy().into_owned());
        }
        let names = Names {
            program: std::env::current_exe()?,
            state: std::path::absolute(dir.root())?,
            with,
        };
        let folders = folders(&self.sources)?;
        if self.place.crontab {
            crontab::install(&folders, &names, self.dry_run)?;
        } else {
            systemd::install(&folders, &found.scheduled, &names, self.place.user, self.dry_run)?;
        }
        if !self.dry_run {
            // From now on it watches: what comes after this moment counts.
            let mut ledger = Ledger::open(&dir)?;
            for one in &found.scheduled {
                ledger.considered(&one.key, one.times(), caxplan_run::now())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What was named on the command line, absolute.
pub(super) fn folders(sources: &Sources) -> Answer<Vec<String>> {
    let absolute = sources.paths.iter().map(|path| {
        let mut path = path.clone();
        path.file = std::path::absolute(&path.file)?;
        let text = path.to_string();
        match text.contains('\n') {
            true => Err(Failure::invalid(format!(
                "{text:?}: a folder with a line break in its name"
            ))),
            false => Ok(text),
        }
    });
    absolute.collect()
}
