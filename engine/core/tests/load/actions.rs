//! The actions that the fixtures are written for.

use caxplan_model::{ActionSpec, Effect, UndoSupport, Value};
use serde_json::json;

/// A small table: what an adapter for commands and one for clusters would offer.
pub(crate) fn actions() -> Vec<ActionSpec> {
    let mut shell = spec(
        "shell.run",
        json!({
            "argv": {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "The program and its arguments."},
            "script": {"type": "string", "description": "A script for the shell."},
            "env": {"type": "object", "additionalProperties": {"type": "string"}},
            "cwd": {"type": "string"},
        }),
        &[],
        Effect::Changes,
    );
    shell.arguments["oneOf"] = json!([{"required": ["argv"]}, {"required": ["script"]}]);
    shell.undo = UndoSupport::Impossible;
    shell.public_arguments = vec!["argv".to_owned(), "script".to_owned()];
    let mut drain = spec("cluster.drain", json!({}), &[], Effect::Changes);
    drain.availability = -1;
    drain.idempotent = true;
    let mut undrain = spec("cluster.undrain", json!({}), &[], Effect::Changes);
    undrain.availability = 1;
    undrain.idempotent = true;
    let mut upgrade = spec(
        "cluster.upgrade",
        json!({
            "version": {"type": "string", "description": "The version to upgrade to."},
            "retries": {"type": "integer", "minimum": 0},
        }),
        &["version"],
        Effect::Changes,
    );
    upgrade.records_before = true;
    upgrade.undo = UndoSupport::Native;
    vec![
        shell,
        spec(
            "cluster.health",
            json!({"node": {"type": "string"}}),
            &[],
            Effect::ReadOnly,
        ),
        spec("cluster.pick", json!({}), &[], Effect::ReadOnly),
        spec("cluster.nodes", json!({}), &[], Effect::ReadOnly),
        spec(
            "cluster.version",
            json!({"is": {"type": "string"}}),
            &[],
            Effect::ReadOnly,
        ),
        spec("cluster.metrics", json!({}), &[], Effect::ReadOnly),
        spec(
            "cluster.backup",
            json!({"dest": {"type": "string"}}),
            &["dest"],
            Effect::Changes,
        ),
        drain,
        undrain,
        upgrade,
    ]
}

fn spec(name: &str, mut properties: Value, required: &[&str], effect: Effect) -> ActionSpec {
    if name.starts_with("cluster.") {
        properties["api"] = json!({"type": "string", "description": "Where the cluster's API answers."});
    }
    let properties_have_changes = properties.get("changes").is_some();
    ActionSpec {
        name: name.to_owned(),
        summary: format!("{name} of the tests"),
        arguments: json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        }),
        output: json!({}),
        effect,
        changes_argument: properties_have_changes.then(|| "changes".to_owned()),
        idempotent: effect == Effect::ReadOnly,
        probes: false,
        undo: UndoSupport::NotNeeded,
        records_before: false,
        availability: 0,
        default_timeout: None,
        public_arguments: Vec::new(),
        examples: Vec::new(),
    }
}
