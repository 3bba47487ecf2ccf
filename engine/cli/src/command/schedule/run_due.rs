//! `caxplan schedule run-due`.

use super::look::look;
use super::sources::{Reader, Sources, With};
use super::start::{command, judge, worst};
use super::told::Told;
use crate::failure::{Answer, FAILED, INVALID};
use crate::ui;
use caxplan_run::{Ledger, StateDir};
use clap::Args;

/// Run what is due now and wait for its end; say nothing if all is well. For crontab and timers, once a minute
///
/// The exit code is the worst of the runs'.
#[derive(Debug, Args)]
pub(crate) struct RunDue {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    with: With,
}

impl RunDue {
    pub(crate) fn execute(self) -> Answer {
        let dir = StateDir::locate()?;
        let mut ledger = Ledger::open(&dir)?;
        let found = Reader::default().read(&self.sources)?;
        let mut codes = Vec::new();
        let looked_at = self.sources.paths.iter();
        let looked_at = looked_at.map(|path| std::path::absolute(&path.file));
        let looked_at = looked_at.collect::<Result<Vec<_>, _>>()?;
        for bad in Told::read(&dir).news(&found.bad, &looked_at)? {
            ui::say(&bad.all);
        }
        codes.extend(found.bad.iter().map(|_| INVALID));
        let look = look(&mut ledger, &found.scheduled, caxplan_run::now())?;
        for note in &look.notes {
            ui::say(&format!("{note}\n"));
        }
        // No connection stays open while the runs go on, for hours perhaps.
        drop(ledger);
        let with = &self.with;
        let ended: Vec<(u8, String)> = std::thread::scope(|scope| {
            let runs: Vec<_> = look
                .due
                .iter()
                .map(|due| {
                    scope.spawn(move || (due, command(due, with).and_then(|mut run| Ok(run.output()?))))
                })
                .collect();
            let ends = runs.into_iter().flat_map(std::thread::ScopedJoinHandle::join);
            ends.map(|(due, output)| match output {
                Ok(output) => judge(due, &output),
                Err(failure) => {
                    failure.report();
                    (FAILED, String::new())
                }
            })
            .collect()
        });
        for (code, said) in ended {
            ui::say(&said);
            codes.push(code);
        }
        Ok(worst(codes))
    }
}
