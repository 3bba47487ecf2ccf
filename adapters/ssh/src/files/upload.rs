//! `ssh.upload`: a file or a folder of this machine on a host.

use super::before::{Before, restore};
use super::fault::{Ended, Fault, nothing_done};
use super::install::{Mode, Wanted, compare, forecast, install};
use super::output::{transfer_schema, transferred};
use super::owner::{Owner, mode_of};
use super::place::{Kind, MODE_MASK, Place as _, join};
use super::remote::Remote;
use super::stream::{Source, unreadable};
use super::tree;
use crate::{Connections, Sudo};
use caxplan_adapter::{ActionThrough, Call, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureKind, Outcome, UndoSupport, Value, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// Arguments of `ssh.upload`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshUpload {
    /// The file or folder of this machine, relative to the plan's folder.
    pub src: PathBuf,
    /// Where to put it on the host, relative to the user's home. The folder that it lies in must be there. With a slash at
    /// the end, a file is put into that folder under its own name. A folder's content becomes the content of this one. A
    /// link that lies there is replaced, not followed.
    pub dest: String,
    /// Permissions of files in octal digits (`"0644"`); those of the files here if absent.
    #[serde(default)]
    #[schemars(regex(pattern = r"^0?[0-7]{3,4}$"))]
    pub mode: Option<String>,
    /// The user that all of it belongs to: an account of the host, or a number. The one of what is there, else the one who
    /// logs in. Only root gives files away.
    #[serde(default)]
    pub owner: Option<String>,
    /// The group that it belongs to, likewise.
    #[serde(default)]
    pub group: Option<String>,
    /// What the file's SHA-256 must be, in hexadecimal digits; another one is not sent. Of a file only.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<String>,
    /// Of a folder: whether to remove what it has on the host and not here.
    #[serde(default)]
    pub delete: bool,
    /// Of a folder: whether to compare files by their content where length and time of change are the same.
    #[serde(default)]
    pub checksum: bool,
    /// As whom to write.
    #[serde(default)]
    pub sudo: Option<Sudo>,
    /// The host: `host`, `host:port` or `user@host:port`; the step's target if absent.
    #[serde(default)]
    pub host: Option<String>,
}

impl SshUpload {
    async fn remote(&self, through: &Connections, call: &Call, context: &Context) -> Result<Remote, Fault> {
        Remote::open(through, call, self.host.as_deref(), self.sudo.as_ref(), context).await
    }

    /// The folders, if the source is one.
    async fn folders(&self, remote: &Remote, context: &Context) -> Result<Option<tree::Job>, Fault> {
        let src = context.plan_dir.join(&self.src);
        let about =
            std::fs::metadata(&src).map_err(|error| unreadable(&src.display().to_string(), &error))?;
        if !about.is_dir() {
            return Ok(None);
        }
        if self.sha256.is_some() {
            return Err(Fault::new(
                FailureKind::Invalid,
                "`sha256` is of a file, and `src` is a folder",
            ));
        }
        let from = src
            .to_str()
            .map(str::to_owned)
            .ok_or_else(|| Fault::new(FailureKind::Invalid, format!("{} is no UTF-8", src.display())))?;
        Ok(Some(tree::Job {
            from,
            to: remote.resolve(&self.dest).await?,
            mode: self.mode.as_deref().map(mode_of).transpose()?,
            owner: Owner::of(remote, self.owner.as_deref(), self.group.as_deref()).await?,
            delete: self.delete,
            checksum: self.checksum,
        }))
    }

