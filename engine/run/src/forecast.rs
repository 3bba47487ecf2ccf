//! What a plan would do, asked of its adapters without changing anything.

use crate::mask::Masker;
use crate::scope::Surroundings;
use crate::{Registry, SecretError, Secrets};
use caxplan_adapter::{Call, Change, Context};
use caxplan_core::load::Loaded;
use caxplan_core::preview::{self, Forecasted, Foresight};
use caxplan_core::template::{self, Scope, depends_on_run, is_template};
use caxplan_model::{
    ActionStep, AttemptNo, FailureKind, Graph, Map, Node, NodeIndex, NodeKind, RunId, Target, Value,
};
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How long one adapter may look at one target.
const LOOK_WITHIN: Duration = Duration::from_secs(15);

/// How many are asked at once.
const AT_ONCE: usize = 16;

/// What is known of a plan before its run.
#[derive(Clone, Debug, Default)]
pub struct Forecasts {
    /// What can be told without asking.
    pub foresight: Foresight,
    /// What adapters say of each step that runs an action.
    pub steps: BTreeMap<NodeIndex, Forecasted>,
}

/// Forecasts every step of a plan whose arguments are known before the run. Changes nothing, and runs nothing, not even
/// what only reads; `offline` contacts nothing either, and fetches no secrets. Secrets are masked in what is answered.
pub async fn forecast(
    registry: &Registry,
    loaded: &Loaded,
    plan: &Path,
    offline: bool,
) -> Result<Forecasts, SecretError> {
    let graph = &loaded.graph;
    let secrets = if offline {
        Secrets::masked(&graph.header.secrets)
    } else {
        Secrets::load(&graph.header.secrets, plan.parent().unwrap_or(Path::new("/"))).await?
    };
    let run = RunId::from("preview");
    let surroundings = Surroundings::new(&run, graph, plan, &loaded.secret_params, &secrets);
    let targets = graph.targets.iter();
    let asking = Asking {
        registry,
        masker: Masker::of(&secrets, &loaded.secret_params),
        foresight: Foresight::of(graph, &surroundings.env()),
        surroundings,
        graph,
        targets: targets.map(|target| (target.name.as_str(), target)).collect(),
        run,
        offline,
    };
    let steps = (0..)
        .map(NodeIndex)
        .zip(&graph.nodes)
        .filter_map(|(at, node)| match &node.kind {
            NodeKind::Action(step) => Some((at, node, step)),
            _ => None,
        });
    let asked = futures_util::stream::iter(steps.map(|(at, node, step)| asking.one(at, node, step)));
    let steps = asked.buffer_unordered(AT_ONCE).collect().await;
    Ok(Forecasts {
        foresight: asking.foresight,
        steps,
    })
}

struct Asking<'a> {
    registry: &'a Registry,
    surroundings: Surroundings,
    masker: Masker,
    foresight: Foresight,
    graph: &'a Graph,
    targets: BTreeMap<&'a str, &'a Target>,
    run: RunId,
    offline: bool,
}

