//! Actions as types: the fields are the arguments, and the schema is made from them.

use crate::{Adapter, Call, Context, Forecast, async_trait};
use caxplan_model::{
    ActionName, ActionSpec, Cause, Effect, FailureKind, Outcome, UndoSupport, Value, Verdict,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

/// One action. Its value is one call's arguments; a type that rejects unknown fields (`deny_unknown_fields`) gives a
/// schema that does.
///
/// The methods promise what those of [`Adapter`] promise.
#[async_trait]
pub trait Action: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// What it is; begun with [`reads`] or [`changes`].
    fn spec() -> ActionSpec;

    /// What it would do. Changes nothing.
    async fn forecast(&self, call: &Call, context: &Context) -> Result<Forecast, Cause>;

    /// Does it.
    async fn perform(&self, call: &Call, context: &Context) -> Outcome;

    /// Whether an interrupted attempt did its work. Changes nothing.
    async fn probe(&self, call: &Call, _context: &Context) -> Verdict {
        Verdict::Unknown {
            reason: format!("{} cannot tell", call.action),
        }
    }

    /// The same for an action that can only tell by comparing with what the attempt's forecast gave as `before`.
    async fn probe_from(&self, call: &Call, _before: &Value, context: &Context) -> Verdict {
        self.probe(call, context).await
    }

    /// Restores what `before` describes; idempotent.
    async fn undo(&self, call: &Call, _before: &Value, _context: &Context) -> Outcome {
        not_undoable(call)
    }
}

/// An action that works through something which outlives the call, such as open connections (`S`).
///
/// The methods promise what those of [`Adapter`] promise. An [`Action`] is one that needs nothing of the kind.
#[async_trait]
pub trait ActionThrough<S: Send + Sync + 'static>:
    DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// What it is; begun with [`reads`] or [`changes`].
    fn spec() -> ActionSpec;

    /// What it would do. Changes nothing.
    async fn forecast(&self, through: &S, call: &Call, context: &Context) -> Result<Forecast, Cause>;

    /// Does it.
    async fn perform(&self, through: &S, call: &Call, context: &Context) -> Outcome;

    /// Whether an interrupted attempt did its work. Changes nothing.
    async fn probe(&self, _through: &S, call: &Call, _context: &Context) -> Verdict {
        Verdict::Unknown {
            reason: format!("{} cannot tell", call.action),
        }
    }

    /// The same for an action that can only tell by comparing with what the attempt's forecast gave as `before`.
    async fn probe_from(&self, through: &S, call: &Call, _before: &Value, context: &Context) -> Verdict {
        self.probe(through, call, context).await
    }

    /// Restores what `before` describes; idempotent.
    async fn undo(&self, _through: &S, call: &Call, _before: &Value, _context: &Context) -> Outcome {
        not_undoable(call)
    }
}

#[async_trait]
impl<A: Action> ActionThrough<()> for A {
    fn spec() -> ActionSpec {
        A::spec()
    }

    async fn forecast(&self, (): &(), call: &Call, context: &Context) -> Result<Forecast, Cause> {
        Action::forecast(self, call, context).await
    }

    async fn perform(&self, (): &(), call: &Call, context: &Context) -> Outcome {
        Action::perform(self, call, context).await
    }

    async fn probe(&self, (): &(), call: &Call, context: &Context) -> Verdict {
        Action::probe(self, call, context).await
    }

    async fn probe_from(&self, (): &(), call: &Call, before: &Value, context: &Context) -> Verdict {
        Action::probe_from(self, call, before, context).await
    }

    async fn undo(&self, (): &(), call: &Call, before: &Value, context: &Context) -> Outcome {
        Action::undo(self, call, before, context).await
    }
}

/// The specification of an action that only reads: idempotent, nothing to undo.
pub fn reads<A: JsonSchema>(name: &str, summary: &str) -> ActionSpec {
    ActionSpec {
        name: name.to_owned(),
        summary: summary.to_owned(),
        arguments: schema_of::<A>(),
        output: Value::Object(caxplan_model::Map::new()),
        effect: Effect::ReadOnly,
        changes_argument: None,
        idempotent: true,
        probes: false,
        undo: UndoSupport::NotNeeded,
        records_before: false,
        availability: 0,
        default_timeout: None,
        public_arguments: Vec::new(),
        examples: Vec::new(),
    }
}

/// The specification of an action that changes something, with the least promises: not idempotent, no probe, no undo.
pub fn changes<A: JsonSchema>(name: &str, summary: &str) -> ActionSpec {
    ActionSpec {
        effect: Effect::Changes,
        idempotent: false,
        undo: UndoSupport::Impossible,
        ..reads::<A>(name, summary)
    }
}

/// The JSON Schema of a type, self-contained: no references, for a schema is embedded in others.
pub fn schema_of<T: JsonSchema>() -> Value {
    let mut settings = schemars::generate::SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.into()
}