    /// What the plan's arguments say of one file.
    async fn wanted(&self, remote: &Remote, context: &Context) -> Result<Wanted, Fault> {
        let src = context.plan_dir.join(&self.src);
        let about =
            std::fs::metadata(&src).map_err(|error| unreadable(&src.display().to_string(), &error))?;
        if !about.is_file() {
            return Err(Fault::new(
                FailureKind::Conflict,
                format!("{} is neither a file nor a folder", src.display()),
            ));
        }
        let source = Source::File(src.clone());
        if let Some(sha256) = &self.sha256 {
            let is = source.sha256().await?;
            if !sha256.eq_ignore_ascii_case(&is) {
                return Err(Fault::new(
                    FailureKind::Conflict,
                    format!("{} has the SHA-256 {is}, not {sha256}", src.display()),
                ));
            }
        }
        let path = if self.dest.ends_with('/') {
            let name = src.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            join(&remote.resolve(&self.dest).await?, name)
        } else {
            remote.resolve(&self.dest).await?
        };
        Ok(Wanted {
            path,
            source,
            bytes: about.len(),
            mode: Mode::Exactly(match &self.mode {
                Some(mode) => mode_of(mode)?,
                None => about.permissions().mode() & MODE_MASK,
            }),
            owner: Owner::of(remote, self.owner.as_deref(), self.group.as_deref()).await?,
        })
    }

    async fn try_perform(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<Outcome, Ended> {
        let remote = self.remote(through, call, context).await.map_err(nothing_done)?;
        if let Some(job) = self.folders(&remote, context).await.map_err(nothing_done)? {
            return tree::upload(&remote, &job, call).await;
        }
        let wanted = self.wanted(&remote, context).await.map_err(nothing_done)?;
        let compared = compare(&remote, &wanted, call).await.map_err(nothing_done)?;
        let (sent, changed) = install(&remote, &wanted, &compared, None).await?;
        let output = transferred(
            &wanted.path,
            sent.bytes,
            Some(&sent.sha256),
            u64::from(changed && compared.differs),
        );
        Ok(match changed {
            true => Outcome::Changed { output },
            false => Outcome::Unchanged { output },
        })
    }
}

#[async_trait]
impl ActionThrough<Connections> for SshUpload {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: transfer_schema("The file or folder on the host."),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            public_arguments: ["src", "dest"].map(str::to_owned).to_vec(),
            examples: vec![
                json!({ "src": "files/motd", "dest": "/etc/motd", "mode": "0644", "sudo": true, "host": "web-1.example.org" }),
                json!({ "src": "site", "dest": "/srv/www/site", "delete": true, "host": "admin@web-1.example.org:2222" }),
            ],
            ..changes::<Self>(
                "ssh.upload",
                "Puts a file or folder on a host; each file in one step, verified there",
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
            if let Some(job) = self.folders(&remote, context).await? {
                return tree::forecast_upload(&remote, &job, call).await;
            }
            let wanted = self.wanted(&remote, context).await?;
            let compared = compare(&remote, &wanted, call).await?;
            let text = super::text::difference(&remote, &wanted, &compared).await?;
            Ok(forecast(&remote, &wanted, &compared, text))
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
                return tree::probe_upload(&remote, &job, call).await;
            }
            let wanted = self.wanted(&remote, context).await?;
            let compared = compare(&remote, &wanted, call).await?;
            Ok::<_, Fault>(match compared.is_same() {
                true => Verdict::Done {
                    output: transferred(&wanted.path, wanted.bytes, compared.sha256.as_deref(), 1),
                },
                // Who wrote has ended with the connection, and only renaming makes it count.
                false => Verdict::NotDone,
            })
        };
        super::output::verdict(work.await)
    }

    async fn undo(&self, through: &Connections, call: &Call, before: &Value, context: &Context) -> Outcome {
        let work = async {
            let before: Before = Before::parse(&self.dest, before)?;
            let remote = self.remote(through, call, context).await?;
            let mut path = remote.resolve(&self.dest).await?;
            // A folder came or changed, if one lies there now and nothing, or a folder, did before.
            let is_folder = remote
                .look(&path)
                .await?
                .is_some_and(|now| now.kind == Kind::Folder);
            let in_it = self.dest.ends_with('/') && context.plan_dir.join(&self.src).is_file();
            if matches!(before, Before::Tree { .. })
                || (is_folder && !in_it && matches!(before, Before::Absent {}))
            {
                return Ok(tree::undo(&remote, &path, &before, call).await);
            }
            if self.dest.ends_with('/') {
                path = join(
                    &path,
                    self.src
                        .file_name()
                        .and_then(|name| name.to_str())
                        .unwrap_or_default(),
                );
            }
            Ok::<_, Fault>(restore(&remote, &path, &before).await)
        };
        work.await.unwrap_or_else(Fault::before_any_effect)
    }
}
