//! What is done about an alert: its action, as a run in the journal, once for each time that it fires.
//!
//! Where the alert stands is made durable before anything is done about it, with the id that the action's run will have. A
//! check that finds an alert firing whose action has not succeeded looks that run up: it is created if it is not there,
//! resumed if it failed or its engine died, and otherwise left to whoever has it.

use super::look::{Answer, Verdict};
use super::store::{Alerts, StoredAlert};
use crate::journal::{Journal, JournalError, RunName};
use crate::lock::{Claim, Holder, LockError, Locks, engine_of};
use crate::observe::Unobserved;
use crate::session::{Session, new_run_id};
use crate::{Orders, Registry, StateDir, clock};
use caxplan_core::load::{Loaded, Monitor, Rule};
use caxplan_core::monitor::{Change, Seen, Standing, next, tell};
use caxplan_model::{LockName, RunEnd, RunId};
use std::error::Error;
use std::path::Path;

/// What became of an alert by one look.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Where it stands now.
    pub standing: Standing,
    /// What is new.
    pub change: Option<Change>,
    /// What became of its action.
    pub action: Action,
}

/// What became of an alert's action.
#[derive(Clone, Debug)]
pub enum Action {
    /// There is nothing to do.
    None,
    /// It was done by an earlier check.
    DoneBefore(RunId),
    /// It was done now.
    Done(RunId),
    /// Its run did not succeed. It is resumed by the next check, if it failed; else a person must look.
    NotDone(RunId, RunEnd),
    /// Its run could not be started, for this reason. The next check tries again.
    NotStarted(String),
    /// Another process is at work on it.
    Busy,
    /// The alert is over, and its action never succeeded.
    GivenUp(RunId),
}

/// Decides what an answer about a rule's condition means, and does what is to be done. `file` is the file of the rule,
/// absolute.
///
/// # Errors
/// For a person: where the alert stands could not be read or kept. Nothing was done then.
pub async fn decide(
    dir: &StateDir,
    registry: &Registry,
    file: &Path,
    monitor: &Monitor,
    rule: &Rule,
    answer: &Answer,
) -> Result<Decided, String> {
    let alerts = Alerts::open(dir)?;
    let name = monitor.name.as_str();
    let Some(_lock) = take(dir, file, name)? else {
        return Ok(Decided {
            standing: alerts.load(file, name)?.standing,
            change: None,
            action: Action::Busy,
        });
    };
    let before = alerts.load(file, name)?;
    let seen = match answer.verdict {
        Verdict::Holds => Seen::Holds,
        Verdict::HoldsNot => Seen::HoldsNot,
        Verdict::Unknown => Seen::Unknown,
    };
    let (standing, change) = next(&before.standing, seen, rule.duration, clock::now(), &new_run_id());
    let seen = match change {
        Some(Change::Pending | Change::Firing) => answer.seen.clone(),
        Some(Change::Resolved | Change::Calmed) | None => before.seen.clone(),
    };
    let mut now = StoredAlert { standing, seen };
    if now != before {
        alerts.save(file, name, &now)?;
    }
    let action = match (&now.standing, change) {
        (_, Some(Change::Resolved)) if before.standing.must_act() => before
            .standing
            .run()
            .cloned()
            .map_or(Action::None, Action::GivenUp),
        (Standing::Firing { run, acted: true, .. }, _) => Action::DoneBefore(run.clone()),
        (Standing::Firing { run, since, .. }, _) => {
            let mut loaded = rule.action.clone();
            tell(&mut loaded.graph, &now.seen, &clock::utc(*since));
            act(dir, registry, file, run, loaded).await
        }
        (Standing::Quiet | Standing::Pending { .. }, _) => Action::None,
    };
    if let Action::Done(_) = action {
        now.standing = now.standing.acted();
        alerts.save(file, name, &now)?;
    }
    Ok(Decided {
        standing: now.standing,
        change,
        action,
    })
}

/// The right to decide about one rule; `None` if another process has it.
fn take(dir: &StateDir, file: &Path, rule: &str) -> Result<Option<Locks>, String> {
    let holder = Holder::this_process(&RunId::from("check"), &file.to_string_lossy());
    let name = LockName::new(format!("alert {}#{rule}", file.display()));
    let mut locks = Locks::default();
    match locks.take_named(dir, &[name], 1, &holder) {
        Ok(()) => Ok(Some(locks)),
        Err(LockError::Held { .. } | LockError::StillHeld { .. } | LockError::RunIsGoingOn { .. }) => {
            Ok(None)
        }
        Err(error @ LockError::File { .. }) => Err(with_causes(&error)),
    }
}

/// Brings the run of an action to an end, wherever it stands.
async fn act(dir: &StateDir, registry: &Registry, file: &Path, run: &RunId, loaded: Loaded) -> Action {
    let not_started = |error: &dyn Error| Action::NotStarted(with_causes(error));
    let stored = match find(dir, run) {
        Ok(stored) => stored,
        Err(error) => return not_started(&error),
    };
    let session = match stored {
        None => match Claim::new(dir, &loaded.graph.header.name, Some(run.clone())) {
            Ok(claim) => Session::create_as(dir, registry.clone(), file, loaded, claim, &mut |_| {}).await,
            Err(error) => Err(error.into()),
        },
        Some(_) if engine_of(dir, run).is_some() => return Action::Busy,
        Some(Some(RunEnd::Succeeded)) => return Action::Done(run.clone()),
        Some(None | Some(RunEnd::Failed)) => {
            Session::take_up(dir, registry.clone(), run, &loaded.secret_params).await
        }
        // A person has it in hand, or must take it.
        Some(Some(end @ (RunEnd::Waiting | RunEnd::Cancelled | RunEnd::RolledBack | RunEnd::Stuck))) => {
            return Action::NotDone(run.clone(), end);
        }
    };
    let session = match session {
        Ok(session) => session,
        Err(error) => return not_started(&error),
    };
    match session.run(Orders::default(), Box::new(Unobserved)).await {
        Ok((RunEnd::Succeeded, _)) => Action::Done(run.clone()),
        Ok((end, _)) => Action::NotDone(run.clone(), end),
        Err(error) => not_started(&error),
    }
}

/// How the run ended, if it is there.
fn find(dir: &StateDir, run: &RunId) -> Result<Option<Option<RunEnd>>, JournalError> {
    let journal = Journal::open(dir)?;
    match journal.find(&RunName::Prefix(run.to_string())) {
        Ok(id) => Ok(Some(journal.load(&id)?.summary.end)),
        Err(JournalError::UnknownRun(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
