//! From steps as they are written to nodes of the graph: names are bound, defaults filled in, references checked.

use super::calls::{self, Actions};
use super::dag;
use super::library::Library;
use super::names::{Names, Use, View};
use super::overrides::Overrides;
use super::phase::{Order, Phase};
use super::plan::Defaults;
use super::report::Report;
use super::settle::Settler;
use super::step::{Body, Call, Foreach, LoopOptions, Options, Step, WatchSpec};
use super::yaml::{Entry, Kind, Spanned};
use crate::expand::{join, slug, unique};
use crate::template::is_template;
use caxplan_model::{
    ActionSpec, ActionStep, Checklist, CheckpointName, Effect, Items, Node, NodeIndex, NodeKind, PhaseMark,
    Probe, StepId, Undo, UndoSupport, Watch,
};
use std::collections::BTreeSet;

/// How deep groups, loops and library names may be nested in each other.
const DEPTH_MAX: usize = 64;

/// Nodes that have been made: a whole graph, or the body of a loop.
pub(super) struct Arena {
    pub(super) nodes: Vec<Node>,
    ids: BTreeSet<String>,
}

impl Arena {
    pub(super) fn new(root: Node) -> Self {
        Self {
            ids: BTreeSet::from([root.id.as_str().to_owned()]),
            nodes: vec![root],
        }
    }

    /// Adds a node whose kind is set later; its id is made unique.
    fn add(&mut self, parent: NodeIndex, id: &str) -> NodeIndex {
        let id = unique(id, &self.ids);
        self.ids.insert(id.clone());
        let index = NodeIndex(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        let kind = NodeKind::Sequence { children: Vec::new() };
        self.nodes.push(Node::new(StepId::new(id), Some(parent), kind));
        index
    }

    fn id(&self, index: NodeIndex) -> String {
        self.nodes[index.index()].id.as_str().to_owned()
    }

    fn at(&mut self, index: NodeIndex) -> &mut Node {
        &mut self.nodes[index.index()]
    }
}

/// Where lowering stands.
#[derive(Clone, Default)]
struct Place {
    /// What ids begin with.
    prefix: String,
    /// What `overrides` call this place: the ids without the items of loops.
    path: String,
    view: View,
    /// Whether steps act on the `target` of the loop around them.
    acts_on_target: bool,
    in_loop: bool,
    in_dag: bool,
    /// The library that the steps come from.
    library: Option<usize>,
    /// The library names that are being bound.
    binding: Vec<String>,
    depth: usize,
    /// What a `parallel` without a limit of its own gets.
    max_parallel: u32,
    /// What the phase's overrides say of its loops.
    loops: LoopOptions,
}

/// Lowers one plan.
pub(super) struct Lowering<'a, 'b> {
    pub(super) report: &'a mut Report,
    pub(super) actions: Actions<'b>,
    pub(super) library: &'a Library,
    pub(super) defaults: &'a Defaults,
    /// Arguments for all actions of an adapter, in the order in which later ones go before earlier ones.
    pub(super) arguments: Vec<(String, Vec<Entry>)>,
    pub(super) names: Names,
    pub(super) overrides: Overrides,
    pub(super) settler: Settler,
}

impl Lowering<'_, '_> {
    /// Lowers phases below the root of `arena`.
    pub(super) fn phases(&mut self, arena: &mut Arena, phases: &[Phase]) {
        let mut seen: Vec<&Spanned<String>> = Vec::new();
        let mut ended = BTreeSet::new();
        let mut children = Vec::with_capacity(phases.len());
        for phase in phases {
            if let Some(first) = seen.iter().find(|name| name.value == phase.name.value) {
                let message = format!("the phase `{}` stands here a second time", phase.name.value);
                let error = self.report.error("duplicate-id", phase.name.span, message);
                error.others.push(super::request::Label {
                    span: first.span,
                    text: "first here".to_owned(),
                });
            }
            seen.push(&phase.name);
            children.push(self.phase(arena, phase, &mut ended));
        }
        arena.at(NodeIndex::ROOT).kind = NodeKind::Sequence { children };
        self.names.settle_steps(self.report);
    }

