//! `s3.delete`: an object, or all below a prefix, away.

use super::put::default_undo_copy;
use super::{nothing_done, remembered};
use crate::arguments::arguments;
use crate::client::{Client, Failure};
use crate::place::Place;
use crate::store::{Before, Object, delete, delete_version, head, list, restore};
use crate::units::{counted, shown};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureEffect, FailureKind, Outcome, UndoSupport, Value, Verdict};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How many objects one step remembers for its undo; more can be removed, but not be brought back.
const REMEMBERED_MAX: usize = 1000;

/// How many requests are under way at a time.
const PARALLEL: usize = 16;

arguments! {
    /// Arguments of `s3.delete`.
    S3Delete {
        /// The object: `s3://bucket/key`. Either this or `prefix`.
        #[serde(default)]
        url: Option<String>,
        /// All objects whose keys begin with this: `s3://bucket/folder/`. The bucket alone is refused.
        #[serde(default)]
        prefix: Option<String>,
        /// One version, which is removed for good: with `url`, in a bucket with versions.
        #[serde(default)]
        version: Option<String>,
        /// Whether it is well if nothing is there; else that is a failure.
        #[serde(default = "default_missing_ok")]
        missing_ok: bool,
        /// Whether what is removed from a bucket without versions is first copied aside to `.caxplan-undo/` of the
        /// bucket, so that an undo can restore it.
        #[serde(default = "default_undo_copy")]
        undo_copy: bool,
    }
}

fn default_missing_ok() -> bool {
    true
}

/// What an undo needs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "deleted", rename_all = "snake_case")]
enum Deleted {
    Objects {
        objects: Vec<(String, Before)>,
    },
    /// A version is gone for good.
    Version {
        version: String,
    },
    TooMany {
        count: usize,
    },
}

struct Look {
    client: Client,
    place: Place,
    /// The keys that are there, with sizes.
    there: Vec<(Place, u64)>,
}

impl S3Delete {
    async fn look(&self, context: &Context) -> Result<Look, Cause> {
        let client = Client::new(self.reach(), context)?;
        let (place, there) = match (&self.url, &self.prefix) {
            (Some(url), None) => {
                let place = Place::object(url)?;
                let object = head(&client, &place, self.version.as_deref()).await?;
                let there = object.map(|object| (place.clone(), object.bytes));
                (place, there.into_iter().collect())
            }
            (None, Some(prefix)) if self.version.is_none() => {
                let place = Place::parse(prefix)?;
                if place.key.is_empty() {
                    return Err(
                        Cause::new(FailureKind::Invalid, format!("{place} is a whole bucket")).with_hint(
                            "give the prefix of what is to be removed, such as `s3://bucket/folder/`",
                        ),
                    );
                }
                let (listed, _) = list(&client, &place, None).await?;
                let there = listed
                    .into_iter()
                    .map(|listed| (place.at(listed.key), listed.bytes))
                    .collect();
                (place, there)
            }
            _ => {
                return Err(Cause::new(
                    FailureKind::Invalid,
                    "give either `url`, one object (and perhaps its `version`), or `prefix`",
                ));
            }
        };
        Ok(Look { client, place, there })
    }

    /// What was there, as an undo will want it.
    async fn before(&self, call: &Call, look: &Look) -> Result<Deleted, Cause> {
        if let Some(version) = &self.version {
            return Ok(Deleted::Version {
                version: version.clone(),
            });
        }
        if look.there.len() > REMEMBERED_MAX {
            return Ok(Deleted::TooMany {
                count: look.there.len(),
            });
        }
        let looks = futures_util::stream::iter(look.there.clone()).map(|(place, _)| async move {
            let now = head(&look.client, &place, None).await?;
            let before = Before::of(&look.client, call, &place, now.as_ref(), self.undo_copy).await?;
            Ok::<_, Failure>((place.key, before))
        });
        let looks: Vec<_> = looks.buffered(PARALLEL).collect().await;
        Ok(Deleted::Objects {
            objects: looks.into_iter().collect::<Result<_, _>>()?,
        })
    }

    fn missing(place: &Place) -> Cause {
        Cause::new(
            FailureKind::NotFound,
            format!("there is nothing at {place} to delete"),
        )
    }

    fn output(count: usize, bytes: u64) -> Value {
        json!({ "deleted": count, "bytes": bytes })
    }

    /// Removes one object, kept aside first where that is needed.
    async fn remove(&self, client: &Client, call: &Call, place: &Place, keep: bool) -> Result<(), Failure> {
        let now = head(client, place, self.version.as_deref()).await?;
        let Some(object) = now else { return Ok(()) };
        if let Some(version) = &self.version {
            return delete_version(client, place, version)
                .await
                .map_err(|failure| locked(place, &object, failure));
        }
        Before::of(client, call, place, Some(&object), keep && self.undo_copy)
            .await?
            .keep(client, place, Some(&object))
            .await?;
        delete(client, place)
            .await
            .map_err(|failure| locked(place, &object, failure))
    }
}

/// A refusal that comes of a lock says so: to ask again would not help.
fn locked(place: &Place, object: &Object, failure: Failure) -> Failure {
    match object
        .lock
        .holds(Timestamp::now())
        .filter(|_| failure.is_denied())
    {
        Some(lock) => {
            let cause = Cause::new(
                FailureKind::Denied,
                format!("{place} may not be removed: it is {lock}"),
            )
            .with_hint("object lock forbids it: wait until then, or leave it to a lifecycle rule");
            Failure { cause, ..failure }
        }
        None => failure,
    }
}

