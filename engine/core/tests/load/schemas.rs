//! The JSON Schemas for editors: committed, and true of the fixtures.

use crate::fixtures;
use caxplan_core::load::{DocumentKind, schema};
use std::fs;
use std::path::Path;

#[test]
fn committed_schemas_are_what_the_loader_says() {
    for kind in DocumentKind::ALL {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../schemas")
            .join(format!("{}.schema.json", kind.name()));
        let now = serde_json::to_string_pretty(&schema(kind)).expect("plain data") + "\n";
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &now).expect("schemas can be written");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == now,
            "{} is out of date: run with UPDATE=1",
            path.display()
        );
    }
}

#[test]
fn good_documents_are_valid_by_their_schema() {
    let check = |kind: DocumentKind, path: &str| {
        let text = fs::read_to_string(fixtures().join("valid").join(path)).expect("a fixture");
        let document = saphyr_to_json(&text);
        let validator = jsonschema::validator_for(&schema(kind)).expect("a schema");
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