/// An adapter made of [`Action`] types. What is asked under another name fails as `invalid`.
pub struct ActionSet {
    name: &'static str,
    actions: Vec<Entry>,
    /// The actions' names in the order of `actions`: known once somebody asked.
    names: OnceLock<Vec<ActionName>>,
}

/// Making a specification with its schemas takes longer than a small plan takes to run, so it is made when asked for.
struct Entry {
    spec: fn() -> ActionSpec,
    action: Box<dyn Untyped>,
}

impl ActionSet {
    /// An adapter without actions.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            actions: Vec::new(),
            names: OnceLock::new(),
        }
    }

    /// Adds an action.
    #[must_use]
    pub fn with<A: Action>(self) -> Self {
        self.with_through::<A, ()>(&Arc::new(()))
    }

    /// Adds an action that works through something which outlives its calls.
    #[must_use]
    pub fn with_through<A: ActionThrough<S>, S: Send + Sync + 'static>(mut self, through: &Arc<S>) -> Self {
        self.actions.push(Entry {
            spec: A::spec,
            action: Box::new(Typed::<A, S> {
                through: Arc::clone(through),
                action: PhantomData,
            }),
        });
        self
    }

    fn specs(&self) -> Vec<ActionSpec> {
        self.actions.iter().map(|entry| (entry.spec)()).collect()
    }

    fn find(&self, call: &Call) -> Result<&dyn Untyped, Cause> {
        let names = self.names.get_or_init(|| names(&self.specs()));
        names
            .iter()
            .position(|name| *name == call.action)
            .map(|at| &*self.actions[at].action)
            .ok_or_else(|| {
                Cause::new(
                    FailureKind::Invalid,
                    format!("the adapter `{}` has no action `{}`", self.name, call.action),
                )
            })
    }
}

#[async_trait]
impl Adapter for ActionSet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn describe(&self) -> Vec<ActionSpec> {
        let specs = self.specs();
        self.names.get_or_init(|| names(&specs));
        specs
    }

    async fn forecast(&self, call: &Call, context: &Context) -> Result<Forecast, Cause> {
        self.find(call)?.forecast(call, context).await
    }

    async fn perform(&self, call: &Call, context: &Context) -> Outcome {
        match self.find(call) {
            Ok(action) => action.perform(call, context).await,
            Err(cause) => nothing_done(cause),
        }
    }

    async fn probe(&self, call: &Call, context: &Context) -> Verdict {
        self.probe_from(call, &Value::Null, context).await
    }

    async fn probe_from(&self, call: &Call, before: &Value, context: &Context) -> Verdict {
        match self.find(call) {
            Ok(action) => action.probe_from(call, before, context).await,
            Err(cause) => Verdict::Unknown {
                reason: cause.message,
            },
        }
    }

    async fn undo(&self, call: &Call, before: &Value, context: &Context) -> Outcome {
        match self.find(call) {
            Ok(action) => action.undo(call, before, context).await,
            Err(cause) => nothing_done(cause),
        }
    }
}

fn names(specs: &[ActionSpec]) -> Vec<ActionName> {
    specs.iter().map(|spec| spec.name.clone()).collect()
}

/// A failure before anything was done.
fn nothing_done(cause: Cause) -> Outcome {
    Outcome::Failed {
        cause,
        effect: caxplan_model::FailureEffect::None,
    }
}

fn not_undoable(call: &Call) -> Outcome {
    Outcome::failed(FailureKind::Invalid, format!("{} cannot be undone", call.action))
}

/// An action whose arguments are still JSON.
#[async_trait]
trait Untyped: Send + Sync {
    async fn forecast(&self, call: &Call, context: &Context) -> Result<Forecast, Cause>;
    async fn perform(&self, call: &Call, context: &Context) -> Outcome;
    async fn probe_from(&self, call: &Call, before: &Value, context: &Context) -> Verdict;
    async fn undo(&self, call: &Call, before: &Value, context: &Context) -> Outcome;
}

struct Typed<A, S> {
    through: Arc<S>,
    action: PhantomData<fn() -> A>,
}

#[async_trait]
impl<A: ActionThrough<S>, S: Send + Sync + 'static> Untyped for Typed<A, S> {
    async fn forecast(&self, call: &Call, context: &Context) -> Result<Forecast, Cause> {
        call.arguments::<A>()?
            .forecast(&self.through, call, context)
            .await
    }

    async fn perform(&self, call: &Call, context: &Context) -> Outcome {
        match call.arguments::<A>() {
            Ok(action) => action.perform(&self.through, call, context).await,
            Err(cause) => nothing_done(cause),
        }
    }

    async fn probe_from(&self, call: &Call, before: &Value, context: &Context) -> Verdict {
        match call.arguments::<A>() {
            Ok(action) => action.probe_from(&self.through, call, before, context).await,
            Err(cause) => Verdict::Unknown {
                reason: cause.message,
            },
        }
    }

    async fn undo(&self, call: &Call, before: &Value, context: &Context) -> Outcome {
        match call.arguments::<A>() {
            Ok(action) => action.undo(&self.through, call, before, context).await,
            Err(cause) => nothing_done(cause),
        }
    }
}
