//! One file of a host brought to a content, a mode and an owner: compared, written beside it, and renamed over it.

use super::before::{Before, tidy};
use super::fault::{Ended, Fault, nothing_done, perhaps_done};
use super::owner::Owner;
use super::place::{Attributes, Beside, Kind, Meta, Place};
use super::remote::{Remote, check_folder_of};
use super::sftp::{Handle, Open};
use super::stream::{Progress, Source, Transferred, send, size};
use caxplan_adapter::{Call, Change, Forecast};
use caxplan_model::{Cause, FailureKind};
use sha2::{Digest as _, Sha256};

/// A larger file that was sent in part stays, and the next attempt goes on with it.
const RESUME_MIN: u64 = 8 << 20;

/// What shall lie under a name.
pub(super) struct Wanted {
    /// The whole path.
    pub(super) path: String,
    pub(super) source: Source,
    pub(super) bytes: u64,
    pub(super) mode: Mode,
    pub(super) owner: Owner,
}

/// The permissions of a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mode {
    /// Always these.
    Exactly(u32),
    /// Those of the file that is there, else these.
    ElseKept(u32),
}

/// How what lies there compares with what shall.
pub(super) struct Compared {
    pub(super) now: Option<Meta>,
    pub(super) before: Before,
    /// Whether the content must be written.
    pub(super) differs: bool,
    /// The mode that it shall have.
    pub(super) mode: u32,
    /// The owner that it shall have, if that is known before it is written.
    pub(super) owner: Option<(u32, u32)>,
    /// The hash of the source, if it was needed.
    pub(super) sha256: Option<String>,
    pub(super) beside: Beside,
}

impl Compared {
    /// Whether all is as wanted.
    pub(super) fn is_same(&self) -> bool {
        !self.differs && self.attributes() == Attributes::default()
    }

    /// What must be set of a file whose content stays.
    fn attributes(&self) -> Attributes {
        let Some(now) = &self.now else {
            return Attributes::default();
        };
        let owner = self.owner.filter(|owner| *owner != now.owner);
        Attributes {
            mode: (self.mode != now.mode || owner.is_some()).then_some(self.mode),
            owner,
            modified: None,
        }
    }

    /// What would change of mode and owner, for people.
    fn attribute_changes(&self) -> Vec<String> {
        let Some(now) = self.now.as_ref().filter(|now| now.kind == Kind::File) else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        if self.mode != now.mode {
            changes.push(format!("mode {:04o} to {:04o}", now.mode, self.mode));
        }
        if let Some((user, group)) = self.owner.filter(|owner| *owner != now.owner) {
            changes.push(format!("owner {}:{} to {user}:{group}", now.owner.0, now.owner.1));
        }
        changes
    }
}

/// Looks at what lies there. Changes nothing.
pub(super) async fn compare(remote: &Remote, wanted: &Wanted, call: &Call) -> Result<Compared, Fault> {
    let path = &wanted.path;
    check_folder_of(remote, path).await?;
    let beside = Beside::of(path, call)
        .ok_or_else(|| Fault::new(FailureKind::Invalid, format!("{path} is no file")))?;
    let now = remote.look(path).await?;
    let file = now.as_ref().filter(|now| now.kind == Kind::File);
    if now.as_ref().is_some_and(|now| now.kind == Kind::Folder) {
        return Err(Cause::new(
            FailureKind::Conflict,
            format!("{} is a folder", remote.shown(path)),
        )
        .with_hint("to put a file into it, write its path with a slash at the end, or the file's whole path")
        .into());
    }
    let has_length = file.is_some_and(|file| file.bytes == wanted.bytes);
    let before = Before::of(remote, path, now.as_ref(), &beside, has_length).await?;
    let (mut differs, mut sha256) = (true, None);
    if has_length
        && let Before::File {
            sha256: Some(there), ..
        } = &before
    {
        let ours = wanted.source.sha256().await?;
        differs = ours != *there;
        sha256 = Some(ours);
    }
    Ok(Compared {
        mode: match (wanted.mode, file) {
            (Mode::ElseKept(_), Some(file)) => file.mode,
            (Mode::Exactly(mode) | Mode::ElseKept(mode), _) => mode,
        },
        // Whoever owns what is replaced goes on owning it.
        owner: file.map(|file| wanted.owner.over(file.owner)),
        differs,
        before,
        now,
        sha256,
        beside,
    })
}

