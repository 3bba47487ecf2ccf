//! `s3.prune`: old objects away, by rules of retention.

mod policy;

use super::globs::Globs;
use super::nothing_done;
use crate::arguments::arguments;
use crate::client::{Client, Failure};
use crate::place::Place;
use crate::store::{delete, head, list};
use crate::units::{counted, shown};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{
    ActionSpec, Cause, Duration, FailureEffect, FailureKind, Outcome, UndoSupport, Value, Verdict,
};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use policy::{Fate, Item, Policy, decide};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// How many requests are under way at a time.
const PARALLEL: usize = 16;

/// How many lines of each kind a forecast shows.
const LINES_SHOWN: usize = 100;

arguments! {
    /// Arguments of `s3.prune`. What a rule keeps is kept; of the rest, what `older_than` names goes, or all of it without
    /// `older_than`.
    S3Prune {
        /// Where: `s3://bucket/folder/`. The bucket alone is refused.
        prefix: String,
        /// What counts as one: each object, or each folder directly below the prefix, with all that lies in it and the
        /// time of its newest object.
        #[serde(default)]
        each: Each,
        /// Only what is called so is looked at: patterns of the path below the prefix, such as `db-*.dump`. All if empty.
        #[serde(default)]
        only: Vec<String>,
        /// How a name tells its time, in UTC: `db-%Y-%m-%d_%H%M.dump`. Without it, an object's time is when it was written.
        #[serde(default)]
        time_format: Option<String>,
        /// Keeps the newest ones.
        #[serde(default)]
        keep_last: Option<usize>,
        /// Keeps the newest one of each of so many hours that have one.
        #[serde(default)]
        keep_hourly: Option<usize>,
        /// Keeps the newest one of each of so many days that have one. A day is one in UTC.
        #[serde(default)]
        keep_daily: Option<usize>,
        /// Keeps the newest one of each of so many weeks that have one. A week begins on Monday.
        #[serde(default)]
        keep_weekly: Option<usize>,
        /// Keeps the newest one of each of so many months that have one.
        #[serde(default)]
        keep_monthly: Option<usize>,
        /// Keeps the newest one of each of so many years that have one.
        #[serde(default)]
        keep_yearly: Option<usize>,
        /// Only what is older than this goes.
        #[serde(default)]
        older_than: Option<Duration>,
        /// So many are left in any case: the newest ones.
        #[serde(default = "default_keep_at_least")]
        keep_at_least: usize,
    }
}

/// What counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Each {
    /// Each object.
    #[default]
    Object,
    /// Each folder directly below the prefix.
    Folder,
}

fn default_keep_at_least() -> usize {
    1
}

/// What is kept and what goes.
struct Look {
    client: Client,
    place: Place,
    items: Vec<(Item, Fate)>,
    /// What lies there and has no part in it.
    left_out: usize,
}

impl S3Prune {
    fn policy(&self) -> Result<Policy, Cause> {
        let policy = Policy {
            last: self.keep_last.unwrap_or(0),
            hourly: self.keep_hourly.unwrap_or(0),
            daily: self.keep_daily.unwrap_or(0),
            weekly: self.keep_weekly.unwrap_or(0),
            monthly: self.keep_monthly.unwrap_or(0),
            yearly: self.keep_yearly.unwrap_or(0),
            older_than: self.older_than.map(Duration::as_std),
            at_least: self.keep_at_least,
        };
        if !policy.has_a_rule() {
            return Err(Cause::new(
                FailureKind::Invalid,
                "no rule says what to keep: everything but the newest would go",
            )
            .with_hint("give `keep_last`, `keep_daily` and so on, or `older_than`"));
        }
        Ok(policy)
    }