    fn phase(&mut self, arena: &mut Arena, phase: &Phase, ended: &mut BTreeSet<String>) -> NodeIndex {
        let path = slug(&phase.name.value);
        let over = self.overrides.phase(&path, self.report);
        let options = over.options.over(phase.options.clone());
        let index = arena.add(NodeIndex::ROOT, &path);
        let max = options.max_parallel.unwrap_or(0);
        let order = options.order.unwrap_or(Order::Sequential);
        let mut place = Place {
            prefix: arena.id(index),
            path,
            view: View {
                steps: ended.clone(),
                ..View::default()
            },
            in_dag: order == Order::Dag,
            max_parallel: max,
            loops: over.loops,
            ..Place::default()
        };
        if let Some(when) = &options.when {
            self.names
                .check_condition(when, Use::Run, &place.view, self.report);
        }
        let kind = match order {
            Order::Sequential => NodeKind::Sequence {
                children: self.sequence(arena, index, &phase.steps, &mut place),
            },
            Order::Dag => NodeKind::Dag {
                children: self.dag(arena, index, &phase.steps, &mut place),
                max,
            },
        };
        ended.append(&mut place.view.steps);
        let source = self.report.location(phase.span);
        let node = arena.at(index);
        phase.name.value.clone_into(&mut node.name);
        node.kind = kind;
        node.when = options.when.map(|when| when.value);
        node.on_failure = options.on_failure;
        node.checkpoint = options.checkpoint.map(|name| CheckpointName::new(name.value));
        node.phase = Some(PhaseMark {
            description: phase.description.clone(),
        });
        node.source = source;
        index
    }

    /// Lowers steps that run one after the other: each sees those before it.
    fn sequence(
        &mut self,
        arena: &mut Arena,
        parent: NodeIndex,
        steps: &[Step],
        place: &mut Place,
    ) -> Vec<NodeIndex> {
        self.check_ids(steps);
        let mut children = Vec::with_capacity(steps.len());
        for step in steps {
            let view = place.view.steps.clone();
            let (child, mut ended) = self.step(arena, parent, step, place);
            children.push(child);
            place.view.steps = view;
            place.view.steps.append(&mut ended);
        }
        children
    }

    /// Lowers steps that run at the same time: none sees another.
    fn parallel(
        &mut self,
        arena: &mut Arena,
        parent: NodeIndex,
        steps: &[Step],
        place: &mut Place,
    ) -> Vec<NodeIndex> {
        self.check_ids(steps);
        let mut all = BTreeSet::new();
        let mut children = Vec::with_capacity(steps.len());
        for step in steps {
            let (child, mut ended) = self.step(arena, parent, step, place);
            children.push(child);
            all.append(&mut ended);
        }
        place.view.steps.append(&mut all);
        children
    }

    /// Lowers steps that run in the order of their needs: each sees those that it needs, however indirectly.
    fn dag(
        &mut self,
        arena: &mut Arena,
        parent: NodeIndex,
        steps: &[Step],
        place: &mut Place,
    ) -> Vec<NodeIndex> {
        self.check_ids(steps);
        let order = dag::order(steps, self.report);
        let before = place.view.steps.clone();
        let mut children = Vec::with_capacity(steps.len());
        let mut all = BTreeSet::new();
        for (at, step) in steps.iter().enumerate() {
            place.view.steps = before.clone();
            for need in &order.closures[at] {
                place.view.steps.extend(steps[*need].name().map(str::to_owned));
            }
            let (child, mut ended) = self.step(arena, parent, step, place);
            children.push(child);
            all.append(&mut ended);
        }
        for (at, needs) in order.needs.iter().enumerate() {
            arena.at(children[at]).needs = needs.iter().map(|need| children[*need]).collect();
        }
        place.view.steps = before;
        place.view.steps.append(&mut all);
        children
    }

    fn check_ids(&mut self, steps: &[Step]) {
        for (at, step) in steps.iter().enumerate() {
            let Some(id) = &step.id else {
                continue;
            };
            let first = steps[..at]
                .iter()
                .filter_map(|other| other.id.as_ref())
                .find(|other| other.value == id.value);
            if let Some(first) = first {
                let message = format!("the id `{}` is used a second time", id.value);
                let error = self.report.error("duplicate-id", id.span, message);
                error.others.push(super::request::Label {
                    span: first.span,
                    text: "first here".to_owned(),
                });
            }
        }
    }

