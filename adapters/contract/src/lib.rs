//! The contract between the engine and its adapters.
//!
//! An adapter turns resolved calls into effects on the world. It knows this crate and the engine's model, never the
//! engine: no scheduler, no journal, no plan. The engine knows adapters only through [`Adapter`].
//!
//! What every adapter promises, and [`conformance`] checks:
//!
//! * `forecast` and `probe` change nothing.
//! * A failure says whether it may have acted ([`caxplan_model::FailureEffect`]); `None` is said only when it is
//!   *known* that nothing was done.
//! * When [`Context::cancel`] fires, `perform` stops what it started (a child and all its descendants) and returns
//!   soon; what it returns then says whether something may have been done.
//! * Secrets that an adapter reads by itself are handed to [`Context::mask`] before anything could print them.

mod captured;
pub mod conformance;
mod context;
pub mod difference;
pub mod process;
mod spawn;
mod typed;

pub use async_trait::async_trait;
pub use captured::{CAPTURE_MAX, Captured};
pub use context::{Context, OutputSink, Stream};
pub use typed::{Action, ActionSet, ActionThrough, changes, reads, schema_of};

use caxplan_model::{ActionSpec, AttemptNo, Cause, Map, Outcome, RunId, StepId, Target, Value, Verdict};
use serde::{Deserialize, Serialize};

/// One resolved call: nothing in it is left to choose.
#[derive(Clone, Debug)]
pub struct Call {
    /// The action's full name.
    pub action: String,
    /// The arguments, valid by the action's schema.
    pub with: Map,
    /// The target, if the step has one.
    pub target: Option<Target>,
    /// The run it belongs to.
    pub run: RunId,
    /// The step it belongs to.
    pub step: StepId,
    /// The attempt it belongs to.
    pub attempt: AttemptNo,
}

impl Call {
    /// A value that is the same for every attempt of this step in this run, and for nothing else: what a service
    /// that deduplicates requests wants as its idempotency key.
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}", self.run, self.step)
    }

    /// The arguments as the adapter's own type. An error here means that the schema and the type disagree.
    pub fn arguments<T: serde::de::DeserializeOwned>(&self) -> Result<T, Cause> {
        serde_json::from_value(Value::Object(self.with.clone())).map_err(|error| {
            Cause::new(
                caxplan_model::FailureKind::Invalid,
                format!("arguments of {}: {error}", self.action),
            )
        })
    }
}

/// What would happen, seen without changing anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Whether something would change.
    pub change: Change,
    /// One line for a person: `node-2 would go from 1.0.0 to 1.1.0`. Further lines are details, such as a difference.
    pub summary: String,
    /// The state that an undo would restore; `null` if the action records none.
    pub before: Value,
}

/// Whether something would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It would.
    Would,
    /// The target is as wanted.
    WouldNot,
    /// It cannot be told before the run.
    Unknown,
}

impl Forecast {
    /// A forecast that cannot tell.
    pub fn unknown(summary: impl Into<String>) -> Self {
        Self {
            change: Change::Unknown,
            summary: summary.into(),
            before: Value::Null,
        }
    }
}

/// A way to act on the world. One value serves all runs of a process and is called concurrently.
#[async_trait]
pub trait Adapter: Send + Sync {
    /// The first segment of its actions' names.
    fn name(&self) -> &'static str;

    /// What it offers: names that begin with the adapter's own and a full stop. The same at each call; no I/O. An engine asks
    /// once, and only if a plan names the adapter.
    fn describe(&self) -> Vec<ActionSpec>;

    /// What the call would do. Changes nothing. An error means that the state could not be read.
    async fn forecast(&self, call: &Call, context: &Context) -> Result<Forecast, Cause>;

    /// Does it. Never panics on what a target answers.
    async fn perform(&self, call: &Call, context: &Context) -> Outcome;

    /// Whether an earlier, interrupted attempt of the same call did its work. Changes nothing. Called only for
    /// actions whose specification says `probes`.
    async fn probe(&self, call: &Call, _context: &Context) -> Verdict {
        Verdict::Unknown {
            reason: format!("{} cannot tell", call.action),
        }
    }

    /// The same for an action that can only tell by comparing with the state before the attempt: `before` is what the
    /// attempt's forecast gave, `null` if its specification does not say `records_before`. The engine calls this one.
    async fn probe_from(&self, call: &Call, _before: &Value, context: &Context) -> Verdict {
        self.probe(call, context).await
    }

    /// Restores what `before` describes. Called only for actions whose specification says `undo: native`; must be
    /// idempotent, for it runs again after a crash.
    async fn undo(&self, call: &Call, _before: &Value, _context: &Context) -> Outcome {
        Outcome::failed(
            caxplan_model::FailureKind::Invalid,
            format!("{} cannot be undone", call.action),
        )
    }
}
