//! One look at what a monitor watches. Changes nothing: all its actions only read.

use crate::driver::attempt::{expect, over, perform};
use crate::mask::Masker;
use crate::orphans::RUN_ID_VARIABLE;
use crate::output::Outputs;
use crate::resolve::{READ_TIMEOUT, Resolved, Resolver};
use crate::scope::{Surroundings, Texts};
use crate::{Registry, SecretError, Secrets};
use caxplan_adapter::Context;
use caxplan_core::load::{Check, Monitor};
use caxplan_core::schedule::State;
use caxplan_core::template::{self, Scope};
use caxplan_model::{ActionCall, AttemptNo, Duration, FailureKind, NodeIndex, NodeKind, Outcome, RunId};
use std::collections::BTreeMap;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// What a look says about one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The check, as it is written.
    pub check: String,
    /// What it says.
    pub verdict: Verdict,
    /// What was seen, for a person; secrets are masked.
    pub seen: String,
}

/// Whether a check holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    HoldsNot,
    /// It could not be told.
    Unknown,
}

/// Looks once at all that a monitor watches, everything at the same time, and answers in the order of its checks. `plan`
/// is the file, absolute. `stop` ends the look early; what has not answered by then is unknown.
///
/// # Errors
/// If a secret could not be had. Nothing was looked at then.
pub async fn look(
    registry: &Registry,
    monitor: &Monitor,
    plan: &Path,
    stop: &CancellationToken,
) -> Result<Vec<Answer>, SecretError> {
    let graph = &monitor.loaded.graph;
    let secrets = Secrets::load(&graph.header.secrets, plan.parent().unwrap_or(Path::new("/"))).await?;
    let run = RunId::new(format!(
        "check-{}",
        ulid::Ulid::new().to_string().to_ascii_lowercase()
    ));
    let looking = Looking {
        registry,
        surroundings: Surroundings::new(&run, graph, plan, &monitor.loaded.secret_params, &secrets),
        outputs: Outputs::new(Masker::of(&secrets, &monitor.loaded.secret_params)),
        state: State::new(graph.clone()),
        run,
        stop,
    };
    let mut by_node: BTreeMap<NodeIndex, Vec<&Check>> = BTreeMap::new();
    for check in &monitor.checks {
        by_node.entry(check.node).or_default().push(check);
    }
    let looks = by_node.into_iter().map(|(node, checks)| looking.at(node, checks));
    let answered: Vec<Vec<Answer>> = futures_util::future::join_all(looks).await;
    let mut by_check: BTreeMap<String, Answer> = answered
        .into_iter()
        .flatten()
        .map(|answer| (answer.check.clone(), answer))
        .collect();
    Ok(monitor
        .checks
        .iter()
        .filter_map(|check| by_check.remove(&check.text))
        .collect())
}

struct Looking<'a> {
    registry: &'a Registry,
    surroundings: Surroundings,
    outputs: Outputs,
    state: State,
    run: RunId,
    stop: &'a CancellationToken,
}

