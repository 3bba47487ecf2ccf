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

/// Checks what the adapter says of itself, that it refuses arguments it does not know, and each case.
pub async fn check(adapter: &dyn Adapter, cases: &[Case<'_>]) {
    let specs = adapter.describe();
    for spec in &specs {
        check_spec(adapter.name(), spec);
        check_refusal(adapter, spec).await;
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
    if spec.undo == UndoSupport::Native {
        assert!(spec.records_before, "{name} cannot undo without `before`");
    }
}

async fn check_refusal(adapter: &dyn Adapter, spec: &ActionSpec) {
    let (context, _) = context();
    let call = call(&spec.name, &serde_json::json!({ "no_such_argument": 1 }));
    let outcome = adapter.perform(&call, &context).await;
    match &outcome {
        Outcome::Failed {
            cause,
            effect: FailureEffect::None,
        } if cause.kind == FailureKind::Invalid => {}
        _ => panic!("{}: an unknown argument gave {outcome:?}", spec.name),
    }
    let forecast = adapter.forecast(&call, &context).await;
    assert!(
        forecast.is_err_and(|cause| cause.kind == FailureKind::Invalid),
        "{}: a forecast took an unknown argument",
        spec.name
    );
}

async fn check_case(adapter: &dyn Adapter, spec: &ActionSpec, case: &Case<'_>) {
    let name = format!("{} {}", case.action, case.with);
    assert_valid(&spec.arguments, &case.with, &name);
    let call = call(case.action, &case.with);
    let (context, output) = context();
    match case.ending {
        Ending::Succeeds => check_success(adapter, spec, case, &call, &context).await,
        Ending::Fails(kind) => {
            let outcome = adapter.perform(&call, &context).await;
            assert_eq!(
                outcome.cause().map(|cause| cause.kind),
                Some(kind),
                "{name} gave {outcome:?}"
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
        let verdict = adapter.probe(call, context).await;
        assert!(
            !matches!(verdict, Verdict::Done { .. }),
            "{name}: the probe saw it done before it was"
        );
    }
    assert_eq!((case.world)(), before, "{name}: looking changed something");

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
        let verdict = adapter.probe(call, context).await;
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
