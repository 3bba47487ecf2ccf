//! Which plans are scheduled: what the files of a folder say.

use crate::failure::{Answer, Failure};
use crate::plan::{self, PlanPath};
use caxplan_core::calendar::{Calendar, bundled_zone};
use caxplan_core::load::{Diagnostics, Entry, LoadRequest, NO_ACTIONS, Severity, entries};
use caxplan_model::{Digest, Map, Schedule};
use caxplan_run::ScheduleKey;
use clap::Args;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where plans are.
#[derive(Clone, Debug, Args)]
pub(super) struct Sources {
    /// Folders whose *.yaml and *.yml files are looked at, or single plans; `FILE#ENTRY` names one plan of a file that
    /// holds several
    #[arg(value_name = "DIR", required = true)]
    pub(super) paths: Vec<PlanPath>,
}

/// What scheduled plans are loaded with beside what they say themselves.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct With {
    /// Bind bare step names by this action library (can be repeated; a later one wins)
    #[arg(long = "use", value_name = "FILE")]
    pub(super) libraries: Vec<PathBuf>,
    /// Use the targets of this inventory in place of the plans' own
    #[arg(long, value_name = "FILE")]
    pub(super) inventory: Option<PathBuf>,
}

/// A plan that runs by itself.
#[derive(Clone, Debug)]
pub(super) struct Scheduled {
    pub(super) key: ScheduleKey,
    pub(super) schedule: Schedule,
    pub(super) calendar: Calendar,
}

impl Scheduled {
    /// A digest of what says the times: if it changes, the schedule is another one.
    pub(super) fn times(&self) -> Digest {
        let zone = self.schedule.timezone.as_deref().unwrap_or("UTC");
        Digest::of(format!("{}\0{zone}\0{}", self.schedule.cron, self.schedule.jitter).as_bytes())
    }

    /// The plan as it is named on a command line.
    pub(super) fn path(&self) -> PlanPath {
        PlanPath {
            file: self.key.plan.clone(),
            entry: self.key.entry.clone(),
        }
    }

    /// A time in the schedule's own zone: `2026-11-28 02:00 Europe/Berlin`.
    pub(super) fn local(&self, at: caxplan_model::Timestamp) -> String {
        let zone = self.schedule.timezone.as_deref().unwrap_or("UTC");
        format!("{} {zone}", self.civil(at))
    }

    /// A time in the schedule's own zone, without its name.
    pub(super) fn civil(&self, at: caxplan_model::Timestamp) -> String {
        let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(millis)
            .map(|at| {
                let zoned = at.to_zoned(self.calendar.zone().clone());
                zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
            })
            .unwrap_or_default()
    }
}

impl fmt::Display for Scheduled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().fmt(formatter)
    }
}

/// A file whose plans cannot be told.
#[derive(Clone, Debug)]
pub(super) struct Bad {
    pub(super) file: PathBuf,
    /// What is wrong first, in one line.
    pub(super) line: String,
    /// Everything that is wrong.
    pub(super) all: String,
    /// Whether it was not bad in the same way at the last look.
    pub(super) is_new: bool,
}

/// What there is to run.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) scheduled: Vec<Scheduled>,
    pub(super) bad: Vec<Bad>,
}

/// Reads files, those that have not changed only once.
#[derive(Debug, Default)]
pub(super) struct Reader {
    files: BTreeMap<PathBuf, Known>,
}

#[derive(Debug)]
struct Known {
    stamp: Stamp,
    holds: Result<Vec<Entry>, Option<Bad>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    changed: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl Reader {
    /// What there is to run now.
    ///
    /// # Errors
    /// If a folder or file that was named cannot be read.
    pub(super) fn read(&mut self, sources: &Sources) -> Answer<Found> {
        let mut found = Found::default();
        for path in &sources.paths {
            let file = std::path::absolute(&path.file)?;
            let fail = |error: std::io::Error| {
                Failure::invalid(format!("cannot read {}: {error}", path.file.display()))
            };
            if !std::fs::metadata(&file).map_err(fail)?.is_dir() {
                self.read_file(&file, path.entry.as_deref(), true, &mut found);
                continue;
            }
            let mut files: Vec<PathBuf> = std::fs::read_dir(&file)
                .map_err(fail)?
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| is_plan_name(path))
                .collect();
            files.sort();
            for file in files {
                self.read_file(&file, None, false, &mut found);
            }
        }
        found.scheduled.sort_by(|a, b| a.key.cmp(&b.key));
        found.scheduled.dedup_by(|a, b| a.key == b.key);
        Ok(found)
    }

