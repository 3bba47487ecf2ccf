//! `s3.put`: a file or a text under a key.

use super::{check_sha256, nothing_done, remembered};
use crate::arguments::arguments;
use crate::client::{Client, marker};
use crate::place::Place;
use crate::store::local::Source;
use crate::store::{
    Before, Condition, Content, Object, PART_BYTES_DEFAULT, UploadPlan, Wanted, check_bucket, head, put,
    restore,
};
use crate::units::{Size, shown};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureEffect, FailureKind, Outcome, UndoSupport, Value, Verdict};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

arguments! {
    /// Arguments of `s3.put`.
    S3Put {
        /// The file, relative to the plan's folder. Either this or `content`.
        #[serde(default)]
        src: Option<PathBuf>,
        /// The text to put, instead of a file.
        #[serde(default)]
        content: Option<String>,
        /// Where to: `s3://bucket/key`.
        to: String,
        /// The type, such as `text/plain`; by the key's ending if absent.
        #[serde(default)]
        content_type: Option<String>,
        /// Metadata of the object. `sha256` and `caxplan-step` are added.
        #[serde(default)]
        metadata: BTreeMap<String, String>,
        /// Whether an object that lies there is left, which is a failure unless it has this very content.
        #[serde(default)]
        if_absent: bool,
        /// The etag that the object which lies there must have.
        #[serde(default)]
        if_match: Option<String>,
        /// The SHA-256 that the file must have, in hexadecimal digits; another one is a failure, and nothing is put.
        #[serde(default)]
        sha256: Option<String>,
        /// A larger file goes in parts of this size, 5 MiB at least: a number of bytes, or such as `16MiB`.
        #[serde(default = "default_part_size")]
        part_size: Size,
        /// How many parts go at a time; so many are in memory.
        #[serde(default = "default_concurrency")]
        concurrency: usize,
        /// Whether an object that is replaced in a bucket without versions is first copied aside to `.caxplan-undo/` of
        /// the bucket, so that an undo can restore it.
        #[serde(default = "default_undo_copy")]
        undo_copy: bool,
    }
}

fn default_part_size() -> Size {
    Size(PART_BYTES_DEFAULT)
}

fn default_concurrency() -> usize {
    4
}

pub(super) fn default_undo_copy() -> bool {
    true
}

/// What is to be done, and what lies there.
struct Look {
    client: Client,
    place: Place,
    content: Content,
    wanted: Wanted,
    now: Option<Object>,
}

impl Look {
    fn sha256(&self) -> String {
        hex::encode(self.content.hashes.sha256)
    }

    /// Whether the object is as wanted.
    fn is_done(&self) -> bool {
        self.now.as_ref().is_some_and(|now| {
            let is_same_content = match now.sha256() {
                Some(sha256) => sha256 == self.sha256(),
                None => {
                    now.md5().is_some() && now.md5() == self.content.hashes.md5.map(hex::encode).as_deref()
                }
            };
            let is_same_type = self
                .wanted
                .content_type
                .as_deref()
                .is_none_or(|wanted| now.content_type() == Some(wanted));
            let metadata = self.wanted.metadata.iter();
            now.bytes == self.content.hashes.bytes
                && is_same_content
                && is_same_type
                && metadata
                    .into_iter()
                    .all(|(name, value)| now.metadata.get(&name.to_ascii_lowercase()) == Some(value))
        })
    }

    /// Fails if the conditions are not met by what lies there.
    fn check_conditions(&self) -> Result<(), Cause> {
        let place = &self.place;
        match (&self.wanted.condition, &self.now) {
            (Condition::Absent, Some(now)) => Err(exists_already(place, now)),
            (Condition::Etag(etag), None) => Err(Cause::new(
                FailureKind::Conflict,
                format!("{place} is not there, but `if_match` asks for the etag {etag}"),
            )),
            (Condition::Etag(etag), Some(now)) if etag.trim_matches('"') != now.etag.trim_matches('"') => {
                Err(Cause::new(
                    FailureKind::Conflict,
                    format!(
                        "{place} has the etag {}, but `if_match` asks for {etag}",
                        now.etag
                    ),
                )
                .with_hint("something else wrote it meanwhile: look at it, then decide"))
            }
            (Condition::None | Condition::Absent | Condition::Etag(_), _) => Ok(()),
        }
    }