/// The forecast; `text` is the difference of a text, if there is one to show.
pub(super) fn forecast(
    remote: &Remote,
    wanted: &Wanted,
    compared: &Compared,
    text: Option<String>,
) -> Forecast {
    let shown = remote.shown(&wanted.path);
    let mut changes = compared.attribute_changes();
    let (change, summary) = match &compared.before {
        _ if compared.is_same() => (Change::WouldNot, format!("{shown} is as wanted")),
        Before::Absent {} => (
            Change::Would,
            format!(
                "would create {shown} ({}, mode {:04o})",
                size(wanted.bytes),
                compared.mode
            ),
        ),
        Before::Link { target } => (
            Change::Would,
            format!(
                "would replace the link {shown} (to {target}) by a file ({})",
                size(wanted.bytes)
            ),
        ),
        Before::Folder { .. } | Before::Tree { .. } => (Change::Unknown, format!("{shown} is a folder")),
        Before::File { bytes, sha256, .. } => {
            let mut below = String::new();
            match (text, compared.differs) {
                (Some(text), true) => {
                    let (head, rest) = text
                        .split_once('\n')
                        .map_or((&*text, ""), |(head, rest)| (head, rest));
                    changes.push(head.to_owned());
                    if !rest.is_empty() {
                        below = format!("\n{rest}");
                    }
                }
                (None, true) => changes.push(format!(
                    "{}{} to {}{}",
                    size(*bytes),
                    short(sha256.as_deref()),
                    size(wanted.bytes),
                    short(compared.sha256.as_deref())
                )),
                (_, false) => {}
            }
            (
                Change::Would,
                format!("would change {shown}: {}{below}", changes.join(", ")),
            )
        }
    };
    Forecast {
        change,
        summary,
        before: compared.before.to_value(),
    }
}

fn short(sha256: Option<&str>) -> String {
    sha256.map_or(String::new(), |sha256| format!(" (sha256 {}…)", &sha256[..12]))
}

/// Brings the file to what is wanted. Answers what it holds then, and whether anything was done.
///
/// Nothing half-written ever has the final name. What was written in part of a large file stays beside it for the next
/// attempt; else nothing stays.
pub(super) async fn install(
    remote: &Remote,
    wanted: &Wanted,
    compared: &Compared,
    validate: Option<&[String]>,
) -> Result<(Transferred, bool), Ended> {
    let path = &wanted.path;
    if !compared.differs {
        let attributes = compared.attributes();
        let same = Transferred {
            bytes: wanted.bytes,
            sha256: compared.sha256.clone().unwrap_or_default(),
        };
        if attributes == Attributes::default() {
            return Ok((same, false));
        }
        remote.set(path, attributes).await.map_err(perhaps_done)?;
        return Ok((same, true));
    }
    let part = compared.beside.part();
    let staged = async {
        let sent = stage(remote, wanted, compared, &part).await?;
        if let Some(argv) = validate {
            self::validate(remote, argv, &part).await?;
        }
        Ok(sent)
    };
    let sent = match staged.await {
        Ok(sent) => sent,
        Err(fault) => {
            let resumable =
                wanted.bytes > RESUME_MIN && matches!(fault, Fault::Cancelled(_) | Fault::Lost(_));
            if !resumable && !matches!(fault, Fault::Lost(_)) {
                let _ = remote.remove(&part).await;
            }
            return Err(nothing_done(fault));
        }
    };
    let kept = match &compared.before {
        Before::File { kept, .. } => Some(kept),
        Before::Absent {} | Before::Link { .. } | Before::Folder { .. } | Before::Tree { .. } => None,
    };
    if let Some(kept) = kept
        && let Err(fault) = remote.keep(path, kept).await
    {
        let _ = remote.remove(&part).await;
        return Err(nothing_done(fault));
    }
    remote.rename(&part, path).await.map_err(perhaps_done)?;
    remote.settle(compared.beside.folder()).await;
    tidy(remote, &compared.beside).await;
    Ok((sent, true))
}

/// Writes the part, verifies it on the host, and gives it mode and owner.
async fn stage(
    remote: &Remote,
    wanted: &Wanted,
    compared: &Compared,
    part: &str,
) -> Result<Transferred, Fault> {
    let what = format!("cannot write {}", remote.shown(part));
    let (handle, from, hash) = open_part(remote, wanted, compared, part, &what).await?;
    let mut progress = Progress::new(remote.shown(&wanted.path), from, wanted.bytes);
    if from > 0 {
        remote.context.note(&format!(
            "goes on with {}: {} of {} are there",
            remote.shown(&wanted.path),
            size(from),
            size(wanted.bytes)
        ));
    }
    let sent = async {
        let sent = send(remote, &handle, part, &wanted.source, from, hash, &mut progress).await?;
        remote.unless_cancelled(remote.sftp.sync(&what, &handle)).await?;
        Ok(sent)
    };
    let sent = match sent.await {
        Ok(sent) => sent,
        Err(Fault::Refused(cause)) => {
            handle.close().await;
            return Err(explain_full(remote, compared.beside.folder(), wanted.bytes, cause).await);
        }
        Err(fault) => return Err(fault),
    };
    if sent.bytes != wanted.bytes
        || compared
            .sha256
            .as_ref()
            .is_some_and(|sha256| *sha256 != sent.sha256)
    {
        return Err(Fault::new(
            FailureKind::Conflict,
            format!("{} changed while it was sent", wanted.source.shown()),
        ));
    }
    let there = remote.unless_cancelled(remote.sha256(part, None)).await?;
    if there != sent.sha256 {
        return Err(Fault::new(
            FailureKind::Other,
            format!(
                "{} arrived with the hash {there}, not {}: its disk or the connection is broken",
                remote.shown(part),
                sent.sha256
            ),
        ));
    }
    give(remote, &handle, wanted, compared, part).await?;
    handle.close().await;
    Ok(sent)
}

