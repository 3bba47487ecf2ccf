//! `systemd.status`: what a unit is doing.

use crate::arguments::{UnitName, arguments};
use crate::bus::Bus;
use crate::failure::Failure;
use crate::state::status_schema;
use caxplan_adapter::{ActionThrough, Call, Change, Context, Forecast, async_trait, reads};
use caxplan_model::{ActionSpec, Cause, Outcome, Value};
use caxplan_ssh::Connections;
use serde_json::json;

arguments! {
    /// Arguments of `systemd.status`.
    ReadStatus {
        /// The unit. `.service` is added to a name without a suffix. One that is not there has a status too.
        unit: UnitName,
    }
}

#[async_trait]
impl ActionThrough<Connections> for ReadStatus {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: status_schema(),
            examples: vec![json!({ "unit": "caxton" })],
            ..reads::<Self>("systemd.status", "Reads the state of a unit")
        }
    }

    async fn forecast(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<Forecast, Cause> {
        let place = self.place(through, call, context)?;
        Ok(Forecast {
            change: Change::WouldNot,
            summary: format!("reads the state of {} on {}", self.unit, place.name()),
            before: Value::Null,
        })
    }

    async fn perform(&self, through: &Connections, call: &Call, context: &Context) -> Outcome {
        let performing = async {
            let place = self.place(through, call, context)?;
            let bus = Bus::open(&place, context).await?;
            let state = bus.look(&self.unit).await?;
            let now = bus.now();
            context.note(&format!("{} is {} on {}", self.unit, state.shown(now), bus.on()));
            Ok::<_, Failure>(Outcome::Unchanged {
                output: state.output(now),
            })
        };
        performing.await.unwrap_or_else(Outcome::from)
    }
}