impl Asking<'_> {
    async fn one(&self, at: NodeIndex, node: &Node, step: &ActionStep) -> (NodeIndex, Forecasted) {
        let name = preview::target_name(self.graph, at);
        let target = name.as_deref().and_then(|name| self.targets.get(name).copied());
        let (arguments, unresolved) = self.resolve_what_is_known(at, &step.call.with, target);
        // A step that names a target must have it before anyone can be asked.
        let missing = step.target.is_some() && target.is_none();
        let ask = unresolved.is_none()
            && !missing
            && !self.offline
            && !step.read_only
            && self.foresight.can_ask(at);
        let (change, summary) = match self.registry.adapter(&step.call.action) {
            None => (
                preview::Change::Unknown,
                format!("there is no action `{}`", step.call.action),
            ),
            Some(_) if step.read_only => (preview::Change::Never, String::new()),
            Some(adapter) if ask => {
                let call = Call {
                    action: step.call.action.to_string(),
                    with: arguments.clone(),
                    target: target.cloned(),
                    run: self.run.clone(),
                    step: node.id.clone(),
                    attempt: AttemptNo::FIRST,
                };
                let context = Context::detached(&self.surroundings.plan_dir);
                match tokio::time::timeout(LOOK_WITHIN, adapter.forecast(&call, &context)).await {
                    Ok(Ok(forecast)) => (change_of(forecast.change), forecast.summary),
                    Ok(Err(cause)) if cause.kind == FailureKind::NotFound => (
                        preview::Change::Unknown,
                        format!("{}: this fails unless an earlier step makes it", cause.message),
                    ),
                    Ok(Err(cause)) => (preview::Change::Unknown, format!("could not look: {cause}")),
                    Err(_) => (
                        preview::Change::Unknown,
                        format!("did not answer within {} s", LOOK_WITHIN.as_secs()),
                    ),
                }
            }
            Some(_) => (
                preview::Change::Unknown,
                // What depends on other steps is told as such; a value that cannot be had at all is not.
                unresolved.flatten().unwrap_or_default(),
            ),
        };
        let shown = self.masker.map(arguments.clone());
        // Where a secret is written, the one that stood there before is not shown either: nobody knows it to mask it.
        let summary = match summary.split_once('\n') {
            Some((line, _)) if shown != arguments => line.to_owned(),
            Some(_) | None => summary,
        };
        let forecasted = Forecasted {
            // Those of most steps are known as they are written.
            arguments: match shown == *step.call.with {
                true => step.call.with.clone(),
                false => shown.into(),
            },
            change,
            summary: self.masker.text(&summary).into(),
        };
        (at, forecasted)
    }

    /// Resolves each argument by itself. One that cannot be had before the run stays a template; the second answer is
    /// why the first of them could not, if it is not for a step that has not run.
    fn resolve_what_is_known(
        &self,
        at: NodeIndex,
        with: &Map,
        target: Option<&Target>,
    ) -> (Map, Option<Option<String>>) {
        let mut texts = Vec::new();
        with.values().for_each(|value| templates(value, &mut texts));
        if texts.is_empty() {
            return (with.clone(), None);
        }
        let mut scope = self.surroundings.scope_before_run(self.graph, at, &texts);
        if let Some(target) = target.and_then(|target| serde_json::to_value(target).ok())
            && let Value::Object(root) = &mut scope.root
        {
            root.insert("target".to_owned(), target);
        }
        let mut unresolved = None;
        let mut resolve = |(name, value): (&String, &Value)| {
            let resolved = resolve_one(name, value, &scope).unwrap_or_else(|why| {
                unresolved.get_or_insert(why);
                value.clone()
            });
            (name.clone(), resolved)
        };
        let map = with.iter().map(&mut resolve).collect();
        (map, unresolved)
    }
}

fn resolve_one(name: &str, value: &Value, scope: &Scope) -> Result<Value, Option<String>> {
    let mut texts = Vec::new();
    templates(value, &mut texts);
    if texts.is_empty() {
        return Ok(value.clone());
    }
    if texts.iter().any(|text| depends_on_run(text)) {
        return Err(None);
    }
    let alone = Map::from_iter([(name.to_owned(), value.clone())]);
    let resolved = template::resolve_map(&alone, scope).map_err(Some)?;
    resolved.get(name).cloned().ok_or(None)
}

/// The templates in a value.
fn templates<'a>(value: &'a Value, out: &mut Vec<&'a str>) {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) if is_template(text) => out.push(text),
            Value::Array(items) => open.extend(items),
            Value::Object(map) => open.extend(map.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn change_of(change: Change) -> preview::Change {
    match change {
        Change::Would => preview::Change::Would,
        Change::WouldNot => preview::Change::WouldNot,
        Change::Unknown => preview::Change::Unknown,
    }
}
