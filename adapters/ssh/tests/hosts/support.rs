//! Calls as the engine would make them, to servers that the tests start.

use caxplan_adapter::conformance::call;
use caxplan_adapter::{Adapter, Call, Context, OutputSink, Stream};
use caxplan_model::{Outcome, RunId, StepId, Target, Value};
use caxplan_ssh::{Connections, adapter_through};
use caxton_tests::{Account, Sshd};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// A run that began now, with an id that no other test has.
pub(crate) fn new_run() -> RunId {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is after 1970");
    let mut number = u128::from(u64::try_from(now.as_millis()).expect("it is before the end of time")) << 80;
    number |= u128::from(std::process::id()) << 32 | u128::from(COUNT.fetch_add(1, Ordering::Relaxed));
    let text: String = (0..26)
        .rev()
        .map(|at| char::from(DIGITS[usize::try_from(number >> (at * 5) & 31).expect("it is small")]))
        .collect();
    RunId::new(text)
}

/// A fleet, an account and connections to it.
pub(crate) struct World {
    pub(crate) fleet: Sshd,
    pub(crate) account: Account,
    pub(crate) connections: Arc<Connections>,
    pub(crate) adapter: Arc<dyn Adapter>,
    run: RunId,
}

impl World {
    /// `None` where the machine has no sshd, or tests cannot make accounts.
    pub(crate) fn new(count: usize) -> Option<Self> {
        if !Sshd::is_there() || !Account::can_be_made() {
            return None;
        }
        Some(Self::of(Sshd::start(count), Account::ordinary()))
    }

    pub(crate) fn of(fleet: Sshd, account: Account) -> Self {
        let connections = Arc::new(Connections::new());
        Self {
            fleet,
            account,
            adapter: adapter_through(&connections),
            connections,
            run: new_run(),
        }
    }

    /// A call to a server, with more variables of its target over the usual ones.
    pub(crate) fn call_with(&self, server: usize, action: &str, with: &Value, vars: &Value) -> Call {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut all = self.fleet.target_vars(server, &self.account);
        for (name, value) in vars.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        let mut call = call(action, with);
        call.run = self.run.clone();
        call.step = StepId::new(format!("test/step {}", COUNT.fetch_add(1, Ordering::Relaxed)));
        call.target = Some(Target {
            name: format!("h{}", server + 1),
            groups: Vec::new(),
            labels: Default::default(),
            vars: all.as_object().cloned().expect("it is an object"),
        });
        call
    }

    pub(crate) fn call(&self, server: usize, action: &str, with: &Value) -> Call {
        self.call_with(server, action, with, &json!({}))
    }

    /// Runs a script on a server, with more variables of its target.
    pub(crate) async fn script_with(&self, server: usize, script: &str, vars: &Value) -> Outcome {
        let call = self.call_with(server, "ssh.run", &json!({ "script": script }), vars);
        self.adapter.perform(&call, &Context::detached(".")).await
    }

    pub(crate) async fn script(&self, server: usize, script: &str) -> Outcome {
        self.script_with(server, script, &json!({})).await
    }
}

/// What a step put out.
#[derive(Default)]
pub(crate) struct Output {
    text: Mutex<String>,
    some: tokio::sync::Notify,
}

impl Output {
    pub(crate) fn text(&self) -> String {
        self.text.lock().expect("no test panics with it").clone()
    }

    /// Waits until it holds a text.
    pub(crate) async fn holds(&self, wanted: &str) {
        loop {
            let more = self.some.notified();
            if self.text().contains(wanted) {
                return;
            }
            more.await;
        }
    }
}

impl OutputSink for Output {
    fn write(&self, _: Stream, bytes: &[u8]) {
        let mut text = self.text.lock().expect("no test panics with it");
        text.push_str(&String::from_utf8_lossy(bytes));
        self.some.notify_one();
    }

    fn mask(&self, _: &str) {}
}

/// A context whose output can be read.
pub(crate) fn watched() -> (Context, Arc<Output>) {
    let output = Arc::new(Output::default());
    let context = Context {
        cancel: CancellationToken::new(),
        output: output.clone(),
        markers: vec![("CAXPLAN_STEP_ID".to_owned(), "test/step".to_owned())],
        plan_dir: ".".into(),
    };
    (context, output)
}

#[track_caller]
pub(crate) fn stdout(outcome: &Outcome) -> String {
    match outcome.output() {
        Some(output) => output["stdout"].as_str().expect("a text").to_owned(),
        None => panic!("{outcome:?}"),
    }
}

/// The message of a failure, with its hint.
#[track_caller]
pub(crate) fn message(outcome: &Outcome) -> String {
    match outcome.cause() {
        Some(cause) => format!(
            "{} ({}); {}",
            cause.message,
            cause.kind,
            cause.hint.as_deref().unwrap_or_default()
        ),
        None => panic!("{outcome:?}"),
    }
}
