//! `ssh.file`: what lies under a name of a host.

use super::before::{Before, remove_all, replace_by_link, restore, tidy};
use super::fault::{Ended, Fault, nothing_done, perhaps_done};
use super::folder;
use super::install::{Compared, Mode, Wanted, compare, forecast, install};
use super::owner::{Owner, mode_of};
use super::place::{Beside, Kind, Place as _};
use super::remote::{Remote, check_folder_of};
use super::stream::{Source, size};
use super::template::MODE_DEFAULT;
use crate::{Connections, Sudo};
use caxplan_adapter::{ActionThrough, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureKind, Outcome, UndoSupport, Value, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What shall lie under the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// A file, with this content if one is given; else as it is, or empty.
    Present,
    /// Nothing.
    Absent,
    /// A folder; those that it lies in are made too.
    Directory,
    /// Nothing, for it has another name now.
    Moved,
    /// A link.
    Link,
}

/// Arguments of `ssh.file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshFile {
    /// The file, folder or link on the host, relative to the user's home. What it lies in must be there, but for `directory`.
    pub path: String,
    /// What shall be there. `present`: a file; a link is replaced, not followed. `absent`: nothing; what was there stays beside
    /// it as `.NAME.caxplan-….old` for an undo, until a later run puts something there or removes it again. `directory`: a
    /// folder. `moved`: what was there is under `to`. `link`: a link to `target`.
    pub state: FileState,
    /// Of `present`: what the file shall hold; if absent, what it holds, or nothing.
    #[serde(default)]
    pub content: Option<String>,
    /// Of `moved`: the new name, on the same file system. Nothing may lie there.
    #[serde(default)]
    pub to: Option<String>,
    /// Of `link`: what it points to, as it is written into the link.
    #[serde(default)]
    pub target: Option<String>,
    /// Of `present` and `directory`: permissions in octal digits (`"0750"`); those that are there, else `"0644"` of a file
    /// and `"0755"` of a folder.
    #[serde(default)]
    #[schemars(regex(pattern = r"^0?[0-7]{3,4}$"))]
    pub mode: Option<String>,
    /// Of `present` and `directory`: the user that it belongs to, an account of the host or a number. Only root gives away.
    #[serde(default)]
    pub owner: Option<String>,
    /// The group that it belongs to, likewise.
    #[serde(default)]
    pub group: Option<String>,
    /// Of `absent`: whether a folder is removed with what lies in it; else only an empty one is.
    #[serde(default)]
    pub recurse: bool,
    /// As whom to act.
    #[serde(default)]
    pub sudo: Option<Sudo>,
    /// The host: `host`, `host:port` or `user@host:port`; the step's target if absent.
    #[serde(default)]
    pub host: Option<String>,
}

/// What was there before.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryBefore {
    /// Under the path.
    entry: Before,
    /// The folders that were not there, the outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
}

/// What is to be done.
enum Work {
    Nothing,
    Install(Box<(Wanted, Compared)>),
    Folder(folder::Work),
    Remove(Beside),
    Move(String),
    Link { target: String, beside: Beside },
}

/// What is to be done, and how it is told.
struct Look {
    path: String,
    work: Work,
    forecast: Forecast,
}

impl SshFile {
    /// Refuses arguments that mean nothing together.
    fn check(&self) -> Result<(), Fault> {
        use FileState::{Absent, Directory, Link, Moved, Present};
        let needs = [
            ("content", self.content.is_some(), &[Present][..]),
            ("to", self.to.is_some(), &[Moved]),
            ("target", self.target.is_some(), &[Link]),
            ("mode", self.mode.is_some(), &[Present, Directory]),
            ("owner", self.owner.is_some(), &[Present, Directory]),
            ("group", self.group.is_some(), &[Present, Directory]),
            ("recurse", self.recurse, &[Absent]),
        ];
        for (name, is_given, states) in needs {
            if is_given && !states.contains(&self.state) {
                let states: Vec<_> = states
                    .iter()
                    .map(|state| format!("`state: {}`", word(*state)))
                    .collect();
                return Err(Fault::new(
                    FailureKind::Invalid,
                    format!(
                        "`{name}` goes with {}, not with `state: {}`",
                        states.join(" and "),
                        word(self.state)
                    ),
                ));
            }
        }
        for (name, is_missing) in [
            ("to", self.state == Moved && self.to.is_none()),
            ("target", self.state == Link && self.target.is_none()),
        ] {
            if is_missing {
                return Err(Fault::new(
                    FailureKind::Invalid,
                    format!("`state: {}` needs `{name}`", word(self.state)),
                ));
            }
        }
        Ok(())
    }

