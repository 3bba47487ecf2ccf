//! Taking a run up: what must be had before its first event, in the order in which it must be had.

use crate::driver::{CrashPoint, Driver, DriverError, Orders, Parts, Person};
use crate::journal::{Batch, Journal, JournalError, NewRun};
use crate::lock::{Claim, Holder, LockError, Locks};
use crate::mask::Masker;
use crate::observe::Observer;
use crate::output::Outputs;
use crate::scope::Surroundings;
use crate::{Registry, SecretError, Secrets, StateDir, orphans};
use caxplan_core::load::Loaded;
use caxplan_core::schedule::{Command, Event, IllegalRecord, Interrupt, Refusal, Scheduler, State};
use caxplan_model::{Graph, Map, Record, RunEnd, RunId};
use std::path::Path;

/// A run that this process has taken up. Its locks are held until it is dropped.
pub struct Session {
    pub(crate) parts: Parts,
    locks: Locks,
    ended_orphans: Vec<u32>,
}

/// Another version of a run's plan, that the run shall follow.
pub struct EditedPlan<'a> {
    /// Its file, absolute.
    pub plan: &'a Path,
    /// The plan.
    pub loaded: &'a Loaded,
    /// What it changes, one thing each, for the account.
    pub changes: Vec<String>,
    /// The number of the run's last record when the two were compared.
    pub seen: u64,
}

/// Why a run could not be taken up. Nothing of it was started.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A lock is held by another run, or the run by another engine.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A secret could not be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal holds what this version of the program cannot have written.
    #[error("the journal of run {run} cannot be followed: {source}")]
    Illegal {
        /// The run.
        run: RunId,
        /// The first record that cannot be followed.
        source: IllegalRecord,
    },
    /// Secret parameters are not in the journal and must be given again.
    #[error("the journal holds no secrets; give again: {}", names.join(", "))]
    SecretParams {
        /// Their names.
        names: Vec<String>,
    },
    /// The run cannot follow the edited plan.
    #[error("the edited plan changes what has started")]
    Edited {
        /// All that must stay as it is.
        refusals: Vec<Refusal>,
    },
    /// The run went on after the edited plan was compared with it.
    #[error("run {run} went on meanwhile")]
    Moved {
        /// The run.
        run: RunId,
    },
    /// Processes that an earlier engine of the run left behind cannot be ended.
    #[error("processes of an earlier engine of this run are still there: {pids:?}")]
    Orphans {
        /// Their ids.
        pids: Vec<u32>,
    },
}

impl Session {
    /// Creates a run of a plan and takes it up. The locks are taken, after a wait if the plan says so, and the secrets are
    /// fetched first: if either fails, there is no run. `plan` is the plan's file, absolute.
    pub async fn create(
        dir: &StateDir,
        registry: Registry,
        plan: &Path,
        loaded: Loaded,
    ) -> Result<Self, SessionError> {
        let claim = Claim::new(dir, &loaded.graph.header.name, None)?;
        Self::create_as(dir, registry, plan, loaded, claim, &mut |_| {}).await
    }

    /// As [`Session::create`], for a run that was claimed; `tell` is told of each lock that is waited for.
    pub async fn create_as(
        dir: &StateDir,
        registry: Registry,
        plan: &Path,
        loaded: Loaded,
        claim: Claim,
        tell: &mut (dyn FnMut(&LockError) + Send),
    ) -> Result<Self, SessionError> {
        let Loaded {
            graph, secret_params, ..
        } = loaded;
        let plan_dir = plan.parent().unwrap_or(Path::new("/"));
        let Claim { run: id, mut locks } = claim;
        let header = &graph.header;
        let holder = Holder::this_process(&id, &header.name);
        locks
            .take_named_as(dir, &header.locks, &holder, header.lock_policy, tell)
            .await?;
        let secrets = Secrets::load(&graph.header.secrets, plan_dir).await?;
        let mut journal = Journal::open(dir)?;
        let names: Vec<String> = secret_params.keys().cloned().collect();
        // The random half of another id.
        let seed = u64::try_from(ulid::Ulid::new().random() & u128::from(u64::MAX)).unwrap_or_default();
        let (created, tail) = journal.create(&NewRun {
            id: &id,
            plan,
            graph: &graph,
            secret_params: &names,
            seed,
            by: &user(),
        })?;
        let state = fold(&id, graph, &[created])?;
        let surroundings = Surroundings::new(&id, state.graph(), plan, &secret_params, &secrets);
        Ok(Self {
            parts: Parts {
                outputs: Outputs::new(Masker::of(&secrets, &secret_params)),
                run: id,
                journal,
                tail,
                registry,
                state,
                surroundings,
            },
            locks,
            ended_orphans: Vec::new(),
        })
    }

