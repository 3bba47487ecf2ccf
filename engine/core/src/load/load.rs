//! From plan text to graph.

use super::arena::Arena;
use super::bind::Actions;
use super::child::Joined;
use super::discover::Asker;
use super::handed::checked_params;
use super::invariant;
use super::inventory::{self, Inventory};
use super::library::{self, Library};
use super::lower::{Lowering, Place};
use super::names::{Names, Use, View};
use super::overrides::Overrides;
use super::param;
use super::phase::{Phase, PhaseOptions};
use super::plan::{self, Defaults, Plan};
use super::report::Report;
use super::request::{Catalog, Diagnostics, LoadRequest, Loaded, ReadError};
use super::settle::Settler;
use super::yaml::{self, Entry, FILE_SIZE_MAX, Kind, Spanned, Yaml};
use crate::expand::instantiate;
use caxplan_model::{
    Digest, FORMAT, Graph, Header, Items, LockName, Map, Node, NodeIndex, NodeKind, Span, StepId, Value,
};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// The most files that one plan may be made of.
const FILES_MAX: usize = 100;

pub(super) type Read<'r> = &'r mut dyn FnMut(&str) -> Result<String, ReadError>;

/// Loads a plan: reads it and the files that it names through `read`, checks all of it, and expands it to a graph.
///
/// Paths are handed to `read` as the user wrote them; paths in a file are taken from that file's folder.
///
/// # Errors
/// Everything that is wrong, all at once. Warnings alone are no error: they come with the plan.
pub fn load(request: &LoadRequest<'_>, read: Read<'_>) -> Result<Loaded, Diagnostics> {
    let mut report = Report::default();
    match load_plan(request, read, &mut report) {
        Some((graph, secret_params)) if !report.has_errors() => Ok(Loaded {
            graph,
            secret_params,
            warnings: report.finish(),
        }),
        Some(_) | None => Err(report.finish()),
    }
}

fn load_plan(request: &LoadRequest<'_>, read: Read<'_>, report: &mut Report) -> Option<(Graph, Map)> {
    let document = open(request.plan, None, read, report)?;
    let plan = plan::read(&document, report)?.choose(request.entry, request.plan, report)?;
    // A large plan must not lie in memory in all its forms at once.
    drop(document);
    lower(request, plan, read, report)
}

/// Makes the graph of a plan. Answers with it the values of secret parameters.
pub(super) fn lower(
    request: &LoadRequest<'_>,
    mut plan: Plan,
    read: Read<'_>,
    report: &mut Report,
) -> Option<(Graph, Map)> {
    let library = libraries(request, &plan, read, report);
    let mut inventory = inventory(request, &plan, read, report);
    let place = plan.params.first().map_or(plan.head, |param| param.name.span);
    let values = param::settle(&plan.params, &inventory.params, request.params, place, report);
    let sound = !report.has_errors();

    let mut names = Names::of(&plan);
    let mut open_params = values.open.clone();
    open_params.retain(|name, _| names.params.get(name) == Some(&false));
    let mut arguments = Vec::new();
    for defaults in library.defaults.iter().chain([&plan.defaults]) {
        check_defaults(defaults, request.actions, report);
        arguments.extend(defaults.arguments.iter().cloned());
    }
    let layers = [&library.vars, &plan.vars, &inventory.vars];
    let mut asker = Asker {
        request,
        library: &library,
        arguments: &arguments,
        names: names.clone(),
        settler: Settler::new(open_params.clone(), &[], sound),
    };
    asker.take_vars(layers);
    let all_known = asker.ask(&mut inventory, report);
    if let Err(message) = inventory.limit(request.limit, all_known) {
        report.error("no-target", plan.head, message);
    }
    let mut settler = Settler::new(open_params, &inventory.targets, sound);
    let layers = [&library.vars, &plan.vars, &inventory.vars];
    let vars = vars(layers, &mut names, &mut settler, report);

    let phases = with_provision(&inventory, std::mem::take(&mut plan.phases));
    let root = Node::new(StepId::new(""), None, NodeKind::Sequence { children: Vec::new() });
    let mut arena = Arena::new(root);
    let mut joined = Joined::of(request, &plan);
    let mut lowering = Lowering {
        report,
        actions: Actions::new(request.actions),
        library: &library,
        defaults: &plan.defaults,
        arguments,
        names,
        overrides: Overrides::new(&plan.overrides),
        settler,
        checks: Vec::new(),
        request,
        read,
        joined: &mut joined,
    };
    lowering.checks = lowering.checks(&plan.invariants);
    arena.at(NodeIndex::ROOT).kind = lowering.phases(&mut arena, NodeIndex::ROOT, &phases, &Place::default());
    drop(phases);
    let notify = lowering.notifications(&plan.notify);
    let Lowering {
        report,
        mut names,
        overrides,
        settler,
        joined,
        ..
    } = lowering;
    let mut joined = std::mem::take(joined);
    let guarded = std::mem::take(&mut joined.guarded);
    overrides.finish(report);
    let locks = plan
        .locks
        .names
        .iter()
        .map(|lock| {
            let errors = report.errors();
            names.check_text(&lock.value, lock.span, Use::Load, &View::default(), report);
            LockName::new(match report.errors() == errors {
                true => settler.text(lock, report),
                false => lock.value.to_string(),
            })
        })
        .collect();

    let invariants = plan.invariants.limits(&inventory.targets, report);
    let mut graph = Graph {
        format: FORMAT,
        header: Header {
            notify,
            invariants,
            ..header(request, &plan, locks, joined, report)
        },
        params: values.open,
        vars: vars.known,
        targets: inventory.targets,
        nodes: arena.into_nodes(),
    };
    expand(&mut graph, &settler, report);
    plan.invariants.foresee(&graph, NodeIndex::ROOT, report);
    invariant::foresee_children(&guarded, &graph, report);
    Some((graph, values.secret))
}

