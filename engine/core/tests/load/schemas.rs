//! The JSON Schemas for editors: committed, and true of the fixtures.

use crate::{actions::actions, fixtures};
use caxplan_core::load::{DocumentKind, NO_ACTIONS, schema};
use caxplan_model::Value;
use std::fs;
use std::path::Path;

/// The schema without what it says of actions, which the adapters say.
fn without_actions(mut schema: Value) -> Value {
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        definitions.retain(|name, _| !name.starts_with("action."));
        for (object, definition) in definitions.iter_mut() {
            if let Some(Value::Object(properties)) = definition.get_mut("properties")
                && ["step_mapping", "notification", "call"].contains(&object.as_str())
            {
                properties.retain(|name, _| !name.contains('.'));
                if let Some(Value::Object(action)) = properties.get_mut("action") {
                    action.shift_remove("examples");
                }
            }
        }
    }
    schema
}

#[test]
fn committed_schemas_are_what_the_loader_says() {
    for kind in DocumentKind::all() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../schemas")
            .join(format!("{}.schema.json", kind.name()));
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let committed: Value = serde_json::from_str(&committed).unwrap_or_default();
        assert!(
            without_actions(committed) == without_actions(schema(kind, &NO_ACTIONS)),
            "{} is out of date: run `cargo xtask generate`",
            path.display()
        );
    }
}

#[test]
fn every_key_is_explained_to_editors() {
    let mut missing = Vec::new();
    for kind in DocumentKind::all() {
        let schema = schema(kind, &NO_ACTIONS);
        for (object, definition) in schema["$defs"].as_object().expect("definitions") {
            let properties = definition["properties"].as_object();
            for (name, property) in properties.into_iter().flatten() {
                let speaks_for_itself = ["examples", "enum", "$ref"]
                    .iter()
                    .any(|key| property.get(key).is_some())
                    || property["type"] == "boolean"
                    || object == "call";
                // Of the items of a list, or of the values of a mapping.
                let has_words = property.to_string().contains("\"enum\"");
                if property["description"].as_str().is_none_or(str::is_empty)
                    || !(speaks_for_itself || has_words)
                {
                    missing.push(format!("{object}.{name}"));
                }
                for example in property["examples"].as_array().into_iter().flatten() {
                    let one = serde_json::json!({"$defs": schema["$defs"], "allOf": [property]});
                    let validator = jsonschema::validator_for(&one).expect("a schema");
                    assert!(validator.is_valid(example), "{object}.{name}: {example}");
                }
            }
        }
    }
    missing.sort();
    missing.dedup();
    assert!(
        missing.is_empty(),
        "add examples to keys/example.rs: {}",
        missing.join(", ")
    );
}

#[test]
fn arguments_of_actions_are_in_the_schema() {
    let schema = schema(DocumentKind::Plan, &actions());
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let check = |step: Value, valid: bool| {
        let plan = serde_json::json!({"phases": [{"name": "a", "steps": [step]}]});
        assert_eq!(validator.is_valid(&plan), valid, "{plan}");
    };
    use serde_json::json;
    check(json!({"shell.run": {"argv": ["echo", "a"]}}), true);
    check(json!({"shell.run": {"argv": "{{ params.argv }}"}}), true);
    check(json!({"shell.run": {"argv": 1}}), false);
    check(json!({"shell.run": {"args": ["a"]}}), false);
    check(json!({"cluster.upgrade": {"version": "1", "retries": -1}}), false);
    check(json!({"cluster.upgrade": null}), true);
    check(json!({"bound_by_a_library": {"anything": 1}}), true);
    check(
        json!({"shell.run": {"script": "a"}, "rollback": {"shell.run": {"scrip": "a"}}}),
        false,
    );
    let property = &schema["$defs"]["action.shell.run"]["properties"]["argv"];
    assert_eq!(property["description"], "The program and its arguments.");
}

#[test]
fn what_a_schema_can_tell_is_wrong_by_the_schema_too() {
    let validator = jsonschema::validator_for(&schema(DocumentKind::Plan, &actions())).expect("a schema");
    // A name that a library binds, a library's mistake, and options by paths look right to a schema.
    let exempt = [
        "library-group-in-rollback",
        "overrides-mistakes",
        "yaml-merge-key",
    ];
    // Codes that speak of the form alone.
    let told = ["unknown-key", "wrong-word", "unknown-argument"];
    let mut silent = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(fixtures().join("invalid")).expect("the fixtures are there") {
        let path = entry.expect("a fixture").path();
        let said = fs::read_to_string(path.with_extension("stderr")).unwrap_or_default();
        let is_plan = path.extension().is_some_and(|ending| ending == "yaml");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if !is_plan
            || exempt.contains(&name.as_str())
            || said.contains("[yaml-")
            || !told.iter().any(|code| said.contains(&format!("error[{code}]")))
        {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a fixture is text");
        if !said.contains(&format!(" {name}.yaml:"))
            || !["phases:", "strategy:"].iter().any(|body| text.contains(body))
        {
            continue;
        }
        count += 1;
        if validator.is_valid(&saphyr_to_json(text.trim_start_matches('\u{feff}'))) {
            silent.push(name);
        }
    }
    silent.sort();
    assert!(count >= 40, "only {count}");
    assert!(
        silent.is_empty(),
        "the schema says nothing about {}",
        silent.join(", ")
    );
}

#[test]
fn good_documents_are_valid_by_their_schema() {
    let check = |kind: DocumentKind, path: &str| {
        let text = fs::read_to_string(fixtures().join("valid").join(path)).expect("a fixture");
        let document = saphyr_to_json(&text);
        let validator = jsonschema::validator_for(&schema(kind, &actions())).expect("a schema");
        let wrong: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{path}: {}", wrong.join("\n"));
    };
    check(DocumentKind::Plan, "upgrade_strategy.yaml");
    check(DocumentKind::Plan, "every_form.yaml");
    check(DocumentKind::Library, "lib/cluster.yaml");
    check(DocumentKind::Inventory, "lib/nodes.yaml");
    check(DocumentKind::Plan, "../seeds/upgrade_strategy.yaml");
    check(DocumentKind::Maintenance, "../seeds/maintenance.yaml");
    check(DocumentKind::Backup, "../seeds/backup.yaml");
    check(DocumentKind::HealthChecks, "../seeds/health_checks.yaml");
    check(DocumentKind::Alerts, "../seeds/alerts.yaml");
}

fn saphyr_to_json(text: &str) -> serde_json::Value {
    use saphyr::{LoadableYamlNode, Scalar, Yaml};
    fn convert(yaml: &Yaml<'_>) -> serde_json::Value {
        match yaml {
            Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
            Yaml::Value(Scalar::Integer(value)) => (*value).into(),
            Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
            Yaml::Value(Scalar::String(value)) => value.as_ref().into(),
            Yaml::Sequence(items) => items.iter().map(convert).collect(),
            Yaml::Mapping(map) => map
                .iter()
                .map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), convert(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            _ => serde_json::Value::Null,
        }
    }
    convert(&Yaml::load_from_str(text).expect("valid")[0])
}