impl Looking<'_> {
    /// Asks one node, and answers its checks from what it says.
    async fn at(&self, node: NodeIndex, checks: Vec<&Check>) -> Vec<Answer> {
        let answers = match &self.state.graph().node(node).kind {
            NodeKind::Action(step) => {
                let asked = self.ask(
                    node,
                    &step.call,
                    step.target.as_deref(),
                    step.timeout,
                    &step.expect,
                );
                let (outcome, scope) = asked.await;
                let outcome = expect(&step.expect, &scope, outcome);
                each(checks, |_| of_action(&outcome))
            }
            NodeKind::Watch(watch) => {
                let asked = self.ask(node, &watch.observe, watch.target.as_deref(), None, &watch.checks);
                let (outcome, scope) = asked.await;
                each(checks, |check| of_condition(check, &outcome, &scope))
            }
            _ => each(checks, |_| (Verdict::Unknown, "it is no check".to_owned())),
        };
        let masker = self.outputs.masker();
        answers
            .into_iter()
            .map(|answer| Answer {
                seen: masker.text(&answer.seen),
                ..answer
            })
            .collect()
    }

    async fn ask(
        &self,
        node: NodeIndex,
        call: &ActionCall,
        target: Option<&str>,
        limit: Option<Duration>,
        conditions: &[String],
    ) -> (Outcome, Scope) {
        let texts = conditions
            .iter()
            .fold(Texts::default(), |texts, condition| texts.and_text(condition));
        let masker = self.outputs.masker();
        let resolver = Resolver {
            registry: self.registry,
            surroundings: &self.surroundings,
            state: &self.state,
            run: &self.run,
            masker: &masker,
        };
        let (resolved, scope) = match resolver.resolve(node, AttemptNo::FIRST, call, target, limit, &texts) {
            Ok(resolved) => resolved,
            Err(cause) => {
                let failed = Outcome::Failed {
                    cause,
                    effect: caxplan_model::FailureEffect::None,
                };
                return (failed, Scope::default());
            }
        };
        let resolved = Resolved {
            limit: resolved.limit.or(Some(READ_TIMEOUT)),
            ..resolved
        };
        let output = self.outputs.of(resolved.call.step.clone(), AttemptNo::FIRST);
        let context = Context {
            cancel: self.stop.child_token(),
            output: output.clone(),
            markers: vec![(RUN_ID_VARIABLE.to_owned(), self.run.to_string())],
            plan_dir: self.surroundings.plan_dir.clone(),
        };
        let outcome = perform(&resolved, &context).await;
        output.finish();
        // Nobody reads what it put out.
        drop(self.outputs.take());
        (outcome, scope)
    }
}

fn each(checks: Vec<&Check>, answer: impl Fn(&str) -> (Verdict, String)) -> Vec<Answer> {
    checks
        .into_iter()
        .map(|check| {
            let (verdict, seen) = answer(&check.text);
            Answer {
                check: check.text.clone(),
                verdict,
                seen,
            }
        })
        .collect()
}

/// A check that is an action holds if that succeeds. One that could not find out says neither yes nor no.
fn of_action(outcome: &Outcome) -> (Verdict, String) {
    let Some(cause) = outcome.cause() else {
        return (Verdict::Holds, "it succeeded".to_owned());
    };
    let verdict = match cause.kind {
        FailureKind::Exit | FailureKind::Expectation | FailureKind::Breach | FailureKind::Conflict => {
            Verdict::HoldsNot
        }
        FailureKind::Timeout
        | FailureKind::Unavailable
        | FailureKind::Denied
        | FailureKind::NotFound
        | FailureKind::Invalid
        | FailureKind::Cancelled
        | FailureKind::Lost
        | FailureKind::Rejected
        | FailureKind::Invariant
        | FailureKind::Template
        | FailureKind::Other => Verdict::Unknown,
    };
    let said = cause.detail.get("stderr").and_then(|text| text.as_str());
    let last = said.and_then(|text| text.trim_end().lines().last());
    let seen = match last.filter(|line| !line.trim().is_empty()) {
        Some(line) => format!("{}: {}", cause.message, line.trim()),
        None => cause.message.clone(),
    };
    (verdict, seen)
}

fn of_condition(check: &str, outcome: &Outcome, scope: &Scope) -> (Verdict, String) {
    let output = match outcome {
        Outcome::Changed { output } | Outcome::Unchanged { output } => output,
        Outcome::Failed { cause, .. } | Outcome::Unknown { cause } => {
            return (Verdict::Unknown, format!("it could not be observed: {cause}"));
        }
    };
    let root = over(scope, output);
    if template::is_template(check) {
        return match template::evaluate_when(check, &Scope { root }) {
            Ok(true) => (Verdict::Holds, "it yielded true".to_owned()),
            Ok(false) => (Verdict::HoldsNot, "it yielded false".to_owned()),
            Err(message) => (Verdict::Unknown, message),
        };
    }
    match caxplan_core::condition::evaluate(check, &root) {
        Ok(verdict) if verdict.ok => (Verdict::Holds, verdict.detail),
        Ok(verdict) => (Verdict::HoldsNot, verdict.detail),
        Err(message) => (Verdict::Unknown, message),
    }
}
