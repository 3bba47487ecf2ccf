//! JSON Schemas for editors, made from the table of keys that the loader itself reads by.

use super::keys::{
    ALERTS, BACKUP, INVENTORY_FILE, Key, LIBRARY, MAINTENANCE, MONITORS, NOTIFICATION, Object, PLAN, STEP,
    Shape,
};
use caxplan_model::{Map, Value};
use serde_json::json;

/// The kinds of documents that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// A plan.
    Plan,
    /// An action library.
    Library,
    /// An inventory file.
    Inventory,
    /// A maintenance calendar.
    Maintenance,
    /// A backup policy.
    Backup,
    /// Monitors.
    HealthChecks,
    /// Alert rules.
    Alerts,
}

impl DocumentKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Plan,
        Self::Library,
        Self::Inventory,
        Self::Maintenance,
        Self::Backup,
        Self::HealthChecks,
        Self::Alerts,
    ];

    /// Its name on the command line and in file names: `schemas/plan.schema.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Library => "library",
            Self::Inventory => "inventory",
            Self::Maintenance => "maintenance",
            Self::Backup => "backup",
            Self::HealthChecks => "health_checks",
            Self::Alerts => "alerts",
        }
    }
}

/// The JSON Schema (draft 2020-12) of a kind of documents, for `# yaml-language-server: $schema=…`.
///
/// It says what an editor can use. The loader checks more: names, references, and the arguments of each action.
pub fn schema(kind: DocumentKind) -> Value {
    let object = match kind {
        DocumentKind::Plan => &PLAN,
        DocumentKind::Library => &LIBRARY,
        DocumentKind::Inventory => &INVENTORY_FILE,
        DocumentKind::Maintenance => &MAINTENANCE,
        DocumentKind::Backup => &BACKUP,
        DocumentKind::HealthChecks => &MONITORS,
        DocumentKind::Alerts => &ALERTS,
    };
    let mut definitions = Map::new();
    let reference = define(object, &mut definitions);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("caxplan: {}", object.name),
    });
    if let (Value::Object(schema), Value::Object(reference)) = (&mut schema, reference) {
        schema.extend(reference);
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    schema
}

/// Adds an object's definition, unless it is there, and answers a reference to it.
fn define(object: &Object, definitions: &mut Map) -> Value {
    if !definitions.contains_key(object.schema) {
        // Objects hold each other: the name is taken before the inside is looked at.
        definitions.insert(object.schema.to_owned(), Value::Null);
        let properties: Map = object
            .keys
            .iter()
            .map(|key| (key.name.to_owned(), property(key, definitions)))
            .collect();
        let mut definition = json!({"type": "object", "properties": properties});
        // Keys of their own beside the name of an action, which no schema knows.
        let names_action = [STEP.schema, NOTIFICATION.schema].contains(&object.schema);
        definition["additionalProperties"] = if names_action {
            json!({"type": ["object", "null"], "description": "An action with its arguments."})
        } else {
            json!(false)
        };
        if !object.required.is_empty() {
            definition["required"] = json!(object.required);
        }
        definitions.insert(object.schema.to_owned(), definition);
    }
    json!({"$ref": format!("#/$defs/{}", object.schema)})
}

fn property(key: &Key, definitions: &mut Map) -> Value {
    let mut schema = of_shape(&key.shape, definitions);
    schema["description"] = json!(key.doc);
    schema
}

fn of_shape(shape: &Shape, definitions: &mut Map) -> Value {
    match shape {
        Shape::Text => json!({"type": ["string", "number", "boolean"]}),
        Shape::Duration => json!({
            "type": ["string", "integer"],
            "anyOf": [
                {"const": 0},
                {"pattern": r"^\s*(0|([0-9]+(\.[0-9]+)?(ms|s|sec|secs|m|min|mins|h|d|w))+)\s*$"},
                {"pattern": r"\{\{"},
            ],
            "examples": ["30s", "5m", "1h30m"],
        }),
        Shape::Count => {
            json!({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"\{\{"}]})
        }
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Word(words) => json!({"enum": words}),
        Shape::Any => json!({}),
        Shape::AnyMap => json!({"type": ["object", "null"]}),
        Shape::List(item) => json!({"type": "array", "items": of_shape(item, definitions)}),
        Shape::MapOf(value) => {
            let value = of_shape(value, definitions);
            json!({"type": "object", "additionalProperties": {"anyOf": [value, {"type": "null"}]}})
        }
        Shape::OneOrMany(item) => {
            let item = of_shape(item, definitions);
            json!({"anyOf": [item, {"type": "array", "items": item}]})
        }
        Shape::Either(shapes) => {
            let any: Vec<Value> = shapes.iter().map(|shape| of_shape(shape, definitions)).collect();
            json!({"anyOf": any})
        }
        Shape::Object(object) => define(object, definitions),
        Shape::Step => {
            let mapping = define(&STEP, definitions);
            json!({"anyOf": [{"type": "string", "description": "A name that a library binds."}, mapping]})
        }
        Shape::Call => json!({
            "anyOf": [
                {"type": "string"},
                {"type": "object", "description": "`{adapter.verb: {argument: value}}`, or `{action, with}`."},
            ],
        }),
    }
}
