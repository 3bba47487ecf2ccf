//! The attempts of one action: starting, ending, trying again, and finding out what became of a lost one.

use super::backoff;
use super::event::{Command, ProbeReport};
use super::live::Activity;
use super::scheduler::{MAX_PARALLEL, Scheduler, Turn};
use super::status::NodeStatus;
use crate::guard::guard_of;
use caxplan_model::{
    ActionStep, Answer, AttemptNo, Cause, FailureEffect, FailureKind, InDoubtPolicy, NodeIndex, NodeKind,
    Outcome, Record, Timestamp, Value, WaitReason,
};

impl Scheduler {
    /// Goes on with an action where it stands.
    pub(super) fn take_up(&mut self, node: NodeIndex, turn: &mut Turn<'_>) {
        match *self.state.status(node) {
            NodeStatus::Pending => self.enqueue(node, turn),
            NodeStatus::Retrying { due } if due <= turn.now => self.enqueue(node, turn),
            NodeStatus::Retrying { due } => self.sleep(node, due, turn),
            NodeStatus::InDoubt(attempt) => self.resolve(node, attempt, turn),
            NodeStatus::Active
            | NodeStatus::Running(_)
            | NodeStatus::Asking
            | NodeStatus::Succeeded { .. }
            | NodeStatus::Failed(_)
            | NodeStatus::Skipped => {}
        }
    }

    /// Starts steps that waited for others to end.
    pub(super) fn fill_slots(&mut self, turn: &mut Turn<'_>) {
        if self.is_stopped() {
            while let Some(node) = self.queue.pop_front() {
                self.live.set(node, Activity::Idle);
            }
            return self.forget_held();
        }
        self.let_held_go();
        while self.live.slots < self.slots_max() {
            let Some(node) = self.queue.pop_front() else {
                return;
            };
            self.live.set(node, Activity::Idle);
            self.start(node, turn);
        }
    }

    fn slots_max(&self) -> u32 {
        match self.state.graph.header.max_parallel {
            0 => MAX_PARALLEL,
            max => max,
        }
    }

    fn enqueue(&mut self, node: NodeIndex, turn: &mut Turn<'_>) {
        if self.live.slots < self.slots_max() && self.queue.is_empty() {
            self.start(node, turn);
        } else {
            self.live.set(node, Activity::Queued);
            self.queue.push_back(node);
        }
    }

    fn start(&mut self, node: NodeIndex, turn: &mut Turn<'_>) {
        if !self.may_start(node) {
            return;
        }
        let guard = guard_of(&self.state.graph, node);
        // Each attempt, and each time that it is held back, uses its checks up.
        let checked = guard.is_none_or(|guard| self.checked.remove(&guard));
        if self.hold_back(node) {
            return;
        }
        if let Some(guard) = guard.filter(|_| !checked) {
            self.append(Record::CheckedAnew { at: turn.now, node }, turn);
            return self.todo.push_back(guard);
        }
        if self.action(node).records_before {
            self.live.set(node, Activity::Preparing);
            self.recount_target_of(node);
            let attempt = self.next_attempt(node);
            turn.out.push(Command::Prepare { node, attempt });
        } else {
            self.begin_attempt(node, Value::Null, turn);
        }
    }

    fn begin_attempt(&mut self, node: NodeIndex, before: Value, turn: &mut Turn<'_>) {
        let attempt = self.next_attempt(node);
        let record = Record::StepStarted {
            at: turn.now,
            node,
            attempt,
            before,
        };
        self.append(record, turn);
        self.live.set(node, Activity::Running);
        turn.out.push(Command::Start { node, attempt });
    }

    pub(super) fn prepared(
        &mut self,
        node: NodeIndex,
        attempt: AttemptNo,
        before: Result<Value, Outcome>,
        turn: &mut Turn<'_>,
    ) {
        if self.live.activity(node) != Activity::Preparing || attempt != self.next_attempt(node) {
            return;
        }
        self.live.set(node, Activity::Idle);
        self.recount_target_of(node);
        // If the run was paused and went on in between, the group around the step may not have come to it again: its
        // condition is asked anew, and then the step is prepared anew.
        let parent = self.state.parent(node);
        let reached = parent.is_none_or(|parent| self.live.activity(parent) == Activity::Open);
        if self.is_stopped() || !self.may_start(node) || !reached {
            return;
        }
        match before {
            Ok(before) => self.begin_attempt(node, before, turn),
            Err(outcome) => {
                // Preparing changes nothing, whatever the adapter says.
                let cause = outcome
                    .cause()
                    .cloned()
                    .unwrap_or_else(|| Cause::new(FailureKind::Other, "the step could not be prepared"));
                let effect = FailureEffect::None;
                self.finish_failed(node, attempt, Outcome::Failed { cause, effect }, turn);
            }
        }
    }

