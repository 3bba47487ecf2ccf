//! A folder that shall be there.

use super::before::{Before, restore};
use super::fault::{Ended, Fault, nothing_done, perhaps_done};
use super::owner::Owner;
use super::place::{Attributes, Beside, Kind, Meta, Place, is_kept, split};
use super::remote::Remote;
use super::tree::unmake;
use caxplan_adapter::{Call, Change};
use caxplan_model::{Cause, FailureKind, Outcome, Value};

/// The mode of a new folder if the plan names none.
const MODE_DEFAULT: u32 = 0o755;

/// What is to be done for a folder to be there.
pub(super) struct Work {
    pub(super) before: Before,
    /// The folders that are not there, the outermost first.
    pub(super) missing: Vec<String>,
    now: Option<Meta>,
    mode: Option<u32>,
    owner: Owner,
}

impl Work {
    /// Looks at what there is. Changes nothing.
    pub(super) async fn look(
        place: &dyn Place,
        path: &str,
        mode: Option<u32>,
        owner: Owner,
        call: &Call,
    ) -> Result<Self, Fault> {
        let beside = Beside::of(path, call)
            .ok_or_else(|| Fault::new(FailureKind::Invalid, format!("{path} is there always")))?;
        let now = place.look(path).await?;
        if let Some(now) = &now
            && now.kind != Kind::Folder
        {
            return Err(Fault::new(
                FailureKind::Conflict,
                format!("{} is there, and is no folder", place.shown(path)),
            ));
        }
        let mut missing = Vec::new();
        let mut at = path;
        while place.look(at).await?.is_none() {
            missing.push(at.to_owned());
            match split(at) {
                Some((folder, _)) => at = folder,
                None => break,
            }
        }
        missing.reverse();
        Ok(Self {
            before: Before::of(place, path, now.as_ref(), &beside, false).await?,
            missing,
            now,
            mode,
            owner,
        })
    }

    fn attributes(&self, now: &Meta) -> Attributes {
        let owner = Some(self.owner.over(now.owner)).filter(|owner| *owner != now.owner);
        let mode = self.mode.unwrap_or(now.mode);
        Attributes {
            mode: (mode != now.mode || owner.is_some()).then_some(mode),
            owner,
            modified: None,
        }
    }

    pub(super) fn forecast(&self, place: &dyn Place, path: &str) -> (Change, String) {
        let shown = place.shown(path);
        let Some(now) = &self.now else {
            return (Change::Would, format!("would make the folder {shown}"));
        };
        let attributes = self.attributes(now);
        let mut changes = Vec::new();
        if let Some(mode) = attributes.mode.filter(|mode| *mode != now.mode) {
            changes.push(format!("mode {:04o} to {mode:04o}", now.mode));
        }
        if let Some((user, group)) = attributes.owner {
            changes.push(format!("owner {}:{} to {user}:{group}", now.owner.0, now.owner.1));
        }
        if changes.is_empty() {
            return (Change::WouldNot, format!("{shown} is as wanted"));
        }
        (
            Change::Would,
            format!("would change {shown}: {}", changes.join(", ")),
        )
    }

    /// Makes it. Answers whether anything was done.
    pub(super) async fn perform(&self, remote: &Remote, path: &str) -> Result<bool, Fault> {
        for folder in &self.missing {
            // Somebody else may have made it in the meantime.
            match remote.make_folder(folder, MODE_DEFAULT).await {
                Err(fault @ Fault::Refused(_)) if remote.look(folder).await?.is_none() => return Err(fault),
                Err(Fault::Refused(_)) | Ok(()) => {}
                Err(fault) => return Err(fault),
            }
        }
        let now = remote.look(path).await?.ok_or_else(|| {
            Fault::new(
                FailureKind::Conflict,
                format!("{} was removed by somebody", remote.shown(path)),
            )
        })?;
        let mut attributes = self.attributes(&now);
        if self.now.is_none() {
            // The server's umask has had its part in it.
            attributes.mode = Some(self.mode.unwrap_or(MODE_DEFAULT)).filter(|mode| *mode != now.mode);
        }
        if attributes != Attributes::default() {
            remote.set(path, attributes).await?;
        }
        if let Some((folder, _)) = self.missing.first().and_then(|first| split(first)) {
            remote.settle(folder).await;
        }
        Ok(!self.missing.is_empty() || attributes != Attributes::default())
    }
}

/// Removes the folders that were not there before, or gives the folder back its mode and owner. One in which undone steps of this
/// run have left what they keep is renamed as these are, with all that is kept.
pub(super) async fn undo(
    place: &dyn Place,
    path: &str,
    before: &Before,
    missing: &[String],
    call: &Call,
) -> Result<Outcome, Ended> {
    if missing.is_empty() {
        return Ok(restore(place, path, before).await);
    }
    let mut changed = false;
    for folder in missing.iter().rev() {
        if place.look(folder).await.map_err(nothing_done)?.is_none() {
            continue;
        }
        let names = place.list(folder).await.map_err(nothing_done)?;
        let inside = names.iter().filter(|(name, _)| !is_kept(name, call)).count();
        if inside > 0 {
            let cause = Cause::new(
                FailureKind::Conflict,
                format!(
                    "{} holds {inside} names that the step has not put there",
                    place.shown(folder)
                ),
            )
            .with_hint("look at them, and remove the folder by hand if nobody needs them");
            return Err(if changed {
                perhaps_done(cause)
            } else {
                nothing_done(cause)
            });
        }
        if names.is_empty() {
            place.remove_folder(folder).await.map_err(perhaps_done)?;
        } else {
            unmake(place, folder, call).await?;
        }
        changed = true;
    }
    Ok(match changed {
        true => Outcome::Changed { output: Value::Null },
        false => Outcome::Unchanged { output: Value::Null },
    })
}