    async fn remote(&self, through: &Connections, call: &Call, context: &Context) -> Result<Remote, Fault> {
        self.check()?;
        Remote::open(through, call, self.host.as_deref(), self.sudo.as_ref(), context).await
    }

    /// Looks at what there is, and decides what is to be done. Changes nothing.
    async fn look(&self, remote: &Remote, call: &Call) -> Result<Look, Fault> {
        let path = remote.resolve(&self.path).await?;
        let (work, forecast) = match self.state {
            FileState::Present => self.look_present(remote, &path, call).await?,
            FileState::Absent => self.look_absent(remote, &path, call).await?,
            FileState::Directory => {
                let mode = self.mode.as_deref().map(mode_of).transpose()?;
                let owner = Owner::of(remote, self.owner.as_deref(), self.group.as_deref()).await?;
                let work = folder::Work::look(remote, &path, mode, owner, call).await?;
                let before = EntryBefore {
                    entry: work.before.clone(),
                    missing: work.missing.clone(),
                };
                let (change, summary) = work.forecast(remote, &path);
                (Work::Folder(work), told(change, summary, &before))
            }
            FileState::Moved => self.look_moved(remote, &path, call).await?,
            FileState::Link => self.look_link(remote, &path, call).await?,
        };
        Ok(Look { path, work, forecast })
    }

    async fn look_present(
        &self,
        remote: &Remote,
        path: &str,
        call: &Call,
    ) -> Result<(Work, Forecast), Fault> {
        let content = self.content.clone().unwrap_or_default().into_bytes();
        let wanted = Wanted {
            path: path.to_owned(),
            bytes: content.len() as u64,
            source: Source::Bytes(content.into()),
            mode: match &self.mode {
                Some(mode) => Mode::Exactly(mode_of(mode)?),
                None => Mode::ElseKept(MODE_DEFAULT),
            },
            owner: Owner::of(remote, self.owner.as_deref(), self.group.as_deref()).await?,
        };
        let mut compared = compare(remote, &wanted, call).await?;
        if self.content.is_none() && matches!(compared.before, Before::File { .. }) {
            compared.differs = false;
        }
        let text = super::text::difference(remote, &wanted, &compared).await?;
        let mut forecast = forecast(remote, &wanted, &compared, text);
        forecast.before = json!({ "entry": forecast.before });
        Ok((Work::Install(Box::new((wanted, compared))), forecast))
    }

    async fn look_absent(&self, remote: &Remote, path: &str, call: &Call) -> Result<(Work, Forecast), Fault> {
        let beside = beside(path, call)?;
        let shown = remote.shown(path);
        let now = remote.look(path).await?;
        let entry = Before::of(remote, path, now.as_ref(), &beside, false).await?;
        let summary = match &entry {
            Before::Absent {} => {
                return Ok((
                    Work::Nothing,
                    told(
                        Change::WouldNot,
                        format!("there is no {shown}"),
                        &EntryBefore::from(entry),
                    ),
                ));
            }
            Before::File { bytes, .. } => format!("would remove {shown} ({})", size(*bytes)),
            Before::Link { target } => format!("would remove the link {shown} (to {target})"),
            Before::Folder { .. } | Before::Tree { .. } => {
                let inside = remote.list(path).await?.len();
                if inside > 0 && !self.recurse {
                    return Err(Cause::new(
                        FailureKind::Conflict,
                        format!("{shown} is a folder that is not empty: {inside} names"),
                    )
                    .with_hint("`recurse: true` removes it with all that lies in it")
                    .into());
                }
                format!("would remove the folder {shown} with {inside} names in it")
            }
        };
        Ok((
            Work::Remove(beside),
            told(Change::Would, summary, &EntryBefore::from(entry)),
        ))
    }

