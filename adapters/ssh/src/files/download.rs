//! `ssh.download`: a file or a folder of a host on this machine.

use super::before::{Before, restore, tidy};
use super::fault::{Ended, Fault, nothing_done, perhaps_done};
use super::local::Local;
use super::output::{transfer_schema, transferred};
use super::owner::mode_of;
use super::place::{Attributes, Beside, Kind, Meta, Place, join, split};
use super::remote::{Remote, check_folder_of};
use super::sftp::Open;
use super::stream::{Progress, Source, Transferred, blocking, local_fault, receive, size};
use super::tree;
use crate::{Connections, Sudo};
use caxplan_adapter::{ActionThrough, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureKind, Outcome, UndoSupport, Value, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A larger file that was fetched in part stays, and the next attempt goes on with it.
const RESUME_MIN: u64 = 8 << 20;

/// Arguments of `ssh.download`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshDownload {
    /// The file or folder on the host, relative to the user's home.
    pub src: String,
    /// Where to put it on this machine, relative to the plan's folder. The folder that it lies in must be there. With a slash
    /// at the end, a file is put into that folder under its own name. A folder's content becomes the content of this one. A
    /// link that lies there is replaced, not followed.
    pub dest: String,
    /// What the file's SHA-256 must be, in hexadecimal digits; another one gets no place. Of a file only.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<String>,
    /// Permissions of files in octal digits (`"0644"`); those of the files there if absent.
    #[serde(default)]
    #[schemars(regex(pattern = r"^0?[0-7]{3,4}$"))]
    pub mode: Option<String>,
    /// Of a folder: whether to remove what it has here and not on the host.
    #[serde(default)]
    pub delete: bool,
    /// Of a folder: whether to compare files by their content where length and time of change are the same.
    #[serde(default)]
    pub checksum: bool,
    /// As whom to read.
    #[serde(default)]
    pub sudo: Option<Sudo>,
    /// The host: `host`, `host:port` or `user@host:port`; the step's target if absent.
    #[serde(default)]
    pub host: Option<String>,
}

/// How what is here compares with what the host has.
struct Compared {
    from: String,
    path: String,
    there: Meta,
    now: Option<Meta>,
    before: Before,
    differs: bool,
    mode: u32,
    /// The hash of the file there, if it was needed.
    sha256: Option<String>,
    beside: Beside,
}

impl Compared {
    fn is_same(&self) -> bool {
        !self.differs && self.now.as_ref().is_some_and(|now| now.mode == self.mode)
    }

    fn forecast(&self, remote: &Remote) -> Forecast {
        let (from, path) = (remote.shown(&self.from), &self.path);
        let bytes = size(self.there.bytes);
        let (change, summary) = match &self.before {
            _ if self.is_same() => (Change::WouldNot, format!("{path} is as {from}")),
            Before::Absent {} => (
                Change::Would,
                format!("would create {path} from {from} ({bytes})"),
            ),
            Before::Link { target } => (
                Change::Would,
                format!("would replace the link {path} (to {target}) by {from} ({bytes})"),
            ),
            Before::File { .. } if !self.differs => (
                Change::Would,
                format!(
                    "would change {path}: mode {:04o} to {:04o}",
                    self.now.as_ref().map_or(0, |now| now.mode),
                    self.mode
                ),
            ),
            Before::File { bytes: old, .. } => (
                Change::Would,
                format!("would replace {path} ({}) by {from} ({bytes})", size(*old)),
            ),
            Before::Folder { .. } | Before::Tree { .. } => (Change::Unknown, format!("{path} is a folder")),
        };
        Forecast {
            change,
            summary,
            before: self.before.to_value(),
        }
    }
}

impl SshDownload {
    async fn remote(&self, through: &Connections, call: &Call, context: &Context) -> Result<Remote, Fault> {
        Remote::open(through, call, self.host.as_deref(), self.sudo.as_ref(), context).await
    }