    pub(super) fn attempt_ended(
        &mut self,
        node: NodeIndex,
        attempt: AttemptNo,
        outcome: Outcome,
        turn: &mut Turn<'_>,
    ) {
        if self.live.activity(node) != Activity::Running || self.state.last_attempt(node) != Some(attempt) {
            return;
        }
        self.live.set(node, Activity::Idle);
        let Some(cause) = outcome.cause() else {
            return self.finish_attempt(node, attempt, outcome, None, turn);
        };
        if self.state.is_over(node) {
            let outcome = self.timed_out(node, outcome);
            return self.finish_attempt(node, attempt, outcome, None, turn);
        }
        let action = self.action(node);
        let retried = self.is_retried(node, cause);
        let uncertain = outcome.may_have_acted() && !action.idempotent && !action.read_only;
        // Whoever was asked never answered: a probe is as good now as it will be when the run is resumed.
        let lost = matches!(outcome, Outcome::Unknown { .. }) && !action.read_only && !self.is_stopped();
        let asks = if retried { uncertain } else { lost };
        // An unmet expectation comes after the work was done: a probe would call that a success.
        let probes = has_probe(action) && cause.kind != FailureKind::Expectation;
        if asks && probes {
            self.held.insert(node, outcome);
            self.probe(node, attempt, turn);
        } else if !(uncertain && retried) {
            self.finish_failed(node, attempt, outcome, turn);
        } else {
            let why =
                "not tried again: it may have acted, is not idempotent, and has no probe that could tell";
            self.finish_attempt(node, attempt, explained(outcome, why), None, turn);
        }
    }

    /// Records a failure, with a next attempt if there is to be one.
    fn finish_failed(&mut self, node: NodeIndex, attempt: AttemptNo, outcome: Outcome, turn: &mut Turn<'_>) {
        let retried = outcome.cause().is_some_and(|cause| self.is_retried(node, cause));
        let due = retried.then(|| {
            let retry = self.action(node).retry();
            let tries = self.tries_after(node, attempt);
            let pause = backoff::pause(retry, tries, self.state.run.seed, node, attempt);
            turn.now.after(pause)
        });
        self.finish_attempt(node, attempt, outcome, due, turn);
    }

    pub(super) fn finish_attempt(
        &mut self,
        node: NodeIndex,
        attempt: AttemptNo,
        outcome: Outcome,
        retry_at: Option<Timestamp>,
        turn: &mut Turn<'_>,
    ) {
        let record = Record::StepEnded {
            at: turn.now,
            node,
            attempt,
            outcome,
            retry_at,
        };
        self.append(record, turn);
        if self.state.status(node).is_ended() {
            self.ended(node);
        } else {
            self.todo.push_back(node);
        }
    }

    /// Ends a node that could not even start.
    pub(super) fn fail_before_start(
        &mut self,
        node: NodeIndex,
        kind: FailureKind,
        message: String,
        turn: &mut Turn<'_>,
    ) {
        let attempt = self.next_attempt(node);
        self.finish_attempt(node, attempt, Outcome::failed(kind, message), None, turn);
    }

    /// Whether there will be a next attempt after this failure, if what the last one did allows it.
    fn is_retried(&self, node: NodeIndex, cause: &Cause) -> bool {
        let retry = self.action(node).retry();
        let run = &self.state.run;
        let attempt = self.state.last_attempt(node).unwrap_or(AttemptNo::FIRST);
        run.rollback.is_none()
            && self.tries_after(node, attempt) < retry.attempts
            && backoff::retries(retry, cause)
    }

    /// The tries that count against the limit when this attempt has ended.
    fn tries_after(&self, node: NodeIndex, attempt: AttemptNo) -> u32 {
        let Some(step) = self.state.step(node) else {
            return 0;
        };
        // One that failed before it could start is not counted yet.
        let uncounted = u32::from(step.attempts < attempt.0 || !self.is_going_on(node));
        step.round + uncounted
    }

    fn is_going_on(&self, node: NodeIndex) -> bool {
        matches!(
            self.state.status(node),
            NodeStatus::Running(_) | NodeStatus::InDoubt(_)
        )
    }

    fn probe(&mut self, node: NodeIndex, attempt: AttemptNo, turn: &mut Turn<'_>) {
        self.live.set(node, Activity::Probing);
        turn.out.push(Command::Probe { node, attempt });
    }

    pub(super) fn probed(
        &mut self,
        node: NodeIndex,
        attempt: AttemptNo,
        report: ProbeReport,
        turn: &mut Turn<'_>,
    ) {
        if self.live.activity(node) != Activity::Probing || self.state.last_attempt(node) != Some(attempt) {
            return;
        }
        self.live.set(node, Activity::Idle);
        match (report, self.held.remove(&node)) {
            (ProbeReport::Done { output }, _) => {
                self.finish_attempt(node, attempt, Outcome::Changed { output }, None, turn);
            }
            (_, held) if self.state.is_over(node) => {
                let outcome = held.unwrap_or_else(|| self.lost_when_over(node));
                self.finish_attempt(node, attempt, outcome, None, turn);
            }
            (ProbeReport::NotDone, Some(outcome)) => self.finish_failed(node, attempt, outcome, turn),
            (ProbeReport::NotDone, None) => {
                self.run_again(node, attempt, "the probe found no effect of it", turn);
            }
            (ProbeReport::Unknown { reason } | ProbeReport::Running { reason }, Some(outcome)) => {
                let why = match outcome.cause().is_some_and(|cause| self.is_retried(node, cause)) {
                    true => {
                        format!("not tried again: it may have acted, and the probe cannot tell: {reason}")
                    }
                    false => format!("it may have acted, and the probe cannot tell: {reason}"),
                };
                self.finish_attempt(node, attempt, explained(outcome, &why), None, turn);
            }
            (ProbeReport::Unknown { reason } | ProbeReport::Running { reason }, None) => {
                self.resolve_unprobed(node, attempt, format!("the probe cannot tell: {reason}"), turn);
            }
        }
    }

