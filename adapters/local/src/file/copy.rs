//! `file.copy`: a file as another one is.

use super::content::{Content, MODE_MASK, explain, install, mode_of, restore};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureEffect, FailureKind, Outcome, UndoSupport, Value, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Arguments of `file.copy`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileCopy {
    /// The file to copy, relative to the plan's folder.
    pub from: PathBuf,
    /// Where to put it. The folder that it lies in must be there. A file that is there is replaced in one step; one of
    /// text of at most 1 MiB comes back with an undo.
    pub to: PathBuf,
    /// Its permissions in octal digits (`"0644"`); those of the copied file if absent.
    #[serde(default)]
    #[schemars(regex(pattern = r"^0?[0-7]{3,4}$"))]
    pub mode: Option<String>,
}

/// How the copy compares to what it shall be.
struct Look {
    /// The file to copy, and its length.
    source: File,
    bytes: u64,
    mode: u32,
    is_same: bool,
}

impl FileCopy {
    fn paths(&self, context: &Context) -> (PathBuf, PathBuf) {
        (context.plan_dir.join(&self.from), context.plan_dir.join(&self.to))
    }

    fn look(&self, from: &Path, to: &Path) -> Result<Look, Cause> {
        let unreadable = |error: io::Error| explain("read", from, &error);
        let source = File::open(from).map_err(unreadable)?;
        let about = source.metadata().map_err(unreadable)?;
        if !about.is_file() {
            return Err(Cause::new(
                FailureKind::Conflict,
                format!("{} is no file", from.display()),
            ));
        }
        let mode = match &self.mode {
            Some(mode) => mode_of(mode)?,
            None => about.permissions().mode() & MODE_MASK,
        };
        let is_same = match File::open(to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(explain("read", to, &error)),
            Ok(copy) => {
                let copied = copy.metadata().map_err(|error| explain("read", to, &error))?;
                copied.is_file()
                    && copied.permissions().mode() & MODE_MASK == mode
                    && copied.len() == about.len()
                    && holds_the_same(&source, copy).map_err(|error| explain("compare", to, &error))?
            }
        };
        // The comparison has read on.
        let source = File::open(from).map_err(unreadable)?;
        Ok(Look {
            source,
            bytes: about.len(),
            mode,
            is_same,
        })
    }

    fn output(&self, look: &Look) -> Value {
        json!({ "path": self.to, "bytes": look.bytes })
    }
}

fn holds_the_same(a: &File, b: File) -> io::Result<bool> {
    let (mut a, mut b) = (BufReader::new(a), BufReader::new(b));
    loop {
        let (left, right) = (a.fill_buf()?, b.fill_buf()?);
        let length = left.len().min(right.len());
        if length == 0 {
            return Ok(left.len() == right.len());
        }
        if left[..length] != right[..length] {
            return Ok(false);
        }
        a.consume(length);
        b.consume(length);
    }
}

#[async_trait]
impl Action for FileCopy {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": {
                    "path": { "type": "string", "description": "The copy." },
                    "bytes": { "type": "integer", "description": "Its length." },
                },
                "required": ["path", "bytes"],
            }),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            examples: vec![json!({ "from": "files/motd", "to": "/etc/motd", "mode": "0644" })],
            ..changes::<Self>("file.copy", "Copies a file into its place, in one step")
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let (from, to) = self.paths(context);
        let look = self.look(&from, &to)?;
        let before = Content::of(&to)?;
        let shown = self.to.display();
        let (change, summary) = match &before {
            _ if look.is_same => (Change::WouldNot, format!("{shown} is the same")),
            Content::Absent => (Change::Would, format!("would create {shown}")),
            Content::Text { .. } => (Change::Would, format!("would replace {shown}")),
            Content::Other { bytes } => (
                Change::Would,
                format!("would replace {shown} ({bytes} bytes that an undo could not restore)"),
            ),
        };
        Ok(Forecast {
            change,
            summary,
            before: serde_json::to_value(before).expect("it is plain data"),
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        let (from, to) = self.paths(context);
        let mut look = match self.look(&from, &to) {
            Ok(look) => look,
            Err(cause) => {
                return Outcome::Failed {
                    cause,
                    effect: FailureEffect::None,
                };
            }
        };
        let output = self.output(&look);
        if look.is_same {
            return Outcome::Unchanged { output };
        }
        let owner = std::fs::metadata(&to).ok().map(|of| (of.uid(), of.gid()));
        let copied = install(&to, look.mode, owner, |file| {
            io::copy(&mut look.source, file).map(drop)
        });
        match copied {
            Ok(()) => Outcome::Changed { output },
            Err(error) => Outcome::Failed {
                cause: explain("write", &to, &error),
                effect: FailureEffect::Possible,
            },
        }
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        let (from, to) = self.paths(context);
        match self.look(&from, &to) {
            Ok(look) if look.is_same => Verdict::Done {
                output: self.output(&look),
            },
            Ok(_) => Verdict::NotDone,
            Err(cause) => Verdict::Unknown {
                reason: cause.message,
            },
        }
    }

    async fn undo(&self, _: &Call, before: &Value, context: &Context) -> Outcome {
        restore(&context.plan_dir.join(&self.to), before)
    }
}