    async fn look(&self, context: &Context) -> Result<Look, Cause> {
        let policy = self.policy()?;
        let only = Globs::new(&self.only)?;
        let client = Client::new(self.reach(), context)?;
        let place = Place::parse(&self.prefix)?;
        if place.key.is_empty() {
            return Err(
                Cause::new(FailureKind::Invalid, format!("{place} is a whole bucket"))
                    .with_hint("give the prefix of what is to be pruned, such as `s3://bucket/folder/`"),
            );
        }
        let (listed, _) = list(&client, &place, None).await?;
        let mut items: BTreeMap<String, Item> = BTreeMap::new();
        let mut left_out = 0;
        for object in listed {
            let path = &object.key[place.key.len()..];
            let name = match self.each {
                Each::Object => Some(path).filter(|path| !path.is_empty() && !path.ends_with('/')),
                Each::Folder => path
                    .split_once('/')
                    .map(|(folder, _)| folder)
                    .filter(|folder| !folder.is_empty()),
            };
            let Some(name) = name.filter(|name| only.is_empty() || only.matches(name)) else {
                left_out += 1;
                continue;
            };
            let item = items.entry(name.to_owned()).or_insert_with(|| Item {
                name: name.to_owned(),
                time: object.modified,
                bytes: 0,
                keys: Vec::new(),
            });
            item.time = item.time.max(object.modified);
            item.bytes += object.bytes;
            item.keys.push(object.key);
        }
        let mut items: Vec<Item> = items.into_values().collect();
        if let Some(format) = &self.time_format {
            for item in &mut items {
                item.time = policy::time_of(&item.name, format)?;
            }
        }
        let items = decide(items, policy, Timestamp::now());
        Ok(Look {
            client,
            place,
            items,
            left_out,
        })
    }
}

impl Look {
    fn goes(&self) -> impl Iterator<Item = &Item> {
        self.items
            .iter()
            .filter(|(_, fate)| *fate == Fate::Goes)
            .map(|(item, _)| item)
    }

    /// Why each one that would go is locked, if it is.
    async fn locks(&self) -> Result<BTreeMap<String, String>, Failure> {
        let keys: Vec<String> = self.goes().flat_map(|item| item.keys.clone()).collect();
        let mut looks = futures_util::stream::iter(keys)
            .map(|key| async move {
                let object = head(&self.client, &self.place.at(key.clone()), None).await?;
                Ok::<_, Failure>((key, object.and_then(|object| object.lock.holds(Timestamp::now()))))
            })
            .buffer_unordered(PARALLEL);
        let mut locks = BTreeMap::new();
        while let Some(look) = looks.next().await {
            if let (key, Some(lock)) = look? {
                locks.insert(key, lock);
            }
        }
        Ok(locks)
    }

    fn summary(&self, locks: &BTreeMap<String, String>) -> String {
        let place = &self.place;
        let is_locked = |item: &&Item| item.keys.iter().any(|key| locks.contains_key(key));
        let goes: Vec<&Item> = self.goes().filter(|item| !is_locked(item)).collect();
        let bytes = goes.iter().map(|item| item.bytes).sum();
        let total = self.items.len();
        let mut text = if goes.is_empty() {
            format!("all {total} below {place} are kept")
        } else {
            let count = goes.len();
            format!(
                "would remove {count} of {total} below {place} ({})\nit cannot be undone, but by the versions of a bucket that keeps them",
                shown(bytes)
            )
        };
        if self.left_out > 0 {
            text.push_str(&format!(
                "\n{} there are left out",
                counted(self.left_out, "object")
            ));
        }
        let time = |item: &Item| item.time.strftime("%Y-%m-%d %H:%M").to_string();
        for (at, item) in goes.iter().enumerate() {
            if at == LINES_SHOWN {
                text.push_str(&format!("\n- … and {} more", goes.len() - at));
                break;
            }
            text.push_str(&format!(
                "\n- {} ({}, {})",
                item.name,
                time(item),
                shown(item.bytes)
            ));
        }
        let kept = self.items.iter().filter_map(|(item, fate)| match fate {
            Fate::Kept(why) => Some((item, why.clone())),
            Fate::Goes => {
                let lock = item.keys.iter().find_map(|key| locks.get(key))?;
                Some((item, lock.clone()))
            }
        });
        for (at, (item, why)) in kept.enumerate() {
            if at == LINES_SHOWN {
                text.push_str("\n= … and more that are kept");
                break;
            }
            text.push_str(&format!("\n= {} ({}): {why}", item.name, time(item)));
        }
        text
    }
}

