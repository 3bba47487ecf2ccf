//! Plans that load, and what becomes of them.

use crate::{With, load_file, load_text};
use caxplan_core::load::Loaded;
use caxplan_model::{ActionStep, Graph, NodeKind, Value};
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
        libraries: vec!["lib/cluster.yaml"],
        inventory: Some("lib/nodes.yaml"),
        ..With::default()
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
    assert_eq!((again.retry().attempts, again.retry().factor_percent), (5, 100));
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
      - shell.run: {argv: [x], env: {TOKEN: "{{ params.token }}"}}
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

#[test]
fn every_form_is_lowered() {
    let mut with = With {
        libraries: vec!["lib/cluster.yaml"],
        inventory: Some("lib/nodes.yaml"),
        ..With::default()
    };
    with.params.insert("token".to_owned(), json!("hush"));
    let graph = load_file("valid", "every_form.yaml", &with)
        .unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
        .graph;
    insta::assert_snapshot!(outline(&graph));

    assert_eq!(graph.header.locks[0].as_str(), "cluster-1.1.0");
    assert_eq!(graph.vars["dest"], json!("/backup/1.1.0"));
    let upgrade = action(&graph, "work/cluster.upgrade");
    assert_eq!(
        Value::Object(upgrade.call.with.clone().into()),
        json!({"retries": 7, "version": "{{ params.version }}", "api": "{{ vars.api }}"}),
        "an override and the library's arguments are added"
    );
    assert_eq!(
        upgrade.timeout.map(|timeout| timeout.to_string()),
        Some("2m".to_owned())
    );
    assert_eq!(upgrade.retry().attempts, 2, "the plan's default");
    let health = action(&graph, "work/verify_cluster_health");
    assert_eq!(
        health.retry().attempts,
        3,
        "the library's default goes before the plan's"
    );
    let drain = action(&graph, "nodes/node-1/drain_traffic");
    assert_eq!(drain.target.as_deref(), Some("{{ target.name }}"));

    let kind = |id: &str| {
        &graph
            .node(graph.find(id).unwrap_or_else(|| panic!("no {id}")))
            .kind
    };
    let NodeKind::Rolling(rolling) = kind("nodes/foreach_node") else {
        panic!("known items are expanded");
    };
    assert_eq!(rolling.batches.len(), 3, "half of three nodes is one");
    assert_eq!(
        (rolling.delay.as_deref(), rolling.max_unavailable),
        (Some("10m"), Some(2))
    );
    let NodeKind::Foreach(deferred) = kind("nodes/foreach") else {
        panic!("what the run finds out is expanded then");
    };
    assert_eq!(deferred.when.as_deref(), Some("node.up"));
    assert_eq!(deferred.body[1].id.as_str(), "inner");
    let c = graph.node(graph.find("graph/c").expect("there"));
    assert_eq!(*c.needs, [graph.find("graph/b").expect("there")]);
    let node = graph.node(graph.find("nodes/node-2").expect("there"));
    assert_eq!(node.bindings["target"]["vars"], json!({"port": 8081}));
    assert_eq!(node.bindings["target"], node.bindings["node"]);
}

#[test]
fn an_inventory_brings_targets_values_and_provision() {
    let graph = loaded(
        r#"
params:
  size: {type: integer, default: 1}
vars: {api: plan, region: eu}
inventory:
  targets:
    a: {groups: [web], labels: {zone: 1}}
    b: {}
  groups:
    web: {labels: {zone: 2, role: web}, vars: {port: 80}}
    all: {targets: [a, b]}
  vars: {api: inventory}
  params: {size: 2}
  provision:
    - cluster.backup: {dest: "{{ vars.api }}"}
phases:
  - name: p
    steps:
      - foreach: "{{ targets('role=web') }}"
        steps: [{shell.run: {argv: ["{{ item.name }}"]}}]
"#,
    )
    .graph;
    assert_eq!(
        outline(&graph),
        "provision sequence\nprovision/cluster.backup action\np sequence\np/foreach rolling\np/a sequence\n\
         p/a/shell.run action"
    );
    assert_eq!(graph.params["size"], json!(2));
    assert_eq!(
        Value::Object(graph.vars.clone()),
        json!({"api": "inventory", "region": "eu"})
    );
    let a = &graph.targets[0];
    assert_eq!(
        (a.groups.join(","), a.labels["zone"].as_str()),
        ("all,web".to_owned(), "1")
    );
}

#[test]
fn the_digest_depends_on_what_runs() {
    let plan = |argument: &str| {
        loaded(&format!(
            "phases: [{{name: p, steps: [{{shell.run: {{script: {argument}}}}}]}}]"
        ))
    };
    assert_eq!(plan("a").graph.digest(), plan("a").graph.digest());
    assert_ne!(plan("a").graph.digest(), plan("b").graph.digest());
}

#[test]
fn a_child_plan_becomes_a_part_of_the_graph_and_sees_only_itself() {
    let graph = load_file("valid", "child.yaml", &With::default())
        .unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
        .graph;
    assert_eq!(
        outline(&graph),
        "\
main sequence
main/item dag
main/item/copy sequence
main/item/copy/copy action
main/item/check sequence
main/item/check/shell.run action
main/late sequence
main/late/foreach foreach
main/each rolling
main/each/a sequence
main/each/a/inner sequence
main/each/a/inner/foreach rolling
main/each/a/inner/params dag
main/each/a/inner/copy sequence
main/each/a/inner/copy/copy action
main/each/a/inner/check sequence
main/each/a/inner/check/shell.run action"
    );
    let node = |id: &str| graph.node(graph.find(id).unwrap_or_else(|| panic!("no `{id}`")));
    let copy = node("main/item/copy");
    assert_eq!(copy.bindings["params"], json!({"name": "x1", "times": 2}));
    assert_eq!(copy.bindings["vars"], json!({"folder": "/tmp"}));
    assert_eq!(copy.bindings["targets"][0]["name"], "own");
    assert_eq!(copy.bindings["target"], json!(null));
    assert_eq!(copy.on_failure, Some(caxplan_model::OnFailure::Continue));
    assert_eq!(
        node("main/each/a/inner/params").bindings["params"],
        json!({"name": "a", "times": 7})
    );
    assert_eq!(
        action(&graph, "main/item/copy/copy").retry().attempts,
        4,
        "the child's own defaults"
    );
    assert_eq!(
        node("main/item").child.as_ref().expect("a child").plan,
        "lib/child.yaml"
    );
    let header = &graph.header;
    assert_eq!(header.env, ["HOME", "LANG"]);
    assert_eq!(
        header.secrets,
        *json!({"own": {"env": "OWN"}, "token": {"file": "lib/token"}})
            .as_object()
            .expect("a map")
    );
    assert_eq!(
        header.locks,
        ["parent", "copy-x1"].map(caxplan_model::LockName::new),
        "a lock that two children name is there once"
    );
    let files: Vec<&str> = header.sources.iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(files, ["child.yaml", "lib/child.yaml"]);
}
