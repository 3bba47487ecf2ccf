//! What the loader is asked, and what it answers.

use caxplan_model::{ActionCall, ActionSpec, Graph, Map, Span, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The actions that a plan may call: `ADAPTER.VERB` or `ADAPTER.NOUN.VERB`.
pub trait Catalog {
    /// The adapters' names, sorted.
    fn adapters(&self) -> Vec<&str>;

    /// What an adapter offers, sorted by name; nothing if there is no such adapter.
    fn actions_of(&self, adapter: &str) -> Vec<&ActionSpec>;

    /// What an action is; `None` if there is none of this name.
    fn action(&self, name: &str) -> Option<&ActionSpec> {
        let mut of_adapter = self.actions_of(adapter_of(name)).into_iter();
        of_adapter.find(|spec| spec.name == name)
    }

    /// All of them, sorted. Dearer than to ask for one: the loader does so only to say what there is.
    fn actions(&self) -> Vec<&ActionSpec> {
        let adapters = self.adapters().into_iter();
        adapters.flat_map(|adapter| self.actions_of(adapter)).collect()
    }
}

/// For what is asked of a plan without looking at its actions.
pub static NO_ACTIONS: Vec<ActionSpec> = Vec::new();

/// Catalogs of fixed specifications.
impl Catalog for Vec<ActionSpec> {
    fn adapters(&self) -> Vec<&str> {
        let adapters: BTreeSet<&str> = self.iter().map(|spec| adapter_of(&spec.name)).collect();
        adapters.into_iter().collect()
    }

    fn actions_of(&self, adapter: &str) -> Vec<&ActionSpec> {
        let mut specs: Vec<&ActionSpec> = self.iter().collect();
        specs.retain(|spec| adapter_of(&spec.name) == adapter);
        specs.sort_by_key(|spec| &spec.name);
        specs
    }
}

/// The adapter's name in that of an action: its first segment.
pub fn adapter_of(action: &str) -> &str {
    action.split('.').next().unwrap_or(action)
}

/// What to load. File contents come through a function, so that the loader itself reads nothing.
pub struct LoadRequest<'a> {
    /// The plan's file, as the user named it.
    pub plan: &'a str,
    /// Which of the plans that the file holds, by the name of its [`Entry`](super::Entry): for calendars and policies.
    pub entry: Option<&'a str>,
    /// Action libraries given by `--use`, in order; a later one wins.
    pub libraries: &'a [String],
    /// The inventory given by `--inventory`; it replaces the plan's own.
    pub inventory: Option<&'a str>,
    /// Parameters given by `-p` and `--params`. Texts from `-p` are converted to the parameter's type.
    pub params: &'a Map,
    /// The actions of all adapters.
    pub actions: &'a dyn Catalog,
    /// Only targets that one of these selectors selects (see [`Selector`](crate::select::Selector)); all if there is none.
    pub limit: &'a [String],
    /// Asks an action that only reads for the targets that it knows; `None` if nothing may be contacted. Then an inventory
    /// has only the targets that it names itself.
    pub discover: Option<&'a Discover<'a>>,
}

/// Performs an action that only reads and answers with its output.
pub type Discover<'a> = dyn Fn(&ActionCall) -> Result<Value, ReadError> + 'a;

/// Why a file could not be read.
#[derive(Clone, Debug)]
pub struct ReadError {
    /// For a person, with what to do.
    pub message: String,
}

/// A plan that is ready to run, with what only the driver may know.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The graph.
    pub graph: Graph,
    /// The values of secret parameters, by name: never journalled, to be masked.
    pub secret_params: Map,
    /// Warnings.
    pub warnings: Diagnostics,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The plan cannot run.
    Error,
    /// The plan can run, and may not do what was meant.
    Warning,
}

/// One thing to say about a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name of the rule, `unknown-key`.
    pub code: &'static str,
    /// What is wrong: one line, lower case, no full stop.
    pub message: String,
    /// The place to underline first, with what to write there.
    pub primary: Label,
    /// Other places that matter (the first of two duplicate keys).
    pub others: Vec<Label>,
    /// What to do, or a suggestion: `did you mean …?`.
    pub help: Option<String>,
}

/// A place and what to say there.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The text beside the underline; may be empty.
    pub text: String,
}

impl Label {
    /// Marks the first of two things that must not stand twice.
    pub(super) fn first_here(span: Span) -> Self {
        Self {
            span,
            text: "first here".to_owned(),
        }
    }
}

/// Everything that is to be said about a plan, with the sources to show.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    /// The sources that spans point into: name as the user gave it, and text.
    pub sources: Vec<(String, Arc<str>)>,
    /// In the order of the source.
    pub items: Vec<Diagnostic>,
    /// Whether there are more than are kept.
    pub is_cut: bool,
}
