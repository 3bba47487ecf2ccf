//! Plans that run within another: each becomes a part of the graph, so that what holds for the graph holds for them.

use super::arena::Arena;
use super::bind::Actions;
use super::discover::Asker;
use super::invariant::{Check, Invariants};
use super::load::{check_defaults, inventory, libraries, open, relative, vars, with_provision};
use super::lower::{Lowering, Place};
use super::names::{Names, Use, View};
use super::options::Options;
use super::overrides::Overrides;
use super::plan::{self, Plan};
use super::report::Report;
use super::request::LoadRequest;
use super::settle::Settler;
use super::step::RunSpec;
use super::yaml::{Entry, Kind, Spanned, Yaml};
use crate::expand::{NODES_MAX, join};
use crate::template::{is_template, references};
use caxplan_model::{
    ChildPlan, Foreach, Items, LockName, Map, Node, NodeIndex, NodeKind, ShortText, StepId, Target, Value,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// How deep plans may run within plans.
const CHILDREN_DEPTH_MAX: usize = 16;

/// How many steps that run a plan one plan may have, those of its child plans included.
const CHILDREN_MAX: usize = 1_000;

/// What child plans bring along to the run: it is there once for all of them.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub(super) env: Vec<String>,
    pub(super) secrets: Map,
    pub(super) locks: Vec<LockName>,
    /// The plans that are being read: each runs the next.
    chain: Vec<String>,
    count: usize,
    /// What must hold in each of them, by what they are called.
    pub(super) guarded: BTreeMap<String, Invariants>,
    /// Plans that were read before.
    known: BTreeMap<String, Plan>,
}

impl Joined {
    /// What the plan that is run itself brings along.
    pub(super) fn of(request: &LoadRequest<'_>, plan: &Plan) -> Self {
        Self {
            env: plan.env.iter().map(|name| name.value.to_string()).collect(),
            secrets: plan.secret_sources(),
            chain: vec![called(&relative("", request.plan), request.entry)],
            ..Self::default()
        }
    }

    fn add(&mut self, plan: &Plan, folder: &str, report: &mut Report) {
        for name in &plan.env {
            if !self.env.iter().any(|known| *known == name.value) {
                self.env.push(name.value.to_string());
            }
        }
        for (entry, (name, source)) in plan.secrets.iter().zip(plan.secret_sources()) {
            let source = located(source, folder);
            match self.secrets.get(entry.key.value.as_str()) {
                Some(known) if *known != source => {
                    let message = format!("the secret `{name}` has another source in a plan of the same run");
                    report.error("two-sources", entry.key.span, message).help = Some(
                        "secrets are fetched once for the whole run: give one of them another name"
                            .to_owned(),
                    );
                }
                Some(_) => {}
                None => {
                    self.secrets.insert(entry.key.value.to_string(), source);
                }
            }
        }
    }
}