#[async_trait]
impl Action for S3Prune {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": {
                    "removed": { "type": "array", "items": { "type": "string" }, "description": "their names below the prefix" },
                    "kept": { "type": "integer" },
                    "locked": { "type": "array", "items": { "type": "string" }, "description": "what would have gone, but may not" },
                    "bytes": { "type": "integer", "description": "of what was removed" },
                },
                "required": ["removed", "kept", "locked", "bytes"],
            }),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Impossible,
            examples: vec![
                json!({
                    "prefix": "s3://backups/db/", "keep_last": 3, "keep_daily": 7, "keep_weekly": 4, "keep_monthly": 12,
                    "endpoint": "http://127.0.0.1:9000",
                }),
                json!({
                    "prefix": "s3://backups/files/", "each": "folder", "older_than": "30d", "endpoint": "http://127.0.0.1:9000",
                }),
            ],
            ..changes::<Self>(
                "s3.prune",
                "Removes old objects by rules of retention; it cannot be undone",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let look = self.look(context).await?;
        let locks = look.locks().await?;
        let would = look
            .goes()
            .any(|item| !item.keys.iter().any(|key| locks.contains_key(key)));
        Ok(Forecast {
            change: if would { Change::Would } else { Change::WouldNot },
            summary: look.summary(&locks),
            before: Value::Null,
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        let look = match self.look(context).await {
            Ok(look) => look,
            Err(cause) => return nothing_done(cause),
        };
        let locks = match look.locks().await {
            Ok(locks) => locks,
            Err(failure) => return nothing_done(failure.cause),
        };
        let (mut removed, mut locked, mut bytes) = (Vec::new(), Vec::new(), 0);
        // One after the other, each whole: what is removed half is no backup any more, so there is one such at most.
        for item in look.goes() {
            if let Some((key, lock)) = item.keys.iter().find_map(|key| locks.get_key_value(key)) {
                look.client.note(&format!(
                    "{} stays: {} is {lock}",
                    item.name,
                    look.place.at(key.clone())
                ));
                locked.push(item.name.clone());
                continue;
            }
            let mut removals = futures_util::stream::iter(item.keys.clone())
                .map(|key| {
                    let place = look.place.at(key);
                    let client = &look.client;
                    async move { delete(client, &place).await }
                })
                .buffer_unordered(PARALLEL);
            while let Some(removal) = removals.next().await {
                if let Err(failure) = removal {
                    let mut cause = failure.cause;
                    cause.message = format!("{} were removed, then: {}", removed.len(), cause.message);
                    return Outcome::Failed {
                        cause,
                        effect: FailureEffect::Possible,
                    };
                }
            }
            look.client.note(&format!(
                "removed {}{} ({})",
                look.place,
                item.name,
                shown(item.bytes)
            ));
            removed.push(item.name.clone());
            bytes += item.bytes;
        }
        let kept = look.items.len() - removed.len();
        let is_changed = !removed.is_empty();
        let output = json!({ "removed": removed, "kept": kept, "locked": locked, "bytes": bytes });
        if is_changed {
            Outcome::Changed { output }
        } else {
            Outcome::Unchanged { output }
        }
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        match self.look(context).await {
            Ok(look) if look.goes().next().is_none() => Verdict::Done {
                output: json!({ "removed": [], "kept": look.items.len(), "locked": [], "bytes": 0 }),
            },
            Ok(_) => Verdict::NotDone,
            Err(cause) => Verdict::Unknown {
                reason: cause.message,
            },
        }
    }
}