    async fn look_moved(&self, remote: &Remote, path: &str, call: &Call) -> Result<(Work, Forecast), Fault> {
        let to = remote.resolve(self.to.as_deref().unwrap_or_default()).await?;
        let (from_shown, to_shown) = (remote.shown(path), remote.shown(&to));
        let (old, new) = (remote.look(path).await?, remote.look(&to).await?);
        let entry = Before::of(remote, path, old.as_ref(), &beside(path, call)?, false).await?;
        match (old.is_some(), new.is_some()) {
            (false, true) => Ok((
                Work::Nothing,
                told(
                    Change::WouldNot,
                    format!("{to_shown} is there"),
                    &EntryBefore::from(entry),
                ),
            )),
            (false, false) => Err(Fault::new(
                FailureKind::NotFound,
                format!("there is neither {from_shown} nor {to_shown}"),
            )),
            (true, true) => Err(
                Cause::new(FailureKind::Conflict, format!("{to_shown} is there already"))
                    .with_hint("remove it first: `state: absent`")
                    .into(),
            ),
            (true, false) => {
                check_folder_of(remote, &to).await?;
                Ok((
                    Work::Move(to),
                    told(
                        Change::Would,
                        format!("would move {from_shown} to {to_shown}"),
                        &EntryBefore::from(entry),
                    ),
                ))
            }
        }
    }

    async fn look_link(&self, remote: &Remote, path: &str, call: &Call) -> Result<(Work, Forecast), Fault> {
        check_folder_of(remote, path).await?;
        let beside = beside(path, call)?;
        let target = self.target.clone().unwrap_or_default();
        let shown = remote.shown(path);
        let now = remote.look(path).await?;
        let entry = Before::of(remote, path, now.as_ref(), &beside, false).await?;
        let summary = match &entry {
            Before::Link { target: now } if *now == target => {
                return Ok((
                    Work::Nothing,
                    told(
                        Change::WouldNot,
                        format!("{shown} leads to {target}"),
                        &EntryBefore::from(entry),
                    ),
                ));
            }
            Before::Link { target: now } => format!("would lead {shown} to {target} instead of {now}"),
            Before::Absent {} => format!("would create the link {shown} to {target}"),
            Before::File { bytes, .. } => {
                format!(
                    "would replace the file {shown} ({}) by a link to {target}",
                    size(*bytes)
                )
            }
            Before::Folder { .. } | Before::Tree { .. } => {
                return Err(Fault::new(FailureKind::Conflict, format!("{shown} is a folder")));
            }
        };
        Ok((
            Work::Link { target, beside },
            told(Change::Would, summary, &EntryBefore::from(entry)),
        ))
    }

    async fn try_perform(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<Outcome, Ended> {
        let remote = self.remote(through, call, context).await.map_err(nothing_done)?;
        let Look { path, work, .. } = self.look(&remote, call).await.map_err(nothing_done)?;
        let changed = match work {
            Work::Nothing => false,
            Work::Install(boxed) => {
                let (wanted, compared) = *boxed;
                install(&remote, &wanted, &compared, None).await?.1
            }
            Work::Folder(work) => work.perform(&remote, &path).await.map_err(perhaps_done)?,
            Work::Remove(beside) => {
                remove(&remote, &path, &beside).await.map_err(perhaps_done)?;
                tidy(&remote, &beside).await;
                true
            }
            Work::Move(to) => {
                remote.rename(&path, &to).await.map_err(perhaps_done)?;
                for path in [&to, &path] {
                    settle(&remote, path).await;
                }
                true
            }
            Work::Link { target, beside } => {
                if remote
                    .look(&path)
                    .await
                    .map_err(nothing_done)?
                    .is_some_and(|now| now.kind == Kind::File)
                {
                    remote.keep(&path, &beside.old()).await.map_err(nothing_done)?;
                }
                replace_by_link(&remote, &path, &target)
                    .await
                    .map_err(perhaps_done)?;
                settle(&remote, &path).await;
                tidy(&remote, &beside).await;
                true
            }
        };
        let output = self.output(&remote).await.map_err(perhaps_done)?;
        Ok(match changed {
            true => Outcome::Changed { output },
            false => Outcome::Unchanged { output },
        })
    }

    /// Where it lies now.
    async fn output(&self, remote: &Remote) -> Result<Value, Fault> {
        let path = remote.resolve(self.to.as_deref().unwrap_or(&self.path)).await?;
        Ok(json!({ "path": path, "state": self.state }))
    }

    async fn try_undo(&self, remote: &Remote, before: &EntryBefore, call: &Call) -> Result<Outcome, Ended> {
        let path = remote.resolve(&self.path).await.map_err(nothing_done)?;
        if self.state == FileState::Moved && !matches!(before.entry, Before::Absent {}) {
            let to = remote
                .resolve(self.to.as_deref().unwrap_or_default())
                .await
                .map_err(nothing_done)?;
            let (old, new) = (
                remote.look(&path).await.map_err(nothing_done)?,
                remote.look(&to).await.map_err(nothing_done)?,
            );
            return match (old, new) {
                (None, Some(_)) => {
                    remote.rename(&to, &path).await.map_err(perhaps_done)?;
                    Ok(Outcome::Changed { output: Value::Null })
                }
                (Some(_), _) => Ok(Outcome::Unchanged { output: Value::Null }),
                (None, None) => Err(nothing_done(Cause::new(
                    FailureKind::NotFound,
                    format!(
                        "there is neither {} nor {}",
                        remote.shown(&path),
                        remote.shown(&to)
                    ),
                ))),
            };
        }
        if self.state == FileState::Directory {
            return folder::undo(remote, &path, &before.entry, &before.missing, call).await;
        }
        Ok(restore(remote, &path, &before.entry).await)
    }
}

impl From<Before> for EntryBefore {
    fn from(entry: Before) -> Self {
        Self {
            entry,
            missing: Vec::new(),
        }
    }
}

fn told(change: Change, summary: String, before: &EntryBefore) -> Forecast {
    Forecast {
        change,
        summary,
        before: serde_json::to_value(before).expect("it is plain data"),
    }
}

fn word(state: FileState) -> &'static str {
    match state {
        FileState::Present => "present",
        FileState::Absent => "absent",
        FileState::Directory => "directory",
        FileState::Moved => "moved",
        FileState::Link => "link",
    }
}

