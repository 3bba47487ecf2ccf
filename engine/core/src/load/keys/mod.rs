//! The one table of every key of every document: what the loader accepts, what it suggests, and what the JSON Schemas
//! for editors say.

mod documents;
mod example;
mod inventory;
mod library;
mod plan;
mod step;
mod test;

pub(in crate::load) use documents::{
    ALERTS, BACKUP, BACKUP_ENTRY, BACKUP_SCHEDULE, CALENDAR, FREQUENCIES, MAINTENANCE, MAINTENANCE_SCHEDULE,
    MONITOR, MONITORS, PARTIAL_SCHEDULE, PERIOD, POLICY, RULE, SEVERITIES,
};
pub(in crate::load) use inventory::{GROUP, INVENTORY, INVENTORY_FILE, TARGET};
pub(in crate::load) use library::LIBRARY;
pub(in crate::load) use plan::{
    AGE, AGE_IDENTITY, DEFAULTS, INVARIANT, LOCK, NOTIFICATION, PARAM, PHASE, PLAN, SCHEDULE, SECRET,
    STRATEGY,
};
pub(in crate::load) use step::{LOOP, RETRY, STEP, WATCH};
pub(in crate::load) use test::{ANSWERS, CASE, ENDS, EXPECT, FAILS, FATE, TEST, TRUTHS};

use super::yaml::{Kind, ScalarValue, Yaml};

/// A kind of mapping.
#[derive(Debug)]
pub(in crate::load) struct Object {
    /// Its name with an article, for messages: `a phase`.
    pub(in crate::load) name: &'static str,
    /// The name of its definition in a schema.
    pub(in crate::load) schema: &'static str,
    /// Its keys.
    pub(in crate::load) keys: &'static [Key],
    /// Keys that must be there.
    pub(in crate::load) required: &'static [&'static str],
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(in crate::load) struct Key {
    pub(in crate::load) name: &'static str,
    pub(in crate::load) shape: Shape,
    pub(in crate::load) doc: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(in crate::load) enum Shape {
    Text,
    /// A duration, or a template that yields one.
    Duration,
    /// A whole number from 0, or a template that yields one.
    Count,
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
    Any,
    /// Any mapping from names to anything.
    AnyMap,
    List(&'static Shape),
    /// A mapping from names of the user's to values of one shape.
    MapOf(&'static Shape),
    /// One, or a list of them.
    OneOrMany(&'static Shape),
    Either(&'static [Shape]),
    Object(&'static Object),
    Step,
    /// `{adapter.verb: {argument: value}}`, or `{action, with}`.
    Call,
}

impl Object {
    pub(in crate::load) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|of| of.name == key)
    }

    pub(in crate::load) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }
}

impl Shape {
    /// Whether a value is of the right kind, without a look at what stands in it. A key without a value counts as not
    /// there.
    pub(in crate::load) fn admits(&self, yaml: &Yaml) -> bool {
        let is_list = matches!(yaml.kind, Kind::List(_));
        let is_map = matches!(yaml.kind, Kind::Map(_));
        yaml.is_null()
            || match self {
                Self::Any => true,
                Self::Text | Self::Duration | Self::Count | Self::Word(_) => !is_list && !is_map,
                Self::Boolean => matches!(
                    yaml.kind,
                    Kind::Scalar {
                        value: ScalarValue::Boolean(_),
                        ..
                    }
                ),
                Self::AnyMap | Self::MapOf(_) | Self::Object(_) => is_map,
                Self::List(_) => is_list,
                Self::OneOrMany(item) => is_list || item.admits(yaml),
                Self::Either(shapes) => shapes.iter().any(|shape| shape.admits(yaml)),
                Self::Step | Self::Call => !is_list,
            }
    }
}

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, doc }
}

pub(in crate::load) const ON_FAILURE: &[&str] = &["stop", "rollback", "continue", "pause"];
pub(in crate::load) const ORDERS: &[&str] = &["sequential", "dag"];
pub(in crate::load) const MISFIRES: &[&str] = &["skip", "once"];
pub(in crate::load) const IF_HELD: &[&str] = &["refuse", "queue", "skip"];
pub(in crate::load) const OVERLAPS: &[&str] = &["forbid", "queue", "allow"];
/// The words of [`caxplan_model::RunEnd::ALL`], in its order, and one for all of them.
pub(in crate::load) const NOTIFY_ON: &[&str] = &[
    "succeeded",
    "failed",
    "rolled_back",
    "stuck",
    "waiting",
    "cancelled",
    "always",
];
pub(in crate::load) const BACKOFFS: &[&str] = &["exponential", "constant"];
pub(in crate::load) const FAILURE_KINDS: &[&str] = &[
    "timeout",
    "unavailable",
    "denied",
    "conflict",
    "not_found",
    "invalid",
    "exit",
    "expectation",
    "breach",
    "cancelled",
    "lost",
    "rejected",
    "invariant",
    "template",
    "other",
];
pub(in crate::load) const PARAM_TYPES: &[&str] = &[
    "string", "integer", "number", "boolean", "duration", "bytes", "version", "enum", "list", "map",
];

const CONDITIONS: Shape = Shape::OneOrMany(&Shape::Text);
const STEPS: Shape = Shape::List(&Shape::Step);

/// The keys that make a file something to run. A file without any of them is a library or an inventory.
pub fn body_keys() -> impl Iterator<Item = &'static str> {
    BODIES.iter().map(|(key, _)| *key)
}

/// The keys that say what a document is, and the keys that it then has.
pub(in crate::load) static BODIES: &[(&str, &Object)] = &[
    ("upgrade_strategy", &PLAN),
    ("strategy", &PLAN),
    ("phases", &PLAN),
    ("maintenance", &MAINTENANCE),
    ("backup", &BACKUP),
    ("health_checks", &MONITORS),
    ("alerts", &ALERTS),
];
