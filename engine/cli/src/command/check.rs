//! `caxplan check`.

use crate::composition::{registry, runtime};
use crate::failure::{Answer, FAILED, Failure};
use crate::plan::{Checked, PlanArguments};
use crate::ui::checks::{self, Line, LiveLines};
use crate::ui::{self, Listing};
use caxplan_core::load::Monitor;
use caxplan_run::{Registry, StateDir, Verdict, decide, look};
use clap::Args;
use futures_util::future::join_all;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Look at what monitors and alert rules watch, and do what an alert that fires asks for
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    plan: PlanArguments,
    /// Only these monitors or alert rules
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Look again and again, and say only what changes, until interrupted
    #[arg(long)]
    watch: bool,
    /// How to show what was seen
    #[arg(long, value_enum, default_value_t)]
    output: Listing,
}

impl Check {
    pub(crate) fn execute(mut self) -> Answer {
        self.plan.may_contact(true);
        if self.watch && self.output == Listing::Yaml {
            return Err(Failure::invalid(
                "what --watch sees is shown as lines of text or JSON",
            ));
        }
        let dir = StateDir::locate()?;
        let registry = registry(&dir);
        let monitors = match self.plan.monitors(&registry)? {
            Checked::Valid(monitors) => self.chosen(monitors)?,
            Checked::Invalid(code) => return Ok(code),
        };
        let checking = Checking {
            dir,
            registry,
            file: self.plan.absolute()?,
            stop: CancellationToken::new(),
        };
        let runtime = runtime()?;
        if self.watch {
            return runtime.block_on(checking.watch(&monitors, self.output));
        }
        let each = monitors.iter().map(|monitor| checking.once(monitor));
        let lines: Vec<Line> = runtime.block_on(join_all(each)).into_iter().flatten().collect();
        self.output
            .print(&checks::as_data(&lines), || checks::tables(&lines));
        for problem in lines.iter().filter_map(Line::problem) {
            ui::say(&format!("{problem}\n"));
        }
        Ok(match lines.iter().all(Line::is_well) {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(FAILED),
        })
    }

    /// Those of the file that the user named; all of them if none.
    fn chosen(&self, monitors: Vec<Monitor>) -> Answer<Vec<Monitor>> {
        let mut names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        names.extend(self.plan.file()?.entry.as_deref());
        if let Some(unknown) = names
            .iter()
            .find(|name| monitors.iter().all(|monitor| monitor.name != **name))
        {
            let known: Vec<&str> = monitors.iter().map(|monitor| monitor.name.as_str()).collect();
            let file = self.plan.file()?.file.display();
            return Err(Failure::invalid(format!("{file} holds no `{unknown}`"))
                .hint(format!("it holds {}", known.join(", "))));
        }
        Ok(monitors
            .into_iter()
            .filter(|monitor| names.is_empty() || names.contains(&monitor.name.as_str()))
            .collect())
    }
}

struct Checking {
    dir: StateDir,
    registry: Registry,
    file: PathBuf,
    stop: CancellationToken,
}

impl Checking {
    /// One look at one monitor, and what follows from it.
    async fn once(&self, monitor: &Monitor) -> Vec<Line> {
        let answers = match look(&self.registry, monitor, &self.file, &self.stop).await {
            Ok(answers) => answers,
            // Without its secrets nothing can be told.
            Err(error) => monitor
                .checks
                .iter()
                .map(|check| caxplan_run::Answer {
                    check: check.text.clone(),
                    verdict: Verdict::Unknown,
                    seen: error.to_string(),
                })
                .collect(),
        };
        let Some(rule) = &monitor.rule else {
            let line = |answer| Line::of_monitor(&monitor.name, answer);
            return answers.into_iter().map(line).collect();
        };
        let mut lines = Vec::with_capacity(answers.len());
        for answer in answers {
            let file: &Path = &self.file;
            let decided = decide(&self.dir, &self.registry, file, monitor, rule, &answer).await;
            lines.push(Line::of_alert(&monitor.name, rule.severity, answer, decided));
        }
        lines
    }

    /// Each monitor by itself, as often as it says, so that a slow one, or an action that takes long, holds up no other.
    async fn watch(&self, monitors: &[Monitor], output: Listing) -> Answer {
        let live = RefCell::new(LiveLines::new(output));
        ui::say(&format!(
            "watching {} in {}; interrupt to end\n",
            checks::count(monitors),
            self.file.display()
        ));
        let each = monitors.iter().map(|monitor| {
            let live = &live;
            async move {
                while !self.stop.is_cancelled() {
                    let due = tokio::time::Instant::now() + monitor.every.as_std();
                    let lines = self.once(monitor).await;
                    if self.stop.is_cancelled() {
                        // Cut short: it says nothing of what is watched.
                        return;
                    }
                    live.borrow_mut().show(lines, caxplan_run::now());
                    tokio::select! {
                        () = tokio::time::sleep_until(due) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
            }
        });
        let all = join_all(each);
        tokio::join!(all, self.until_told_to_end()).1?;
        Ok(ExitCode::SUCCESS)
    }

    /// Waits for a signal, then lets everything end. An action that is going on is told by its own engine.
    async fn until_told_to_end(&self) -> std::io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        self.stop.cancel();
        Ok(())
    }
}