    /// Takes up a run that is in the journal: takes its locks, ends what an earlier engine left running, fetches its
    /// secrets anew. `params` holds its secret parameters.
    pub async fn take_up(
        dir: &StateDir,
        registry: Registry,
        id: &RunId,
        params: &Map,
    ) -> Result<Self, SessionError> {
        Self::take_up_edited(dir, registry, id, params, None).await
    }

    /// As [`Session::take_up`]; with an edited plan, the run follows that from here on. The record that says so is written
    /// last, when the new plan's locks are taken and its secrets fetched: on any error before, the run still follows the
    /// plan that it had.
    pub async fn take_up_edited(
        dir: &StateDir,
        registry: Registry,
        id: &RunId,
        params: &Map,
        edited: Option<&EditedPlan<'_>>,
    ) -> Result<Self, SessionError> {
        let mut journal = Journal::open(dir)?;
        // That the run is there; what its records say may change until its lock is held.
        let summary = journal
            .summary(id)?
            .ok_or_else(|| JournalError::UnknownRun(id.to_string()))?;
        let holder = Holder::this_process(id, &summary.name);
        let mut locks = Locks::default();
        locks.take_run(dir, &holder)?;
        let (mut stored, graph) = journal.head(id)?;
        let mut state = State::new(graph);
        // One by one: a long run has more records than should lie in memory.
        let mut tail = journal.replay(&stored, |record| follow(id, &mut state, &record))?;
        if let Some(edited) = edited {
            if tail.seq != edited.seen {
                return Err(SessionError::Moved { run: id.clone() });
            }
            stored.secret_params = edited.loaded.secret_params.keys().cloned().collect();
            edited.plan.clone_into(&mut stored.summary.plan);
        }
        let replacement = edited
            .map(|edited| state.replacement(&edited.loaded.graph))
            .transpose()
            .map_err(|refusals| SessionError::Edited { refusals })?;
        let header = replacement.as_ref().unwrap_or(state.graph()).header.clone();
        locks.take_named(dir, &header.locks, header.lock_policy.holders, &holder)?;
        let mut former = state.graph().header.locks.clone();
        let former_holders = state.graph().header.lock_policy.holders;
        former.retain(|name| !header.locks.contains(name));
        let ended_orphans = orphans::end(id).map_err(|pids| SessionError::Orphans { pids })?;
        let secret_params = match edited {
            Some(edited) => edited.loaded.secret_params.clone(),
            None => secret_params(&stored.secret_params, params)?,
        };
        let plan = &stored.summary.plan;
        let secrets = Secrets::load(&header.secrets, plan.parent().unwrap_or(Path::new("/"))).await?;
        if let Some(graph) = replacement {
            let record = Record::PlanReplaced {
                at: crate::clock::now(),
                by: user(),
                plan: plan.to_string_lossy().into_owned(),
                secret_params: stored.secret_params.clone(),
                changes: edited.map_or_else(Vec::new, |edited| edited.changes.clone()),
                graph: Box::new(graph),
            };
            // Applied first: what the journal holds can always be followed.
            follow(id, &mut state, &record)?;
            let batch = Batch {
                records: vec![record],
                ..Batch::default()
            };
            CrashPoint::from_environment().pass(&mut journal, id, &mut tail, &batch);
            journal.commit(id, &mut tail, &batch)?;
            // What the run kept while it waited and its plan no longer names. Another run may have it, if this one crashed.
            for name in former {
                let _ = Locks::default().take_named(dir, &[name], former_holders, &holder);
            }
        }
        let surroundings = Surroundings::new(id, state.graph(), plan, &secret_params, &secrets);
        Ok(Self {
            parts: Parts {
                outputs: Outputs::new(Masker::of(&secrets, &secret_params)),
                run: id.clone(),
                journal,
                tail,
                registry,
                state,
                surroundings,
            },
            locks,
            ended_orphans,
        })
    }