    /// Lowers one step; answers its node and the names of the steps that have ended with it.
    fn step(
        &mut self,
        arena: &mut Arena,
        parent: NodeIndex,
        step: &Step,
        around: &Place,
    ) -> (NodeIndex, BTreeSet<String>) {
        let mut place = around.clone();
        place.depth += 1;
        place.in_dag = false;
        let bound = self.bind_name(step, &mut place);
        let name = step.name().map(str::to_owned);
        let segment = slug(name.as_deref().unwrap_or_else(|| bound.body.default_name()));
        let index = arena.add(parent, &join(&around.prefix, &segment));
        place.path = join(&around.path, &segment);
        let bound = self.overrides.step(bound, &place.path, self.report);
        if let Some(id) = &step.id
            && (id.value.is_empty() || slug(&id.value) != id.value)
        {
            let message = format!(
                "`{}` is no id: letters, digits, `_`, `-` and `.` make one",
                id.value
            );
            self.report.error("wrong-name", id.span, message);
        }
        if let Some(need) = bound.options.needs.first()
            && !around.in_dag
        {
            self.report
                .error(
                    "misplaced-key",
                    need.span,
                    "`needs` has no effect on steps that run in their order",
                )
                .help = Some("write `order: dag` in the phase".to_owned());
        }
        if let Some(when) = &bound.options.when {
            self.names
                .check_condition(when, Use::Run, &place.view, self.report);
            if when.value.trim() == "false" {
                self.report
                    .warning("unreachable", when.span, "this step can never run");
            }
        }
        place.prefix = arena.id(index);
        let mut ended = BTreeSet::new();
        let kind = if place.depth > DEPTH_MAX {
            let message = format!("groups are nested more than {DEPTH_MAX} deep");
            self.report.error("too-deep", step.span, message);
            NodeKind::Sequence { children: Vec::new() }
        } else {
            self.kind(arena, index, &bound, name.as_deref(), &mut place)
        };
        if !matches!(bound.body, Body::Foreach(_)) {
            ended.append(&mut place.view.steps);
        }
        if let Some(name) = name {
            let in_loop = self.names.steps.get(&name).copied().unwrap_or(around.in_loop);
            self.names.steps.insert(name.clone(), in_loop && around.in_loop);
            ended.insert(name);
        }
        let source = self.report.location(step.span);
        let node = arena.at(index);
        node.kind = kind;
        node.when = bound.options.when.map(|when| when.value);
        node.on_failure = bound.options.on_failure;
        node.checkpoint = bound
            .options
            .checkpoint
            .map(|name| CheckpointName::new(name.value));
        node.source = source;
        (index, ended)
    }

    /// Follows a name through the libraries: what a step says goes before what the library says.
    fn bind_name(&mut self, step: &Step, place: &mut Place) -> Step {
        let mut bound = step.clone();
        loop {
            let Body::Call(call) = &bound.body else {
                return bound;
            };
            let name = call.action.value.clone();
            if self.actions.get(&name).is_some() {
                return bound;
            }
            let Some((entry, owner)) = self.library.actions.get(&name) else {
                calls::unbound(call, &self.actions, self.library, self.report);
                bound.body = Body::Broken;
                return bound;
            };
            if place.binding.contains(&name) {
                calls::report_cycle(&place.binding, &name, entry.span, self.report);
                bound.body = Body::Broken;
                return bound;
            }
            place.binding.push(name.clone());
            place.library = Some(*owner);
            let with = call.with.clone();
            let span = call.action.span;
            bound.options = bound.options.over(entry.options.clone());
            bound.body = entry.body.clone();
            match &mut bound.body {
                Body::Call(inner) => inner.with = calls::merge(with, &inner.with),
                _ if with.is_empty() => {}
                _ => {
                    let message = format!("`{name}` is a group of steps and takes no arguments");
                    self.report.error("unknown-argument", span, message);
                }
            }
        }
    }

