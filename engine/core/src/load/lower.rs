//! From steps as they are written to nodes of the graph: names are bound, defaults filled in, references checked.

use super::arena::Arena;
use super::bind::{self, Actions};
use super::child::Joined;
use super::dag;
use super::invariant::Check;
use super::library::Library;
use super::load::Read;
use super::loops::LoopOptions;
use super::names::{Names, StepName, Use, View};
use super::overrides::Overrides;
use super::parts::Bound;
use super::phase::{Order, Phase, PhaseOptions};
use super::plan::Defaults;
use super::report::Report;
use super::request::{Label, LoadRequest};
use super::settle::Settler;
use super::step::{Body, Step};
use super::yaml::Entry;
use crate::expand::{join, slug};
use crate::guard::GUARDED;
use caxplan_model::{Checklist, CheckpointName, Map, NodeIndex, NodeKind, PhaseMark, ShortText, Span};
use std::collections::BTreeMap;

/// How deep groups, loops and library names may be nested in each other.
pub(super) const DEPTH_MAX: usize = 64;

/// Where lowering stands.
#[derive(Clone, Default)]
pub(super) struct Place {
    /// What ids begin with.
    pub(super) prefix: String,
    /// What `overrides` call this place: the ids without the items of loops.
    pub(super) path: String,
    pub(super) view: View,
    /// Whether steps act on the `target` of the loop around them.
    pub(super) acts_on_target: bool,
    pub(super) in_loop: bool,
    pub(super) in_dag: bool,
    /// The library that the steps come from.
    pub(super) library: Option<usize>,
    /// The library names that are being bound.
    pub(super) binding: Vec<String>,
    pub(super) depth: usize,
    /// What a `parallel` without a limit of its own gets.
    pub(super) max_parallel: u32,
    /// What the phase's overrides say of its loops.
    pub(super) loops: LoopOptions,
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
    /// What is checked beside the steps that have an effect on availability.
    pub(super) checks: Vec<Check>,
    /// What child plans are read with.
    pub(super) request: &'a LoadRequest<'b>,
    pub(super) read: Read<'a>,
    /// What they bring along.
    pub(super) joined: &'a mut Joined,
}

impl Lowering<'_, '_> {
    /// Lowers the phases of a plan below `parent`: one after the other, or by what they need if any says so.
    pub(super) fn phases(
        &mut self,
        arena: &mut Arena,
        parent: NodeIndex,
        phases: &[Phase],
        around: &Place,
    ) -> NodeKind {
        self.check_names(phases);
        let options: Vec<(PhaseOptions, LoopOptions)> = phases
            .iter()
            .map(|phase| self.overridden(phase, around))
            .collect();
        let kind = if options.iter().any(|(options, _)| options.needs.is_some()) {
            self.phases_by_need(arena, parent, phases, &options, around)
        } else {
            let lower = |(phase, options)| self.phase(arena, parent, phase, options, around);
            NodeKind::Sequence {
                children: phases.iter().zip(&options).map(lower).collect(),
            }
        };
        self.names.settle_steps(self.report);
        kind
    }

