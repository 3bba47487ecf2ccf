//! The suite that each adapter passes, for use in the adapter's own tests.
//!
//! It panics at the first broken promise, with the action and what was seen: that is what a test wants.

use crate::{Adapter, Call, Change, Context, OutputSink, Stream};
use caxplan_model::{
    ActionSpec, AttemptNo, Effect, FailureEffect, FailureKind, Map, Outcome, RunId, StepId, UndoSupport,
    Value, Verdict,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How soon a cancelled action must have returned: the grace that processes get, and some room for a slow machine.
const CANCEL_MAX: Duration = Duration::from_secs(5);

/// How long the forecast of an example may take: it may ask a service that is not there.
const FORECAST_MAX: Duration = Duration::from_secs(60);

/// One call to try, and how it shall end.
pub struct Case<'a> {
    action: &'a str,
    with: Value,
    ending: Ending,
    world: Box<dyn Fn() -> Value + 'a>,
    secret: Option<&'a str>,
}

enum Ending {
    Succeeds,
    Fails(FailureKind),
    FailsSomehow,
    Cancelled,
}

impl<'a> Case<'a> {
    fn new(action: &'a str, with: Value, ending: Ending) -> Self {
        Self {
            action,
            with,
            ending,
            world: Box::new(|| Value::Null),
            secret: None,
        }
    }

    /// A call that ends well.
    pub fn succeeds(action: &'a str, with: Value) -> Self {
        Self::new(action, with, Ending::Succeeds)
    }

    /// A call that fails with this kind.
    pub fn fails(action: &'a str, with: Value, kind: FailureKind) -> Self {
        Self::new(action, with, Ending::Fails(kind))
    }

    /// A call that fails in a way that depends on the machine: for an action that needs more than a test of its package
    /// can have.
    pub fn fails_somehow(action: &'a str, with: Value) -> Self {
        Self::new(action, with, Ending::FailsSomehow)
    }

    /// A call that goes on for ever. It is cancelled when it has put something out.
    pub fn runs_until_cancelled(action: &'a str, with: Value) -> Self {
        Self::new(action, with, Ending::Cancelled)
    }

    /// Names what the call may change: a function that takes a picture of it.
    #[must_use]
    pub fn watching(mut self, world: impl Fn() -> Value + 'a) -> Self {
        self.world = Box::new(world);
        self
    }

    /// Names a secret that the adapter reads by itself and must mask.
    #[must_use]
    pub fn masking(mut self, secret: &'a str) -> Self {
        self.secret = Some(secret);
        self
    }
}