impl<'b> Lowering<'_, 'b> {
    /// Lowers a step that runs another plan.
    pub(super) fn child(
        &mut self,
        arena: &mut Arena,
        index: NodeIndex,
        run: &RunSpec,
        options: &Options,
        name: Option<&str>,
        place: &Place,
    ) -> NodeKind {
        let nothing = NodeKind::Sequence { children: Vec::new() };
        let Some((path, plan)) = self.plan_of(run, arena.nodes.len()) else {
            self.check_handed(run, None, place);
            return nothing;
        };
        self.check_handed(run, Some(&plan), place);
        let (file, entry) = split(&path);
        let request = LoadRequest {
            plan: file,
            entry,
            libraries: &[],
            inventory: None,
            params: &Map::new(),
            actions: self.request.actions,
            limit: self.request.limit,
            discover: self.request.discover,
        };
        for (key, span) in &plan.alone {
            let message = format!("`{key}` has no effect while `{path}` runs within another plan");
            self.report.warning("no-effect", *span, message);
        }
        let outputs = plan
            .outputs
            .iter()
            .map(|entry| entry.key.value.to_string())
            .collect();
        if let Some(name) = name {
            self.names.outputs.insert(name.to_owned(), outputs);
        }
        // They undo the child as a whole, and stand in the plan around it.
        let undo = options.rollback.iter().flatten();
        let undo = undo.filter_map(|call| self.call(call, &place.view)).collect();
        let node = arena.at(index);
        node.timeout = options.timeout;
        node.undo = undo;
        let folder = folder(self.request_root(), file);
        self.joined.add(&plan, &folder, self.report);
        self.joined.chain.push(path.clone());
        let kind = self.child_plan(arena, index, run, &path, plan, &request, place);
        self.joined.chain.pop();
        kind.unwrap_or(nothing)
    }

    /// The plan that the user named.
    fn request_root(&self) -> &str {
        self.joined.chain.first().map_or("", |first| split(first).0)
    }

    /// Reads the plan that a step names. `None` if it cannot be run here, which has been reported then.
    fn plan_of(&mut self, run: &RunSpec, nodes: usize) -> Option<(String, Plan)> {
        let span = run.plan.span;
        let (file, entry) = split(&run.plan.value);
        if is_template(&run.plan.value) {
            self.report
                .error(
                    "known-too-late",
                    span,
                    "the plan to run must be known when this one loads",
                )
                .help = Some("name the file itself; what differs can be a parameter of it".to_owned());
            return None;
        }
        let sources = self.report.sources();
        let from = sources
            .get(span.file as usize)
            .map_or("", |(name, _)| name.as_str());
        let file = relative(from, file);
        let path = called(&file, entry);
        if self.joined.chain.contains(&path) {
            let first = self
                .joined
                .chain
                .iter()
                .position(|plan| *plan == path)
                .unwrap_or(0);
            let circle = self.joined.chain[first..].iter().chain([&path]);
            let circle: Vec<String> = circle.cloned().collect();
            let message = format!("this plan would run itself: {}", circle.join(" → "));
            self.report.error("recursion", span, message);
            return None;
        }
        self.joined.count += 1;
        let too_much = if self.joined.chain.len() > CHILDREN_DEPTH_MAX {
            Some(format!(
                "plans run within plans more than {CHILDREN_DEPTH_MAX} deep"
            ))
        } else if self.joined.count > CHILDREN_MAX {
            Some(format!(
                "there are more than {CHILDREN_MAX} steps that run a plan"
            ))
        } else if nodes > NODES_MAX {
            Some(format!("the plan has more than {NODES_MAX} steps"))
        } else {
            None
        };
        if let Some(message) = too_much {
            self.report.error("too-large", span, message);
            return None;
        }
        if let Some(known) = self.joined.known.get(&path) {
            return Some((path, known.clone()));
        }
        let document = open(&file, Some(span), self.read, self.report)?;
        let plan = plan::read(&document, self.report)?.choose(entry, &file, self.report)?;
        self.joined.known.insert(path.clone(), plan.clone());
        Some((path, plan))
    }

    /// Lowers a plan below the step that runs it.
    #[allow(clippy::too_many_arguments)]
    fn child_plan(
        &mut self,
        arena: &mut Arena,
        index: NodeIndex,
        run: &RunSpec,
        path: &str,
        mut plan: Plan,
        request: &LoadRequest<'_>,
        place: &Place,
    ) -> Option<NodeKind> {
        let library = libraries(request, &plan, self.read, self.report);
        let mut inventory = inventory(request, &plan, self.read, self.report);
        let given = self.given(run, &plan, &inventory.params);
        let late: BTreeSet<String> = given.late.keys().map(|name| format!("params.{name}")).collect();
        // Secrets are in no text that is evaluated here.
        let mut open_params = given.known.clone();
        open_params.retain(|name, _| {
            plan.params
                .iter()
                .any(|param| !param.secret && param.name.value == *name)
        });
        let mut names = Names::of(&plan);
        names.late.clone_from(&late);
        let sound = !self.report.has_errors();
        let mut arguments = Vec::new();
        for defaults in library.defaults.iter().chain([&plan.defaults]) {
            check_defaults(defaults, request.actions, self.report);
            arguments.extend(defaults.arguments.iter().cloned());
        }
        let own_targets = plan.inventory.is_some();
        let targets: Vec<Target> = if own_targets {
            let mut asker = Asker {
                request,
                library: &library,
                arguments: &arguments,
                names: names.clone(),
                settler: Settler::new(open_params.clone(), &[], sound).without(late.clone()),
            };
            asker.take_vars([&library.vars, &plan.vars, &inventory.vars]);
            let all_known = asker.ask(&mut inventory, self.report);
            // What a run is limited to, its child plans are, too.
            if let Err(message) = inventory.limit(request.limit, all_known) {
                self.report.error("no-target", plan.head, message);
            }
            inventory.targets.clone()
        } else {
            self.settler.targets()
        };
        let mut settler = Settler::new(open_params, &targets, sound).without(late);
        let layers = [&library.vars, &plan.vars, &inventory.vars];
        let vars = vars(layers, &mut names, &mut settler, self.report);
        let phases = with_provision(&inventory, std::mem::take(&mut plan.phases));
        let mut inner = Lowering {
            report: self.report,
            actions: Actions::new(request.actions),
            library: &library,
            defaults: &plan.defaults,
            arguments,
            names,
            overrides: Overrides::new(&plan.overrides),
            settler,
            request,
            read: self.read,
            joined: self.joined,
            // Those of the plans around it hold for its steps, too.
            checks: self.checks.iter().map(Check::one_plan_in).collect(),
        };
        let own = inner.checks(&plan.invariants);
        inner.checks.extend(own);
        let around = Place {
            depth: place.depth,
            ..Place::default()
        };
        let mut body = Arena::new(Node::new(
            StepId::new(""),
            None,
            NodeKind::Sequence { children: Vec::new() },
        ));
        let is_late = !given.late.is_empty();
        let kind = if is_late {
            inner.phases(&mut body, NodeIndex::ROOT, &phases, &around)
        } else {
            let prefix = arena.id(index);
            inner.phases(arena, index, &phases, &Place { prefix, ..around })
        };
        let outputs = inner.outputs(&plan.outputs);
        for lock in &plan.locks.names {
            let errors = inner.report.errors();
            inner
                .names
                .check_text(&lock.value, lock.span, Use::Load, &View::default(), inner.report);
            if inner.report.errors() > errors {
                let why = "locks are taken before the run starts: hand over a value that is known then";
                inner.report.help(why.to_owned());
            } else {
                let lock = LockName::new(inner.settler.text(lock, inner.report));
                inner.joined.locks.push(lock);
            }
        }
        let Lowering {
            report, overrides, ..
        } = inner;
        overrides.finish(report);
        let invariants = plan.invariants.limits(&targets, report);
        self.joined.guarded.insert(path.to_owned(), plan.invariants);

        let nodes = if is_late { &mut body } else { &mut *arena };
        if let NodeKind::Sequence { children } | NodeKind::Dag { children, .. } = &kind {
            for phase in children {
                let node = nodes.at(*phase);
                node.on_failure = node.on_failure.or(plan.on_failure);
                let bindings = &mut node.bindings;
                if !is_late {
                    bindings.insert("params".to_owned(), Value::Object(given.known.clone()));
                }
                if vars.late.is_empty() {
                    bindings.insert("vars".to_owned(), Value::Object(vars.known.clone()));
                }
                // What a loop around it acts on is no concern of this plan.
                bindings.insert("target".to_owned(), Value::Null);
                if own_targets {
                    // Targets are plain data.
                    let targets = serde_json::to_value(&targets).unwrap_or_default();
                    bindings.insert("targets".to_owned(), targets);
                }
            }
        }
        arena.at(index).child = Some(Box::new(ChildPlan {
            plan: path.to_owned(),
            late: is_late,
            outputs,
            invariants,
            secrets: given.secrets.clone(),
        }));
        if !is_late {
            return Some(kind);
        }
        body.at(NodeIndex::ROOT).kind = kind;
        let items = match given.late_items() {
            Ok(items) => items,
            Err(message) => {
                self.report.error("template-syntax", run.plan.span, message);
                return None;
            }
        };
        let foreach = arena.add(index, &join(&arena.id(index), "foreach"));
        let source = self.report.location(run.plan.span);
        let open = plan.params.iter().filter(|param| !param.secret);
        let rules = open.map(|param| (param.name.value.to_string(), param.rule()));
        let node = arena.at(foreach);
        node.source = source;
        node.kind = NodeKind::Foreach(Box::new(Foreach {
            var: "params".to_owned(),
            items: Items::Template(items),
            batch_size: "1".to_owned(),
            delay: None,
            max_failures: 0,
            max_unavailable: None,
            when: None,
            body: body.into_nodes(),
            params: rules.collect(),
            vars: if vars.late.is_empty() {
                Map::new()
            } else {
                vars.known
            },
            late_vars: vars.late,
        }));
        Some(NodeKind::Sequence {
            children: vec![foreach],
        })
    }

    /// What the plan around sees of this one. To be called when all of its steps have been lowered.
    fn outputs(&mut self, outputs: &[Entry]) -> Map {
        for entry in outputs {
            self.names
                .check_value(&entry.value, Use::Run, &View::default(), self.report);
            let mut texts = Vec::new();
            texts_in(&entry.value, &mut texts);
            for text in texts {
                let roots = references(&text.value).unwrap_or_default();
                if let Some(root) = roots
                    .iter()
                    .map(|path| path.split('.').next().unwrap_or_default())
                    .find(|root| ["env", "run"].contains(root))
                {
                    let message = format!("`{root}` cannot be used in `outputs`");
                    self.report.error("unknown-name", text.span, message).help =
                        Some("known here: params, vars, steps, targets".to_owned());
                }
            }
        }
        self.names.settle_steps(self.report);
        outputs
            .iter()
            .map(|entry| (entry.key.value.to_string(), entry.value.to_value()))
            .collect()
    }
}

