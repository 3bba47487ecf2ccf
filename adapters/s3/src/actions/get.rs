//! `s3.get`: an object as a file.

use super::{check_sha256, nothing_done, remembered};
use crate::arguments::arguments;
use crate::client::Client;
use crate::place::Place;
use crate::store::local::{NewFile, Source, blocking, explain, read_small};
use crate::store::{Downloaded, Object, download, head};
use crate::units::{MIB, shown};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureEffect, FailureKind, Outcome, UndoSupport, Value, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// The largest file that is remembered, so that an undo can restore it.
const REMEMBERED_MAX: u64 = MIB;

arguments! {
    /// Arguments of `s3.get`.
    S3Get {
        /// The object: `s3://bucket/key`.
        from: String,
        /// The file, relative to the plan's folder. The folder that it lies in must be there.
        dest: PathBuf,
        /// The SHA-256 that the object must have, in hexadecimal digits; with another one, the file is left as it was.
        #[serde(default)]
        sha256: Option<String>,
        /// The version to get; the newest if absent.
        #[serde(default)]
        version: Option<String>,
    }
}

/// What lay under the file's name before.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "snake_case")]
enum Old {
    Absent,
    File { base64: String },
    Lost { bytes: u64 },
}

impl Old {
    fn of(path: &Path) -> Result<Self, Cause> {
        Ok(match read_small(path, REMEMBERED_MAX)? {
            None => Self::Absent,
            Some(Ok(bytes)) => Self::File {
                base64: BASE64.encode(bytes),
            },
            Some(Err(bytes)) => Self::Lost { bytes },
        })
    }

    /// Brings it back; false if it is there already.
    fn restore(&self, path: &Path) -> Result<bool, Cause> {
        if Self::of(path)? == *self && !matches!(self, Self::Lost { .. }) {
            return Ok(false);
        }
        match self {
            Self::Absent => {
                std::fs::remove_file(path).map_err(|error| explain("remove", path, &error))?;
            }
            Self::File { base64 } => {
                let bytes = BASE64.decode(base64).map_err(|error| {
                    Cause::new(
                        FailureKind::Invalid,
                        format!("what was there before is not known: {error}"),
                    )
                })?;
                let file = NewFile::create(path)?;
                file.file
                    .write_all_at(&bytes, 0)
                    .map_err(|error| explain("write", path, &error))?;
                file.install()?;
            }
            Self::Lost { bytes } => {
                return Err(Cause::new(
                    FailureKind::Conflict,
                    format!("{} held {} that were not kept", path.display(), shown(*bytes)),
                )
                .with_hint("restore it from a backup"));
            }
        }
        Ok(true)
    }
}

struct Look {
    client: Client,
    place: Place,
    object: Object,
    dest: PathBuf,
    /// The SHA-256 of the file, if it is as wanted.
    done: Option<String>,
}

impl S3Get {
    async fn look(&self, context: &Context) -> Result<Look, Cause> {
        let client = Client::new(self.reach(), context)?;
        let place = Place::object(&self.from)?;
        let wanted = check_sha256(self.sha256.as_deref())?;
        let dest = context.plan_dir.join(&self.dest);
        let object = head(&client, &place, self.version.as_deref()).await?;
        let object = object.ok_or_else(|| match &self.version {
            None => Cause::new(FailureKind::NotFound, format!("there is no object {place}")),
            Some(version) => Cause::new(FailureKind::NotFound, format!("{place} has no version {version}")),
        })?;
        if let (Some(wanted), Some(noted)) = (
            &wanted,
            object.sha256().filter(|noted| Some(*noted) != wanted.as_deref()),
        ) {
            return Err(other_hash(&place, noted, wanted));
        }
        let done = is_done(&client, &object, &dest, wanted.as_deref()).await?;
        Ok(Look {
            client,
            place,
            object,
            dest,
            done,
        })
    }

    fn output(&self, look: &Look, sha256: &str) -> Value {
        json!({
            "path": self.dest,
            "bytes": look.object.bytes,
            "sha256": sha256,
            "etag": look.object.etag.trim_matches('"'),
            "version": look.object.version,
        })
    }
}

fn other_hash(place: &Place, is: &str, wanted: &str) -> Cause {
    Cause::new(
        FailureKind::Expectation,
        format!("{place} has the SHA-256 {is}, not {wanted}"),
    )
    .with_hint("it is another object than the plan means, or was damaged; the file is as it was")
}