    /// Where it goes on this machine.
    fn path(&self, context: &Context) -> Result<String, Fault> {
        let folder = std::path::absolute(&context.plan_dir)
            .map_err(|error| local_fault(&format!("cannot find {}", context.plan_dir.display()), &error))?;
        let path: PathBuf = folder.join(&self.dest).components().collect();
        let mut path = path
            .to_str()
            .map(str::to_owned)
            .ok_or_else(|| Fault::new(FailureKind::Invalid, format!("{} is no UTF-8", path.display())))?;
        if self.dest.ends_with('/')
            && let Some((_, name)) = split(&self.src)
        {
            path = join(&path, name);
        } else if self.dest.ends_with('/') {
            path = join(&path, &self.src);
        }
        Ok(path)
    }

    /// What the host has there; links are followed.
    async fn there(&self, remote: &Remote) -> Result<(String, Meta), Fault> {
        let from = remote.resolve(&self.src).await?;
        let missing = || {
            Fault::new(
                FailureKind::NotFound,
                format!("there is no {}", remote.shown(&from)),
            )
        };
        let mut meta = remote.look(&from).await?.ok_or_else(missing)?;
        if meta.kind == Kind::Link {
            meta = remote.look_through(&from).await?.ok_or_else(missing)?;
        }
        Ok((from, meta))
    }

    /// The folders, if the host has a folder there.
    async fn folders(&self, remote: &Remote, context: &Context) -> Result<Option<tree::Job>, Fault> {
        let (from, there) = self.there(remote).await?;
        if there.kind != Kind::Folder {
            return Ok(None);
        }
        if self.sha256.is_some() {
            return Err(Fault::new(
                FailureKind::Invalid,
                "`sha256` is of a file, and this is a folder",
            ));
        }
        let path = context.plan_dir.join(self.dest.trim_end_matches('/'));
        let path = std::path::absolute(&path).unwrap_or(path);
        Ok(Some(tree::Job {
            from,
            to: path.to_string_lossy().into_owned(),
            mode: self.mode.as_deref().map(mode_of).transpose()?,
            owner: super::owner::Owner::default(),
            delete: self.delete,
            checksum: self.checksum,
        }))
    }

    async fn compare(&self, remote: &Remote, call: &Call, context: &Context) -> Result<Compared, Fault> {
        let (from, there) = self.there(remote).await?;
        if there.kind != Kind::File {
            return Err(Fault::new(
                FailureKind::Conflict,
                format!("{} is neither a file nor a folder", remote.shown(&from)),
            ));
        }
        let path = self.path(context)?;
        check_folder_of(&Local, &path).await?;
        let beside = Beside::of(&path, call)
            .ok_or_else(|| Fault::new(FailureKind::Invalid, format!("{path} is no file")))?;
        let now = Local.look(&path).await?;
        if now.as_ref().is_some_and(|now| now.kind == Kind::Folder) {
            return Err(Cause::new(FailureKind::Conflict, format!("{path} is a folder"))
                .with_hint("to put a file into it, write its path with a slash at the end")
                .into());
        }
        let has_length = now
            .as_ref()
            .is_some_and(|now| now.kind == Kind::File && now.bytes == there.bytes);
        let before = Before::of(&Local, &path, now.as_ref(), &beside, has_length).await?;
        let (mut differs, mut sha256) = (true, None);
        if has_length
            && let Before::File {
                sha256: Some(ours), ..
            } = &before
        {
            let theirs = remote.unless_cancelled(remote.sha256(&from, None)).await?;
            differs = *ours != theirs;
            sha256 = Some(theirs);
        }
        Ok(Compared {
            mode: match &self.mode {
                Some(mode) => mode_of(mode)?,
                None => there.mode,
            },
            from,
            path,
            there,
            now,
            before,
            differs,
            sha256,
            beside,
        })
    }

