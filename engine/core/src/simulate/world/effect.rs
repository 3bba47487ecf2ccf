//! What the actions of a simulated run come to, and what can go wrong with them.

use super::World;
use crate::load::checked_params;
use crate::schedule::ProbeReport;
use crate::simulate::fault::{FaultKind, Truth};
use crate::simulate::knowledge::{Known, id_of, target_name};
use crate::simulate::story::{Assumption, Chance, Opening};
use caxplan_model::{
    ActionStep, AttemptNo, Cause, FailureEffect, FailureKind, NodeIndex, NodeKind, Outcome, Value,
};

impl World<'_> {
    /// How an attempt ends.
    pub(super) fn perform(&mut self, node: NodeIndex, attempt: AttemptNo) -> Outcome {
        let Some(action) = self.action(node).cloned() else {
            return Outcome::failed(FailureKind::Other, "only a step has an action");
        };
        let id = id_of(self.scheduler.state(), node).clone();
        // A kind that is tried again, so that the time of all attempts counts.
        let kind = |preferred: FailureKind| match action.retry().on.as_slice() {
            [] => preferred,
            on if on.contains(&preferred) => preferred,
            on => on[0],
        };
        if let Some(failing) = self
            .script
            .failing
            .get(&id)
            .filter(|failing| attempt.0 <= failing.attempts)
        {
            let (cause, effect) = (failing.cause.clone(), failing.effect);
            match effect {
                FailureEffect::Possible => self.act(node),
                FailureEffect::None => self.did_nothing(node),
            }
            return Outcome::Failed { cause, effect };
        }
        if self.strikes(node, FaultKind::Fails) {
            self.did_nothing(node);
            return Outcome::failed(kind(FailureKind::Unavailable), "fails (simulated)");
        }
        if self.strikes(node, FaultKind::FailsMidway) {
            self.act(node);
            return Outcome::failed_midway(kind(FailureKind::Unavailable), "breaks off (simulated)");
        }
        if self.strikes(node, FaultKind::TimesOut) {
            let cause = Cause::new(FailureKind::Timeout, "reaches its time limit (simulated)");
            if action.read_only {
                let effect = FailureEffect::None;
                return Outcome::Failed { cause, effect };
            }
            self.act(node);
            return Outcome::Unknown { cause };
        }
        let output = self.script.outputs.get(&id).cloned();
        if let Some(output) = &output
            && let Some(message) = self
                .knowledge
                .unmet(self.scheduler.state(), node, &action.expect, output)
        {
            let cause = Cause::new(FailureKind::Expectation, message);
            let effect = if action.read_only {
                FailureEffect::None
            } else {
                self.act(node);
                FailureEffect::Possible
            };
            return Outcome::Failed { cause, effect };
        }
        let output = output.unwrap_or_default();
        if let Some((target, change)) = self.effect_on_target(node) {
            self.availability.done(node, &target, change);
        }
        if action.read_only || self.script.unchanged.contains(&id) {
            return Outcome::Unchanged { output };
        }
        self.act(node);
        Outcome::Changed { output }
    }

    pub(super) fn act(&mut self, node: NodeIndex) {
        if self.action(node).is_some_and(|action| !action.read_only) {
            self.acted.insert(node);
        }
    }

    pub(super) fn did_nothing(&mut self, node: NodeIndex) {
        if !self.scheduler.state().may_have_acted(node)
            && let Some((target, change)) = self.effect_on_target(node)
        {
            self.availability.nothing_done(node, &target, change);
        }
    }

    /// The effect of a step is gone.
    pub(super) fn forget(&mut self, node: NodeIndex) {
        self.acted.remove(&node);
        if let Some((target, change)) = self.effect_on_target(node) {
            self.availability.undone(node, &target, change);
        }
    }

    pub(super) fn probe(&mut self, node: NodeIndex) -> ProbeReport {
        let id = id_of(self.scheduler.state(), node);
        let cannot_tell = [
            FaultKind::FailsMidway,
            FaultKind::TimesOut,
            FaultKind::InDoubt(Truth::Unknown),
        ];
        if cannot_tell.iter().any(|kind| self.script.has(id, *kind)) {
            return ProbeReport::Unknown {
                reason: "simulated".to_owned(),
            };
        }
        if self.acted.contains(&node) {
            let output = self.script.outputs.get(id).cloned().unwrap_or_default();
            if let Some((target, change)) = self.effect_on_target(node) {
                self.availability.done(node, &target, change);
            }
            return ProbeReport::Done { output };
        }
        ProbeReport::NotDone
    }

    pub(super) fn evaluate(&mut self, node: NodeIndex, text: &str) -> Result<Value, String> {
        let state = self.scheduler.state();
        let of = state.graph().node(node);
        let known = self
            .knowledge
            .evaluate(state, node, text, self.script, &self.guessed);
        let what = match known {
            Known::Value(Value::Array(items)) => {
                return checked_params(state.graph(), node, items).map(Value::Array);
            }
            Known::Value(value) => return Ok(value),
            Known::Wrong(message) => return Err(message),
            Known::AtRunTime(what) => what,
        };
        let id = of.id.clone();
        if of.when.as_deref() == Some(text) {
            self.assumptions.insert(Assumption::Taken { id, what });
            self.offer(node, Opening::When);
            return Ok(Value::Bool(!self.strikes(node, FaultKind::NotTaken)));
        }
        if matches!(of.kind, NodeKind::Foreach(_)) {
            // A child plan has its parameters once.
            let items = match &of.kind {
                NodeKind::Foreach(foreach) if !foreach.params.is_empty() => 1,
                _ => self.model.items,
            };
            self.assumptions.insert(Assumption::Items { id, what, items });
            self.guessed.insert(node);
            let item = |number: u32| serde_json::json!({"name": format!("item-{number}")});
            return Ok((1..=items).map(item).collect());
        }
        if !of.kind.wordings().is_empty() {
            // What a person reads decides nothing here.
            return Ok(Value::from(text));
        }
        self.assumptions.insert(Assumption::NoTime { id, what });
        Ok(Value::from("0s"))
    }

    /// Notes that something can go wrong here.
    pub(super) fn offer(&mut self, node: NodeIndex, opening: Opening) {
        let first = match opening {
            Opening::Attempt => self.started.insert((node, self.session)),
            Opening::Undo | Opening::Watch | Opening::Approval | Opening::When => !self
                .chances
                .iter()
                .any(|chance| chance.node == node && chance.opening == opening),
        };
        if first {
            self.chances.push(Chance { node, opening });
        }
    }

    /// Whether a fault of the script strikes here, every time.
    pub(super) fn strikes(&mut self, node: NodeIndex, kind: FaultKind) -> bool {
        let id = id_of(self.scheduler.state(), node);
        let found = self
            .script
            .faults
            .iter()
            .position(|fault| fault.kind == kind && fault.step == *id);
        if let Some(position) = found {
            let opening = Opening::of(kind);
            let at = self.chances.iter().rposition(|chance| {
                chance.node == node && (chance.opening == opening || kind == FaultKind::Interrupted)
            });
            self.struck.entry(position).or_insert(at.unwrap_or(0));
        }
        found.is_some()
    }

    /// Whether a fault of the script strikes here, the first time.
    pub(super) fn strikes_once(&mut self, node: NodeIndex, kind: FaultKind) -> bool {
        self.strikes(node, kind) && self.spent.insert((node, kind))
    }

    pub(super) fn action(&self, node: NodeIndex) -> Option<&ActionStep> {
        match &self.scheduler.state().graph().node(node).kind {
            NodeKind::Action(action) => Some(action),
            _ => None,
        }
    }

    /// The target that a step takes down or brings back.
    pub(super) fn effect_on_target(&self, node: NodeIndex) -> Option<(String, i8)> {
        let action = self.action(node).filter(|action| action.availability != 0)?;
        let state = self.scheduler.state();
        let name = target_name(
            &self.knowledge,
            state,
            node,
            action.target.as_deref(),
            self.script,
        );
        let name = name.unwrap_or_else(|| format!("the target of `{}`", id_of(state, node)));
        Some((name, action.availability))
    }
}
