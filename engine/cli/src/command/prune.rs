//! `caxplan prune`.

use super::runs::{Status, duration};
use crate::failure::{Answer, Failure};
use crate::select;
use crate::ui::{self, Listing, Table};
use caxplan_model::{Duration, Timestamp};
use caxplan_run::{Holder, Journal, Locks, RunSummary, SessionError, StateDir, Tombstone, orphans};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Remove old runs; a tombstone of each stays
///
/// A run is removed if every rule that is given lets it go. A run that is going on is never removed, and one that can
/// be resumed only with --include-resumable.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Keep the newest so many runs of each plan
    #[arg(long, value_name = "N")]
    keep_last: Option<usize>,
    /// Keep the newest so many runs of this plan, whatever --keep-last says (can be repeated)
    #[arg(long, value_name = "PLAN=N", value_parser = keep_rule)]
    keep: Vec<(String, usize)>,
    /// Only runs that ended longer ago than this, such as 30d
    #[arg(long, value_name = "DURATION")]
    older_than: Option<String>,
    /// Only runs that stand so (several: `succeeded,rolled_back`)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STATE")]
    state: Vec<Status>,
    /// Only runs of this plan
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// Runs that could be resumed, too: failed, stuck, waiting, cancelled or interrupted ones
    #[arg(long)]
    include_resumable: bool,
    /// Say what would be removed; remove nothing
    #[arg(long)]
    dry_run: bool,
    /// How to list what is removed
    #[arg(long, value_enum, default_value_t)]
    output: Listing,
}

/// A run and where it stands.
type Candidate = (RunSummary, Status);

impl Prune {
    pub(crate) fn execute(self) -> Answer {
        let older_than = self.older_than.as_deref().map(duration).transpose()?;
        if older_than.is_none() && self.keep_last.is_none() && self.keep.is_empty() && self.state.is_empty() {
            return Err(Failure::invalid("nothing says which runs to remove")
                .hint("give --older-than, --keep-last, --keep or --state; --dry-run shows what would go"));
        }
        let (dir, mut journal) = select::open()?;
        let all: Vec<Candidate> = journal
            .runs(u32::MAX)?
            .into_iter()
            .map(|run| {
                let status = Status::of(&dir, &run);
                (run, status)
            })
            .collect();
        let is_alone = !all.iter().any(|(_, status)| *status == Status::Running);
        let chosen = self.choose(all, older_than, caxplan_run::now());
        if self.dry_run {
            self.output
                .print(&chosen.iter().map(as_json).collect::<Vec<_>>(), || {
                    format!("{}{} would be removed\n", table(&chosen), runs(chosen.len()))
                });
            return Ok(ExitCode::SUCCESS);
        }
        let mut gone = Vec::new();
        for (run, status) in chosen {
            if remove(&dir, &mut journal, &run)?.is_some() {
                gone.push((run, status));
            }
        }
        let reclaimed = journal.reclaim(is_alone)?;
        self.output
            .print(&gone.iter().map(as_json).collect::<Vec<_>>(), || {
                let kib = |bytes: u64| bytes.div_ceil(1024);
                let left = match reclaimed.reusable {
                    0 => String::new(),
                    bytes => format!(", {} KiB are free in it for runs to come", kib(bytes)),
                };
                format!(
                    "{}{} removed; the journal is {} KiB smaller{left}\n",
                    table(&gone),
                    runs(gone.len()),
                    kib(reclaimed.bytes)
                )
            });
        Ok(ExitCode::SUCCESS)
    }

    /// The runs to remove, the oldest first, so that what is left after an interruption is the newest.
    fn choose(&self, all: Vec<Candidate>, older_than: Option<Duration>, now: Timestamp) -> Vec<Candidate> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut chosen: Vec<Candidate> = all
            .into_iter()
            .filter(|(run, status)| {
                let newer = seen.entry(run.name.clone()).or_default();
                *newer += 1;
                let keep = self.keep.iter().rfind(|(plan, _)| *plan == run.name);
                let keep = keep.map(|(_, count)| *count).or(self.keep_last).unwrap_or(0);
                let age = now.since(run.ended.unwrap_or(run.created));
                let is_resumable = match status.end() {
                    Some(end) => end.is_resumable(),
                    None => true,
                };
                *status != Status::Running
                    && (!is_resumable || self.include_resumable)
                    && *newer > keep
                    && older_than.is_none_or(|limit| age > limit)
                    && (self.state.is_empty() || self.state.contains(status))
                    && self.plan.as_ref().is_none_or(|plan| *plan == run.name)
            })
            .collect();
        chosen.reverse();
        chosen
    }
}

/// Removes a run unless an engine has taken it up, or it has moved on, since it was chosen.
fn remove(dir: &StateDir, journal: &mut Journal, run: &RunSummary) -> Answer<Option<Tombstone>> {
    let mut locks = Locks::default();
    let taken = locks.take_run(dir, &Holder::this_process(&run.id, &run.name));
    if taken.is_err() || journal.summary(&run.id)?.as_ref() != Some(run) {
        return Ok(None);
    }
    if run.end.is_none() {
        // Nobody would know whose they are, once the run is gone.
        orphans::end(&run.id).map_err(|pids| SessionError::Orphans { pids })?;
    }
    Ok(Some(journal.prune(&run.id, &caxplan_run::user())?))
}

fn keep_rule(text: &str) -> Result<(String, usize), String> {
    let (plan, count) = text.rsplit_once('=').ok_or("write PLAN=N")?;
    let count = count.parse().map_err(|_| format!("`{count}` is no number"))?;
    Ok((plan.to_owned(), count))
}

fn runs(count: usize) -> String {
    match count {
        1 => "1 run".to_owned(),
        count => format!("{count} runs"),
    }
}

fn table(chosen: &[Candidate]) -> String {
    let mut table = Table::new(["RUN", "PLAN", "STATUS", "ENDED"]);
    for (run, status) in chosen {
        table.row([
            run.id.to_string(),
            run.name.clone(),
            status.words(),
            run.ended.map(ui::date_time).unwrap_or_default(),
        ]);
    }
    if chosen.is_empty() {
        String::new()
    } else {
        table.render()
    }
}

fn as_json((run, status): &Candidate) -> serde_json::Value {
    json!({
        "id": run.id,
        "name": run.name,
        "plan": run.plan,
        "status": status.name(),
        "created": run.created,
        "ended": run.ended,
    })
}