fn header(
    request: &LoadRequest<'_>,
    plan: &Plan,
    mut locks: Vec<LockName>,
    joined: Joined,
    report: &Report,
) -> Header {
    for lock in joined.locks {
        if !locks.contains(&lock) {
            locks.push(lock);
        }
    }
    Header {
        name: plan.name.clone().unwrap_or_else(|| stem(request.plan)),
        description: plan.description.clone(),
        sources: report
            .sources()
            .iter()
            .map(|(name, text)| (name.clone(), Digest::of(text.as_bytes())))
            .collect(),
        locks,
        lock_policy: plan.locks.policy,
        on_failure: plan.on_failure.unwrap_or_default(),
        max_parallel: plan.max_parallel,
        env: joined.env,
        secrets: joined.secrets,
        schedule: plan.schedule.clone(),
        notify: Vec::new(),
        invariants: Vec::new(),
        entry: plan.entry.clone(),
    }
}

/// The name of a file without its ending.
pub(super) fn stem(file: &str) -> String {
    Path::new(file)
        .file_stem()
        .map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// Reads one file and parses it.
pub(super) fn open(path: &str, named_at: Option<Span>, read: Read<'_>, report: &mut Report) -> Option<Yaml> {
    let text = match read(path) {
        Ok(text) => text,
        Err(error) => {
            let span = named_at.unwrap_or_else(|| nowhere(path, report));
            report.error(
                "unreadable",
                span,
                format!("cannot read `{path}`: {}", error.message),
            );
            return None;
        }
    };
    if text.len() > FILE_SIZE_MAX {
        let span = named_at.unwrap_or_else(|| nowhere(path, report));
        let message = format!("`{path}` is larger than {} MiB", FILE_SIZE_MAX / 1024 / 1024);
        report.error("too-large", span, message);
        return None;
    }
    let file = report.add_source(path, text);
    yaml::parse(file, report)
}

/// The place of a file that has no text to point into.
fn nowhere(path: &str, report: &mut Report) -> Span {
    Span {
        file: report.add_source(path, String::new()),
        start: 0,
        end: 0,
    }
}

/// A path in the file `from`, as one that can be read.
pub(super) fn relative(from: &str, path: &str) -> String {
    let joined = Path::new(from).parent().unwrap_or(Path::new("")).join(path);
    let mut clean = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(clean.components().next_back(), Some(Component::Normal(_))) => {
                clean.pop();
            }
            other @ (Component::ParentDir
            | Component::Prefix(_)
            | Component::RootDir
            | Component::Normal(_)) => {
                clean.push(other);
            }
        }
    }
    clean.to_string_lossy().into_owned()
}

/// All libraries: those that the plan uses, then those that the user gave, each after those that it uses itself.
pub(super) fn libraries(
    request: &LoadRequest<'_>,
    plan: &Plan,
    read: Read<'_>,
    report: &mut Report,
) -> Library {
    let mut library = Library::default();
    let mut seen = BTreeSet::new();
    let from_plan = plan
        .libraries
        .iter()
        .map(|path| (relative(request.plan, &path.value), Some(path.span)));
    let from_user = request.libraries.iter().map(|path| (path.clone(), None));
    for (path, span) in from_plan.chain(from_user) {
        add_library(&mut library, &path, span, &mut seen, read, report);
    }
    library
}

fn add_library(
    library: &mut Library,
    path: &str,
    named_at: Option<Span>,
    seen: &mut BTreeSet<String>,
    read: Read<'_>,
    report: &mut Report,
) {
    if !seen.insert(path.to_owned()) {
        return;
    }
    if seen.len() > FILES_MAX {
        let span = named_at.unwrap_or_else(|| nowhere(path, report));
        report.error(
            "too-large",
            span,
            format!("the plan uses more than {FILES_MAX} files"),
        );
        return;
    }
    let Some(document) = open(path, named_at, read, report) else {
        return;
    };
    for used in library::uses(&document, report) {
        add_library(
            library,
            &relative(path, &used.value),
            Some(used.span),
            seen,
            read,
            report,
        );
    }
    library.add(&document, report);
}

