//! `file.move`: a file or folder under another name.

use super::content::{Content, explain, folder_of, remembered};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureEffect, FailureKind, Outcome, UndoSupport, Value, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Arguments of `file.move`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileMove {
    /// The file or folder, relative to the plan's folder.
    pub from: PathBuf,
    /// Its new path, on the same file system. If nothing lies under `from` and something does here, it is done.
    pub to: PathBuf,
    /// Whether a file that lies there is replaced; else that is a failure.
    #[serde(default)]
    pub replace: bool,
}

/// What was there before.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    /// Whether it still had its old name.
    to_move: bool,
    /// What is replaced.
    replaced: Content,
}

/// What is to be done.
enum Work {
    Done,
    Move(Before),
}

impl FileMove {
    fn paths(&self, context: &Context) -> (PathBuf, PathBuf) {
        (context.plan_dir.join(&self.from), context.plan_dir.join(&self.to))
    }

    fn look(&self, from: &Path, to: &Path) -> Result<Work, Cause> {
        let (is_old, is_new) = (exists(from)?, exists(to)?);
        match (is_old, is_new) {
            (false, true) => Ok(Work::Done),
            (false, false) => Err(Cause::new(
                FailureKind::NotFound,
                format!("there is neither {} nor {}", from.display(), to.display()),
            )),
            (true, true) if !self.replace => Err(Cause::new(
                FailureKind::Conflict,
                format!("{} is there already", to.display()),
            )
            .with_hint("`replace: true` puts a file in its place")),
            (true, is_new) => Ok(Work::Move(Before {
                to_move: true,
                replaced: if is_new { Content::of(to)? } else { Content::Absent },
            })),
        }
    }
}

fn exists(path: &Path) -> Result<bool, Cause> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(explain("look at", path, &error)),
    }
}

/// Moves in one step and makes that durable.
fn relocate(from: &Path, to: &Path) -> Result<(), Cause> {
    let sync = |path: &Path| File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    let moved = fs::rename(from, to)
        .and_then(|()| sync(to))
        .and_then(|()| sync(from));
    moved.map_err(|error| match error.kind() {
        io::ErrorKind::CrossesDevices => Cause::new(
            FailureKind::Conflict,
            format!(
                "{} lies on another file system than {}",
                to.display(),
                from.display()
            ),
        )
        .with_hint("copy it with `file.copy`, then remove it with `file.absent`"),
        _ => explain("move", from, &error),
    })
}

#[async_trait]
impl Action for FileMove {
    fn spec() -> ActionSpec {
        ActionSpec {
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            examples: vec![json!({ "from": "/var/lib/caxton/data", "to": "/var/lib/caxton/data.old" })],
            ..changes::<Self>("file.move", "Moves a file or folder, in one step")
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let (from, to) = self.paths(context);
        let (change, summary, before) = match self.look(&from, &to)? {
            Work::Done => {
                let before = Before {
                    to_move: false,
                    replaced: Content::Absent,
                };
                (
                    Change::WouldNot,
                    format!("{} is there", self.to.display()),
                    before,
                )
            }
            Work::Move(before) => {
                let mut summary = format!("would move {} to {}", self.from.display(), self.to.display());
                if let Content::Other { bytes } = &before.replaced {
                    summary.push_str(&format!(" (over {bytes} bytes that an undo could not restore)"));
                }
                (Change::Would, summary, before)
            }
        };
        Ok(Forecast {
            change,
            summary,
            before: serde_json::to_value(before).expect("it is plain data"),
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        let (from, to) = self.paths(context);
        let output = Value::Null;
        match self.look(&from, &to) {
            Err(cause) => Outcome::Failed {
                cause,
                effect: FailureEffect::None,
            },
            Ok(Work::Done) => Outcome::Unchanged { output },
            Ok(Work::Move(_)) => match relocate(&from, &to) {
                Ok(()) => Outcome::Changed { output },
                Err(cause) => Outcome::Failed {
                    cause,
                    effect: FailureEffect::Possible,
                },
            },
        }
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        let (from, to) = self.paths(context);
        match (exists(&from), exists(&to)) {
            (Ok(false), Ok(true)) => Verdict::Done { output: Value::Null },
            (Ok(true), Ok(_)) => Verdict::NotDone,
            (Ok(false), Ok(false)) => Verdict::Unknown {
                reason: format!("there is neither {} nor {}", from.display(), to.display()),
            },
            (Err(cause), _) | (_, Err(cause)) => Verdict::Unknown {
                reason: cause.message,
            },
        }
    }

    async fn undo(&self, _: &Call, before: &Value, context: &Context) -> Outcome {
        let (from, to) = self.paths(context);
        let restored = remembered::<Before>(&to, before).and_then(|before| {
            if !before.to_move {
                return Ok(false);
            }
            let is_back = exists(&from)?;
            if !is_back {
                relocate(&to, &from)?;
            }
            // What was replaced comes back after what replaced it has gone.
            let now = Content::of(&to)?;
            if now != before.replaced {
                before.replaced.put(&to)?;
            }
            Ok(true)
        });
        match restored {
            Ok(true) => Outcome::Changed { output: Value::Null },
            Ok(false) => Outcome::Unchanged { output: Value::Null },
            Err(cause) => Outcome::Failed {
                cause,
                effect: FailureEffect::Possible,
            },
        }
    }
}
