//! What a plan would do, asked of its adapters without changing anything.

use crate::mask::Masker;
use crate::scope::{Surroundings, Texts, target_of};
use crate::{Registry, SecretError, Secrets};
use caxplan_adapter::{Call, Change, Context};
use caxplan_core::load::Loaded;
use caxplan_core::preview::{self, Forecasted};
use caxplan_core::schedule::State;
use caxplan_core::template::{self, Scope};
use caxplan_model::{ActionStep, AttemptNo, Effect, Map, Node, NodeIndex, NodeKind, RunId, Value};
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How long one adapter may look at one target.
const LOOK_WITHIN: Duration = Duration::from_secs(15);

/// How many are asked at once.
const AT_ONCE: usize = 16;

/// Forecasts every step of a plan whose arguments are known before the run. Changes nothing; `offline` contacts nothing
/// either, and fetches no secrets. Secrets are masked in what is answered.
pub async fn forecast(
    registry: &Registry,
    loaded: &Loaded,
    plan: &Path,
    offline: bool,
) -> Result<BTreeMap<NodeIndex, Forecasted>, SecretError> {
    let graph = &loaded.graph;
    let secrets = if offline {
        Secrets::masked(&graph.header.secrets)
    } else {
        Secrets::load(&graph.header.secrets, plan.parent().unwrap_or(Path::new("/"))).await?
    };
    let run = RunId::from("preview");
    let asking = Asking {
        registry,
        surroundings: Surroundings::new(&run, graph, plan, &loaded.secret_params, &secrets),
        masker: Masker::of(&secrets, &loaded.secret_params),
        state: State::new(graph.clone()),
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
    Ok(asked.buffer_unordered(AT_ONCE).collect().await)
}

struct Asking<'a> {
    registry: &'a Registry,
    surroundings: Surroundings,
    masker: Masker,
    state: State,
    run: RunId,
    offline: bool,
}

impl Asking<'_> {
    async fn one(&self, at: NodeIndex, node: &Node, step: &ActionStep) -> (NodeIndex, Forecasted) {
        let texts = Texts::default().and_map(&step.call.with);
        let mut scope = self.surroundings.scope(&self.state, at, &texts);
        let target = target_of(step.target.as_deref(), &self.state, &mut scope);
        let (arguments, known) = resolve_what_is_known(&step.call.with, &scope);
        let spec = self.registry.action(&step.call.action);
        let reads = spec.is_some_and(|spec| spec.effect == Effect::ReadOnly);
        let (change, summary) = match (target, self.registry.adapter(&step.call.action)) {
            _ if reads => (preview::Change::Never, String::new()),
            (Ok(target), Some(adapter)) if known && !self.offline => {
                let call = Call {
                    action: step.call.action.clone(),
                    with: arguments.clone(),
                    target,
                    run: self.run.clone(),
                    step: node.id.clone(),
                    attempt: AttemptNo::FIRST,
                };
                let context = Context::detached(&self.surroundings.plan_dir);
                match tokio::time::timeout(LOOK_WITHIN, adapter.forecast(&call, &context)).await {
                    Ok(Ok(forecast)) => (change_of(forecast.change), forecast.summary),
                    Ok(Err(cause)) => (preview::Change::Unknown, format!("could not look: {cause}")),
                    Err(_) => (
                        preview::Change::Unknown,
                        format!("did not answer within {} s", LOOK_WITHIN.as_secs()),
                    ),
                }
            }
            (_, None) => (
                preview::Change::Unknown,
                format!("there is no action `{}`", step.call.action),
            ),
            (Ok(_) | Err(_), Some(_)) => (preview::Change::Unknown, String::new()),
        };
        let forecasted = Forecasted {
            arguments: self.masker.map(arguments),
            change,
            summary: self.masker.text(&summary),
        };
        (at, forecasted)
    }
}

/// Resolves each argument by itself. One that only the run will know stays a template; then not all is known.
fn resolve_what_is_known(with: &Map, scope: &Scope) -> (Map, bool) {
    let mut known = true;
    let mut resolve = |(name, value): (&String, &Value)| {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        let resolved = template::resolve_map(&alone, scope)
            .ok()
            .and_then(|mut map| map.remove(name));
        known &= resolved.is_some();
        (name.clone(), resolved.unwrap_or_else(|| value.clone()))
    };
    let map = with.iter().map(&mut resolve).collect();
    (map, known)
}

fn change_of(change: Change) -> preview::Change {
    match change {
        Change::Would => preview::Change::Would,
        Change::WouldNot => preview::Change::WouldNot,
        Change::Unknown => preview::Change::Unknown,
    }
}
