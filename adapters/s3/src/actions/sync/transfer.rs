//! Copying, then deleting.

use super::compare::{Copy, Work};
use super::output;
use super::side::{Side, file_below};
use crate::client::{Client, Failure};
use crate::store::local::{Source, blocking, explain, folder_of};
use crate::store::{
    Condition, Content, Downloaded, Object, PART_BYTES_DEFAULT, UploadPlan, Wanted, copy, delete, download,
    head, put,
};
use crate::units::{MIB, counted, shown};
use caxplan_model::{Cause, FailureEffect, FailureKind, Outcome};
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Larger objects go one after the other, each in parts at a time; so what is in memory has a bound.
const SMALL_BYTES_MAX: u64 = 8 * MIB;

/// How many parts of a large object go at a time.
const PARTS_PARALLEL: usize = 4;

/// The least time between two lines on the progress.
const NOTE_EVERY: Duration = Duration::from_secs(5);

/// After so many failures, what is left is not tried: the service is not well, or the right is missing.
const FAILURES_MAX: usize = 10;

/// Does the work. Nothing is deleted unless everything was copied.
pub(super) async fn transfer(
    client: &Client,
    sides: (&Side, &Side),
    work: &Work,
    marker: &str,
    parallel: usize,
) -> Outcome {
    if work.is_empty() {
        return Outcome::Unchanged {
            output: output(0, 0, work.unchanged, 0),
        };
    }
    let (large, small): (Vec<Copy>, Vec<Copy>) = work
        .copies
        .iter()
        .cloned()
        .partition(|copy| copy.bytes > SMALL_BYTES_MAX);
    let mut done = Done {
        client,
        total: work.copies.len(),
        copied: 0,
        bytes: 0,
        failures: Vec::new(),
        said: Instant::now(),
    };
    for (copies, parallel) in [(small, parallel), (large, 1)] {
        let mut copies = futures_util::stream::iter(copies)
            .map(|copy| async move {
                let ended = copy_one(client, sides, &copy, marker).await;
                (copy, ended)
            })
            .buffer_unordered(parallel);
        while let Some((copy, ended)) = copies.next().await {
            done.count(&copy, ended);
            if done.failures.len() >= FAILURES_MAX {
                break;
            }
        }
    }
    if let Some(failure) = done.failure("copied", work.copies.len()) {
        return failure;
    }
    let mut deletes = futures_util::stream::iter(work.deletes.clone())
        .map(|path| async move { delete_one(client, sides.1, &path).await })
        .buffer_unordered(parallel);
    let mut deleted = 0;
    while let Some(ended) = deletes.next().await {
        match ended {
            Ok(()) => deleted += 1,
            Err(failure) => done.failures.push(failure),
        }
    }
    if let Some(failure) = done.failure(
        "copied, then not all that were to be deleted were",
        work.copies.len(),
    ) {
        return failure;
    }
    Outcome::Changed {
        output: output(done.copied, deleted, work.unchanged, done.bytes),
    }
}

/// What was done so far.
struct Done<'a> {
    client: &'a Client,
    total: usize,
    copied: usize,
    bytes: u64,
    failures: Vec<Failure>,
    said: Instant,
}

impl Done<'_> {
    fn count(&mut self, copy: &Copy, ended: Result<(), Failure>) {
        match ended {
            Ok(()) => {
                self.copied += 1;
                self.bytes += copy.bytes;
            }
            Err(failure) => self.failures.push(failure),
        }
        if self.said.elapsed() >= NOTE_EVERY {
            self.said = Instant::now();
            let (copied, total, bytes) = (self.copied, self.total, shown(self.bytes));
            self.client
                .note(&format!("copied {copied} of {total} objects ({bytes})"));
        }
    }

    /// The first failure, with a word on the others.
    fn failure(&mut self, what: &str, total: usize) -> Option<Outcome> {
        let others = self.failures.len().checked_sub(1)?;
        let in_doubt = self.failures.iter().any(|failure| failure.in_doubt);
        let mut failure = self.failures.swap_remove(0);
        let more = if others == 0 {
            String::new()
        } else {
            format!(" (and {} more)", counted(others, "failure"))
        };
        failure.cause.message = format!(
            "{} of {total} objects were {what}: {}{more}",
            self.copied, failure.cause.message
        );
        let effect = if self.copied > 0 || in_doubt {
            FailureEffect::Possible
        } else {
            FailureEffect::None
        };
        // To sync again does what is missing: nothing needs to be decided by a person.
        Some(Outcome::Failed {
            cause: failure.cause,
            effect,
        })
    }
}

async fn copy_one(
    client: &Client,
    (from, to): (&Side, &Side),
    one: &Copy,
    marker: &str,
) -> Result<(), Failure> {
    let path = &one.path;
    match (from, to) {
        (Side::Local(root), Side::Remote(place)) => {
            let place = place.at(format!("{}{path}", place.key));
            let source = Source::open(&root.join(path))?;
            let plan = UploadPlan::new(PART_BYTES_DEFAULT, PARTS_PARALLEL, source.bytes())?;
            let hashes = source.hash(false, client.cancel()).await?;
            let wanted = Wanted {
                content_type: None,
                metadata: BTreeMap::new(),
                marker: marker.to_owned(),
                condition: Condition::None,
                plan,
            };
            put(client, &place, &Content { source, hashes }, &wanted)
                .await
                .map(|_| ())
        }
        (Side::Remote(place), Side::Local(root)) => {
            let place = place.at(format!("{}{path}", place.key));
            let file = file_below(root, path)?;
            // Not looked at first: the listing has said enough, and the download asks for this etag.
            let object = Object::listed(one.bytes, one.etag.as_deref().unwrap_or_default());
            let folder = folder_of(&file).to_owned();
            blocking(move || {
                std::fs::create_dir_all(&folder).map_err(|error| explain("make", &folder, &error))
            })
            .await?;
            // Once more: a folder that was made meanwhile may be a link.
            let file = file_below(root, path)?;
            let Downloaded {
                file: new,
                hashes,
                noted,
            } = download(client, &place, &object, &file).await?;
            if let Some(noted) = noted.filter(|noted| *noted != hex::encode(hashes.sha256)) {
                let cause = Cause::new(
                    FailureKind::Expectation,
                    format!("{place} came with another SHA-256 than the one that was noted, {noted}"),
                );
                return Err(cause.into());
            }
            blocking(move || new.install()).await?;
            Ok(())
        }
        (Side::Remote(from), Side::Remote(to)) => {
            let (from, to) = (
                from.at(format!("{}{path}", from.key)),
                to.at(format!("{}{path}", to.key)),
            );
            let object = head(client, &from, None)
                .await?
                .ok_or_else(|| gone(&from.to_string()))?;
            copy(client, &from, &object, &to, Some(marker), &Condition::None)
                .await
                .map(|_| ())
        }
        (Side::Local(_), Side::Local(_)) => Ok(()),
    }
}

fn gone(what: &str) -> Failure {
    Cause::new(
        FailureKind::Conflict,
        format!("{what} went away while it was to be copied"),
    )
    .into()
}

async fn delete_one(client: &Client, side: &Side, path: &str) -> Result<(), Failure> {
    match side {
        Side::Remote(place) => delete(client, &place.at(format!("{}{path}", place.key))).await,
        Side::Local(root) => {
            let file = file_below(root, path)?;
            remove_file(&file).await?;
            Ok(())
        }
    }
}

async fn remove_file(file: &Path) -> Result<(), Cause> {
    let file = file.to_owned();
    blocking(move || match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(explain("remove", &file, &error)),
        Ok(()) | Err(_) => Ok(()),
    })
    .await
}