fn beside(path: &str, call: &Call) -> Result<Beside, Fault> {
    Beside::of(path, call).ok_or_else(|| Fault::new(FailureKind::Invalid, format!("{path} has no name")))
}

async fn settle(remote: &Remote, path: &str) {
    if let Some((folder, _)) = super::place::split(path) {
        remote.settle(folder).await;
    }
}

/// Gives what lies there the name under which it is kept. A link needs no keeping: its target is remembered.
async fn remove(remote: &Remote, path: &str, beside: &Beside) -> Result<(), Fault> {
    let Some(now) = remote.look(path).await? else {
        return Ok(());
    };
    let kept = beside.old();
    // What an earlier attempt kept is what an undo wants.
    if now.kind == Kind::Link || remote.look(&kept).await?.is_some() {
        return remove_all(remote, path, &now).await;
    }
    remote.rename(path, &kept).await?;
    remote.settle(beside.folder()).await;
    Ok(())
}

#[async_trait]
impl ActionThrough<Connections> for SshFile {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": {
                    "path": { "type": "string", "description": "Where it lies now." },
                    "state": { "type": "string", "description": "The state that was asked for." },
                },
                "required": ["path", "state"],
            }),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            public_arguments: ["path", "state", "to"].map(str::to_owned).to_vec(),
            examples: vec![
                json!({ "path": "/srv/app/releases", "state": "directory", "mode": "0755", "sudo": true, "host": "web-1.example.org" }),
                json!({ "path": "/srv/app/current", "state": "link", "target": "releases/42", "host": "web-1.example.org" }),
                json!({ "path": "/run/maintenance", "state": "absent", "host": "web-1.example.org" }),
            ],
            ..changes::<Self>(
                "ssh.file",
                "Makes, removes, moves or links a file or folder of a host",
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
            Ok(self.look(&remote, call).await?.forecast)
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
            Ok(match self.look(&remote, call).await?.forecast.change {
                Change::WouldNot => Verdict::Done {
                    output: self.output(&remote).await?,
                },
                Change::Would | Change::Unknown => Verdict::NotDone,
            })
        };
        super::output::verdict(work.await)
    }

    async fn undo(&self, through: &Connections, call: &Call, before: &Value, context: &Context) -> Outcome {
        let work = async {
            let before: EntryBefore = Before::parse(&self.path, before)?;
            let remote = self.remote(through, call, context).await?;
            Ok::<_, Fault>(
                self.try_undo(&remote, &before, call)
                    .await
                    .unwrap_or_else(|ended| *ended),
            )
        };
        work.await.unwrap_or_else(Fault::before_any_effect)
    }
}
