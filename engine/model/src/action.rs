//! What an adapter offers, as data: the loader checks plans against it, previews and schemas are made from it.

use crate::{Duration, Map, SharedMap, ShortText, Value};
use serde::{Deserialize, Serialize};

/// The name of an action: `adapter.verb` or `adapter.noun.verb`.
pub type ActionName = String;

/// An action with its arguments. Before a step starts these are templates; what an adapter gets is resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionCall {
    /// Which action.
    pub action: ShortText,
    /// Its arguments by name.
    #[serde(default)]
    pub with: SharedMap,
}

/// What one action is, takes and promises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionSpec {
    /// Its full name, `caxton.node.drain`.
    pub name: ActionName,
    /// One line for listings and previews.
    pub summary: String,
    /// The JSON Schema of its arguments, an object schema that rejects unknown keys.
    pub arguments: Value,
    /// The JSON Schema of its output; `{}` if anything.
    pub output: Value,
    /// Whether it only reads, or changes something.
    pub effect: Effect,
    /// The boolean argument by which a call of an action that may change something says that this one does not.
    pub changes_argument: Option<String>,
    /// Whether running it twice with the same arguments leaves what running it once leaves. After a crash such
    /// an action runs again without a question.
    pub idempotent: bool,
    /// Whether the adapter can tell if an interrupted attempt did its work.
    pub probes: bool,
    /// Whether the adapter can undo it.
    pub undo: UndoSupport,
    /// Whether the forecast's `before` must be journalled before the action starts, because undo or rollback
    /// templates need it.
    pub records_before: bool,
    /// The change of the number of available targets that it brings about: -1 takes its target down, 1 brings it
    /// back, 0 neither.
    pub availability: i8,
    /// The time limit if the step has none.
    pub default_timeout: Option<Duration>,
    /// Arguments that every user of the machine can see while the action runs (`ps`): no secret may stand there.
    pub public_arguments: Vec<String>,
    /// Examples of arguments for the reference and for editors.
    pub examples: Vec<Value>,
}

impl ActionSpec {
    /// Whether a call with these arguments only reads. A template there is taken as a possible change.
    pub fn only_reads(&self, with: &Map) -> bool {
        let says_so = |argument: &String| with.get(argument) == Some(&Value::Bool(false));
        self.effect == Effect::ReadOnly || self.changes_argument.as_ref().is_some_and(says_so)
    }
}

/// Whether an action changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It reads only: never in doubt, nothing to undo.
    ReadOnly,
    /// It may change something.
    Changes,
}

/// Whether an adapter can undo an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoSupport {
    /// There is nothing to undo.
    NotNeeded,
    /// The adapter's `undo` restores what `before` describes.
    Native,
    /// It cannot be undone, unless the plan gives a `rollback`.
    Impossible,
}
