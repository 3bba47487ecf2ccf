//! JSON Schemas for editors, made from the table of keys that the loader itself reads by.

use super::keys::{
    ALERTS, BACKUP, INVENTORY_FILE, Key, LIBRARY, MAINTENANCE, MONITORS, NOTIFICATION, Object, PLAN, STEP,
    Shape, TEST,
};
use super::request::Catalog;
use super::yaml::parse_value;
use caxplan_model::{ActionSpec, Map, Value};
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
    /// A test of a plan.
    Test,
}

/// The kinds, each with its name on the command line and in file names, and what it is.
const KINDS: [(DocumentKind, &str, &str); 8] = [
    (DocumentKind::Plan, "plan", "A plan"),
    (DocumentKind::Library, "library", "An action library"),
    (DocumentKind::Inventory, "inventory", "An inventory"),
    (DocumentKind::Maintenance, "maintenance", "A maintenance calendar"),
    (DocumentKind::Backup, "backup", "A backup policy"),
    (DocumentKind::HealthChecks, "health_checks", "Monitors"),
    (DocumentKind::Alerts, "alerts", "Alert rules"),
    (DocumentKind::Test, "test", "A test of a plan"),
];

impl DocumentKind {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|(kind, ..)| *kind)
    }

    /// Its name on the command line and in file names: `schemas/plan.schema.json`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What it is, for a person.
    pub fn about(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> &'static (Self, &'static str, &'static str) {
        let row = KINDS.iter().find(|(kind, ..)| *kind == self);
        row.expect("every kind stands in the table")
    }
}

/// The JSON Schema (draft 2020-12) of a kind of documents, for `# yaml-language-server: $schema=…`.
///
/// It says what an editor can use: the keys with descriptions, examples and defaults, and those of the arguments of
/// every one of `actions`. The loader checks more: names, references, and which arguments must be there, for a library
/// or `defaults` may bring them.
pub fn schema(kind: DocumentKind, actions: &dyn Catalog) -> Value {
    let actions = &actions.actions();
    let object = match kind {
        DocumentKind::Plan => &PLAN,
        DocumentKind::Library => &LIBRARY,
        DocumentKind::Inventory => &INVENTORY_FILE,
        DocumentKind::Maintenance => &MAINTENANCE,
        DocumentKind::Backup => &BACKUP,
        DocumentKind::HealthChecks => &MONITORS,
        DocumentKind::Alerts => &ALERTS,
        DocumentKind::Test => &TEST,
    };
    let mut definitions = Map::new();
    let reference = define(object, &mut definitions, actions);
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
fn define(object: &Object, definitions: &mut Map, actions: &[&ActionSpec]) -> Value {
    if !definitions.contains_key(object.schema) {
        // Objects hold each other: the name is taken before the inside is looked at.
        definitions.insert(object.schema.to_owned(), Value::Null);
        let mut properties: Map = object
            .keys
            .iter()
            .map(|key| (key.name.to_owned(), property(object, key, definitions, actions)))
            .collect();
        let mut definition = json!({"type": "object"});
        // A step's own keys beside the name of an action: one of an adapter, or one that a library binds.
        definition["additionalProperties"] = if [STEP.schema, NOTIFICATION.schema].contains(&object.schema) {
            if let Some(action) = properties.get_mut("action") {
                action["examples"] = actions.iter().map(|spec| spec.name.as_str()).collect();
            }
            properties.extend(calls(definitions, actions));
            json!({"type": ["object", "null"], "description": "An action with its arguments."})
        } else {
            json!(false)
        };
        definition["properties"] = Value::Object(properties);
        if !object.required.is_empty() {
            definition["required"] = json!(object.required);
        }
        definitions.insert(object.schema.to_owned(), definition);
    }
    json!({"$ref": format!("#/$defs/{}", object.schema)})
}

/// One property per action: its arguments.
fn calls(definitions: &mut Map, actions: &[&ActionSpec]) -> Map {
    actions
        .iter()
        .map(|spec| {
            let definition = format!("{ACTION}{}", spec.name);
            let reference = json!({
                "anyOf": [{"$ref": format!("#/$defs/{definition}")}, {"type": "null"}],
                "description": spec.summary,
            });
            if !definitions.contains_key(&definition) {
                let arguments = arguments(spec, &definition);
                definitions.insert(definition, arguments);
            }
            (spec.name.clone(), reference)
        })
        .collect()
}

/// What the names of the definitions of actions' arguments begin with.
const ACTION: &str = "action.";

/// The schema of an action's arguments, each of which may be a template too.
fn arguments(spec: &ActionSpec, definition: &str) -> Value {
    // What it defines itself lies deeper here.
    let text = spec.arguments.to_string();
    let text = text.replace("\"#/$defs/", &format!("\"#/$defs/{definition}/$defs/"));
    let mut schema: Value = serde_json::from_str(&text).unwrap_or_default();
    if let Value::Object(schema) = &mut schema {
        for key in ["$schema", "title", "required", "oneOf", "anyOf", "allOf"] {
            schema.shift_remove(key);
        }
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            for property in properties.values_mut() {
                let mut either = json!({"anyOf": [property, {"type": "string", "pattern": r"\{\{"}]});
                for key in ["description", "default", "examples"] {
                    if let Some(value) = property.get(key) {
                        either[key] = value.clone();
                    }
                }
                *property = either;
            }
        }
    }
    schema["description"] = json!(spec.summary);
    schema
}