    /// Finds out what became of an attempt in doubt: a person's answer, a probe, idempotence or the policy decides.
    fn resolve(&mut self, node: NodeIndex, attempt: AttemptNo, turn: &mut Turn<'_>) {
        let answer = self
            .state
            .step(node)
            .and_then(|step| step.answer.as_deref().cloned());
        let action = self.action(node);
        match answer {
            Some(Answer::AssumeDone) => self.assume_done(node, attempt, turn),
            Some(Answer::Rerun) => self.run_again(node, attempt, "a person said to run it again", turn),
            Some(Answer::Fail) => self.give_up(node, attempt, "a person said that it failed", turn),
            Some(Answer::Approved | Answer::Rejected { .. }) | None => {
                if action.read_only {
                    self.run_again(node, attempt, "it only reads", turn);
                } else if has_probe(action) {
                    self.probe(node, attempt, turn);
                } else {
                    self.resolve_unprobed(node, attempt, "it has no probe".to_owned(), turn);
                }
            }
        }
    }

    fn resolve_unprobed(&mut self, node: NodeIndex, attempt: AttemptNo, detail: String, turn: &mut Turn<'_>) {
        if self.is_stopped() {
            return;
        }
        if self.action(node).idempotent {
            return self.run_again(node, attempt, "it is idempotent", turn);
        }
        match self.state.run.in_doubt {
            InDoubtPolicy::Ask => {
                let asked = self.state.step(node).is_some_and(|step| step.asked);
                if !asked {
                    let reason = WaitReason::InDoubt { node, detail };
                    self.append(Record::Waiting { at: turn.now, reason }, turn);
                }
                self.live.set(node, Activity::Waiting);
            }
            InDoubtPolicy::Rerun => self.run_again(node, attempt, "--in-doubt=rerun", turn),
            InDoubtPolicy::AssumeDone => self.assume_done(node, attempt, turn),
            InDoubtPolicy::Fail => self.give_up(node, attempt, "--in-doubt=fail", turn),
        }
    }

    fn assume_done(&mut self, node: NodeIndex, attempt: AttemptNo, turn: &mut Turn<'_>) {
        let output = Value::Null;
        self.finish_attempt(node, attempt, Outcome::Changed { output }, None, turn);
    }

    fn run_again(&mut self, node: NodeIndex, attempt: AttemptNo, why: &str, turn: &mut Turn<'_>) {
        let cause = Cause::new(
            FailureKind::Lost,
            format!("the attempt was lost; runs again: {why}"),
        );
        // Due at once. Were the run stopped, it would start when the run goes on.
        let due = Some(turn.now);
        self.finish_attempt(node, attempt, Outcome::Unknown { cause }, due, turn);
    }

    fn give_up(&mut self, node: NodeIndex, attempt: AttemptNo, why: &str, turn: &mut Turn<'_>) {
        // Of another kind than `lost`: that it failed is settled, so that a later resume tries again.
        let outcome = Outcome::failed_midway(FailureKind::Rejected, format!("the attempt was lost ({why})"));
        self.finish_attempt(node, attempt, outcome, None, turn);
    }

    pub(super) fn action(&self, node: NodeIndex) -> &ActionStep {
        match &self.state.graph.node(node).kind {
            NodeKind::Action(action) => action,
            _ => panic!("only actions have attempts"),
        }
    }

    fn next_attempt(&self, node: NodeIndex) -> AttemptNo {
        self.state
            .last_attempt(node)
            .map_or(AttemptNo::FIRST, AttemptNo::next)
    }
}

fn has_probe(action: &ActionStep) -> bool {
    action.probe.is_some() || action.probes
}

/// The same outcome, saying why there is no further attempt.
fn explained(outcome: Outcome, why: &str) -> Outcome {
    let explain = |mut cause: Cause| {
        cause.message = format!("{}; {why}", cause.message);
        cause
    };
    match outcome {
        Outcome::Failed { cause, effect } => Outcome::Failed {
            cause: explain(cause),
            effect,
        },
        Outcome::Unknown { cause } => Outcome::Unknown {
            cause: explain(cause),
        },
        Outcome::Changed { .. } | Outcome::Unchanged { .. } => outcome,
    }
}
