//! From a call as the plan has it to one of which nothing is left to choose.

use crate::scope::{Surroundings, Texts, target_of};
use crate::{Masker, Registry};
use caxplan_adapter::{Adapter, Call};
use caxplan_core::load::Catalog;
use caxplan_core::schedule::State;
use caxplan_core::template::{self, Scope};
use caxplan_model::{ActionCall, AttemptNo, Cause, Duration, FailureKind, Map, NodeIndex, RunId};
use std::sync::Arc;

/// The time limit of what only reads (a forecast, a probe, an observation), if its action has none of its own.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A call of which nothing is left to choose.
pub(crate) struct Resolved {
    pub(crate) adapter: Arc<dyn Adapter>,
    pub(crate) call: Call,
    pub(crate) limit: Option<Duration>,
}

/// What calls are resolved with.
pub(crate) struct Resolver<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) surroundings: &'a Surroundings,
    pub(crate) state: &'a State,
    pub(crate) run: &'a RunId,
    pub(crate) masker: &'a Masker,
}

impl Resolver<'_> {
    /// Resolves a call at a node, with the scope in which its texts, and `texts`, were evaluated.
    pub(crate) fn resolve(
        &self,
        node: NodeIndex,
        attempt: AttemptNo,
        call: &ActionCall,
        target: Option<&str>,
        limit: Option<Duration>,
        texts: &Texts,
    ) -> Result<(Resolved, Scope), Cause> {
        let masked = |message: String| Cause::new(FailureKind::Template, self.masker.text(&message));
        let unknown = || {
            Cause::new(
                FailureKind::NotFound,
                format!("there is no action `{}`", call.action),
            )
        };
        let adapter = self.registry.adapter(&call.action).cloned().ok_or_else(unknown)?;
        let spec = self.registry.action(&call.action).ok_or_else(unknown)?;
        let texts = texts.clone().and_map(&call.with);
        let texts = match target {
            Some(target) if template::is_template(target) => texts.and_text(target),
            Some(_) | None => texts,
        };
        let scope = self.surroundings.scope(self.state, node, &texts);
        let mut scope = scope.map_err(masked)?;
        let target = target_of(target, self.state, node, &mut scope).map_err(masked)?;
        let with = if texts.are_plain() {
            Map::clone(&call.with)
        } else {
            template::resolve_map(&call.with, &scope).map_err(masked)?
        };
        let call = Call {
            action: call.action.to_string(),
            with,
            target,
            run: self.run.clone(),
            step: self.state.graph().node(node).id.clone(),
            attempt,
        };
        let limit = limit.or(spec.default_timeout);
        Ok((Resolved { adapter, call, limit }, scope))
    }
}