    fn output(&self, object: &Object) -> Value {
        output(&self.place, object, &self.sha256())
    }
}

pub(super) fn exists_already(place: &Place, now: &Object) -> Cause {
    let modified = now.modified.map_or_else(String::new, |time| {
        format!(", of {}", time.strftime("%Y-%m-%dT%H:%M:%SZ"))
    });
    Cause::new(
        FailureKind::Conflict,
        format!("{place} exists already ({}{modified})", shown(now.bytes)),
    )
    .with_hint("`if_absent` leaves what is there: choose another key, or delete it first")
}

/// What `s3.put` and `s3.copy` give.
pub(super) fn output(place: &Place, object: &Object, sha256: &str) -> Value {
    json!({
        "url": place.to_string(),
        "bytes": object.bytes,
        "sha256": sha256,
        "etag": object.etag.trim_matches('"'),
        "version": object.version,
    })
}

pub(super) fn output_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "url": { "type": "string" },
            "bytes": { "type": "integer" },
            "sha256": { "type": ["string", "null"], "description": "of a copy: null if the original names none" },
            "etag": { "type": "string" },
            "version": { "type": ["string", "null"], "description": "null in a bucket without versions" },
        },
        "required": ["url", "bytes", "sha256", "etag", "version"],
    })
}

impl S3Put {
    fn source(&self, context: &Context) -> Result<Source, Cause> {
        match (&self.src, &self.content) {
            (Some(file), None) => Source::open(&context.plan_dir.join(file)),
            (None, Some(text)) => Ok(Source::text(text)),
            (Some(_), Some(_)) | (None, None) => Err(Cause::new(
                FailureKind::Invalid,
                "an object is made of either `src`, a file, or `content`, a text",
            )),
        }
    }

    async fn look(&self, call: &Call, context: &Context) -> Result<Look, Cause> {
        let client = Client::new(self.reach(), context)?;
        let place = Place::object(&self.to)?;
        let sha256 = check_sha256(self.sha256.as_deref())?;
        let condition = match (self.if_absent, &self.if_match) {
            (false, None) => Condition::None,
            (true, None) => Condition::Absent,
            (false, Some(etag)) => Condition::Etag(format!("\"{}\"", etag.trim_matches('"'))),
            (true, Some(_)) => {
                return Err(Cause::new(
                    FailureKind::Invalid,
                    "`if_absent` and `if_match` exclude each other",
                ));
            }
        };
        let source = self.source(context)?;
        let plan = UploadPlan::new(self.part_size.0, self.concurrency, source.bytes())?;
        let now = head(&client, &place, None).await?;
        if now.is_none() {
            check_bucket(&client, &place).await?;
        }
        let with_md5 = now.as_ref().is_some_and(|now| now.is_told_by_md5(source.bytes()));
        let hashes = source.hash(with_md5, client.cancel()).await?;
        if let Some(sha256) = sha256.filter(|sha256| *sha256 != hex::encode(hashes.sha256)) {
            return Err(Cause::new(
                FailureKind::Conflict,
                format!(
                    "what is to be put has the SHA-256 {}, not {sha256}",
                    hex::encode(hashes.sha256)
                ),
            )
            .with_hint("the file is another one, or was damaged"));
        }
        let wanted = Wanted {
            content_type: self.content_type.clone(),
            metadata: self.metadata.clone(),
            marker: marker(call),
            condition,
            plan,
        };
        Ok(Look {
            client,
            place,
            content: Content { source, hashes },
            wanted,
            now,
        })
    }
}