    fn kind(
        &mut self,
        arena: &mut Arena,
        index: NodeIndex,
        step: &Step,
        name: Option<&str>,
        place: &mut Place,
    ) -> NodeKind {
        match &step.body {
            Body::Call(call) => match self.action(call, &step.options, name, place) {
                Some(action) => NodeKind::Action(action),
                None => NodeKind::Sequence { children: Vec::new() },
            },
            Body::Parallel { steps, max } => NodeKind::Parallel {
                children: self.parallel(arena, index, steps, place),
                max: max.unwrap_or(place.max_parallel),
            },
            Body::Block { body, rescue, always } => self.block(arena, index, [body, rescue, always], place),
            Body::Foreach(foreach) => self.foreach(foreach, place),
            Body::Approve(question) => {
                self.names
                    .check_text(&question.value, question.span, Use::Run, &place.view, self.report);
                NodeKind::Approve {
                    question: self.settler.text(question, self.report),
                }
            }
            Body::Checklist(items) => {
                for item in items {
                    self.names
                        .check_text(&item.value, item.span, Use::Run, &place.view, self.report);
                }
                NodeKind::Checklist(Checklist {
                    items: items
                        .iter()
                        .map(|item| self.settler.text(item, self.report))
                        .collect(),
                })
            }
            Body::Wait(duration) => NodeKind::Wait {
                duration: self.duration(duration, place),
            },
            Body::Watch(watch) => match self.watch(watch, &step.options, place, step) {
                Some(watch) => NodeKind::Watch(watch),
                None => NodeKind::Sequence { children: Vec::new() },
            },
            Body::Broken => NodeKind::Sequence { children: Vec::new() },
        }
    }

    fn block(
        &mut self,
        arena: &mut Arena,
        index: NodeIndex,
        [body, rescue, always]: [&Vec<Step>; 3],
        place: &mut Place,
    ) -> NodeKind {
        let before = place.view.steps.clone();
        let mut part = |this: &mut Self, name: &str, steps: &[Step], place: &mut Place| {
            let own = arena.add(index, &join(&place.prefix, name));
            let mut inner = place.clone();
            if name != "body" {
                inner.prefix = arena.id(own);
                inner.path = join(&place.path, name);
            }
            let children = this.sequence(arena, own, steps, &mut inner);
            arena.at(own).kind = NodeKind::Sequence { children };
            place.view.steps.append(&mut inner.view.steps);
            own
        };
        let body = part(self, "body", body, place);
        let rescue = (!rescue.is_empty()).then(|| part(self, "rescue", rescue, place));
        let always = (!always.is_empty()).then(|| part(self, "always", always, place));
        // Rescue may not have run, and the body may have stopped half way: what follows sees their steps all the same,
        // and a result that is not there is an error then.
        place.view.steps.extend(before);
        NodeKind::Block { body, rescue, always }
    }

    fn action(
        &mut self,
        call: &Call,
        options: &Options,
        name: Option<&str>,
        place: &Place,
    ) -> Option<ActionStep> {
        let spec = self.actions.get(&call.action.value)?;
        let mut view = place.view.clone();
        if let Some(target) = &options.target {
            self.names
                .check_text(&target.value, target.span, Use::Run, &view, self.report);
            view.target = true;
        }
        let bound = self.call(call, &view)?;
        let mut after = view.clone();
        after.steps.extend(name.map(str::to_owned));
        for check in &options.expect {
            self.names
                .check_condition(check, Use::Output, &after, self.report);
        }
        let probe = options.probe.as_ref().and_then(|probe| self.probe(probe, &after));
        let undo = self.undo(options, spec, &after);
        let library = place.library.and_then(|at| self.library.defaults.get(at));
        let retry = options
            .retry
            .clone()
            .or_else(|| library.and_then(|defaults| defaults.retry.clone()))
            .or_else(|| self.defaults.retry.clone());
        let timeout = options
            .timeout
            .or_else(|| library.and_then(|defaults| defaults.timeout))
            .or(self.defaults.timeout)
            .or(spec.default_timeout);
        Some(ActionStep {
            call: bound,
            target: self.target(options, place),
            retry: retry.unwrap_or_default(),
            timeout,
            expect: options.expect.iter().map(|check| check.value.clone()).collect(),
            probe,
            undo,
            idempotent: spec.idempotent,
            read_only: spec.effect == Effect::ReadOnly,
            probes: spec.probes,
            records_before: spec.records_before,
            availability: spec.availability,
        })
    }

    fn target(&self, options: &Options, place: &Place) -> Option<String> {
        match &options.target {
            Some(target) => Some(target.value.clone()),
            None => place.acts_on_target.then(|| "{{ target.name }}".to_owned()),
        }
    }

    /// Follows and checks a call.
    fn call(&mut self, call: &Call, view: &View) -> Option<caxplan_model::ActionCall> {
        let call = calls::resolve(call, &self.actions, self.library, self.report)?;
        calls::bind(
            &call,
            &self.arguments,
            view,
            &mut self.actions,
            &mut self.names,
            self.report,
        )
    }

