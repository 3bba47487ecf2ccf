//! `file.directory`: a folder is there.

use super::content::{MODE_MASK, explain, mode_of, remembered};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureEffect, FailureKind, Outcome, UndoSupport, Value, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Arguments of `file.directory`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileDirectory {
    /// The folder, relative to the plan's. Those that it lies in are made, too.
    pub path: PathBuf,
    /// Its permissions in octal digits (`"0750"`); those that it has, or that a new one gets, if absent.
    #[serde(default)]
    #[schemars(regex(pattern = r"^0?[0-7]{3,4}$"))]
    pub mode: Option<String>,
}

/// What was there before.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    /// The folders that were not there, the outermost first.
    missing: Vec<PathBuf>,
    /// The permissions of the one that was.
    mode: Option<u32>,
}

impl Before {
    fn of(path: &Path) -> Result<Self, Cause> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(Self {
                missing: Vec::new(),
                mode: Some(metadata.permissions().mode() & MODE_MASK),
            }),
            Ok(_) => Err(Cause::new(
                FailureKind::Conflict,
                format!("{} is there, and is no folder", path.display()),
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut missing: Vec<PathBuf> = path
                    .ancestors()
                    .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
                    .map(Path::to_owned)
                    .collect();
                missing.reverse();
                Ok(Self { missing, mode: None })
            }
            Err(error) => Err(explain("look at", path, &error)),
        }
    }
}

impl FileDirectory {
    fn mode(&self) -> Result<Option<u32>, Cause> {
        self.mode.as_deref().map(mode_of).transpose()
    }

    /// What is there now, and whether that is as wanted.
    fn look(&self, path: &Path) -> Result<(Before, bool), Cause> {
        let wanted = self.mode()?;
        let now = Before::of(path)?;
        let is_there = now
            .mode
            .is_some_and(|mode| wanted.is_none_or(|wanted| wanted == mode));
        Ok((now, is_there))
    }

    fn make(&self, path: &Path) -> Result<(), Cause> {
        let mode = self.mode()?;
        let made = fs::create_dir_all(path).and_then(|()| match mode {
            Some(mode) => fs::set_permissions(path, Permissions::from_mode(mode)),
            None => Ok(()),
        });
        made.map_err(|error| explain("make", path, &error))
    }
}

#[async_trait]
impl Action for FileDirectory {
    fn spec() -> ActionSpec {
        ActionSpec {
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            examples: vec![json!({ "path": "/var/lib/caxton", "mode": "0750" })],
            ..changes::<Self>("file.directory", "Has a folder be there")
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let (now, is_as_wanted) = self.look(&context.plan_dir.join(&self.path))?;
        let shown = self.path.display();
        let (change, summary) = match now.missing.len() {
            _ if is_as_wanted => (Change::WouldNot, format!("{shown} is there")),
            0 => (Change::Would, format!("would change the permissions of {shown}")),
            1 => (Change::Would, format!("would make {shown}")),
            count => (
                Change::Would,
                format!("would make {shown} and {} around it", count - 1),
            ),
        };
        Ok(Forecast {
            change,
            summary,
            before: serde_json::to_value(now).expect("it is plain data"),
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        let path = context.plan_dir.join(&self.path);
        let output = Value::Null;
        match self.look(&path) {
            Err(cause) => Outcome::Failed {
                cause,
                effect: FailureEffect::None,
            },
            Ok((_, true)) => Outcome::Unchanged { output },
            Ok((_, false)) => match self.make(&path) {
                Ok(()) => Outcome::Changed { output },
                Err(cause) => Outcome::Failed {
                    cause,
                    effect: FailureEffect::Possible,
                },
            },
        }
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        match self.look(&context.plan_dir.join(&self.path)) {
            Ok((_, true)) => Verdict::Done { output: Value::Null },
            Ok((_, false)) => Verdict::NotDone,
            Err(cause) => Verdict::Unknown {
                reason: cause.message,
            },
        }
    }

    /// Takes away the folders that were made, if nothing lies in them.
    async fn undo(&self, _: &Call, before: &Value, context: &Context) -> Outcome {
        let path = context.plan_dir.join(&self.path);
        let before: Before = match remembered(&path, before) {
            Ok(before) => before,
            Err(cause) => return Outcome::failed(cause.kind, cause.message),
        };
        let restored = match before.mode {
            Some(mode) => fs::set_permissions(&path, Permissions::from_mode(mode))
                .map_err(|error| explain("restore the permissions of", &path, &error)),
            None => before
                .missing
                .iter()
                .rev()
                .try_for_each(|folder| match fs::remove_dir(folder) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        Err(explain("remove", folder, &error))
                    }
                    Ok(()) | Err(_) => Ok(()),
                }),
        };
        match restored {
            Ok(()) => Outcome::Changed { output: Value::Null },
            Err(cause) => Outcome::Failed {
                cause,
                effect: FailureEffect::Possible,
            },
        }
    }
}
