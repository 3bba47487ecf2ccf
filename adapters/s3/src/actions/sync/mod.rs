//! `s3.sync`: a folder and a prefix, or two prefixes, made alike.

mod compare;
mod side;
mod transfer;

use super::globs::Globs;
use super::nothing_done;
use crate::arguments::arguments;
use crate::client::{Client, marker};
use crate::units::{counted, shown};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureKind, Outcome, UndoSupport, Value, Verdict};
use compare::{Work, compare};
use serde_json::json;
use side::Side;
use transfer::transfer;

/// How many names a forecast shows of each kind.
const NAMES_SHOWN: usize = 20;

arguments! {
    /// Arguments of `s3.sync`.
    S3Sync {
        /// What is copied: a folder of this machine, relative to the plan's folder. With `to`.
        #[serde(default)]
        src: Option<String>,
        /// Where a folder or a prefix is copied to: `s3://bucket/folder`.
        #[serde(default)]
        to: Option<String>,
        /// What is copied: `s3://bucket/folder`. With `dest` or `to`.
        #[serde(default)]
        from: Option<String>,
        /// Where a prefix is copied to: a folder of this machine, relative to the plan's folder. It is made.
        #[serde(default)]
        dest: Option<String>,
        /// Whether what the source does not have is removed from the destination, at the end, if all else went well.
        #[serde(default)]
        delete: bool,
        /// What is left alone on both sides: patterns of paths below the folder, such as `*.tmp`, `cache/**`.
        #[serde(default)]
        exclude: Vec<String>,
        /// How many objects are under way at a time.
        #[serde(default = "default_concurrency")]
        concurrency: usize,
    }
}

fn default_concurrency() -> usize {
    16
}

/// The most requests under way at a time.
const CONCURRENCY_MAX: usize = 256;

struct Look {
    client: Client,
    from: Side,
    to: Side,
    work: Work,
}

impl S3Sync {
    fn sides(&self, context: &Context) -> Result<(Side, Side), Cause> {
        let local = |path: &String| Side::local(context.plan_dir.join(path));
        match (&self.src, &self.from, &self.to, &self.dest) {
            (Some(src), None, Some(to), None) => Ok((local(src), Side::remote(to)?)),
            (None, Some(from), None, Some(dest)) => Ok((Side::remote(from)?, local(dest))),
            (None, Some(from), Some(to), None) => {
                let (from, to) = (Side::remote(from)?, Side::remote(to)?);
                if from.overlaps(&to) {
                    return Err(Cause::new(
                        FailureKind::Invalid,
                        format!("{from} and {to} lie in one another"),
                    ));
                }
                Ok((from, to))
            }
            _ => Err(Cause::new(FailureKind::Invalid, "this is no way to copy")
                .with_hint("write `src` and `to`, or `from` and `dest`, or `from` and `to`")),
        }
    }

    /// Reads both sides whole, then tells what is to be done. A side that could not be read whole is an error.
    async fn look(&self, context: &Context) -> Result<Look, Cause> {
        let client = Client::new(self.reach(), context)?;
        let (from, to) = self.sides(context)?;
        let exclude = Globs::new(&self.exclude)?;
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency) {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!("`concurrency` is from 1 to {CONCURRENCY_MAX}"),
            ));
        }
        let source = from.read(&client, &exclude, true).await?;
        let destination = to.read(&client, &exclude, false).await?;
        if self.delete && source.is_empty() && !destination.is_empty() {
            return Err(Cause::new(
                FailureKind::Conflict,
                format!(
                    "{from} is empty, so all {} at {to} would be deleted",
                    counted(destination.len(), "object")
                ),
            )
            .with_hint("is the disk mounted, the prefix right? `s3.delete` deletes on purpose"));
        }
        let work = compare(
            &client,
            (&from, source),
            (&to, destination),
            self.delete,
            self.concurrency,
        )
        .await?;
        Ok(Look {
            client,
            from,
            to,
            work,
        })
    }
}

impl Look {
    fn summary(&self) -> String {
        let (from, to, work) = (&self.from, &self.to, &self.work);
        if work.is_empty() {
            return format!("{to} is like {from} ({})", counted(work.unchanged, "object"));
        }
        let bytes: u64 = work.copies.iter().map(|copy| copy.bytes).sum();
        let mut text = format!(
            "would copy {} ({}) from {from} to {to}",
            counted(work.copies.len(), "object"),
            shown(bytes)
        );
        if !work.deletes.is_empty() {
            text.push_str(&format!(
                ", and delete {} there",
                counted(work.deletes.len(), "object")
            ));
        }
        text.push_str(&format!(
            "; {} as wanted\nit cannot be undone",
            counted(work.unchanged, "object")
        ));
        if matches!(to, Side::Remote(_)) {
            text.push_str(", but by the versions of a bucket that keeps them");
        }
        let copied: Vec<&str> = work.copies.iter().map(|copy| copy.path.as_str()).collect();
        let deleted: Vec<&str> = work.deletes.iter().map(String::as_str).collect();
        for (sign, names) in [('+', copied), ('-', deleted)] {
            for name in names.iter().take(NAMES_SHOWN) {
                text.push_str(&format!("\n{sign} {name}"));
            }
            if names.len() > NAMES_SHOWN {
                text.push_str(&format!("\n{sign} … and {} more", names.len() - NAMES_SHOWN));
            }
        }
        text
    }
}

#[async_trait]
impl Action for S3Sync {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": {
                    "copied": { "type": "integer" },
                    "deleted": { "type": "integer" },
                    "unchanged": { "type": "integer" },
                    "bytes": { "type": "integer", "description": "of what was copied" },
                },
                "required": ["copied", "deleted", "unchanged", "bytes"],
            }),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Impossible,
            examples: vec![
                json!({ "src": "/var/www", "to": "s3://site/www", "delete": true, "endpoint": "http://127.0.0.1:9000" }),
                json!({ "from": "s3://site/www", "dest": "/srv/www", "exclude": ["*.tmp"], "endpoint": "http://127.0.0.1:9000" }),
            ],
            ..changes::<Self>(
                "s3.sync",
                "Makes a prefix like a folder, a folder like a prefix, or two prefixes alike; it cannot be undone",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let look = self.look(context).await?;
        let change = if look.work.is_empty() {
            Change::WouldNot
        } else {
            Change::Would
        };
        Ok(Forecast {
            change,
            summary: look.summary(),
            before: Value::Null,
        })
    }

    async fn perform(&self, call: &Call, context: &Context) -> Outcome {
        let look = match self.look(context).await {
            Ok(look) => look,
            Err(cause) => return nothing_done(cause),
        };
        transfer(
            &look.client,
            (&look.from, &look.to),
            &look.work,
            &marker(call),
            self.concurrency,
        )
        .await
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        match self.look(context).await {
            Ok(look) if look.work.is_empty() => Verdict::Done {
                output: output(0, 0, look.work.unchanged, 0),
            },
            Ok(_) => Verdict::NotDone,
            Err(cause) => Verdict::Unknown {
                reason: cause.message,
            },
        }
    }
}

fn output(copied: usize, deleted: usize, unchanged: usize, bytes: u64) -> Value {
    json!({ "copied": copied, "deleted": deleted, "unchanged": unchanged, "bytes": bytes })
}