    /// A call of an action that only reads.
    fn reading_call(&mut self, call: &Call, what: &str, view: &View) -> Option<caxplan_model::ActionCall> {
        let bound = self.call(call, view)?;
        if self
            .actions
            .get(&bound.action)
            .is_some_and(|spec| spec.effect != Effect::ReadOnly)
        {
            let message = format!(
                "{what} must only read, and `{}` may change something",
                bound.action
            );
            self.report.error("not-read-only", call.action.span, message);
        }
        Some(bound)
    }

    fn probe(&mut self, probe: &Call, view: &View) -> Option<Probe> {
        if let Some(done) = &probe.done_when {
            self.names.check_condition(done, Use::Output, view, self.report);
        }
        Some(Probe {
            call: self.reading_call(probe, "a probe", view)?,
            done_when: probe.done_when.as_ref().map(|done| done.value.clone()),
        })
    }

    fn undo(&mut self, options: &Options, spec: &ActionSpec, view: &View) -> Undo {
        match &options.rollback {
            Some(calls) if calls.is_empty() => Undo::NotNeeded,
            Some(calls) => Undo::Calls(calls.iter().filter_map(|call| self.call(call, view)).collect()),
            None => match spec.undo {
                UndoSupport::NotNeeded => Undo::NotNeeded,
                UndoSupport::Native => Undo::Native,
                UndoSupport::Impossible if spec.effect == Effect::ReadOnly => Undo::NotNeeded,
                UndoSupport::Impossible => Undo::Impossible,
            },
        }
    }

    fn watch(&mut self, watch: &WatchSpec, options: &Options, place: &Place, step: &Step) -> Option<Watch> {
        let library = place.library.and_then(|at| self.library.defaults.get(at));
        let observe = watch
            .observe
            .clone()
            .or_else(|| library.and_then(|defaults| defaults.observe.clone()))
            .or_else(|| self.defaults.observe.clone())
            .or_else(|| {
                self.library
                    .defaults
                    .iter()
                    .rev()
                    .find_map(|defaults| defaults.observe.clone())
            });
        if watch.checks.is_empty() {
            self.report
                .error("missing-key", watch.duration.span, "a watch needs `checks`");
        }
        for check in &watch.checks {
            self.names
                .check_condition(check, Use::Observation, &place.view, self.report);
        }
        if let Some(target) = &options.target {
            self.names
                .check_text(&target.value, target.span, Use::Run, &place.view, self.report);
        }
        let duration = self.duration(&watch.duration, place);
        let every = match &watch.every {
            Some(every) => self.duration(every, place),
            None => "30s".to_owned(),
        };
        let Some(observe) = observe else {
            self.report
                .error(
                    "missing-key",
                    step.span,
                    "a watch needs `observe`: what its checks look at",
                )
                .help = Some(
                "write `observe: {adapter.action: {…}}` in the watch, or once for all watches in `defaults`"
                    .to_owned(),
            );
            return None;
        };
        Some(Watch {
            duration,
            every,
            observe: self.reading_call(&observe, "what a watch observes", &place.view)?,
            target: self.target(options, place),
            checks: watch.checks.iter().map(|check| check.value.clone()).collect(),
            max_breaches: watch.max_breaches,
        })
    }

    /// A duration that the run may evaluate.
    fn duration(&mut self, text: &Spanned<String>, place: &Place) -> String {
        self.names
            .check_text(&text.value, text.span, Use::Run, &place.view, self.report);
        self.settler.duration(text, self.report)
    }