fn property(object: &Object, key: &Key, definitions: &mut Map, actions: &[&ActionSpec]) -> Value {
    let mut schema = of_shape(&key.shape, definitions, actions);
    schema["description"] = json!(key.doc);
    if let Some(default) = object.default(key.name) {
        schema["default"] = parse_value(default);
    }
    if let Some(example) = object.example(key.name) {
        schema["examples"] = json!([parse_value(example)]);
    }
    schema
}

fn of_shape(shape: &Shape, definitions: &mut Map, actions: &[&ActionSpec]) -> Value {
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
        Shape::List(item) => json!({"type": "array", "items": of_shape(item, definitions, actions)}),
        Shape::MapOf(value) => {
            let value = of_shape(value, definitions, actions);
            json!({"type": "object", "additionalProperties": {"anyOf": [value, {"type": "null"}]}})
        }
        Shape::OneOrMany(item) => {
            let item = of_shape(item, definitions, actions);
            json!({"anyOf": [item, {"type": "array", "items": item}]})
        }
        Shape::Either(shapes) => {
            let any: Vec<Value> = shapes
                .iter()
                .map(|shape| of_shape(shape, definitions, actions))
                .collect();
            json!({"anyOf": any})
        }
        Shape::Object(object) => define(object, definitions, actions),
        Shape::Step => {
            let mapping = define(&STEP, definitions, actions);
            json!({"anyOf": [{"type": "string", "description": "A name that a library binds."}, mapping]})
        }
        Shape::Call => {
            if !definitions.contains_key("call") {
                let mut properties = calls(definitions, actions);
                let text = |doc: &str| json!({"type": "string", "description": doc});
                properties.insert(
                    "action".to_owned(),
                    text("The action: `adapter.verb`, or a name that a library binds."),
                );
                properties.insert(
                    "with".to_owned(),
                    json!({"type": "object", "description": "The action's arguments."}),
                );
                properties.insert(
                    "done_when".to_owned(),
                    text("Of a probe: the condition on its output that says so."),
                );
                let call = json!({
                    "type": "object",
                    "properties": properties,
                    "description": "`{adapter.verb: {argument: value}}`, or `{action, with}`.",
                });
                definitions.insert("call".to_owned(), call);
            }
            json!({"anyOf": [{"type": "string"}, {"$ref": "#/$defs/call"}]})
        }
    }
}