    /// Fetches into the part and verifies it.
    async fn stage(&self, remote: &Remote, compared: &Compared, part: &str) -> Result<Transferred, Fault> {
        let bytes = compared.there.bytes;
        let (file, from, hash) = open_part(remote, compared, part).await?;
        let what = format!("cannot read {}", remote.shown(&compared.from));
        let handle = remote.sftp.open(&what, &compared.from, Open::Read).await?;
        let mut progress = Progress::new(remote.shown(&compared.from), from, bytes);
        if from > 0 {
            remote.context.note(&format!(
                "goes on with {}: {} of {} are here",
                remote.shown(&compared.from),
                size(from),
                size(bytes)
            ));
        }
        let to = (Path::new(part), file);
        let fetched = receive(
            remote,
            &handle,
            &compared.from,
            (from, bytes),
            to,
            hash,
            &mut progress,
        )
        .await?;
        handle.close().await;
        let theirs = match &compared.sha256 {
            Some(sha256) => sha256.clone(),
            None => {
                remote
                    .unless_cancelled(remote.sha256(&compared.from, None))
                    .await?
            }
        };
        if theirs != fetched.sha256 {
            return Err(Fault::new(
                FailureKind::Conflict,
                format!("{} changed while it was fetched", remote.shown(&compared.from)),
            ));
        }
        self.check_hash(remote, &compared.from, &fetched.sha256)?;
        let mode = Attributes {
            mode: Some(compared.mode),
            ..Attributes::default()
        };
        Local.set(part, mode).await?;
        Ok(fetched)
    }

    fn check_hash(&self, remote: &Remote, from: &str, is: &str) -> Result<(), Fault> {
        match &self.sha256 {
            Some(sha256) if !sha256.eq_ignore_ascii_case(is) => Err(Fault::new(
                FailureKind::Conflict,
                format!("{} has the SHA-256 {is}, not {sha256}", remote.shown(from)),
            )),
            Some(_) | None => Ok(()),
        }
    }

    async fn try_perform(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<Outcome, Ended> {
        let remote = self.remote(through, call, context).await.map_err(nothing_done)?;
        if let Some(job) = self.folders(&remote, context).await.map_err(nothing_done)? {
            return tree::download(&remote, &job, call).await;
        }
        let compared = self.compare(&remote, call, context).await.map_err(nothing_done)?;
        let path = &compared.path;
        if !compared.differs {
            let sha256 = compared.sha256.clone().unwrap_or_default();
            self.check_hash(&remote, &compared.from, &sha256)
                .map_err(nothing_done)?;
            let output = transferred(path, compared.there.bytes, Some(&sha256), 0);
            if compared.is_same() {
                return Ok(Outcome::Unchanged { output });
            }
            let mode = Attributes {
                mode: Some(compared.mode),
                ..Attributes::default()
            };
            Local.set(path, mode).await.map_err(perhaps_done)?;
            return Ok(Outcome::Changed { output });
        }
        let part = compared.beside.part();
        let fetched = match self.stage(&remote, &compared, &part).await {
            Ok(fetched) => fetched,
            Err(fault) => {
                let resumable = matches!(fault, Fault::Cancelled(_) | Fault::Lost(_));
                if !(resumable && compared.there.bytes > RESUME_MIN) {
                    let _ = Local.remove(&part).await;
                }
                return Err(nothing_done(fault));
            }
        };
        if let Before::File { kept, .. } = &compared.before
            && let Err(fault) = Local.keep(path, kept).await
        {
            let _ = Local.remove(&part).await;
            return Err(nothing_done(fault));
        }
        Local.rename(&part, path).await.map_err(perhaps_done)?;
        Local.settle(compared.beside.folder()).await;
        tidy(&Local, &compared.beside).await;
        Ok(Outcome::Changed {
            output: transferred(path, fetched.bytes, Some(&fetched.sha256), 1),
        })
    }
}

/// Opens the part: the one that an earlier attempt left, as far as it is right, else a new one.
async fn open_part(remote: &Remote, compared: &Compared, part: &str) -> Result<(File, u64, Sha256), Fault> {
    let left = Local.look(part).await?;
    if let Some(left) = left {
        let bytes = left.bytes;
        let fits = left.kind == Kind::File && bytes > 0 && bytes <= compared.there.bytes;
        if fits && compared.there.bytes > RESUME_MIN {
            let ours = Source::File(part.into()).hash_until(bytes).await?;
            let theirs = remote
                .unless_cancelled(remote.sha256(&compared.from, Some(bytes)))
                .await?;
            if hex::encode(ours.clone().finalize()) == theirs {
                let file = File::options().write(true).open(part);
                return file
                    .map(|file| (file, bytes, ours))
                    .map_err(|error| local_fault(&format!("cannot write {part}"), &error));
            }
        }
        Local.remove(part).await?;
    }
    let name = part.to_owned();
    blocking(move || {
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&name)
            .map(|file| (file, 0, Sha256::new()))
            .map_err(|error| local_fault(&format!("cannot write {name}"), &error))
    })
    .await
}