pub(super) fn inventory(
    request: &LoadRequest<'_>,
    plan: &Plan,
    read: Read<'_>,
    report: &mut Report,
) -> Inventory {
    if let Some(path) = request.inventory {
        let document = open(path, None, read, report);
        return document.map_or_else(Inventory::default, |yaml| inventory::read_file(&yaml, report));
    }
    let Some(own) = &plan.inventory else {
        return Inventory::default();
    };
    let Kind::Scalar { text, .. } = &own.kind else {
        return inventory::read(own, report);
    };
    let document = open(&relative(request.plan, text), Some(own.span), read, report);
    document.map_or_else(Inventory::default, |yaml| inventory::read_file(&yaml, report))
}

/// The variables of a plan.
#[derive(Debug, Default)]
pub(super) struct Vars {
    pub(super) known: Map,
    /// Those that depend on parameters which only the run knows, in order.
    pub(super) late: Vec<(String, Value)>,
}

/// Settles variables: later layers replace earlier ones, and each variable sees those before it.
pub(super) fn vars(
    layers: [&Vec<Entry>; 3],
    names: &mut Names,
    settler: &mut Settler,
    report: &mut Report,
) -> Vars {
    let mut vars = Vars::default();
    for entry in layers.into_iter().flatten() {
        let name = &entry.key.value;
        let errors = report.errors();
        names.check_var(&entry.value, report);
        names.vars.insert(name.to_string());
        let mut value = entry.value.to_value();
        vars.late.retain(|(late, _)| late != name);
        if settler.is_late(&value) {
            settler.set_late_var(name);
            names.late.insert(format!("vars.{name}"));
            vars.known.remove(name.as_str());
            vars.late.push((name.to_string(), value));
            continue;
        }
        if report.errors() == errors {
            value = settler.deep(value, &entry.value, report);
        }
        settler.set_var(name, &value);
        names.late.remove(&format!("vars.{name}"));
        vars.known.insert(name.to_string(), value);
    }
    vars
}

/// The plan's phases, after one that makes the targets ready if the inventory says how.
pub(super) fn with_provision(inventory: &Inventory, phases: Vec<Phase>) -> Vec<Phase> {
    let provision = inventory.provision.first().map(|first| Phase {
        span: first.span,
        name: Spanned {
            value: "provision".to_owned().into(),
            span: first.span,
        },
        description: "Makes the targets of the inventory ready".to_owned(),
        steps: inventory.provision.clone(),
        options: PhaseOptions::default(),
    });
    let mut phases: Vec<Phase> = provision.into_iter().chain(phases).collect();
    if let Some((first, others)) = phases.split_first_mut()
        && !inventory.provision.is_empty()
    {
        // Before the targets are ready nothing starts, whatever it needs.
        for needs in others.iter_mut().filter_map(|phase| phase.options.needs.as_mut()) {
            needs.push(first.name.clone());
        }
    }
    phases
}

/// Reports default arguments that no action of their adapter knows.
pub(super) fn check_defaults(defaults: &Defaults, catalog: &dyn Catalog, report: &mut Report) {
    for (adapter, arguments) in &defaults.arguments {
        let specs = catalog.actions_of(adapter);
        let known: BTreeSet<&str> = specs
            .iter()
            .filter_map(|spec| spec.arguments.get("properties").and_then(Value::as_object))
            .flat_map(Map::keys)
            .map(String::as_str)
            .collect();
        for argument in arguments {
            let name = argument.key.value.as_str();
            if !known.contains(name) {
                let message = format!("no action of `{adapter}` has an argument `{name}`");
                report.error("unknown-argument", argument.key.span, message).help =
                    super::suggest::did_you_mean(name, known.iter().copied());
            }
        }
    }
}

/// Makes the elements of every loop whose items are known now. What they hold is looked at in turn.
fn expand(graph: &mut Graph, settler: &Settler, report: &mut Report) {
    if report.has_errors() {
        return;
    }
    let mut at = 0;
    while at < graph.nodes.len() {
        let index = NodeIndex(u32::try_from(at).unwrap_or(u32::MAX));
        if let NodeKind::Foreach(foreach) = &graph.nodes[at].kind {
            let items = match &foreach.items {
                Items::Known(items) => Some(Ok(items.clone())),
                Items::Template(template) => {
                    settler
                        .value(template, &graph.bindings(index))
                        .map(|value| match value {
                            Ok(Value::Array(items)) => checked_params(graph, index, items),
                            Ok(other) => Err(format!("`{template}` yields no list, but {other}")),
                            Err(message) => Err(message),
                        })
                }
            };
            let span = report.span_at(&graph.nodes[at].source);
            match items {
                Some(Ok(items)) => {
                    if items.is_empty() {
                        report
                            .warning("no-items", span, "there is nothing to run these steps for")
                            .help = Some("the inventory has no such targets".to_owned());
                    }
                    if let Err(message) = instantiate(graph, index, &items) {
                        report.error("wrong-value", span, message);
                        return;
                    }
                }
                Some(Err(message)) => {
                    report.error("template-value", span, message);
                }
                None => {}
            }
        }
        at += 1;
    }
}
