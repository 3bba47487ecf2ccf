//! What every adapter promises.

use crate::support::World;
use caxplan_adapter::conformance::{Case, check};
use caxplan_adapter::{Adapter, Call, Context, Forecast, async_trait};
use caxplan_model::{ActionSpec, Cause, FailureKind, Outcome, StepId, Verdict};
use serde_json::json;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Gives each call a step and a target of its own: the suite makes them all in the same step, but a step does one thing.
struct OfTheirOwn<'a>(&'a World);

impl OfTheirOwn<'_> {
    fn call(&self, call: &Call) -> Call {
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(&call.with)
            .expect("it is JSON")
            .hash(&mut hasher);
        let ours = self.0.call(0, &call.action, &json!({}));
        Call {
            step: StepId::new(format!("conforms/{:x}", hasher.finish())),
            run: ours.run,
            target: ours.target,
            ..call.clone()
        }
    }
}

#[async_trait]
impl Adapter for OfTheirOwn<'_> {
    fn name(&self) -> &'static str {
        self.0.adapter.name()
    }

    fn describe(&self) -> Vec<ActionSpec> {
        // File transfer has tests of its own.
        let mine = ["ssh.run", "ssh.wait", "ssh.facts"];
        let mut specs = self.0.adapter.describe();
        specs.retain(|spec| mine.contains(&spec.name.as_str()));
        specs
    }

    async fn forecast(&self, call: &Call, context: &Context) -> Result<Forecast, Cause> {
        self.0.adapter.forecast(&self.call(call), context).await
    }

    async fn perform(&self, call: &Call, context: &Context) -> Outcome {
        self.0.adapter.perform(&self.call(call), context).await
    }

    async fn probe(&self, call: &Call, context: &Context) -> Verdict {
        self.0.adapter.probe(&self.call(call), context).await
    }
}

#[tokio::test]
async fn the_adapter_conforms() {
    let Some(world) = World::new(1) else { return };
    check(
        &OfTheirOwn(&world),
        &[
            Case::succeeds("ssh.run", json!({ "argv": ["true"] })),
            Case::succeeds("ssh.run", json!({ "script": "exit 3", "ok_codes": [0, 3] })),
            Case::fails("ssh.run", json!({ "argv": ["false"] }), FailureKind::Exit),
            Case::fails(
                "ssh.run",
                json!({ "argv": ["no-such-program"] }),
                FailureKind::NotFound,
            ),
            Case::fails(
                "ssh.run",
                json!({ "argv": ["true"], "host": "127.0.0.2:1" }),
                FailureKind::Unavailable,
            ),
            Case::runs_until_cancelled("ssh.run", json!({ "script": "echo on; sleep 1000" })),
            Case::succeeds("ssh.facts", json!({})),
            Case::succeeds("ssh.wait", json!({ "script": "true" })),
            Case::fails(
                "ssh.wait",
                json!({ "argv": ["false"], "for": "100ms" }),
                FailureKind::Exit,
            ),
            Case::runs_until_cancelled("ssh.wait", json!({ "argv": ["false"] })),
        ],
    )
    .await;
}