fn texts_in(yaml: &Yaml, out: &mut Vec<Spanned<ShortText>>) {
    match &yaml.kind {
        Kind::Scalar { text, .. } => out.push(Spanned {
            value: text.clone(),
            span: yaml.span,
        }),
        Kind::List(items) => items.iter().for_each(|item| texts_in(item, out)),
        Kind::Map(entries) => entries.iter().for_each(|entry| texts_in(&entry.value, out)),
    }
}

/// `FILE#ENTRY`, taken apart.
fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('#') {
        Some((file, entry)) => (file, Some(entry)),
        None => (path, None),
    }
}

fn called(file: &str, entry: Option<&str>) -> String {
    match entry {
        Some(entry) => format!("{file}#{entry}"),
        None => file.to_owned(),
    }
}

/// The folder of `file`, from the folder of `root`.
fn folder(root: &str, file: &str) -> String {
    let of = |path: &str| Path::new(path).parent().unwrap_or(Path::new("")).to_owned();
    let (root, own) = (of(root), of(file));
    if own.is_absolute() {
        return own.to_string_lossy().into_owned();
    }
    let common = root
        .components()
        .zip(own.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = root.components().skip(common).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(own.components().skip(common)).collect();
    way.to_string_lossy().into_owned()
}

/// Where a secret comes from, with a file's path taken from the folder of the run's plan.
fn located(source: Value, folder: &str) -> Value {
    match source.get("file").and_then(Value::as_str) {
        Some(file) if !folder.is_empty() => {
            let path = Path::new(folder).join(file);
            serde_json::json!({"file": path.to_string_lossy()})
        }
        Some(_) | None => source,
    }
}
