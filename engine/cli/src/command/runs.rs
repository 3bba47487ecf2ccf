//! `caxplan runs`.

use crate::failure::{Answer, Failure};
use crate::select;
use crate::ui::{self, Listing, Table};
use caxplan_model::{Duration, RunEnd};
use caxplan_run::{RunFilter, RunSummary, StateDir, Tombstone, engine_of};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// List the runs, the newest first
#[derive(Debug, Args)]
pub(crate) struct Runs {
    /// Only runs of this plan: its name, or its file
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// Only runs that stand so (several: `failed,waiting`)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STATE")]
    state: Vec<Status>,
    /// Only runs that were created in this time up to now, such as 24h or 7d
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: u32,
    /// The runs that were removed by `prune` instead: what is still known of them
    #[arg(long, conflicts_with_all = ["plan", "state", "since"])]
    pruned: bool,
    /// How to list them
    #[arg(long, value_enum, default_value_t)]
    output: Listing,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Status {
    /// An engine is at work on it
    Running,
    /// Its engine died
    Interrupted,
    /// All steps ended well
    Succeeded,
    /// A step failed
    Failed,
    /// It was rolled back
    RolledBack,
    /// Its rollback failed
    Stuck,
    /// It waits for a person
    Waiting,
    /// A person ended it
    Cancelled,
}

impl Status {
    /// Where a run stands now.
    pub(crate) fn of(dir: &StateDir, run: &RunSummary) -> Self {
        match run.end {
            None if engine_of(dir, &run.id).is_some() => Self::Running,
            end => Self::left(end),
        }
    }

    /// Where a run stands that no engine is at work on.
    fn left(end: Option<RunEnd>) -> Self {
        match end {
            Some(RunEnd::Succeeded) => Self::Succeeded,
            Some(RunEnd::Failed) => Self::Failed,
            Some(RunEnd::RolledBack) => Self::RolledBack,
            Some(RunEnd::Stuck) => Self::Stuck,
            Some(RunEnd::Waiting) => Self::Waiting,
            Some(RunEnd::Cancelled) => Self::Cancelled,
            None => Self::Interrupted,
        }
    }

    /// The word for programs: the one that `--state` takes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Stuck => "stuck",
            Self::Waiting => "waiting",
            Self::Cancelled => "cancelled",
        }
    }

    /// The words for people.
    pub(crate) fn words(self) -> String {
        self.name().replace('_', " ")
    }

    /// The ends by which the journal finds it; `None` is a run that no engine has left.
    pub(crate) fn end(self) -> Option<RunEnd> {
        match self {
            Self::Running | Self::Interrupted => None,
            Self::Succeeded => Some(RunEnd::Succeeded),
            Self::Failed => Some(RunEnd::Failed),
            Self::RolledBack => Some(RunEnd::RolledBack),
            Self::Stuck => Some(RunEnd::Stuck),
            Self::Waiting => Some(RunEnd::Waiting),
            Self::Cancelled => Some(RunEnd::Cancelled),
        }
    }
}

impl Runs {
    pub(crate) fn execute(self) -> Answer {
        let since = self.since.as_deref().map(duration).transpose()?;
        let (dir, journal) = select::open()?;
        if self.pruned {
            let tombstones = journal.tombstones(self.limit)?;
            let list: Vec<_> = tombstones.iter().map(tombstone_as_json).collect();
            self.output.print(&list, || tombstone_table(&tombstones));
            return Ok(ExitCode::SUCCESS);
        }
        // A run that goes on and one whose engine died look the same in the journal: only their locks differ.
        let by_lock = self.state.contains(&Status::Running) != self.state.contains(&Status::Interrupted);
        let filter = RunFilter {
            plan: self.plan.as_deref().map(plan_name),
            ends: self.state.iter().map(|state| state.end()).collect(),
            since: since.map(ago),
            limit: if by_lock { u32::MAX } else { self.limit },
        };
        let mut runs: Vec<(RunSummary, Status)> = journal
            .runs_of(&filter)?
            .into_iter()
            .map(|run| {
                let status = Status::of(&dir, &run);
                (run, status)
            })
            .filter(|(_, status)| self.state.is_empty() || self.state.contains(status))
            .collect();
        runs.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        let list: Vec<_> = runs.iter().map(|(run, status)| as_json(run, *status)).collect();
        self.output.print(&list, || table(&runs));
        Ok(ExitCode::SUCCESS)
    }
}

fn table(runs: &[(RunSummary, Status)]) -> String {
    let mut table = Table::new(["RUN", "PLAN", "STATUS", "STARTED", "TOOK"]);
    for (run, status) in runs {
        table.row([
            run.id.to_string(),
            run.name.clone(),
            status.words(),
            ui::date_time(run.created),
            took(run, *status).map_or_else(|| "?".to_owned(), ui::rounded),
        ]);
    }
    table.render()
}

/// The fields of a run, as programs get them.
pub(crate) fn as_json(run: &RunSummary, status: Status) -> serde_json::Value {
    json!({
        "id": run.id,
        "name": run.name,
        "plan": run.plan,
        "status": status.name(),
        "created": run.created,
        "ended": run.ended,
        "duration": took(run, status),
        "pid": run.pid,
    })
}

/// Where a run stands now.
pub(crate) fn status_of(dir: &StateDir, run: &RunSummary) -> Status {
    Status::of(dir, run)
}

fn tombstone_table(tombstones: &[Tombstone]) -> String {
    let mut table = Table::new(["RUN", "PLAN", "STATUS", "STARTED", "RECORDS", "REMOVED", "BY"]);
    for tombstone in tombstones {
        table.row([
            tombstone.id.to_string(),
            tombstone.name.clone(),
            Status::left(tombstone.end).words(),
            ui::date_time(tombstone.created),
            tombstone.records.to_string(),
            ui::date_time(tombstone.pruned),
            tombstone.by.clone(),
        ]);
    }
    table.render()
}

fn tombstone_as_json(tombstone: &Tombstone) -> serde_json::Value {
    json!({
        "id": tombstone.id,
        "name": tombstone.name,
        "plan": tombstone.plan,
        "status": Status::left(tombstone.end).name(),
        "created": tombstone.created,
        "ended": tombstone.ended,
        "records": tombstone.records,
        "hash": tombstone.hash,
        "pruned": tombstone.pruned,
        "by": tombstone.by,
    })
}

/// From the run's creation to its end, or to now. Nobody knows when an engine died.
fn took(run: &RunSummary, status: Status) -> Option<Duration> {
    let end = match status {
        Status::Interrupted => None,
        Status::Running => Some(caxplan_run::now()),
        _ => run.ended,
    };
    end.map(|end| end.since(run.created))
}

/// A plan as the journal knows it: a file by its absolute path, else a name.
fn plan_name(plan: &str) -> String {
    if Path::new(plan).is_file() {
        std::path::absolute(plan).map_or_else(|_| plan.to_owned(), |path| path.to_string_lossy().into_owned())
    } else {
        plan.to_owned()
    }
}

/// A duration as a user writes it.
pub(super) fn duration(text: &str) -> Answer<Duration> {
    text.parse()
        .map_err(|error| Failure::invalid(format!("`{text}`: {error}")))
}

/// The point in time so long before now.
pub(super) fn ago(duration: Duration) -> caxplan_model::Timestamp {
    let now = caxplan_run::now();
    caxplan_model::Timestamp(now.0.saturating_sub(duration.as_millis()))
}
