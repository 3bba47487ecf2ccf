//! From commands to work: what a command asks for, resolved, as a future that answers with an event.

use super::Driver;
use super::attempt::{ask, breach_of, expect, perform, verdict_of, within};
use crate::mask::MASK_IN_BEFORE;
use crate::orphans::RUN_ID_VARIABLE;
use crate::output::StepOutput;
use crate::resolve::{READ_TIMEOUT, Resolved, Resolver};
use crate::scope::Texts;
use caxplan_adapter::Context;
use caxplan_core::schedule::Event;
use caxplan_core::template::{self, Scope};
use caxplan_model::{
    ActionCall, ActionStep, AttemptNo, Cause, Duration, FailureKind, NodeIndex, NodeKind, Outcome, StepId,
    Undo, UndoEnd, Value, Verdict,
};
use std::future::Future;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What an attempt works with beside its call.
pub(super) struct Desk {
    pub(super) context: Context,
    pub(super) output: Arc<StepOutput>,
}

impl Driver {
    /// Reads the state before a step acts.
    pub(super) fn prepare(&mut self, node: NodeIndex, attempt: AttemptNo) {
        let answer = move |before| Event::Prepared {
            node,
            attempt,
            before,
        };
        let resolved = match self.resolve_step(node, attempt, &Texts::default()) {
            Ok((resolved, _)) => resolved,
            Err(cause) => return self.answer(answer(Err(failed(cause)))),
        };
        let desk = self.desk(node, attempt);
        let outputs = self.outputs.clone();
        self.spawn(node, desk.context.cancel.clone(), async move {
            let reading = resolved.adapter.forecast(&resolved.call, &desk.context);
            let forecast = within(reading, Some(READ_TIMEOUT), &desk.context)
                .await
                .unwrap_or_else(|ended| Err(ended.into_cause()));
            desk.output.finish();
            let masker = outputs.masker();
            answer(match forecast {
                Ok(forecast) => Ok(masker.before(forecast.before)),
                Err(cause) => Err(masker.outcome(failed(cause))),
            })
        });
    }

    /// Performs a step's action and checks what the plan expects of it.
    pub(super) fn start(&mut self, node: NodeIndex, attempt: AttemptNo) {
        let answer = move |outcome| Event::Ended {
            node,
            attempt,
            outcome,
        };
        let checks = self
            .step(node)
            .map(|step| step.expect.clone())
            .unwrap_or_default();
        let texts = checks
            .iter()
            .fold(Texts::default(), |texts, check| texts.and_text(check));
        let (resolved, scope) = match self.resolve_step(node, attempt, &texts) {
            Ok(resolved) => resolved,
            Err(cause) => return self.answer(answer(failed(cause))),
        };
        let desk = self.desk(node, attempt);
        let outputs = self.outputs.clone();
        self.spawn(node, desk.context.cancel.clone(), async move {
            let outcome = perform(&resolved, &desk.context).await;
            desk.output.finish();
            answer(outputs.masker().outcome(expect(&checks, &scope, outcome)))
        });
    }

    /// Asks what became of an attempt: the plan's own probe, else the adapter's.
    ///
    /// A plan's probe looks at the effect, and would call an attempt that is still at work elsewhere not done, so that it would
    /// run a second time beside itself. So an adapter that can tell is asked first, and the attempt's end is waited for.
    pub(super) fn probe(&mut self, node: NodeIndex, attempt: AttemptNo) {
        let answer = move |report| Event::Probed {
            node,
            attempt,
            report,
        };
        let probe = self.step(node).and_then(|step| step.probe.clone());
        let done_when = probe.as_ref().and_then(|probe| probe.done_when.clone());
        let texts = done_when
            .iter()
            .fold(Texts::default(), |texts, check| texts.and_text(check));
        let unknown = move |cause: Cause| {
            answer(Verdict::Unknown {
                reason: cause.to_string(),
            })
        };
        let by_plan = probe.map(|probe| {
            let target = self.step(node).and_then(|step| step.target.clone());
            self.resolve_call(node, attempt, &probe.call, target.as_deref(), None, &texts)
        });
        let by_plan = match by_plan.transpose() {
            Ok(by_plan) => by_plan,
            Err(cause) => return self.answer(unknown(cause)),
        };
        let asks = by_plan.is_none() || self.step(node).is_some_and(|step| step.probes);
        let by_adapter = asks.then(|| self.resolve_step(node, attempt, &Texts::default()));
        let by_adapter = match by_adapter.transpose() {
            Ok(by_adapter) => by_adapter,
            Err(cause) => return self.answer(unknown(cause)),
        };
        let before = self
            .scheduler
            .state()
            .before_last(node)
            .cloned()
            .unwrap_or_default();
        let desk = self.desk(node, attempt);
        let outputs = self.outputs.clone();
        self.spawn(node, desk.context.cancel.clone(), async move {
            let adapter_says = match &by_adapter {
                Some((resolved, _)) => Some(ask(resolved, &before, &desk.context).await),
                None => None,
            };
            let verdict = match (by_plan, adapter_says) {
                (_, Some(at_work @ Verdict::Running { .. })) | (None, Some(at_work)) => at_work,
                (Some((mut resolved, scope)), _) => {
                    resolved.limit = resolved.limit.or(Some(READ_TIMEOUT));
                    let outcome = perform(&resolved, &desk.context).await;
                    verdict_of(&outcome, done_when.as_deref(), &scope)
                }
                (None, None) => unreachable!("without a plan's probe the adapter is asked"),
            };
            desk.output.finish();
            let masker = outputs.masker();
            answer(match verdict {
                Verdict::Done { output } => Verdict::Done {
                    output: masker.value(output),
                },
                Verdict::NotDone => Verdict::NotDone,
                Verdict::Unknown { reason } | Verdict::Running { reason } => Verdict::Unknown {
                    reason: masker.text(&reason),
                },
            })
        });
    }