    fn read_file(&mut self, file: &Path, entry: Option<&str>, is_named: bool, found: &mut Found) {
        let stamp = Stamp::of(file);
        let is_known = self.files.get(file).is_some_and(|known| known.stamp == stamp);
        if !is_known {
            let holds = holds(file);
            self.files.insert(file.to_owned(), Known { stamp, holds });
        }
        let Some(known) = self.files.get_mut(file) else {
            return;
        };
        match &mut known.holds {
            Ok(entries) => {
                let wanted = entries
                    .iter()
                    .filter(|of| entry.is_none() || of.name.as_deref() == entry);
                found
                    .scheduled
                    .extend(wanted.filter_map(|entry| scheduled(file, entry)));
            }
            Err(Some(bad)) => {
                found.bad.push(bad.clone());
                bad.is_new = false;
            }
            Err(None) if is_named => found.bad.push(Bad {
                file: file.to_owned(),
                line: "it holds no plan".to_owned(),
                all: format!("{}: it holds no plan\n", file.display()),
                is_new: !is_known,
            }),
            // A library or an inventory beside the plans that use it.
            Err(None) => {}
        }
    }
}

fn is_plan_name(path: &Path) -> bool {
    let is_hidden = path
        .file_name()
        .is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !is_hidden
        && path
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml")
        && !path.is_dir()
}

/// The plans in a file; `None` if it is something else that has its place in a folder of plans.
fn holds(file: &Path) -> Result<Vec<Entry>, Option<Bad>> {
    let name = file.to_string_lossy();
    let request = LoadRequest {
        plan: &name,
        entry: None,
        libraries: &[],
        inventory: None,
        params: &Map::new(),
        actions: &NO_ACTIONS,
        limit: &[],
        discover: None,
    };
    entries(&request, &mut plan::read).map_err(|diagnostics| {
        let is_schedule = |text: &str| text.lines().any(|line| line.starts_with("schedule:"));
        let errors = || {
            diagnostics
                .items
                .iter()
                .filter(|item| item.severity == Severity::Error)
        };
        let is_no_plan = errors().all(|item| matches!(item.code, "no-plan" | "no-body"));
        if is_no_plan && !diagnostics.sources.iter().any(|(_, text)| is_schedule(text)) {
            return None;
        }
        Some(Bad {
            file: file.to_owned(),
            line: one_line(&diagnostics),
            all: diagnostics.render(false),
            is_new: true,
        })
    })
}

/// `line 3, column 9: …, and 2 more`.
fn one_line(diagnostics: &Diagnostics) -> String {
    let mut errors = diagnostics
        .items
        .iter()
        .filter(|item| item.severity == Severity::Error);
    let Some(first) = errors.next() else {
        return "it cannot be read".to_owned();
    };
    let before = diagnostics
        .sources
        .get(first.primary.span.file as usize)
        .and_then(|(_, text)| text.get(..first.primary.span.start as usize))
        .unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let more = match errors.count() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("line {line}: {}{more}", first.message)
}

fn scheduled(file: &Path, entry: &Entry) -> Option<Scheduled> {
    let schedule = entry.schedule.clone()?;
    let zone = zone(schedule.timezone.as_deref())?;
    let user = caxplan_run::user();
    let host = user.rsplit('@').next().unwrap_or_default();
    let name = entry.name.as_deref().unwrap_or_default();
    let salt = format!("{host}\0{}\0{name}", file.display());
    Some(Scheduled {
        key: ScheduleKey {
            plan: file.to_owned(),
            entry: entry.name.clone(),
        },
        calendar: Calendar::new(&schedule, zone, salt).ok()?,
        schedule,
    })
}

/// The zone as the system knows it, which is kept up to date, else as the program does.
fn zone(name: Option<&str>) -> Option<TimeZone> {
    name.and_then(|name| TimeZone::get(name).ok())
        .or_else(|| bundled_zone(name))
}

impl Stamp {
    fn of(file: &Path) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let about = std::fs::metadata(file).ok();
        Self {
            changed: about.as_ref().and_then(|about| about.modified().ok()),
            len: about.as_ref().map_or(0, std::fs::Metadata::len),
            inode: about.as_ref().map_or(0, |about| about.ino()),
        }
    }
}
