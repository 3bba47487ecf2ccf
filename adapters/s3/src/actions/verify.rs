//! `s3.verify`: an object is there, and is what it should be.

use super::{check_sha256, nothing_done};
use crate::arguments::arguments;
use crate::client::Client;
use crate::place::Place;
use crate::store::{Object, digest, head};
use crate::units::shown;
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, Duration, FailureKind, Outcome, Value};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

arguments! {
    /// Arguments of `s3.verify`.
    S3Verify {
        /// The object: `s3://bucket/key`.
        url: String,
        /// The SHA-256 that it must have. Without `deep`, compared with the one that was noted when it was put.
        #[serde(default)]
        sha256: Option<String>,
        /// The size that it must have, in bytes.
        #[serde(default)]
        bytes: Option<u64>,
        /// It must have been written within this time.
        #[serde(default)]
        newer_than: Option<Duration>,
        /// Whether it is downloaded and hashed, and the hash compared with `sha256` and with the one that was noted.
        #[serde(default)]
        deep: bool,
    }
}

fn unmet(text: String) -> Cause {
    Cause::new(FailureKind::Expectation, text)
}

impl S3Verify {
    /// What can be told without a download.
    async fn look(&self, context: &Context) -> Result<(Client, Place, Option<String>, Object), Cause> {
        let client = Client::new(self.reach(), context)?;
        let place = Place::object(&self.url)?;
        let wanted = check_sha256(self.sha256.as_deref())?;
        let object = head(&client, &place, None).await?;
        let object = object.ok_or_else(|| unmet(format!("there is no object {place}")))?;
        if let Some(bytes) = self.bytes.filter(|bytes| *bytes != object.bytes) {
            return Err(unmet(format!("{place} has {} bytes, not {bytes}", object.bytes)));
        }
        if let Some(newer_than) = self.newer_than {
            let modified = object.modified.ok_or_else(|| {
                unmet(format!(
                    "it is not known when {place} was written: the service does not say"
                ))
            })?;
            let age = Timestamp::now().duration_since(modified);
            let max = SignedDuration::try_from(newer_than.as_std()).unwrap_or(SignedDuration::MAX);
            if age > max {
                return Err(unmet(format!(
                    "{place} was written at {}, longer ago than {newer_than}",
                    modified.strftime("%Y-%m-%dT%H:%M:%SZ")
                ))
                .with_hint("has the job that writes it run?"));
            }
        }
        match (&wanted, object.sha256()) {
            (Some(wanted), Some(noted)) if noted != wanted => {
                Err(unmet(format!("{place} has the SHA-256 {noted}, not {wanted}")))
            }
            (Some(_), None) if !self.deep => Err(unmet(format!(
                "the SHA-256 of {place} was not noted when it was put"
            ))
            .with_hint("`deep: true` downloads it to compute one")),
            (Some(_) | None, _) => Ok((client, place, wanted, object)),
        }
    }

    async fn verify(&self, context: &Context) -> Result<Value, Cause> {
        let (client, place, wanted, object) = self.look(context).await?;
        let mut sha256 = object.sha256().map(str::to_owned);
        if self.deep {
            let is = hex::encode(digest(&client, &place, &object).await?);
            for (expected, whose) in [
                (&wanted, "the plan's"),
                (&sha256, "the one that was noted when it was put"),
            ] {
                if let Some(expected) = expected.as_ref().filter(|expected| **expected != is) {
                    return Err(unmet(format!(
                        "the content of {place} has the SHA-256 {is}, which is not {whose}, {expected}"
                    ))
                    .with_hint("it was damaged or replaced: put it again"));
                }
            }
            sha256 = Some(is);
        }
        Ok(json!({
            "url": place.to_string(),
            "bytes": object.bytes,
            "sha256": sha256,
            "etag": object.etag.trim_matches('"'),
            "version": object.version,
            "modified": object.modified.map(|time| time.to_string()),
            "deep": self.deep,
        }))
    }
}

#[async_trait]
impl Action for S3Verify {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": {
                    "url": { "type": "string" },
                    "bytes": { "type": "integer" },
                    "sha256": { "type": ["string", "null"], "description": "null if none is known" },
                    "etag": { "type": "string" },
                    "version": { "type": ["string", "null"] },
                    "modified": { "type": ["string", "null"] },
                    "deep": { "type": "boolean", "description": "whether the content itself was hashed" },
                },
                "required": ["url", "bytes", "sha256", "etag", "version", "modified", "deep"],
            }),
            examples: vec![json!({
                "url": "s3://backups/db/latest.dump", "newer_than": "26h", "deep": true, "endpoint": "http://127.0.0.1:9000",
            })],
            ..reads::<Self>(
                "s3.verify",
                "Checks that an object is there, and its size, age and hash",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        match self.look(context).await {
            Ok((_, place, _, object)) => Ok(Forecast {
                change: Change::WouldNot,
                summary: format!(
                    "{place} is there ({}){}",
                    shown(object.bytes),
                    if self.deep {
                        "; its content is only hashed when the step runs"
                    } else {
                        ""
                    }
                ),
                before: Value::Null,
            }),
            // An earlier step may put it there.
            Err(cause) if cause.kind == FailureKind::Expectation => {
                Ok(Forecast::unknown(format!("it would fail now: {}", cause.message)))
            }
            Err(cause) => Err(cause),
        }
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        match self.verify(context).await {
            Ok(output) => Outcome::Unchanged { output },
            Err(cause) => nothing_done(cause),
        }
    }
}