    /// Ends a run that no engine has, at once: ends the processes that an earlier engine left, starts nothing, needs no
    /// secret and tells nobody. What was going on elsewhere is in doubt when the run is resumed. Answers the processes.
    ///
    /// # Errors
    /// If an engine has the run, or the journal fails; the run is then as it was. If processes cannot be ended.
    pub fn abandon(dir: &StateDir, id: &RunId) -> Result<Vec<u32>, SessionError> {
        let mut journal = Journal::open(dir)?;
        let summary = journal
            .summary(id)?
            .ok_or_else(|| JournalError::UnknownRun(id.to_string()))?;
        let mut locks = Locks::default();
        locks.take_run(dir, &Holder::this_process(id, &summary.name))?;
        let (stored, graph) = journal.head(id)?;
        let mut state = State::new(graph);
        let mut tail = journal.replay(&stored, |record| follow(id, &mut state, &record))?;
        let ended = orphans::end(id).map_err(|pids| SessionError::Orphans { pids })?;
        let mut commands = Vec::new();
        let cancel = Event::Cancel(Interrupt::Abort);
        Scheduler::new(state).handle(crate::clock::now(), cancel, &mut commands);
        let appended = commands.into_iter().filter_map(|command| match command {
            Command::Append(record) => Some(record),
            _ => None,
        });
        let batch = Batch {
            records: appended.collect(),
            ..Batch::default()
        };
        journal.commit(id, &mut tail, &batch)?;
        Ok(ended)
    }

    /// The run.
    pub fn id(&self) -> &RunId {
        &self.parts.run
    }

    /// Its state as the journal has it.
    pub fn state(&self) -> &State {
        &self.parts.state
    }

    /// The processes of an earlier engine that were ended.
    pub fn ended_orphans(&self) -> &[u32] {
        &self.ended_orphans
    }

    /// Runs until it is over, then lets its locks go; a run that waits for a person keeps those that its plan names. See
    /// [`Driver::run`].
    pub async fn run(
        self,
        orders: Orders,
        observer: Box<dyn Observer>,
    ) -> Result<(RunEnd, State), DriverError> {
        self.run_with(orders, observer, None).await
    }

    /// The same, with somebody who is asked what the run waits for.
    pub async fn run_with(
        self,
        orders: Orders,
        observer: Box<dyn Observer>,
        person: Option<Person>,
    ) -> Result<(RunEnd, State), DriverError> {
        let (end, state) = Driver::new(self.parts, orders, observer, person).run().await?;
        self.locks.leave(end == RunEnd::Waiting);
        Ok((end, state))
    }
}

/// An id that no other run has, and that sorts behind all before it.
pub(crate) fn new_run_id() -> RunId {
    RunId::new(ulid::Ulid::new().to_string().to_ascii_lowercase())
}

/// The state that records make of a graph.
pub fn fold(run: &RunId, graph: Graph, records: &[Record]) -> Result<State, SessionError> {
    let mut state = State::new(graph);
    for record in records {
        follow(run, &mut state, record)?;
    }
    Ok(state)
}

fn follow(run: &RunId, state: &mut State, record: &Record) -> Result<(), SessionError> {
    state.apply(record).map_err(|source| SessionError::Illegal {
        run: run.clone(),
        source,
    })
}

/// Who runs this process, as `user@host`.
pub fn user() -> String {
    let user = ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let uid = rustix::process::getuid().as_raw();
    let user = user
        .or_else(|| account_name(uid))
        .unwrap_or_else(|| format!("uid-{uid}"));
    let host = rustix::system::uname();
    format!("{user}@{}", host.nodename().to_string_lossy())
}

/// The name of a local account: cron and containers often set no `USER`.
fn account_name(uid: u32) -> Option<String> {
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut fields = accounts.lines().map(|line| line.split(':'));
    fields.find_map(|mut line| {
        let name = line.next()?;
        (line.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

fn secret_params(names: &[String], given: &Map) -> Result<Map, SessionError> {
    let (found, names): (Vec<_>, Vec<_>) = names
        .iter()
        .map(|name| (name, given.get(name)))
        .partition(|(_, value)| value.is_some());
    if !names.is_empty() {
        let names = names.into_iter().map(|(name, _)| name.clone()).collect();
        return Err(SessionError::SecretParams { names });
    }
    Ok(found
        .into_iter()
        .filter_map(|(name, value)| Some((name.clone(), value?.clone())))
        .collect())
}
