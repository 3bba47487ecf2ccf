//! `s3.list`: what lies below a prefix.

use super::nothing_done;
use crate::arguments::arguments;
use crate::client::Client;
use crate::place::Place;
use crate::store::list;
use crate::units::{counted, shown};
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, FailureKind, Outcome, Value};
use serde_json::json;

/// The most objects that a step's output takes.
const LIMIT_MAX: usize = 10_000;

arguments! {
    /// Arguments of `s3.list`.
    S3List {
        /// What keys begin with: `s3://bucket`, `s3://bucket/folder/`.
        prefix: String,
        /// The most objects to give, at most 10000.
        #[serde(default = "default_limit")]
        limit: usize,
    }
}

fn default_limit() -> usize {
    1000
}

impl S3List {
    async fn list(&self, context: &Context) -> Result<Value, Cause> {
        if !(1..=LIMIT_MAX).contains(&self.limit) {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!("`limit` is from 1 to {LIMIT_MAX}"),
            ));
        }
        let client = Client::new(self.reach(), context)?;
        let (objects, truncated) = list(&client, &Place::parse(&self.prefix)?, Some(self.limit)).await?;
        let rows: Vec<Value> = objects
            .iter()
            .map(|object| {
                json!({
                    "key": object.key,
                    "bytes": object.bytes,
                    "modified": object.modified.to_string(),
                    "etag": object.etag.trim_matches('"'),
                })
            })
            .collect();
        let bytes: u64 = objects.iter().map(|object| object.bytes).sum();
        Ok(json!({ "count": rows.len(), "objects": rows, "bytes": bytes, "truncated": truncated }))
    }
}

#[async_trait]
impl Action for S3List {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({
                "type": "object",
                "properties": {
                    "objects": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "key": { "type": "string" },
                                "bytes": { "type": "integer" },
                                "modified": { "type": "string" },
                                "etag": { "type": "string" },
                            },
                            "required": ["key", "bytes", "modified", "etag"],
                        },
                    },
                    "count": { "type": "integer" },
                    "bytes": { "type": "integer" },
                    "truncated": { "type": "boolean", "description": "whether there are more" },
                },
                "required": ["objects", "count", "bytes", "truncated"],
            }),
            examples: vec![json!({ "prefix": "s3://backups/db/", "endpoint": "http://127.0.0.1:9000" })],
            ..reads::<Self>(
                "s3.list",
                "Lists the objects whose keys begin with a prefix, in the order of the keys",
            )
        }
    }

    async fn forecast(&self, _: &Call, context: &Context) -> Result<Forecast, Cause> {
        let listed = self.list(context).await?;
        let count = usize::try_from(listed["count"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
        let more = if listed["truncated"] == true {
            " and more"
        } else {
            ""
        };
        let size = shown(listed["bytes"].as_u64().unwrap_or(0));
        Ok(Forecast {
            change: Change::WouldNot,
            summary: format!("{} at {}{more} ({size})", counted(count, "object"), self.prefix),
            before: Value::Null,
        })
    }

    async fn perform(&self, _: &Call, context: &Context) -> Outcome {
        match self.list(context).await {
            Ok(output) => Outcome::Unchanged { output },
            Err(cause) => nothing_done(cause),
        }
    }
}