#[async_trait]
impl Action for S3Put {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output_schema(),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            examples: vec![
                json!({ "src": "/etc/hostname", "to": "s3://backups/hosts/name", "endpoint": "http://127.0.0.1:9000" }),
                json!({
                    "content": "release: 1.4.2\n", "to": "s3://releases/current", "if_match": "9b2cf535f27731c974343645a3985328",
                    "endpoint": "http://127.0.0.1:9000",
                }),
            ],
            ..changes::<Self>(
                "s3.put",
                "Puts a file or a text into an object store, in parts if it is large",
            )
        }
    }

    async fn forecast(&self, call: &Call, context: &Context) -> Result<Forecast, Cause> {
        let look = self.look(call, context).await?;
        let Look {
            client, place, now, ..
        } = &look;
        let before = Before::of(client, call, place, now.as_ref(), self.undo_copy).await?;
        let size = shown(look.content.hashes.bytes);
        let (change, summary) = match now {
            _ if look.is_done() => (
                Change::WouldNot,
                format!("{place} has this content already ({size})"),
            ),
            None => {
                look.check_conditions()?;
                (
                    Change::Would,
                    format!("would put {size} at {place}, where nothing is"),
                )
            }
            Some(now) => {
                look.check_conditions()?;
                let (was, promise) = (shown(now.bytes), before.promise());
                (
                    Change::Would,
                    format!("would replace {place} ({was}) by {size}\n{promise}"),
                )
            }
        };
        let before = serde_json::to_value(before).expect("it is plain data");
        Ok(Forecast {
            change,
            summary,
            before,
        })
    }

    async fn perform(&self, call: &Call, context: &Context) -> Outcome {
        let look = match self.look(call, context).await {
            Ok(look) => look,
            Err(cause) => return nothing_done(cause),
        };
        let Look {
            client, place, now, ..
        } = &look;
        if let Some(now) = now.as_ref().filter(|_| look.is_done()) {
            return Outcome::Unchanged {
                output: look.output(now),
            };
        }
        if let Err(cause) = look.check_conditions() {
            return nothing_done(cause);
        }
        let kept = async {
            Before::of(client, call, place, now.as_ref(), self.undo_copy)
                .await?
                .keep(client, place, now.as_ref())
                .await
        };
        if let Err(failure) = kept.await {
            let mut cause = failure.cause;
            cause.message = format!("the old object could not be kept for undoing: {}", cause.message);
            return nothing_done(cause);
        }
        match put(client, place, &look.content, &look.wanted).await {
            Ok(object) => Outcome::Changed {
                output: look.output(&object),
            },
            Err(failure) if failure.is_unmet_condition() => match head(client, place, None).await {
                Ok(Some(now)) if look.wanted.condition == Condition::Absent => {
                    nothing_done(exists_already(place, &now))
                }
                Ok(_) | Err(_) => {
                    let mut cause = failure.cause;
                    cause.hint =
                        Some("something else wrote it meanwhile: look at it, then decide".to_owned());
                    nothing_done(cause)
                }
            },
            // A refusal is known to have done nothing; only an answer that was lost is in doubt.
            Err(failure) => failure.outcome(FailureEffect::None),
        }
    }

    async fn probe(&self, call: &Call, context: &Context) -> Verdict {
        match self.look(call, context).await {
            Ok(look) => match &look.now {
                Some(now) if look.is_done() => Verdict::Done {
                    output: look.output(now),
                },
                Some(_) | None => Verdict::NotDone,
            },
            Err(cause) => Verdict::Unknown {
                reason: cause.message,
            },
        }
    }

    async fn undo(&self, call: &Call, before: &Value, context: &Context) -> Outcome {
        let begun = remembered::<Before>(before).and_then(|before| {
            Ok((
                before,
                Client::new(self.reach(), context)?,
                Place::object(&self.to)?,
            ))
        });
        match begun {
            Ok((before, client, place)) => restore(&client, call, &place, &before).await,
            Err(cause) => nothing_done(cause),
        }
    }
}