/// Opens the part: the one that an earlier attempt left, as far as it is right, else a new one.
async fn open_part(
    remote: &Remote,
    wanted: &Wanted,
    compared: &Compared,
    part: &str,
    what: &str,
) -> Result<(Handle, u64, Sha256), Fault> {
    if let Some(left) = remote.look(part).await? {
        let folder = remote.look(compared.beside.folder()).await?;
        // Where everybody may write, somebody else may have put it there.
        let is_ours = left.kind == Kind::File
            && left.mode == 0o600
            && folder.is_some_and(|folder| folder.mode & 0o002 == 0);
        if is_ours && wanted.bytes > RESUME_MIN && left.bytes > 0 && left.bytes <= wanted.bytes {
            let ours = wanted.source.hash_until(left.bytes).await?;
            let there = remote
                .unless_cancelled(remote.sha256(part, Some(left.bytes)))
                .await?;
            if hex::encode(ours.clone().finalize()) == there {
                let handle = remote.sftp.open(what, part, Open::Write).await?;
                return Ok((handle, left.bytes, ours));
            }
        }
        remote.remove(part).await?;
    }
    let handle = remote.sftp.open(what, part, Open::Create).await?;
    Ok((handle, 0, Sha256::new()))
}

/// Gives an open part the owner and mode that the file shall have.
async fn give(
    remote: &Remote,
    handle: &Handle,
    wanted: &Wanted,
    compared: &Compared,
    part: &str,
) -> Result<(), Fault> {
    let what = format!("cannot set owner or mode of {}", remote.shown(part));
    let made = remote.look(part).await?.ok_or_else(|| {
        Fault::new(
            FailureKind::Conflict,
            format!("{} was removed by somebody", remote.shown(part)),
        )
    })?;
    let owner = compared.owner.unwrap_or_else(|| wanted.owner.over(made.owner));
    if owner != made.owner {
        let owner = Attributes {
            owner: Some(owner),
            ..Attributes::default()
        };
        match remote.sftp.set_open(&what, handle, owner).await {
            // Only root gives files away. If nobody asked for it, a new file of ours takes the place of another's.
            Err(Fault::Refused(cause)) if !wanted.owner.is_given() && cause.kind == FailureKind::Denied => {
                remote.context.note(&format!(
                    "{} belongs to user {} from now on: only root gives files away",
                    remote.shown(&wanted.path),
                    made.owner.0
                ));
            }
            done => done?,
        }
    }
    let mode = Attributes {
        mode: Some(compared.mode),
        ..Attributes::default()
    };
    remote.sftp.set_open(&what, handle, mode).await
}

/// OpenSSH's server does not say why it cannot write; mostly it is a full disk.
pub(super) async fn explain_full(remote: &Remote, folder: &str, bytes: u64, cause: Cause) -> Fault {
    match remote.sftp.free(folder).await {
        Some(free) if cause.kind == FailureKind::Other && free < 1 << 20 => {
            let mut full = Cause::new(
                FailureKind::Unavailable,
                format!(
                    "no space is left on {} for {} (of which {} were to be written)",
                    remote.host.name(),
                    remote.shown(folder),
                    size(bytes)
                ),
            )
            .with_hint("free some; what was written of it has been removed again");
            full.detail = cause.detail;
            Fault::Refused(full)
        }
        Some(_) | None => Fault::Refused(cause),
    }
}

/// Lets a program of the host judge the part.
async fn validate(remote: &Remote, argv: &[String], part: &str) -> Result<(), Fault> {
    let argv: Vec<String> = argv.iter().map(|word| word.replace("{file}", part)).collect();
    let name = argv.first().cloned().unwrap_or_default();
    let finished = remote.run(crate::Command::new(argv)).await?;
    if finished.exit.is_success() {
        return Ok(());
    }
    let said = [finished.stderr.tail(), finished.stdout.tail()].join("\n");
    Err(Cause::new(
        FailureKind::Expectation,
        format!("`{name}` does not accept the new file: {}", said.trim()),
    )
    .with_hint("nothing was replaced")
    .into())
}
