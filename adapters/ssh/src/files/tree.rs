//! Folders: what is on one side is brought to the other.

mod apply;
mod listing;
mod transfer;

pub(super) use apply::{undo, unmake};

use super::before::{Before, remove_all, tidy};
use super::fault::{Ended, Fault, nothing_done, perhaps_done};
use super::install::explain_full;
use super::local::Local;
use super::output::transferred;
use super::owner::Owner;
use super::place::{Beside, Kind, Meta, Place, join};
use super::remote::{Remote, check_folder_of};
use super::stream::size;
use apply::Manifest;
use caxplan_adapter::{Call, Change, Forecast};
use caxplan_model::{Cause, FailureKind, Outcome, Verdict};
use listing::{Changes, Listing};

/// The name from which those of our own folders in a folder are made; what begins like them is nobody else's.
const OWN: &str = "all";

/// How many names a forecast lists.
const LISTED_MAX: usize = 20;

/// What is to be brought where.
pub(super) struct Job {
    /// The folder, whole, whose content it is.
    pub(super) from: String,
    /// The folder, whole, that gets it.
    pub(super) to: String,
    /// Of all files; that of each if absent.
    pub(super) mode: Option<u32>,
    pub(super) owner: Owner,
    pub(super) delete: bool,
    pub(super) checksum: bool,
}

/// Which way.
#[derive(Clone, Copy)]
enum Way<'a> {
    Up(&'a Remote),
    Down(&'a Remote),
}

impl<'a> Way<'a> {
    fn remote(self) -> &'a Remote {
        match self {
            Self::Up(remote) | Self::Down(remote) => remote,
        }
    }

    /// From where.
    fn source(self) -> &'a dyn Place {
        match self {
            Self::Up(_) => &Local,
            Self::Down(remote) => remote,
        }
    }

    /// To where.
    fn dest(self) -> &'a dyn Place {
        match self {
            Self::Up(remote) => remote,
            Self::Down(_) => &Local,
        }
    }
}

/// How the two sides compare.
struct Compared {
    before: Before,
    changes: Changes,
    /// The content of the source.
    ours: Listing,
    /// The source itself.
    root: Meta,
    /// Beside the folder.
    beside: Beside,
    /// In the folder, if it is there.
    inside: Beside,
}

impl Compared {
    fn is_fresh(&self) -> bool {
        matches!(self.before, Before::Absent {})
    }

    fn is_same(&self) -> bool {
        !self.is_fresh() && self.changes.is_empty()
    }
}

async fn compare(way: Way<'_>, job: &Job, call: &Call) -> Result<Compared, Fault> {
    let (source, dest) = (way.source(), way.dest());
    let root = source
        .look_through(&job.from)
        .await?
        .filter(|root| root.kind == Kind::Folder)
        .ok_or_else(|| {
            Fault::new(
                FailureKind::NotFound,
                format!("{} is no folder", source.shown(&job.from)),
            )
        })?;
    check_folder_of(dest, &job.to).await?;
    let beside = Beside::of(&job.to, call);
    let inside = Beside::of(&join(&job.to, OWN), call);
    let (Some(beside), Some(inside)) = (beside, inside) else {
        return Err(Fault::new(
            FailureKind::Invalid,
            format!("{} cannot be replaced", job.to),
        ));
    };
    // Here a link is followed: it is the folder's content that is replaced, not the folder.
    let now = dest.look_through(&job.to).await?;
    let remote = way.remote();
    let ours = remote.unless_cancelled(listing::scan(source, &job.from)).await?;
    match now.as_ref().map(|now| now.kind) {
        None if dest.look(&job.to).await?.is_some() => Err(Fault::new(
            FailureKind::Conflict,
            format!("{} is a link that leads nowhere", dest.shown(&job.to)),
        )),
        None => Ok(Compared {
            before: Before::Absent {},
            changes: Changes::all(&ours, job),
            ours,
            root,
            beside,
            inside,
        }),
        Some(Kind::Folder) => {
            let theirs = remote.unless_cancelled(listing::scan(dest, &job.to)).await?;
            let changes = listing::compare(way, job, &ours, &theirs, job.checksum).await?;
            Ok(Compared {
                before: Before::Tree {
                    digest: listing::digest(&theirs),
                    kept: inside.old(),
                },
                changes,
                ours,
                root,
                beside,
                inside,
            })
        }
        Some(Kind::File | Kind::Link | Kind::Other) => Err(Fault::new(
            FailureKind::Conflict,
            format!(
                "{} is no folder, and {} is one",
                dest.shown(&job.to),
                source.shown(&job.from)
            ),
        )),
    }
}

async fn forecast(way: Way<'_>, job: &Job, call: &Call) -> Result<Forecast, Fault> {
    let compared = compare(way, job, call).await?;
    let shown = way.dest().shown(&job.to);
    let changes = &compared.changes;
    let (change, summary) = if compared.is_same() {
        (Change::WouldNot, format!("{shown} has the same content"))
    } else if compared.is_fresh() {
        let (files, bytes) = (changes.files.len(), size(changes.bytes));
        (
            Change::Would,
            format!("would create the folder {shown} ({files} files, {bytes})"),
        )
    } else {
        (
            Change::Would,
            format!("would change the folder {shown}: {}", changes.told(LISTED_MAX)),
        )
    };
    Ok(Forecast {
        change,
        summary,
        before: compared.before.to_value(),
    })
}