    /// Undoes a step: the plan's compensations in order, else the adapter's own undo.
    pub(super) fn undo(&mut self, node: NodeIndex, attempt: AttemptNo) {
        let answer = move |end| Event::Undone { node, attempt, end };
        let (calls, before) = match self.resolve_undo(node, attempt) {
            Ok(resolved) => resolved,
            Err(cause) => return self.answer(answer(UndoEnd::Failed { cause })),
        };
        let desk = self.desk(node, attempt);
        let outputs = self.outputs.clone();
        self.spawn(node, desk.context.cancel.clone(), async move {
            let mut end = UndoEnd::Undone;
            for resolved in &calls {
                let outcome = match &before {
                    None => perform(resolved, &desk.context).await,
                    Some(before) => {
                        let undoing = resolved.adapter.undo(&resolved.call, before, &desk.context);
                        within(undoing, resolved.limit, &desk.context)
                            .await
                            .unwrap_or_else(|ended| failed(ended.into_cause()))
                    }
                };
                if let Some(cause) = outcome.cause() {
                    let cause = outputs.masker().cause(cause.clone());
                    end = UndoEnd::Failed { cause };
                    break;
                }
            }
            desk.output.finish();
            answer(end)
        });
    }

    /// Makes one observation of a watch and checks it.
    pub(super) fn observe(&mut self, node: NodeIndex) {
        let answer = move |breach| Event::Observed { node, breach };
        let NodeKind::Watch(watch) = &self.scheduler.state().graph().node(node).kind else {
            return;
        };
        let watch = watch.clone();
        let texts = watch
            .checks
            .iter()
            .fold(Texts::default(), |texts, check| texts.and_text(check));
        let target = watch.target.as_deref();
        let (resolved, scope) =
            match self.resolve_call(node, AttemptNo::FIRST, &watch.observe, target, None, &texts) {
                Ok(resolved) => resolved,
                Err(cause) => return self.answer(answer(Some(cause.to_string()))),
            };
        let desk = self.desk(node, AttemptNo::FIRST);
        let outputs = self.outputs.clone();
        self.spawn(node, desk.context.cancel.clone(), async move {
            let resolved = Resolved {
                limit: resolved.limit.or(Some(READ_TIMEOUT)),
                ..resolved
            };
            let outcome = perform(&resolved, &desk.context).await;
            desk.output.finish();
            let breach = breach_of(&outcome, &watch.checks, &scope);
            answer(breach.map(|breach| outputs.masker().text(&breach)))
        });
    }

    /// Evaluates a condition or a template at a node. Touches nothing outside the engine.
    pub(super) fn evaluate(&self, node: NodeIndex, text: &str) -> Result<Value, String> {
        let texts = Texts::default().and_text(text);
        let scope = self.surroundings.scope(self.scheduler.state(), node, &texts)?;
        let value = if template::is_template(text) {
            template::resolve(text, &scope)
        } else {
            template::evaluate_when(text, &scope).map(Value::Bool)
        };
        // The parameters of a child plan must be what it declares.
        let graph = self.scheduler.state().graph();
        let value = match value {
            Ok(Value::Array(items)) => {
                caxplan_core::load::checked_params(graph, node, items).map(Value::Array)
            }
            value => value,
        };
        let masker = self.outputs.masker();
        match value {
            Ok(value) => Ok(masker.value(value)),
            Err(message) => Err(masker.text(&message)),
        }
    }

    fn step(&self, node: NodeIndex) -> Option<&ActionStep> {
        match &self.scheduler.state().graph().node(node).kind {
            NodeKind::Action(step) => Some(step),
            _ => None,
        }
    }

