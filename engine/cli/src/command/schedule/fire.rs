//! `caxplan schedule fire`: claims one due time and runs its plan. Started by those who look at the clock.

use super::sources::{Reader, Sources, With};
use super::start::LEFT_OUT;
use crate::command::run::How;
use crate::composition::{registry, runtime};
use crate::failure::{Answer, Failure};
use crate::plan::{Checked, PlanArguments, PlanPath};
use crate::ui::{self, Show};
use caxplan_model::{IfHeld, RunId, Timestamp};
use caxplan_run::{Claim, Fate, Grant, Ledger, LockError, Orders, Session, SessionError, StateDir};
use clap::Args;
use std::process::ExitCode;

/// Run a plan for one due time of its schedule
#[derive(Debug, Args)]
pub(crate) struct Fire {
    plan: PlanPath,
    /// The due time, in milliseconds since 1970
    #[arg(long)]
    due: u64,
    /// The run that was claimed for it before
    #[arg(long)]
    run: Option<String>,
    #[command(flatten)]
    with: With,
}

impl Fire {
    pub(crate) fn execute(self) -> Answer {
        let due = Timestamp(self.due);
        let dir = StateDir::locate()?;
        let mut ledger = Ledger::open(&dir)?;
        let sources = Sources {
            paths: vec![self.plan.clone()],
        };
        let found = Reader::default().read(&sources)?;
        if let Some(bad) = found.bad.first() {
            return Err(Failure::invalid(format!("{}: {}", bad.file.display(), bad.line)));
        }
        let Some(one) = found.scheduled.first() else {
            // It was edited in this moment.
            return Ok(ExitCode::SUCCESS);
        };
        let registry = registry(&dir);
        let mut plan = PlanArguments {
            plan: Some(self.plan),
            libraries: self.with.libraries,
            inventory: self.with.inventory,
            ..PlanArguments::default()
        };
        plan.may_contact(true);
        let loaded = match plan.load_with(&registry, &one.schedule.params)? {
            Checked::Valid(loaded) => loaded,
            Checked::Invalid(code) => {
                ledger.refuse(&one.key, due, "the plan does not load", caxplan_run::now())?;
                return Ok(code);
            }
        };
        let name = &loaded.graph.header.name;
        let claim = match Claim::new(&dir, name, self.run.map(RunId::new)) {
            // Another process has taken the same dead claim up.
            Err(LockError::RunIsGoingOn { .. }) => return Ok(ExitCode::SUCCESS),
            claim => claim?,
        };
        let (overlap, now) = (one.schedule.overlap, caxplan_run::now());
        match ledger.claim(&one.key, name, due, claim.run(), overlap, now)? {
            Grant::Granted => {}
            Grant::Gone => return Ok(ExitCode::SUCCESS),
            Grant::Held(fate, runs) => {
                let word = match fate {
                    Fate::Queued => "queued",
                    Fate::Claimed | Fate::Overlapped | Fate::Missed | Fate::Refused => "skipped",
                };
                let runs: Vec<&str> = runs.iter().map(RunId::as_str).collect();
                let (at, runs) = (one.local(due), runs.join(", "));
                ui::say(&format!(
                    "{word}: {one}, due {at}: run {runs} is still going on\n"
                ));
                return Ok(ExitCode::from(LEFT_OUT));
            }
        }
        let file = plan.absolute()?;
        let if_held = loaded.graph.header.lock_policy.if_held;
        runtime()?.block_on(async {
            let created = Session::create_as(&dir, registry, &file, *loaded, claim, &mut |_| {}).await;
            let session = match created {
                Ok(session) => session,
                Err(error) => {
                    let is_skipped = matches!(&error, SessionError::Lock(LockError::Held { .. }))
                        && if_held == IfHeld::Skip;
                    ledger.refuse(&one.key, due, &error.to_string(), caxplan_run::now())?;
                    if is_skipped {
                        ui::say(&format!("skipped: {one}, due {}: {error}\n", one.local(due)));
                        return Ok(ExitCode::from(LEFT_OUT));
                    }
                    return Err(error.into());
                }
            };
            How::unattended()
                .carry_out(Show::Text, session, Orders::default())
                .await
        })
    }
}