/// The SHA-256 of the file if it has the object's content, as far as that can be told without a download.
async fn is_done(
    client: &Client,
    object: &Object,
    dest: &Path,
    wanted: Option<&str>,
) -> Result<Option<String>, Cause> {
    if !dest.is_file() {
        return Ok(None);
    }
    let file = Source::open(dest)?;
    if file.bytes() != object.bytes {
        return Ok(None);
    }
    let with_md5 = object.is_told_by_md5(file.bytes());
    let hashes = file.hash(with_md5, client.cancel()).await?;
    let sha256 = hex::encode(hashes.sha256);
    let is_same = match (object.sha256(), object.md5(), wanted) {
        (Some(noted), _, _) => noted == sha256,
        (None, Some(md5), _) => hashes.md5.map(hex::encode).as_deref() == Some(md5),
        (None, None, Some(wanted)) => wanted == sha256,
        (None, None, None) => false,
    };
    Ok((is_same && wanted.is_none_or(|wanted| wanted == sha256)).then_some(sha256))
}

#[async_trait]
impl Action for S3Get {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": {
                    "path": { "type": "string" },
                    "bytes": { "type": "integer" },
                    "sha256": { "type": "string" },
                    "etag": { "type": "string" },
                    "version": { "type": ["string", "null"] },
                },
                "required": ["path", "bytes", "sha256", "etag", "version"],
            }),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            examples: vec![json!({
                "from": "s3://releases/app-1.4.2.tar.gz", "dest": "/srv/app-1.4.2.tar.gz", "endpoint": "http://127.0.0.1:9000",
            })],
            ..changes::<Self>(
                "s3.get",
                "Gets an object as a file, put in place in one step once its hash is right",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let look = self.look(context).await?;
        let dest = look.dest.clone();
        let old = blocking(move || Old::of(&dest)).await?;
        let (place, shown_dest, size) = (&look.place, self.dest.display(), shown(look.object.bytes));
        let (change, summary) = match (&look.done, &old) {
            (Some(_), _) => (Change::WouldNot, format!("{shown_dest} is {place} ({size})")),
            (None, Old::Absent) => (
                Change::Would,
                format!("would get {place} ({size}) as {shown_dest}"),
            ),
            (None, Old::File { .. }) => (
                Change::Would,
                format!("would replace {shown_dest} by {place} ({size})"),
            ),
            (None, Old::Lost { bytes }) => (
                Change::Would,
                format!(
                    "would replace {shown_dest} by {place} ({size})\nit cannot be undone: {} are not remembered",
                    shown(*bytes)
                ),
            ),
        };
        let before = serde_json::to_value(old).expect("it is plain data");
        Ok(Forecast {
            change,
            summary,
            before,
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        let look = match self.look(context).await {
            Ok(look) => look,
            Err(cause) => return nothing_done(cause),
        };
        if let Some(sha256) = &look.done {
            return Outcome::Unchanged {
                output: self.output(&look, sha256),
            };
        }
        let Downloaded { file, hashes, noted } =
            match download(&look.client, &look.place, &look.object, &look.dest).await {
                Ok(downloaded) => downloaded,
                Err(failure) => return nothing_done(failure.cause),
            };
        let sha256 = hex::encode(hashes.sha256);
        let wanted = self.sha256.as_ref().map(|wanted| wanted.to_ascii_lowercase());
        if let Some(wanted) = wanted
            .as_deref()
            .or(noted.as_deref())
            .filter(|wanted| *wanted != sha256)
        {
            return nothing_done(other_hash(&look.place, &sha256, wanted));
        }
        match blocking(move || file.install()).await {
            Ok(()) => Outcome::Changed {
                output: self.output(&look, &sha256),
            },
            Err(cause) => Outcome::Failed {
                cause,
                effect: FailureEffect::Possible,
            },
        }
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        match self.look(context).await {
            Ok(Look { done: None, .. }) => Verdict::NotDone,
            Ok(look) => {
                let sha256 = look.done.clone().unwrap_or_default();
                Verdict::Done {
                    output: self.output(&look, &sha256),
                }
            }
            Err(cause) => Verdict::Unknown {
                reason: cause.message,
            },
        }
    }

    async fn undo(&self, _: &Call, before: &Value, context: &Context) -> Outcome {
        let dest = context.plan_dir.join(&self.dest);
        let old: Old = match remembered(before) {
            Ok(old) => old,
            Err(cause) => return nothing_done(cause),
        };
        match blocking(move || old.restore(&dest)).await {
            Ok(true) => Outcome::Changed { output: Value::Null },
            Ok(false) => Outcome::Unchanged { output: Value::Null },
            Err(cause) => Outcome::Failed {
                cause,
                effect: FailureEffect::Possible,
            },
        }
    }
}
