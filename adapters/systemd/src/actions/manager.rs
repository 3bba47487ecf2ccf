//! `systemd.daemon_reload`: all unit files are read again.

use crate::arguments::arguments;
use crate::bus::Bus;
use crate::failure::Failure;
use caxplan_adapter::{ActionThrough, Call, Change, Context, Forecast, async_trait, changes};
use caxplan_model::{ActionSpec, Cause, Outcome, UndoSupport, Value};
use caxplan_ssh::Connections;
use serde_json::json;

arguments! {
    /// Arguments of `systemd.daemon_reload`.
    DaemonReload {}
}

#[async_trait]
impl ActionThrough<Connections> for DaemonReload {
    fn spec() -> ActionSpec {
        ActionSpec {
            output: json!({ "type": "null" }),
            idempotent: true,
            undo: UndoSupport::NotNeeded,
            examples: vec![json!({ "sudo": true })],
            ..changes::<Self>("systemd.daemon_reload", "Has systemd read all unit files again")
        }
    }

    async fn forecast(
        &self,
        through: &Connections,
        call: &Call,
        context: &Context,
    ) -> Result<Forecast, Cause> {
        let place = self.place(through, call, context)?;
        // That it can be reached is worth knowing before the run.
        let bus = Bus::open(&place, context).await?;
        Ok(Forecast {
            change: Change::Would,
            summary: format!("would have systemd read its unit files again on {}", bus.on()),
            before: Value::Null,
        })
    }

    async fn perform(&self, through: &Connections, call: &Call, context: &Context) -> Outcome {
        let performing = async {
            let place = self.place(through, call, context)?;
            Bus::open(&place, context).await?.reload().await?;
            Ok::<_, Failure>(Outcome::Changed { output: Value::Null })
        };
        performing.await.unwrap_or_else(Outcome::from)
    }
}
