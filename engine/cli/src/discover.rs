//! Asking an action that only reads, while a plan is being loaded.

use crate::composition::runtime;
use caxplan_adapter::{Call, Context};
use caxplan_core::load::{Catalog, ReadError};
use caxplan_model::{ActionCall, AttemptNo, Outcome, RunId, StepId, Value};
use caxplan_run::Registry;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a source of targets may take, if its action has no time limit of its own.
const WITHIN: Duration = Duration::from_secs(60);

/// Asks actions.
pub(crate) struct Asker<'a> {
    registry: &'a Registry,
    plan_dir: PathBuf,
}

impl<'a> Asker<'a> {
    /// For the plan in a file.
    pub(crate) fn new(registry: &'a Registry, plan: &Path) -> Self {
        Self {
            registry,
            plan_dir: plan.parent().unwrap_or(Path::new("")).to_owned(),
        }
    }

    /// Performs a call and answers with its output.
    pub(crate) fn ask(&self, call: &ActionCall) -> Result<Value, ReadError> {
        // A thread of its own: the caller may be within a runtime already.
        let asked = std::thread::scope(|scope| scope.spawn(|| self.perform(call)).join());
        asked
            .unwrap_or_else(|_| Err("its adapter panicked: a bug in it".to_owned()))
            .map_err(|message| ReadError { message })
    }

    fn perform(&self, call: &ActionCall) -> Result<Value, String> {
        let (Some(adapter), Some(spec)) = (
            self.registry.adapter(&call.action),
            self.registry.action(&call.action),
        ) else {
            return Err("there is no such action".to_owned());
        };
        let context = Context::detached(self.plan_dir.clone());
        let cancel = context.cancel.clone();
        let within = spec
            .default_timeout
            .map_or(WITHIN, caxplan_model::Duration::as_std);
        let call = Call {
            action: call.action.to_string(),
            with: call.with.clone().into(),
            target: None,
            run: RunId::new("inventory"),
            step: StepId::new("inventory"),
            attempt: AttemptNo::FIRST,
        };
        let runtime = runtime().map_err(|error| error.to_string())?;
        let outcome = runtime.block_on(async {
            let work = adapter.perform(&call, &context);
            tokio::pin!(work);
            tokio::select! {
                outcome = &mut work => Some(outcome),
                () = tokio::time::sleep(within) => {
                    cancel.cancel();
                    // Until it has stopped what it started.
                    work.await;
                    None
                }
            }
        });
        match outcome {
            Some(Outcome::Changed { output } | Outcome::Unchanged { output }) => Ok(output),
            Some(Outcome::Failed { cause, .. } | Outcome::Unknown { cause }) => {
                let said = cause.detail.get("stderr").and_then(Value::as_str);
                Err(match said.filter(|said| !said.is_empty()) {
                    Some(said) => format!("{cause}: {said}"),
                    None => cause.to_string(),
                })
            }
            None => Err(format!("it took longer than {} s", within.as_secs())),
        }
    }
}