async fn perform(way: Way<'_>, job: &Job, call: &Call) -> Result<Outcome, Ended> {
    let compared = compare(way, job, call).await.map_err(nothing_done)?;
    let dest = way.dest();
    let bytes = compared.ours.values().map(|item| item.bytes).sum();
    let output = |files: usize| transferred(&job.to, bytes, None, files as u64);
    if compared.is_same() {
        return Ok(Outcome::Unchanged { output: output(0) });
    }
    let remote = way.remote();
    if compared.is_fresh() {
        // Made whole beside its place. What an earlier attempt made of it stays, as far as it is right.
        let part = compared.beside.part();
        let made = async {
            let left = match dest.look(&part).await? {
                Some(left) if left.kind == Kind::Folder => listing::scan(dest, &part).await?,
                Some(left) => {
                    remove_all(dest, &part, &left).await?;
                    Listing::new()
                }
                None => Listing::new(),
            };
            let staging = Job {
                from: job.from.clone(),
                to: part.clone(),
                delete: true,
                ..*job
            };
            let changes = listing::compare(way, &staging, &compared.ours, &left, true).await?;
            if dest.look(&part).await?.is_none() {
                dest.make_folder(&part, 0o700).await?;
            }
            apply::fill(way, &staging, &changes, &compared.root).await?;
            Ok(compared.changes.files.len())
        };
        let files = match remote.unless_cancelled(made).await {
            Ok(files) => files,
            Err(Fault::Refused(cause)) => {
                let fault = explained(way, compared.beside.folder(), bytes, cause).await;
                clear(dest, &part).await;
                return Err(nothing_done(fault));
            }
            Err(fault) => return Err(nothing_done(fault)),
        };
        if dest.look(&job.to).await.map_err(nothing_done)?.is_some() {
            return Err(nothing_done(Cause::new(
                FailureKind::Conflict,
                format!("somebody made {} while it was filled", dest.shown(&job.to)),
            )));
        }
        dest.rename(&part, &job.to).await.map_err(perhaps_done)?;
        dest.settle(compared.beside.folder()).await;
        tidy(dest, &compared.beside).await;
        return Ok(Outcome::Changed {
            output: output(files),
        });
    }
    let staging = compared.inside.part();
    let changes = &compared.changes;
    let staged = async {
        if let Some(left) = dest.look(&staging).await? {
            remove_all(dest, &staging, &left).await?;
        }
        dest.make_folder(&staging, 0o700).await?;
        transfer::stage(way, job, &changes.files, &staging).await
    };
    if let Err(fault) = remote.unless_cancelled(staged).await {
        let fault = match fault {
            Fault::Refused(cause) => explained(way, &job.to, bytes, cause).await,
            fault => fault,
        };
        clear(dest, &staging).await;
        return Err(nothing_done(fault));
    }
    let manifest = match Manifest::keep(dest, job, changes, &compared.inside.old()).await {
        Ok(manifest) => manifest,
        Err(fault) => {
            clear(dest, &staging).await;
            return Err(nothing_done(fault));
        }
    };
    apply::apply(dest, job, changes, &manifest, &compared.inside.old(), &staging)
        .await
        .map_err(perhaps_done)?;
    clear(dest, &staging).await;
    dest.settle(&job.to).await;
    tidy(dest, &compared.inside).await;
    Ok(Outcome::Changed {
        output: output(changes.files.len()),
    })
}

/// Says that the host's disk is full, if it is.
async fn explained(way: Way<'_>, folder: &str, bytes: u64, cause: Cause) -> Fault {
    match way {
        Way::Up(remote) => explain_full(remote, folder, bytes, cause).await,
        Way::Down(_) => Fault::Refused(cause),
    }
}

/// Removes what was staged, as far as it goes.
async fn clear(dest: &dyn Place, staging: &str) {
    if let Ok(Some(left)) = dest.look(staging).await {
        let _ = remove_all(dest, staging, &left).await;
    }
}

async fn probe(way: Way<'_>, job: &Job, call: &Call) -> Result<Verdict, Fault> {
    let compared = compare(way, job, call).await?;
    let bytes = compared.ours.values().map(|item| item.bytes).sum();
    Ok(match compared.is_same() {
        true => Verdict::Done {
            output: transferred(&job.to, bytes, None, compared.ours.len() as u64),
        },
        false => Verdict::NotDone,
    })
}

pub(super) async fn forecast_upload(remote: &Remote, job: &Job, call: &Call) -> Result<Forecast, Fault> {
    forecast(Way::Up(remote), job, call).await
}

pub(super) async fn upload(remote: &Remote, job: &Job, call: &Call) -> Result<Outcome, Ended> {
    perform(Way::Up(remote), job, call).await
}

pub(super) async fn probe_upload(remote: &Remote, job: &Job, call: &Call) -> Result<Verdict, Fault> {
    probe(Way::Up(remote), job, call).await
}

pub(super) async fn forecast_download(remote: &Remote, job: &Job, call: &Call) -> Result<Forecast, Fault> {
    forecast(Way::Down(remote), job, call).await
}

pub(super) async fn download(remote: &Remote, job: &Job, call: &Call) -> Result<Outcome, Ended> {
    perform(Way::Down(remote), job, call).await
}

pub(super) async fn probe_download(remote: &Remote, job: &Job, call: &Call) -> Result<Verdict, Fault> {
    probe(Way::Down(remote), job, call).await
}