    fn foreach(&mut self, foreach: &Foreach, place: &Place) -> NodeKind {
        let mut options = place.loops.clone().over(foreach.options.clone());
        if foreach.over_nodes {
            options = options.over(self.library.foreach_node.clone());
        }
        let default_var = if foreach.over_nodes { "node" } else { "item" };
        let var = match &options.var {
            Some(var) => {
                let reserved = [
                    "params", "vars", "steps", "targets", "target", "run", "env", "secrets", "output",
                    "before",
                ];
                if !super::param::is_name(&var.value) || reserved.contains(&var.value.as_str()) {
                    let message = format!("`{}` cannot be the variable of a loop", var.value);
                    self.report.error("wrong-name", var.span, message).help = Some(
                        "a name is letters, digits and `_`, and none that templates know already".to_owned(),
                    );
                }
                var.value.clone()
            }
            None => default_var.to_owned(),
        };
        let mut inner = Place {
            prefix: String::new(),
            in_loop: true,
            loops: LoopOptions::default(),
            ..place.clone()
        };
        // An anonymous loop leaves no trace in the paths of its steps.
        if let Some((parent, last)) = inner.path.rsplit_once('/')
            && crate::expand::ANONYMOUS.contains(&last)
        {
            inner.path = parent.to_owned();
        }
        inner.view.vars.push(var.clone());
        inner.view.target = true;
        if let Some(when) = &options.when {
            self.names
                .check_condition(when, Use::Run, &inner.view, self.report);
        }
        let items = self.items(&options, place);
        inner.acts_on_target = foreach.over_nodes
            || place.acts_on_target
            || matches!(&items, Items::Template(template) if template.contains("targets("));
        let mut body = Arena::new(Node::new(
            StepId::new(""),
            None,
            NodeKind::Sequence { children: Vec::new() },
        ));
        let children = self.sequence(&mut body, NodeIndex::ROOT, &foreach.steps, &mut inner);
        body.at(NodeIndex::ROOT).kind = NodeKind::Sequence { children };
        let batch_size = match &options.batch_size {
            Some(size) => self.loaded(size, place),
            None => "1".to_owned(),
        };
        if let Err(message) = crate::expand::batch_size(&batch_size, 100)
            && let Some(size) = &options.batch_size
            && !is_template(&batch_size)
        {
            self.report.error("wrong-value", size.span, message);
        }
        NodeKind::Foreach(caxplan_model::Foreach {
            var,
            items,
            batch_size,
            delay: options
                .batch_delay
                .as_ref()
                .map(|delay| self.duration(delay, place)),
            max_failures: options
                .max_failures
                .as_ref()
                .map_or(0, |text| self.loaded_count(text, place)),
            max_unavailable: options
                .max_unavailable
                .as_ref()
                .map(|text| self.loaded_count(text, place)),
            when: options.when.map(|when| when.value),
            body: body.nodes,
        })
    }

    fn items(&mut self, options: &LoopOptions, place: &Place) -> Items {
        let Some(items) = &options.items else {
            return Items::Template("{{ targets() }}".to_owned());
        };
        self.names.check_value(items, Use::Run, &place.view, self.report);
        match &items.kind {
            Kind::List(_) => Items::Known(self.settler.list(items, self.report)),
            Kind::Scalar { text, .. } if is_template(text) => Items::Template(text.clone()),
            Kind::Scalar { .. } | Kind::Map(_) => {
                let message = format!(
                    "expected a list, or a template that yields one, found {}",
                    items.describe()
                );
                self.report.error("wrong-type", items.head(), message).help =
                    Some("targets are chosen by `{{ targets('label=value') }}`".to_owned());
                Items::Known(Vec::new())
            }
        }
    }

    /// A text that must be known when the plan loads.
    fn loaded(&mut self, text: &Spanned<String>, place: &Place) -> String {
        self.names
            .check_text(&text.value, text.span, Use::Load, &place.view, self.report);
        self.settler.text(text, self.report)
    }

    fn loaded_count(&mut self, text: &Spanned<String>, place: &Place) -> u32 {
        let settled = self.loaded(text, place);
        if let Ok(number) = settled.trim().parse() {
            return number;
        }
        if !is_template(&settled) {
            let message = format!("expected a whole number from 0, found `{settled}`");
            self.report.error("wrong-type", text.span, message);
        }
        0
    }
}

impl Step {
    /// What other steps call it by.
    pub(super) fn name(&self) -> Option<&str> {
        match (&self.id, &self.body) {
            (Some(id), _) => Some(&id.value),
            (None, Body::Call(call)) if !call.action.value.contains('.') => Some(&call.action.value),
            (None, _) => None,
        }
    }
}

impl Body {
    /// What a step without a name goes by.
    fn default_name(&self) -> &str {
        match self {
            Self::Call(call) => &call.action.value,
            Self::Parallel { .. } => "parallel",
            Self::Block { .. } => "block",
            Self::Foreach(foreach) if foreach.over_nodes => "foreach_node",
            Self::Foreach(_) => "foreach",
            Self::Approve(_) => "approve",
            Self::Checklist(_) => "checklist",
            Self::Wait(_) => "wait",
            Self::Watch(_) => "watch",
            Self::Broken => "step",
        }
    }
}
