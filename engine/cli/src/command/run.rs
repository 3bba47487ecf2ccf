//! `caxplan run`.

use super::preview::{self, Rendering};
use crate::artefact;
use crate::composition::{registry, runtime};
use crate::failure::{Answer, Failure};
use crate::plan::{Checked, PlanArguments};
use crate::ui::{self, Loudness, Show};
use caxplan_model::{IfHeld, InDoubtPolicy, RunEnd};
use caxplan_run::{Claim, LockError, Orders, Session, SessionError, StateDir};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// Run a plan
#[derive(Debug, Args)]
#[command(mut_arg("plan", |plan| plan.required(false).required_unless_present("preview")))]
pub(crate) struct Run {
    #[command(flatten)]
    plan: PlanArguments,
    /// Run what a saved preview shows, and refuse if the plan, its inputs or its targets have moved since
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    preview: Option<PathBuf>,
    /// Preview only: say what would happen, change nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: contact nothing
    #[arg(long, requires = "dry_run")]
    offline: bool,
    /// How to show the run (text, json), or its preview (text, markdown, json, mermaid, dot)
    #[arg(long, value_enum, default_value_t)]
    output: Rendering,
    #[command(flatten)]
    how: How,
}

/// How a run is carried out and shown: the same for `run` and `resume`.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// Show what the steps put out, too
    #[arg(short, long)]
    verbose: bool,
    /// Say nothing unless something is wrong, or a person is needed
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Approve whatever asks for an approval, and an edited plan
    #[arg(short, long)]
    yes: bool,
    /// What to do about a step that may have acted when its engine died, and that nothing else decides
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    in_doubt: InDoubt,
}

/// What to do about a step in doubt.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum InDoubt {
    /// Stop and ask
    #[default]
    Ask,
    /// Run it again
    Rerun,
    /// Take it as done
    AssumeDone,
    /// Take it as failed; a rollback will undo it
    Fail,
}

impl Run {
    pub(crate) fn execute(mut self) -> Answer {
        self.plan.may_contact(!self.offline);
        if self.dry_run {
            return preview::preview(&self.plan, self.offline, self.output, None);
        }
        let show = match self.output {
            Rendering::Text => Show::Text,
            Rendering::Json => Show::Json,
            Rendering::Yaml | Rendering::Markdown | Rendering::Mermaid | Rendering::Dot => {
                return Err(
                    Failure::invalid("a run is shown as text or json").hint("add --dry-run for its preview")
                );
            }
        };
        let previewed = self.preview.as_deref().map(artefact::read).transpose()?;
        if let Some(previewed) = &previewed {
            artefact::complete(&mut self.plan, &previewed.inputs);
        }
        let dir = StateDir::locate()?;
        let registry = registry(&dir);
        let loaded = match self.plan.load_or_ask(&registry)? {
            Checked::Valid(loaded) => *loaded,
            Checked::Invalid(code) => return Ok(code),
        };
        let plan = self.plan.absolute()?;
        runtime()?.block_on(async {
            if let Some(previewed) = &previewed {
                artefact::check(previewed, &dir, &registry, &self.plan, &loaded).await?;
            }
            let claim = Claim::new(&dir, &loaded.graph.header.name, None)?;
            let if_held = loaded.graph.header.lock_policy.if_held;
            let created = Session::create_as(&dir, registry, &plan, loaded, claim, &mut say_wait).await;
            let session = match created {
                Err(SessionError::Lock(held @ LockError::Held { .. })) if if_held == IfHeld::Skip => {
                    ui::say(&format!("skipped: {held}\n"));
                    return Ok(ExitCode::SUCCESS);
                }
                created => created?,
            };
            self.how.carry_out(show, session, Orders::default()).await
        })
    }
}

impl How {
    /// How a run is carried out that nobody looks at: it says nothing unless something is wrong.
    pub(crate) fn unattended() -> Self {
        Self {
            verbose: false,
            quiet: true,
            yes: false,
            in_doubt: InDoubt::Ask,
        }
    }

    /// Whether a person has said yes to all.
    pub(crate) fn says_yes(&self) -> bool {
        self.yes
    }

    fn loudness(&self) -> Loudness {
        match (self.quiet, self.verbose) {
            (true, _) => Loudness::Quiet,
            (false, true) => Loudness::Verbose,
            (false, false) => Loudness::Normal,
        }
    }

    /// Runs a session to its end, shows it, and says what came of it.
    pub(crate) async fn carry_out(&self, show: Show, session: Session, orders: Orders) -> Answer {
        let began = caxplan_run::now();
        let run = session.id().clone();
        let orders = Orders {
            in_doubt: self.in_doubt.policy(),
            approve_as: self.yes.then(|| format!("--yes of {}", caxplan_run::user())),
            ..orders
        };
        if show == Show::Text && !self.quiet {
            ui::say(&format!("run {run}\n"));
        }
        // Where nobody looks, and where somebody has said yes to all, nobody is asked.
        let person = if show == Show::Text && !self.yes {
            ui::ask::person()
        } else {
            None
        };
        let mut observer = ui::observer(
            show,
            self.loudness(),
            person.is_some(),
            &run,
            session.state().graph(),
        );
        if !session.ended_orphans().is_empty() {
            let pids = session.ended_orphans();
            observer.notice(&format!(
                "ended what an earlier engine left running: processes {pids:?}"
            ));
        }
        let carried_out = session.run_with(orders, observer, person).await;
        let (end, state) = carried_out.map_err(|error| {
            let resume = format!("caxplan resume {run}");
            Failure::from(error).then(&resume)
        })?;
        if self.quiet && show == Show::Text && end == RunEnd::Succeeded {
            return Ok(ExitCode::SUCCESS);
        }
        Ok(ui::finish(
            show,
            &run,
            end,
            &state,
            caxplan_run::now().since(began),
        ))
    }
}

/// Says what a queued run waits for.
pub(crate) fn say_wait(held: &LockError) {
    ui::say(&format!("waiting: {held}\n"));
}

impl InDoubt {
    fn policy(self) -> InDoubtPolicy {
        match self {
            Self::Ask => InDoubtPolicy::Ask,
            Self::Rerun => InDoubtPolicy::Rerun,
            Self::AssumeDone => InDoubtPolicy::AssumeDone,
            Self::Fail => InDoubtPolicy::Fail,
        }
    }
}