    fn resolve_step(
        &self,
        node: NodeIndex,
        attempt: AttemptNo,
        texts: &Texts,
    ) -> Result<(Resolved, Scope), Cause> {
        let step = self
            .step(node)
            .ok_or_else(|| Cause::new(FailureKind::Other, "only a step has an action"))?;
        self.resolve_call(
            node,
            attempt,
            &step.call,
            step.target.as_deref(),
            step.timeout,
            texts,
        )
    }

    /// The calls that undo a step, and `before` if it is the adapter that does.
    fn resolve_undo(
        &self,
        node: NodeIndex,
        attempt: AttemptNo,
    ) -> Result<(Vec<Resolved>, Option<Value>), Cause> {
        let impossible = || Cause::new(FailureKind::Invalid, "there is no way to undo it");
        let texts = Texts::default();
        let resolve = |calls: &[ActionCall], target: Option<&str>| {
            let resolve = |call| {
                let (resolved, _) = self.resolve_call(node, attempt, call, target, None, &texts)?;
                Ok(resolved)
            };
            calls.iter().map(resolve).collect::<Result<Vec<_>, Cause>>()
        };
        let whole = &self.scheduler.state().graph().node(node).undo;
        let (mut calls, before) = match self.step(node).map(|step| (step, &step.undo)) {
            None if whole.is_empty() => return Err(impossible()),
            None => (resolve(whole, None)?, None),
            Some((_, Undo::Native)) => {
                let before = self.scheduler.state().before(node).cloned().unwrap_or_default();
                let (resolved, _) = self.resolve_step(node, attempt, &texts)?;
                (vec![resolved], Some(before))
            }
            Some((step, Undo::Calls(calls))) => (resolve(calls, step.target.as_deref())?, None),
            Some((_, Undo::NotNeeded | Undo::Impossible)) => return Err(impossible()),
        };
        let with_secret = |value: &Value| value.to_string().contains(MASK_IN_BEFORE);
        let masked = before.as_ref().is_some_and(with_secret)
            || calls
                .iter()
                .any(|resolved| resolved.call.with.values().any(with_secret));
        if masked {
            return Err(Cause::new(
                FailureKind::Denied,
                "the state before the step holds a secret, which the journal does not keep",
            )
            .with_hint("restore it by hand"));
        }
        if before.is_none() {
            for (number, resolved) in calls.iter_mut().enumerate() {
                // What the plan gives is another request than the step, also for a service that knows requests by their
                // key. An adapter that undoes by itself must know what this very step made.
                resolved.call.step = StepId::new(format!("{}#undo-{}", resolved.call.step, number + 1));
            }
        }
        Ok((calls, before))
    }

    fn resolve_call(
        &self,
        node: NodeIndex,
        attempt: AttemptNo,
        call: &ActionCall,
        target: Option<&str>,
        limit: Option<Duration>,
        texts: &Texts,
    ) -> Result<(Resolved, Scope), Cause> {
        let resolver = Resolver {
            registry: &self.registry,
            surroundings: &self.surroundings,
            state: self.scheduler.state(),
            run: &self.run,
            masker: &self.outputs.masker(),
        };
        resolver.resolve(node, attempt, call, target, limit, texts)
    }

    fn desk(&self, node: NodeIndex, attempt: AttemptNo) -> Desk {
        self.desk_of(self.scheduler.state().graph().node(node).id.clone(), attempt)
    }

    pub(super) fn desk_of(&self, step: StepId, attempt: AttemptNo) -> Desk {
        let markers = vec![
            (RUN_ID_VARIABLE.to_owned(), self.run.to_string()),
            ("CAXPLAN_STEP_ID".to_owned(), step.to_string()),
            ("CAXPLAN_ATTEMPT".to_owned(), attempt.to_string()),
        ];
        let output = self.outputs.of(step, attempt);
        Desk {
            context: Context {
                cancel: CancellationToken::new(),
                output: output.clone(),
                markers,
                plan_dir: self.surroundings.plan_dir.clone(),
            },
            output,
        }
    }

    fn spawn(
        &mut self,
        node: NodeIndex,
        cancel: CancellationToken,
        work: impl Future<Output = Event> + Send + 'static,
    ) {
        self.going_on.insert(node, cancel);
        let answers = self.answers.clone();
        // On this very thread: the kernel ends a local child when the thread that started it ends.
        tokio::spawn(async move {
            let event = work.await;
            // If the driver has left, nobody waits for the answer.
            let _ = answers.send((Some(node), event));
        });
    }

    /// Answers a command that came to nothing.
    fn answer(&self, event: Event) {
        // The receiver lives as long as the driver.
        let _ = self.answers.send((None, event));
    }
}

fn failed(cause: Cause) -> Outcome {
    Outcome::Failed {
        cause,
        effect: caxplan_model::FailureEffect::None,
    }
}