#[async_trait]
impl Action for S3Delete {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": { "deleted": { "type": "integer" }, "bytes": { "type": "integer" } },
                "required": ["deleted", "bytes"],
            }),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            examples: vec![
                json!({ "url": "s3://releases/candidate", "endpoint": "http://127.0.0.1:9000" }),
                json!({ "prefix": "s3://backups/old/", "endpoint": "http://127.0.0.1:9000" }),
            ],
            ..changes::<Self>("s3.delete", "Deletes an object, or all below a prefix")
        }
    }

    async fn forecast(&self, call: &Call, context: &Context) -> Result<Forecast, Cause> {
        let look = self.look(context).await?;
        let before = self.before(call, &look).await?;
        let (place, bytes) = (
            &look.place,
            shown(look.there.iter().map(|(_, bytes)| bytes).sum()),
        );
        let promise = match &before {
            Deleted::Version { .. } => "a version is removed for good: it cannot be undone".to_owned(),
            Deleted::TooMany { .. } => format!(
                "more than {REMEMBERED_MAX} objects: it cannot be undone in a bucket without versions"
            ),
            Deleted::Objects { objects } => objects
                .iter()
                .find(|(_, before)| matches!(before, Before::Lost { .. }))
                .or(objects.first())
                .map_or_else(String::new, |(_, before)| before.promise()),
        };
        let (change, summary) = match (look.there.len(), self.missing_ok) {
            (0, true) => (Change::WouldNot, format!("nothing is at {place}")),
            (0, false) => return Err(Self::missing(place)),
            (1, _) if self.url.is_some() => (
                Change::Would,
                format!("would delete {place} ({bytes})\n{promise}"),
            ),
            (count, _) => (
                Change::Would,
                format!(
                    "would delete {} below {place} ({bytes})\n{promise}",
                    counted(count, "object")
                ),
            ),
        };
        let before = serde_json::to_value(before).expect("it is plain data");
        Ok(Forecast {
            change,
            summary,
            before,
        })
    }

    async fn perform(&self, call: &Call, context: &Context) -> Outcome {
        let look = match self.look(context).await {
            Ok(look) => look,
            Err(cause) => return nothing_done(cause),
        };
        if look.there.is_empty() {
            return if self.missing_ok {
                Outcome::Unchanged {
                    output: Self::output(0, 0),
                }
            } else {
                nothing_done(Self::missing(&look.place))
            };
        }
        let keep = look.there.len() <= REMEMBERED_MAX;
        let mut removals = futures_util::stream::iter(look.there.clone())
            .map(|(place, bytes)| {
                let client = &look.client;
                async move { (bytes, self.remove(client, call, &place, keep).await) }
            })
            .buffer_unordered(PARALLEL);
        let (mut count, mut size) = (0, 0);
        let mut first_failure: Option<Failure> = None;
        while let Some((bytes, removed)) = removals.next().await {
            match removed {
                Ok(()) => {
                    count += 1;
                    size += bytes;
                }
                Err(failure) => {
                    first_failure.get_or_insert(failure);
                }
            }
        }
        match first_failure {
            None => Outcome::Changed {
                output: Self::output(count, size),
            },
            Some(mut failure) => {
                let total = look.there.len();
                if total > 1 {
                    failure.cause.message = format!(
                        "{count} of {total} objects were deleted; {}",
                        failure.cause.message
                    );
                }
                let effect = if count > 0 {
                    FailureEffect::Possible
                } else {
                    FailureEffect::None
                };
                failure.outcome(effect)
            }
        }
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        match self.look(context).await {
            // How much an earlier attempt removed is not known any more.
            Ok(look) if look.there.is_empty() => Verdict::Done {
                output: Self::output(0, 0),
            },
            Ok(_) => Verdict::NotDone,
            Err(cause) => Verdict::Unknown {
                reason: cause.message,
            },
        }
    }

    async fn undo(&self, call: &Call, before: &Value, context: &Context) -> Outcome {
        let begun = remembered::<Deleted>(before).and_then(|before| {
            let text = self
                .url
                .as_ref()
                .or(self.prefix.as_ref())
                .map_or("", String::as_str);
            Ok((before, Client::new(self.reach(), context)?, Place::parse(text)?))
        });
        let (before, client, place) = match begun {
            Ok(begun) => begun,
            Err(cause) => return nothing_done(cause),
        };
        let objects = match before {
            Deleted::Objects { objects } => objects,
            Deleted::Version { version } => {
                return Outcome::failed(
                    FailureKind::Conflict,
                    format!("the version {version} of {place} is gone for good"),
                );
            }
            Deleted::TooMany { count } => {
                return Outcome::failed(
                    FailureKind::Conflict,
                    format!(
                        "{} below {place} were deleted, too many to be remembered",
                        counted(count, "object")
                    ),
                );
            }
        };
        let mut undone = futures_util::stream::iter(objects)
            .map(|(key, before)| {
                let (client, place) = (&client, place.at(key));
                async move { restore(client, call, &place, &before).await }
            })
            .buffer_unordered(PARALLEL);
        let mut outcome = Outcome::Unchanged { output: Value::Null };
        while let Some(one) = undone.next().await {
            match (&outcome, &one) {
                // The first failure is told, after all were tried.
                (Outcome::Failed { .. } | Outcome::Unknown { .. }, _) | (_, Outcome::Unchanged { .. }) => {}
                (_, Outcome::Changed { .. } | Outcome::Failed { .. } | Outcome::Unknown { .. }) => {
                    outcome = one;
                }
            }
        }
        outcome
    }
}
