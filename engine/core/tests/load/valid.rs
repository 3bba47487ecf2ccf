//! Plans that load, and what becomes of them.

use crate::{With, load_file, load_text};
use caxplan_core::load::Loaded;
use caxplan_model::{ActionStep, Graph, Map, NodeKind, Value};
use serde_json::json;

fn loaded(text: &str) -> Loaded {
    with_params(text, json!({}))
}

fn with_params(text: &str, params: Value) -> Loaded {
    let Value::Object(params) = params else {
        panic!("parameters are a mapping");
    };
    load_text(text, &params).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
}

/// The graph as one line per node: id and kind, indented by depth.
fn outline(graph: &Graph) -> String {
    let lines: Vec<String> = graph.nodes[1..]
        .iter()
        .map(|node| {
            let kind = serde_json::to_value(&node.kind).expect("plain data");
            format!("{} {}", node.id, kind["kind"].as_str().unwrap_or_default())
        })
        .collect();
    lines.join("\n")
}

fn action<'g>(graph: &'g Graph, id: &str) -> &'g ActionStep {
    let index = graph
        .find(id)
        .unwrap_or_else(|| panic!("no `{id}` in\n{}", outline(graph)));
    match &graph.node(index).kind {
        NodeKind::Action(step) => step,
        other => panic!("`{id}` is {other:?}"),
    }
}

#[test]
fn the_seed_loads_verbatim() {
    let with = With {
        libraries: &["lib/cluster.yaml"],
        inventory: Some("lib/nodes.yaml"),
        params: Map::new(),
    };
    let loaded = load_file("valid", "upgrade_strategy.yaml", &with)
        .unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
    assert_eq!(loaded.warnings.render(false), "");
    insta::assert_snapshot!(outline(&loaded.graph));
}

#[test]
fn a_simple_plan_needs_no_library() {
    let graph = loaded(
        r#"
name: hello
description: Says hello
params:
  who: {default: world}
  times: {type: integer, default: 2}
phases:
  - name: greet
    steps:
      - shell.run: {argv: [echo, "hello {{ params.who }}"]}
      - id: again
        shell.run: {script: "echo {{ params.times }}"}
        when: params.times > 1
        retry: {attempts: 5, backoff: constant}
        timeout: 90s
        on_failure: continue
        checkpoint: greeted
      - wait: 250ms
      - approve: Good?
      - checklist: [one, two]
"#,
    )
    .graph;
    assert_eq!(
        outline(&graph),
        "greet sequence\ngreet/shell.run action\ngreet/again action\ngreet/wait wait\ngreet/approve approve\n\
         greet/checklist checklist"
    );
    assert_eq!(
        (graph.header.name.as_str(), graph.params["times"].clone()),
        ("hello", json!(2))
    );
    let again = action(&graph, "greet/again");
    assert_eq!((again.retry.attempts, again.retry.factor_percent), (5, 100));
    assert_eq!(again.timeout.map(|timeout| timeout.as_millis()), Some(90_000));
    let node = graph.node(graph.find("greet/again").expect("there"));
    assert_eq!(node.when.as_deref(), Some("params.times > 1"));
    assert_eq!((node.source.line, node.source.column), (12, 9));
}

#[test]
fn parameters_are_typed_and_secrets_kept_apart() {
    let text = r#"
params:
  count: {type: integer, min: 1, max: 9}
  ratio: {type: number, default: 0.5}
  full: {type: boolean, default: false}
  delay: {type: duration, default: 5m}
  limit: {type: bytes, default: 2GiB}
  version: {type: version, default: 1.10}
  kind: {type: enum, values: [full, incremental], default: full}
  nodes: {type: list, default: []}
  labels: {type: map, default: {}}
  note: {required: false}
  token: {secret: true}
phases:
  - name: p
    steps:
      - wait: "{{ params.delay }}"
      - shell.run: {argv: [x, "{{ params.token }}"]}
"#;
    let given =
        json!({"count": "3", "full": "true", "nodes": "a, b", "labels": "{\"a\": 1}", "token": "hush"});
    let loaded = with_params(text, given);
    assert_eq!(
        Value::Object(loaded.graph.params.clone()),
        json!({
            "count": 3, "ratio": 0.5, "full": true, "delay": "5m", "limit": "2GiB", "version": "1.10", "kind": "full",
            "nodes": ["a", "b"], "labels": {"a": 1}, "note": null, "token": null,
        })
    );
    assert_eq!(Value::Object(loaded.secret_params), json!({"token": "hush"}));
    let wait = loaded.graph.node(loaded.graph.find("p/wait").expect("there"));
    assert_eq!(
        wait.kind,
        NodeKind::Wait {
            duration: "5m".to_owned()
        }
    );
    assert!(
        !serde_json::to_string(&loaded.graph)
            .expect("plain data")
            .contains("hush")
    );
}