/// Checks what the adapter says of itself, that it refuses what it does not understand, and each case.
///
/// Of each action there must be a case: an action without one is a broken promise too.
pub async fn check(adapter: &dyn Adapter, cases: &[Case<'_>]) {
    let specs = adapter.describe();
    assert_eq!(
        specs,
        adapter.describe(),
        "{} describes itself differently each time",
        adapter.name()
    );
    for (at, spec) in specs.iter().enumerate() {
        assert!(
            specs[..at].iter().all(|of| of.name != spec.name),
            "{} is described twice",
            spec.name
        );
        assert!(
            cases.iter().any(|case| case.action == spec.name),
            "{} has no case: what it promises is not checked",
            spec.name
        );
        check_spec(adapter.name(), spec);
        for example in &spec.examples {
            check_example(adapter, spec, example).await;
            check_bad_arguments(adapter, spec, example).await;
        }
        check_unknown_state(adapter, spec).await;
    }
    for case in cases {
        let spec = specs
            .iter()
            .find(|spec| spec.name == case.action)
            .unwrap_or_else(|| panic!("the adapter does not describe {}", case.action));
        check_case(adapter, spec, case).await;
    }
}

fn check_spec(adapter: &str, spec: &ActionSpec) {
    let name = &spec.name;
    assert!(
        name.strip_prefix(adapter)
            .is_some_and(|rest| rest.starts_with('.')),
        "{name} does not begin with `{adapter}.`"
    );
    assert!(!spec.summary.is_empty(), "{name} has no summary");
    assert_eq!(
        spec.arguments["type"], "object",
        "{name}: arguments are no object"
    );
    assert_eq!(
        spec.arguments["additionalProperties"], false,
        "{name} takes unknown arguments: `deny_unknown_fields` is missing"
    );
    for (argument, schema) in spec.arguments["properties"].as_object().into_iter().flatten() {
        assert!(
            schema.get("description").is_some(),
            "{name}: the argument `{argument}` is not described"
        );
    }
    assert!(!spec.examples.is_empty(), "{name} has no example");
    for example in &spec.examples {
        assert_valid(&spec.arguments, example, &format!("an example of {name}"));
    }
    if spec.effect == Effect::ReadOnly {
        assert_eq!(
            spec.undo,
            UndoSupport::NotNeeded,
            "{name} only reads, so nothing is to undo"
        );
        assert!(spec.idempotent, "{name} only reads, so it may run twice");
    }
    for argument in spec.changes_argument.iter().chain(&spec.public_arguments) {
        assert!(
            spec.arguments["properties"].get(argument).is_some(),
            "{name} speaks of an argument `{argument}` that it does not have"
        );
    }
    if let Some(argument) = &spec.changes_argument {
        assert_eq!(
            spec.arguments["properties"][argument]["type"], "boolean",
            "{name}: `{argument}` says whether it changes something, so it is true or false"
        );
    }
    jsonschema::validator_for(&spec.output)
        .unwrap_or_else(|error| panic!("the output of {name} has no schema: {error}"));
    if spec.undo == UndoSupport::Native {
        assert!(spec.records_before, "{name} cannot undo without `before`");
    }
}

/// An example is a call that the adapter understands, whatever the world is like.
async fn check_example(adapter: &dyn Adapter, spec: &ActionSpec, example: &Value) {
    let (context, _) = context();
    let forecast = tokio::time::timeout(
        FORECAST_MAX,
        adapter.forecast(&call(&spec.name, example), &context),
    )
    .await
    .unwrap_or_else(|_| panic!("{}: the forecast of {example} does not end", spec.name));
    if let Err(cause) = forecast {
        assert_ne!(
            cause.kind,
            FailureKind::Invalid,
            "{}: its own example {example} is refused: {cause}",
            spec.name
        );
    }
}

/// What is wrong in a way that the schema tells is refused as `invalid`, by each method, and nothing is done: an unknown
/// argument, each required one missing, and each one with a value of another type.
async fn check_bad_arguments(adapter: &dyn Adapter, spec: &ActionSpec, example: &Value) {
    let validator = jsonschema::validator_for(&spec.arguments)
        .unwrap_or_else(|error| panic!("{} has no schema: {error}", spec.name));
    let good = example.as_object().cloned().unwrap_or_default();
    let mut bad = vec![("an unknown argument".to_owned(), {
        let mut with = good.clone();
        with.insert("no_such_argument".to_owned(), Value::from(1));
        with
    })];
    for required in spec.arguments["required"].as_array().into_iter().flatten() {
        let name = required.as_str().unwrap_or_default();
        let mut with = good.clone();
        with.remove(name);
        bad.push((format!("no `{name}`"), with));
    }
    for name in spec.arguments["properties"]
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
    {
        for wrong in [
            serde_json::json!({ "no": { "such": "field" } }),
            serde_json::json!([[[]]]),
            Value::Bool(true),
        ] {
            let mut with = good.clone();
            with.insert(name.clone(), wrong.clone());
            // Where a value of any type is right, none is wrong.
            let only_it = validator
                .iter_errors(&Value::Object(with.clone()))
                .any(|error| !error.instance_path().as_str().is_empty());
            if only_it {
                bad.push((format!("`{name}` as {wrong}"), with));
            }
        }
    }
    for (what, with) in bad {
        let (context, _) = context();
        let call = call(&spec.name, &Value::Object(with));
        let outcome = adapter.perform(&call, &context).await;
        match &outcome {
            Outcome::Failed {
                cause,
                effect: FailureEffect::None,
            } if cause.kind == FailureKind::Invalid => {}
            _ => panic!("{}: {what} gave {outcome:?}", spec.name),
        }
        let forecast = adapter.forecast(&call, &context).await;
        assert!(
            forecast.is_err_and(|cause| cause.kind == FailureKind::Invalid),
            "{}: a forecast took {what}",
            spec.name
        );
        if spec.probes {
            let verdict = adapter.probe_from(&call, &Value::Null, &context).await;
            assert!(
                matches!(verdict, Verdict::Unknown { .. }),
                "{}: a probe took {what}: {verdict:?}",
                spec.name
            );
        }
        if spec.undo == UndoSupport::Native {
            let undone = adapter.undo(&call, &Value::Null, &context).await;
            assert!(
                !undone.is_success(),
                "{}: an undo took {what}: {undone:?}",
                spec.name
            );
        }
    }
}

/// An undo that is told nothing of the state before does not guess.
async fn check_unknown_state(adapter: &dyn Adapter, spec: &ActionSpec) {
    let Some(example) = spec.examples.first().filter(|_| spec.undo == UndoSupport::Native) else {
        return;
    };
    let (context, _) = context();
    for before in [Value::Null, serde_json::json!({ "no": "such state" })] {
        let undone = adapter.undo(&call(&spec.name, example), &before, &context).await;
        assert!(
            !undone.is_success(),
            "{}: an undo to the state {before} gave {undone:?}",
            spec.name
        );
    }
}

async fn check_case(adapter: &dyn Adapter, spec: &ActionSpec, case: &Case<'_>) {
    let name = format!("{} {}", case.action, case.with);
    assert_valid(&spec.arguments, &case.with, &name);
    let call = call(case.action, &case.with);
    let (context, output) = context();
    match case.ending {
        Ending::Succeeds => check_success(adapter, spec, case, &call, &context).await,
        Ending::Fails(kind) => {
            let before = (case.world)();
            let outcome = adapter.perform(&call, &context).await;
            if !outcome.may_have_acted() {
                assert_eq!(
                    (case.world)(),
                    before,
                    "{name} says that it did nothing: {outcome:?}"
                );
            }
            assert_eq!(
                outcome.cause().map(|cause| cause.kind),
                Some(kind),
                "{name} gave {outcome:?}"
            );
        }
        Ending::FailsSomehow => {
            let outcome = adapter.perform(&call, &context).await;
            assert!(outcome.cause().is_some(), "{name} gave {outcome:?}");
            assert!(
                spec.effect == Effect::Changes || !outcome.may_have_acted(),
                "{name} only reads, but gave {outcome:?}"
            );
        }
        Ending::Cancelled => check_cancel(adapter, &call, &context, &output).await,
    }
    if let Some(secret) = case.secret {
        assert!(output.lock().masked(secret), "{name} did not mask its secret");
    }
}

async fn check_success(
    adapter: &dyn Adapter,
    spec: &ActionSpec,
    case: &Case<'_>,
    call: &Call,
    context: &Context,
) {
    let name = format!("{} {}", case.action, case.with);
    let before = (case.world)();
    let forecast = adapter
        .forecast(call, context)
        .await
        .unwrap_or_else(|cause| panic!("{name}: the forecast failed: {cause}"));
    assert!(!forecast.summary.is_empty(), "{name}: the forecast says nothing");
    if spec.probes && forecast.change == Change::Would {
        let verdict = adapter.probe_from(call, &forecast.before, context).await;
        assert!(
            !matches!(verdict, Verdict::Done { .. }),
            "{name}: the probe saw it done before it was"
        );
    }
    assert_eq!((case.world)(), before, "{name}: looking changed something");
    check_stopped(adapter, case, call).await;

    let outcome = adapter.perform(call, context).await;
    let Some(output) = outcome.output() else {
        panic!("{name} gave {outcome:?}");
    };
    assert_valid(&spec.output, output, &format!("the output of {name}"));
    let after = (case.world)();
    match spec.effect {
        Effect::ReadOnly => {
            assert!(
                !outcome.may_have_acted(),
                "{name} only reads, but gave {outcome:?}"
            );
            assert_eq!(after, before, "{name} only reads, but changed something");
        }
        Effect::Changes => {}
    }
    if spec.probes {
        let verdict = adapter.probe_from(call, &forecast.before, context).await;
        assert!(
            matches!(verdict, Verdict::Done { .. }),
            "{name} was done, but the probe says {verdict:?}"
        );
    }
    if spec.idempotent {
        let again = adapter.perform(call, context).await;
        assert!(again.is_success(), "{name}, the second time, gave {again:?}");
        assert_eq!((case.world)(), after, "{name} is not idempotent");
    }
    if spec.undo == UndoSupport::Native {
        for time in ["first", "second"] {
            let undone = adapter.undo(call, &forecast.before, context).await;
            assert!(undone.is_success(), "{name}: the {time} undo gave {undone:?}");
            assert_eq!((case.world)(), before, "{name}: the {time} undo did not restore");
        }
    }
}

/// An attempt that is told to stop before it has begun ends soon, and what it says of its doing is so. It may be too
/// quick to be stopped; then it is undone if it can be, else the case goes on from there.
async fn check_stopped(adapter: &dyn Adapter, case: &Case<'_>, call: &Call) {
    let name = format!("{} {}", case.action, case.with);
    let before = (case.world)();
    let (context, _) = context();
    context.cancel.cancel();
    let looking = adapter.forecast(call, &context);
    let state = tokio::time::timeout(CANCEL_MAX, looking).await;
    let state = state.unwrap_or_else(|_| panic!("the forecast of {name} goes on though it was cancelled"));
    let outcome = tokio::time::timeout(CANCEL_MAX, adapter.perform(call, &context))
        .await
        .unwrap_or_else(|_| panic!("{name} goes on though it was cancelled"));
    if !outcome.may_have_acted() {
        assert_eq!(
            (case.world)(),
            before,
            "{name} says that it did nothing when it was stopped: {outcome:?}"
        );
        return;
    }
    if let Ok(forecast) = state {
        // What stopped it must not stop its undo.
        let (context, _) = self::context();
        adapter.undo(call, &forecast.before, &context).await;
    }
}

async fn check_cancel(adapter: &dyn Adapter, call: &Call, context: &Context, output: &Arc<Recorder>) {
    let perform = adapter.perform(call, context);
    tokio::pin!(perform);
    tokio::select! {
        outcome = &mut perform => panic!("{} ended by itself: {outcome:?}", call.action),
        () = output.first_output.notified() => {}
    }
    context.cancel.cancel();
    let outcome = tokio::time::timeout(CANCEL_MAX, perform)
        .await
        .unwrap_or_else(|_| panic!("{} goes on though it was cancelled", call.action));
    assert!(
        !outcome.is_success(),
        "{} was cancelled, but gave {outcome:?}",
        call.action
    );
}

fn assert_valid(schema: &Value, value: &Value, what: &str) {
    let validator = jsonschema::validator_for(schema)
        .unwrap_or_else(|error| panic!("the schema of {what} is no schema: {error}"));
    if let Err(error) = validator.validate(value) {
        panic!("{what} does not fit its schema: {error}\n{value:#}");
    }
}

/// A call as the engine would make it.
pub fn call(action: &str, with: &Value) -> Call {
    Call {
        action: action.to_owned(),
        with: with.as_object().cloned().unwrap_or_else(Map::new),
        target: None,
        run: RunId::from("01conformance"),
        step: StepId::from("conformance/step"),
        attempt: AttemptNo::FIRST,
    }
}

fn context() -> (Context, Arc<Recorder>) {
    let output = Arc::new(Recorder::default());
    let context = Context {
        cancel: CancellationToken::new(),
        output: output.clone(),
        markers: vec![("CAXPLAN_STEP_ID".to_owned(), "conformance/step".to_owned())],
        plan_dir: std::path::PathBuf::from("."),
    };
    (context, output)
}

/// Keeps what a step puts out.
#[derive(Default)]
struct Recorder {
    seen: Mutex<Seen>,
    first_output: tokio::sync::Notify,
}

#[derive(Default)]
struct Seen {
    output: Vec<u8>,
    /// Each secret with the length of the output when it was registered.
    masked: Vec<(String, usize)>,
}

impl Seen {
    /// Whether the secret was registered before it stood in the output.
    fn masked(&self, secret: &str) -> bool {
        let shown_at = self
            .output
            .windows(secret.len().max(1))
            .position(|window| window == secret.as_bytes());
        self.masked
            .iter()
            .any(|(masked, at)| masked == secret && shown_at.is_none_or(|shown| *at <= shown))
    }
}

impl Recorder {
    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutputSink for Recorder {
    fn write(&self, _: Stream, bytes: &[u8]) {
        self.lock().output.extend_from_slice(bytes);
        self.first_output.notify_one();
    }

    fn mask(&self, secret: &str) {
        let mut seen = self.lock();
        let at = seen.output.len();
        seen.masked.push((secret.to_owned(), at));
    }
}