#[async_trait]
impl ActionThrough<Connections> for SshDownload {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: transfer_schema("The file or folder on this machine."),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            public_arguments: ["src", "dest"].map(str::to_owned).to_vec(),
            examples: vec![
                json!({ "src": "/var/log/app.log", "dest": "collected/app.log", "host": "web-1.example.org" }),
            ],
            ..changes::<Self>(
                "ssh.download",
                "Fetches a file or folder from a host; each file in one step, verified",
            )
        }
    }

    async fn forecast(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<Forecast, Cause> {
        let work = async {
            let remote = self.remote(through, call, context).await?;
            match self.folders(&remote, context).await? {
                Some(job) => tree::forecast_download(&remote, &job, call).await,
                None => Ok(self.compare(&remote, call, context).await?.forecast(&remote)),
            }
        };
        work.await.map_err(Fault::into_cause)
    }

    async fn perform(&self, through: &Connections, call: &Call, context: &Context) -> Outcome {
        let done = self.try_perform(through, call, context).await;
        done.unwrap_or_else(|ended| *ended)
    }

    async fn probe(&self, through: &Connections, call: &Call, context: &Context) -> Verdict {
        let work = async {
            let remote = self.remote(through, call, context).await?;
            if let Some(job) = self.folders(&remote, context).await? {
                return tree::probe_download(&remote, &job, call).await;
            }
            let compared = self.compare(&remote, call, context).await?;
            Ok::<_, Fault>(match compared.is_same() {
                true => Verdict::Done {
                    output: transferred(
                        &compared.path,
                        compared.there.bytes,
                        compared.sha256.as_deref(),
                        1,
                    ),
                },
                false => Verdict::NotDone,
            })
        };
        super::output::verdict(work.await)
    }

    async fn undo(&self, _: &Connections, call: &Call, before: &Value, context: &Context) -> Outcome {
        let work = async {
            let before: Before = Before::parse(&self.dest, before)?;
            if let Before::Tree { .. } | Before::Absent {} = &before {
                let path = context.plan_dir.join(self.dest.trim_end_matches('/'));
                let path = std::path::absolute(&path)
                    .unwrap_or(path)
                    .to_string_lossy()
                    .into_owned();
                let is_folder = Local
                    .look(&path)
                    .await?
                    .is_some_and(|now| now.kind == Kind::Folder);
                if matches!(before, Before::Tree { .. }) || (is_folder && !self.dest.ends_with('/')) {
                    return Ok(tree::undo(&Local, &path, &before, call).await);
                }
            }
            Ok::<_, Fault>(restore(&Local, &self.path(context)?, &before).await)
        };
        work.await.unwrap_or_else(Fault::before_any_effect)
    }
}
