//! `s3.copy`: an object under another key, without a download.

use super::put::{default_undo_copy, exists_already, output, output_schema};
use super::{nothing_done, remembered};
use crate::arguments::arguments;
use crate::client::{Client, marker};
use crate::place::Place;
use crate::store::{Before, Condition, Object, check_bucket, copy, head, restore};
use crate::units::shown;
use caxplan_adapter::{Action, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, FailureEffect, FailureKind, Outcome, UndoSupport, Value, Verdict};
use serde_json::json;

arguments! {
    /// Arguments of `s3.copy`.
    S3Copy {
        /// The object: `s3://bucket/key`.
        from: String,
        /// Where to: `s3://bucket/key`, of the same service.
        to: String,
        /// The version to copy; the newest if absent.
        #[serde(default)]
        version: Option<String>,
        /// Whether an object that lies there is left, which is a failure unless it has this very content.
        #[serde(default)]
        if_absent: bool,
        /// Whether an object that is replaced in a bucket without versions is first copied aside to `.caxplan-undo/` of
        /// the bucket, so that an undo can restore it.
        #[serde(default = "default_undo_copy")]
        undo_copy: bool,
    }
}

struct Look {
    client: Client,
    from: Place,
    to: Place,
    object: Object,
    now: Option<Object>,
}

impl Look {
    fn is_done(&self) -> bool {
        let Some(now) = &self.now else { return false };
        let is_same = match (self.object.sha256(), now.sha256()) {
            (Some(one), Some(other)) => one == other,
            (None, None) => self.object.etag == now.etag,
            (Some(_), None) | (None, Some(_)) => false,
        };
        now.bytes == self.object.bytes && is_same
    }

    fn output(&self, object: &Object) -> Value {
        let mut value = output(&self.to, object, "");
        value["sha256"] = object.sha256().into();
        value
    }
}

impl S3Copy {
    async fn look(&self, context: &Context) -> Result<Look, Cause> {
        let client = Client::new(self.reach(), context)?;
        let (from, to) = (Place::object(&self.from)?, Place::object(&self.to)?);
        if from == to && self.version.is_none() {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!("{from} would be copied onto itself"),
            ));
        }
        let object = head(&client, &from, self.version.as_deref()).await?;
        let object = object.ok_or_else(|| {
            Cause::new(
                FailureKind::NotFound,
                format!("there is no object {from} to copy"),
            )
        })?;
        let now = head(&client, &to, None).await?;
        if now.is_none() {
            check_bucket(&client, &to).await?;
        }
        Ok(Look {
            client,
            from,
            to,
            object,
            now,
        })
    }
}

#[async_trait]
impl Action for S3Copy {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: output_schema(),
            idempotent: true,
            probes: true,
            undo: UndoSupport::Native,
            records_before: true,
            examples: vec![json!({
                "from": "s3://releases/candidate", "to": "s3://releases/current", "endpoint": "http://127.0.0.1:9000",
            })],
            ..changes::<Self>("s3.copy", "Copies an object within a service, without a download")
        }
    }

    async fn forecast(&self, call: &Call, context: &Context) -> Result<Forecast, Cause> {
        let look = self.look(context).await?;
        let Look {
            client,
            from,
            to,
            object,
            now,
        } = &look;
        let before = Before::of(client, call, to, now.as_ref(), self.undo_copy).await?;
        let size = shown(object.bytes);
        let (change, summary) = match now {
            Some(_) if look.is_done() => (Change::WouldNot, format!("{to} is a copy of {from} ({size})")),
            Some(now) if self.if_absent => return Err(exists_already(to, now)),
            Some(now) => (
                Change::Would,
                format!(
                    "would replace {to} ({}) by {from} ({size})\n{}",
                    shown(now.bytes),
                    before.promise()
                ),
            ),
            None => (Change::Would, format!("would copy {from} ({size}) to {to}")),
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
        let Look {
            client,
            from,
            to,
            object,
            now,
        } = &look;
        match now {
            Some(now) if look.is_done() => {
                return Outcome::Unchanged {
                    output: look.output(now),
                };
            }
            Some(now) if self.if_absent => return nothing_done(exists_already(to, now)),
            Some(_) | None => {}
        }
        let kept = async {
            Before::of(client, call, to, now.as_ref(), self.undo_copy)
                .await?
                .keep(client, to, now.as_ref())
                .await
        };
        if let Err(failure) = kept.await {
            return nothing_done(failure.cause);
        }
        let condition = if self.if_absent {
            Condition::Absent
        } else {
            Condition::None
        };
        match copy(client, from, object, to, Some(&marker(call)), &condition).await {
            Ok(copied) => Outcome::Changed {
                output: look.output(&copied),
            },
            Err(failure) => failure.outcome(FailureEffect::None),
        }
    }

    async fn probe(&self, _: &Call, context: &Context) -> Verdict {
        match self.look(context).await {
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
