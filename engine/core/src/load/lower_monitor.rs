//! From monitors and alert rules as they are written to nodes that look, and change nothing.

use super::arena::Arena;
use super::bind;
use super::call::Call;
use super::lower::{Lowering, Place};
use super::monitors::MonitorSpec;
use super::options::Options;
use super::request::Label;
use super::step::{Step, WatchSpec};
use super::yaml::Spanned;
use caxplan_model::{NodeIndex, NodeKind, ShortText};

/// The name of the node that observes once and checks all conditions.
const OBSERVATION: &str = "observation";

impl Lowering<'_, '_> {
    /// A check that a library binds becomes an action, and all others together one watch of one observation.
    pub(super) fn monitor(
        &mut self,
        arena: &mut Arena,
        index: NodeIndex,
        monitor: &MonitorSpec,
        place: &Place,
    ) -> NodeKind {
        let mut children = Vec::new();
        let mut conditions = Vec::new();
        for (at, check) in monitor.checks.iter().enumerate() {
            if let Some(first) = monitor.checks[..at].iter().find(|of| of.value == check.value) {
                let message = format!("the check `{}` stands here a second time", check.value);
                let error = self.report.error("duplicate-id", check.span, message);
                error.others.push(Label::first_here(first.span));
            } else if self.library.actions.contains_key(check.value.as_str()) {
                children.push(self.bound_check(arena, index, check, place));
            } else {
                conditions.push(check.clone());
            }
        }
        if !conditions.is_empty() {
            children.extend(self.observation(arena, index, monitor, conditions, place));
        }
        NodeKind::Parallel { children, max: 0 }
    }

    /// A check that passes when its action succeeds.
    fn bound_check(
        &mut self,
        arena: &mut Arena,
        parent: NodeIndex,
        check: &Spanned<ShortText>,
        place: &Place,
    ) -> NodeIndex {
        let errors = self.report.errors();
        let node = self.step(arena, parent, &Step::bare(check.clone(), None), place);
        if self.report.errors() != errors {
            return node;
        }
        match &arena.at(node).kind {
            NodeKind::Action(step) if step.read_only => {}
            NodeKind::Action(step) => {
                let action = step.call.action.clone();
                self.changes(check, &action);
            }
            _ => {
                let message = format!("`{}` is no single action, and a check is one", check.value);
                self.report.error("no-action", check.span, message).help =
                    Some("bind it to one action that only reads".to_owned());
            }
        }
        node
    }

    /// Reports that a check may change something.
    fn changes(&mut self, check: &Spanned<ShortText>, action: &str) {
        let argument = self
            .actions
            .get(action)
            .and_then(|spec| spec.changes_argument.as_ref());
        let help = argument.map(|argument| format!("if this call only reads, say so: `{argument}: false`"));
        let message = format!(
            "a check must only read, and `{}` is bound to `{action}`, which may change something",
            check.value
        );
        self.report.error("not-read-only", check.span, message).help = help;
    }

    /// The node that observes once, if it is known what.
    fn observation(
        &mut self,
        arena: &mut Arena,
        parent: NodeIndex,
        monitor: &MonitorSpec,
        conditions: Vec<Spanned<ShortText>>,
        place: &Place,
    ) -> Option<NodeIndex> {
        let mut place = place.clone();
        let mut options = Options::default();
        let mut observe = monitor.observe.clone();
        if observe.is_none()
            && let Some((entry, owner)) = self.library.actions.get(monitor.name.value.as_str())
        {
            place.library = Some(*owner);
            options = entry.options.clone();
            observe = Some(Call {
                action: monitor.name.clone(),
                with: Vec::new(),
                done_when: None,
            });
        }
        let has_default = self.defaults.observe.is_some()
            || self
                .library
                .defaults
                .iter()
                .any(|defaults| defaults.observe.is_some());
        if observe.is_none() && !has_default {
            self.unobserved(monitor, &conditions);
            return None;
        }
        let index = arena.add(parent, &format!("{}/{OBSERVATION}", place.prefix));
        let watch = WatchSpec {
            duration: Spanned {
                value: "0s".to_owned().into(),
                span: monitor.name.span,
            },
            every: Some(Spanned {
                value: monitor.every.to_string().into(),
                span: monitor.name.span,
            }),
            observe,
            checks: conditions,
            max_breaches: 0,
        };
        let watch = self.watch(&watch, &options, &place, &monitor.step())?;
        let source = self.report.location(monitor.name.span);
        let node = arena.at(index);
        node.kind = NodeKind::Watch(Box::new(watch));
        node.source = source;
        Some(index)
    }

    /// Reports that conditions have nothing to look at.
    fn unobserved(&mut self, monitor: &MonitorSpec, conditions: &[Spanned<ShortText>]) {
        let name = &monitor.name.value;
        let message = format!("nothing says what {} `{name}` looks at", monitor.what);
        let bare = conditions
            .iter()
            .find(|check| check.value.chars().all(|c| c.is_alphanumeric() || c == '_'));
        let alone = match bare {
            Some(check) => format!(
                "; `{}` can be bound to an action of its own, which passes when it succeeds",
                check.value
            ),
            None => String::new(),
        };
        let known = match self.library.actions.is_empty() {
            true => String::new(),
            false => format!("; the libraries in use bind {}", bind::list(self.library.names())),
        };
        self.report.error("unbound-name", monitor.name.span, message).help = Some(format!(
            "bind `{name}` in an action library to an action that only reads, whose output the conditions see, or bind \
             all at once by `defaults: {{observe: …}}`{alone}{known}"
        ));
    }
}