    fn check_names(&mut self, phases: &[Phase]) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for phase in phases {
            match seen.get(phase.name.value.as_str()) {
                Some(first) => {
                    let message = format!("the phase `{}` stands here a second time", phase.name.value);
                    let error = self.report.error("duplicate-id", phase.name.span, message);
                    error.others.push(Label::first_here(*first));
                }
                None => {
                    seen.insert(&phase.name.value, phase.name.span);
                }
            }
        }
    }

    /// What is said of a phase, overrides included, and what these say of its loops.
    fn overridden(&mut self, phase: &Phase, around: &Place) -> (PhaseOptions, LoopOptions) {
        let path = join(&around.path, &slug(&phase.name.value));
        let over = self.overrides.phase(&path, self.report);
        (over.options.over(phase.options.clone()), over.loops)
    }

    /// Lowers phases of which some say what they need: each sees the steps of those that it needs, however indirectly.
    fn phases_by_need(
        &mut self,
        arena: &mut Arena,
        parent: NodeIndex,
        phases: &[Phase],
        options: &[(PhaseOptions, LoopOptions)],
        around: &Place,
    ) -> NodeKind {
        let order = dag::order_of_phases(phases, options, self.report);
        let mark = self.names.ended.mark();
        let mut ended: Vec<Vec<ShortText>> = vec![Vec::new(); phases.len()];
        let mut children = vec![parent; phases.len()];
        for at in order.sorted {
            for need in &order.closures[at] {
                ended[*need]
                    .iter()
                    .for_each(|name| self.names.ended.push(name.clone()));
            }
            let own = self.names.ended.mark();
            children[at] = self.phase(arena, parent, &phases[at], &options[at], around);
            ended[at] = self.names.ended.back_to(own);
            self.names.ended.back_to(mark);
        }
        for name in ended.into_iter().flatten() {
            self.names.ended.push(name);
        }
        for (at, needs) in order.needs.iter().enumerate() {
            arena.at(children[at]).needs = needs.iter().map(|need| children[*need]).collect();
        }
        NodeKind::Dag { children, max: 0 }
    }

    fn phase(
        &mut self,
        arena: &mut Arena,
        parent: NodeIndex,
        phase: &Phase,
        (options, loops): &(PhaseOptions, LoopOptions),
        around: &Place,
    ) -> NodeIndex {
        let options = options.clone();
        let segment = slug(&phase.name.value);
        let index = arena.add(parent, &join(&around.prefix, &segment));
        let max = options.max_parallel.unwrap_or(0);
        let order = options.order.unwrap_or(Order::Sequential);
        let place = Place {
            prefix: arena.id(index),
            path: join(&around.path, &segment),
            in_dag: order == Order::Dag,
            max_parallel: max,
            loops: loops.clone(),
            ..around.clone()
        };
        if let Some(when) = &options.when {
            self.names
                .check_condition(when, Use::Run, &place.view, self.report);
        }
        let kind = match order {
            Order::Sequential => NodeKind::Sequence {
                children: self.sequence(arena, index, &phase.steps, &place),
            },
            Order::Dag => NodeKind::Dag {
                children: self.dag(arena, index, &phase.steps, &place),
                max,
            },
        };
        // It undoes what its steps did, and sees them.
        let calls = options.rollback.unwrap_or_default();
        let undo = calls
            .iter()
            .filter_map(|call| self.call(call, &place.view))
            .collect();
        let source = self.report.location(phase.span);
        let node = arena.at(index);
        node.timeout = options.timeout;
        node.undo = undo;
        node.name.clone_from(&phase.name.value);
        node.kind = kind;
        node.when = options.when.map(|when| when.value.into());
        node.on_failure = options.on_failure;
        node.checkpoint = options
            .checkpoint
            .map(|name| Box::new(CheckpointName::new(name.value)));
        node.phase = Some(Box::new(PhaseMark {
            description: phase.description.clone(),
        }));
        node.source = source;
        index
    }

    /// Lowers steps that run one after the other: each sees those before it.
    pub(super) fn sequence(
        &mut self,
        arena: &mut Arena,
        parent: NodeIndex,
        steps: &[Step],
        place: &Place,
    ) -> Vec<NodeIndex> {
        self.check_ids(steps);
        arena.nodes.reserve_exact(steps.len());
        steps
            .iter()
            .map(|step| self.step(arena, parent, step, place))
            .collect()
    }

    /// Lowers steps that run at the same time: none sees another.
    fn parallel(
        &mut self,
        arena: &mut Arena,
        parent: NodeIndex,
        steps: &[Step],
        place: &Place,
    ) -> Vec<NodeIndex> {
        self.check_ids(steps);
        let mark = self.names.ended.mark();
        let mut ended = Vec::new();
        let mut children = Vec::with_capacity(steps.len());
        for step in steps {
            children.push(self.step(arena, parent, step, place));
            ended.append(&mut self.names.ended.back_to(mark));
        }
        for name in ended {
            self.names.ended.push(name);
        }
        children
    }

    /// Lowers steps that run in the order of their needs: each sees those that it needs, however indirectly.
    fn dag(&mut self, arena: &mut Arena, parent: NodeIndex, steps: &[Step], place: &Place) -> Vec<NodeIndex> {
        self.check_ids(steps);
        let order = dag::order(steps, self.report);
        let mark = self.names.ended.mark();
        let mut ended = Vec::new();
        let mut children = Vec::with_capacity(steps.len());
        for (at, step) in steps.iter().enumerate() {
            for need in &order.closures[at] {
                if let Some(name) = steps[*need].name() {
                    self.names.ended.push(name.into());
                }
            }
            children.push(self.step(arena, parent, step, place));
            ended.append(&mut self.names.ended.back_to(mark));
        }
        for name in ended {
            self.names.ended.push(name);
        }
        for (at, needs) in order.needs.iter().enumerate() {
            arena.at(children[at]).needs = needs.iter().map(|need| children[*need]).collect();
        }
        children
    }

    fn check_ids(&mut self, steps: &[Step]) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for id in steps.iter().filter_map(|step| step.id.as_ref()) {
            match seen.get(id.value.as_str()) {
                Some(first) => {
                    let message = format!("the id `{}` is used a second time", id.value);
                    let error = self.report.error("duplicate-id", id.span, message);
                    error.others.push(Label::first_here(*first));
                }
                None => {
                    seen.insert(&id.value, id.span);
                }
            }
        }
    }

    /// Lowers one step. From here on its name, and those within it, have ended.
    pub(super) fn step(
        &mut self,
        arena: &mut Arena,
        parent: NodeIndex,
        step: &Step,
        around: &Place,
    ) -> NodeIndex {
        let mut place = around.clone();
        place.depth += 1;
        place.in_dag = false;
        let bindings = self.bindings(step, &mut place);
        let bound = self.bind_name(step, &mut place);
        let name = step.name().map(ShortText::from);
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
        let kind = if place.depth > DEPTH_MAX {
            let message = format!("groups are nested more than {DEPTH_MAX} deep");
            self.report.error("too-deep", step.span, message);
            NodeKind::Sequence { children: Vec::new() }
        } else {
            let kind = self.kind(arena, index, &bound, name.as_deref(), &place);
            self.guard(arena, index, kind, (&segment, step.span))
        };
        if let Some(name) = name {
            let others = self.names.steps.get(&name).copied();
            let known = StepName {
                in_loop: around.in_loop && others.is_none_or(|others| others.in_loop),
                silent: silent(&bound.body).filter(|_| others.is_none_or(|others| others.silent.is_some())),
            };
            self.names.steps.insert(name.clone(), known);
            self.names.ended.push(name);
        }
        let source = self.report.location(step.span);
        let node = arena.at(index);
        // Without the number that made the id unique: it is what templates call the step by. One with checks before it
        // is the last in a sequence with a name of its own.
        node.name = match node.id.as_str().strip_suffix(GUARDED) {
            Some(_) => format!("{segment}{GUARDED}").into(),
            None => segment.into(),
        };
        node.kind = kind;
        node.bindings = bindings.into();
        node.when = bound.options.when.as_ref().map(|when| when.value.as_str().into());
        node.on_failure = bound.options.on_failure;
        node.checkpoint = bound
            .options
            .checkpoint
            .as_ref()
            .map(|name| Box::new(CheckpointName::new(name.value.clone())));
        node.source = source;
        index
    }

    /// What the kind of the document binds for a step: its templates see it.
    fn bindings(&mut self, step: &Step, place: &mut Place) -> Map {
        let mut bindings = Map::new();
        for (name, bound) in step.made.iter().flat_map(|made| &made.bindings) {
            let value = match bound {
                Bound::Plain(value) => value.clone(),
                Bound::Written(yaml) => {
                    let errors = self.report.errors();
                    self.names
                        .check_value(yaml, Use::Load, &View::default(), self.report);
                    match self.report.errors() == errors {
                        true => self.settler.deep(yaml.to_value(), yaml, self.report),
                        false => yaml.to_value(),
                    }
                }
            };
            place.view.vars.push((*name).to_owned());
            bindings.insert((*name).to_owned(), value);
        }
        bindings
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
            let Some((entry, owner)) = self.library.actions.get(name.as_str()) else {
                let why = step.made.as_ref().map(|made| made.why.as_str());
                bind::unbound(call, why, &self.actions, self.library, self.report);
                bound.body = Body::Broken;
                return bound;
            };
            if place.binding.iter().any(|of| *of == name) {
                bind::report_cycle(&place.binding, &name, entry.span, self.report);
                bound.body = Body::Broken;
                return bound;
            }
            place.binding.push(name.to_string());
            place.library = Some(*owner);
            let with = call.with.clone();
            let span = call.action.span;
            bound.options = bound.options.over(&entry.options);
            bound.body = entry.body.clone();
            match &mut bound.body {
                Body::Call(inner) => inner.with = bind::merge(with, &inner.with),
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
        place: &Place,
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
                    question: self.settler.wording(question, self.report),
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
                        .map(|item| self.settler.wording(item, self.report))
                        .collect(),
                })
            }
            Body::Wait(duration) => NodeKind::Wait {
                duration: self.duration(duration, place),
            },
            Body::Watch(watch) => match self.watch(watch, &step.options, place, step) {
                Some(watch) => NodeKind::Watch(Box::new(watch)),
                None => NodeKind::Sequence { children: Vec::new() },
            },
            Body::Run(run) => self.child(arena, index, run, &step.options, name, place),
            Body::Monitor(monitor) => self.monitor(arena, index, monitor, place),
            Body::Broken => NodeKind::Sequence { children: Vec::new() },
        }
    }

    fn block(
        &mut self,
        arena: &mut Arena,
        index: NodeIndex,
        [body, rescue, always]: [&Vec<Step>; 3],
        place: &Place,
    ) -> NodeKind {
        let mut part = |this: &mut Self, name: &str, steps: &[Step]| {
            let own = arena.add(index, &join(&place.prefix, name));
            let mut inner = place.clone();
            if name != "body" {
                inner.prefix = arena.id(own);
                inner.path = join(&place.path, name);
            }
            let children = this.sequence(arena, own, steps, &inner);
            arena.at(own).kind = NodeKind::Sequence { children };
            own
        };
        // Rescue may not run, and the body may stop half way. What follows sees their steps all the same; a result that
        // is not there is an error of the run.
        let body = part(self, "body", body);
        let rescue = (!rescue.is_empty()).then(|| part(self, "rescue", rescue));
        let always = (!always.is_empty()).then(|| part(self, "always", always));
        NodeKind::Block { body, rescue, always }
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

/// What a step is of which there is never an output.
fn silent(body: &Body) -> Option<&'static str> {
    match body {
        Body::Wait(_) => Some("a wait"),
        Body::Watch(_) => Some("a watch"),
        Body::Approve(_) => Some("an approval"),
        Body::Checklist(_) => Some("a checklist"),
        _ => None,
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
            Self::Run(_) => "run",
            Self::Monitor(_) => "checks",
            Self::Broken => "step",
        }
    }
}
