//! A runbook in Markdown becomes a draft plan.

use caxton_tests::{Sandbox, root};
use serde_json::Value;

fn runbook(name: &str) -> String {
    root()
        .join("examples/runbooks")
        .join(name)
        .to_string_lossy()
        .into_owned()
}

/// The steps of a phase of the draft.
fn steps(plan: &Value, phase: &str) -> Vec<Value> {
    let phases = plan["phases"].as_array().cloned().unwrap_or_default();
    let found = phases.iter().find(|found| found["name"] == phase);
    let found = found.unwrap_or_else(|| panic!("no phase {phase} in {plan:#}"));
    found["steps"].as_array().cloned().unwrap_or_default()
}

#[test]
fn a_runbook_becomes_a_draft_that_is_valid_and_asks_before_it_does_anything() {
    let sandbox = Sandbox::new();
    let end = sandbox
        .caxplan(&["import", &runbook("node-failure.md"), "--output", "draft.yaml"])
        .expect_code(0)
        .expect_text("TODOs to look at");
    assert_eq!(end.stdout, "");
    sandbox.caxplan(&["validate", "draft.yaml"]).expect_code(0);
    let text = sandbox.read("draft.yaml");
    let plan: Value = serde_saphyr::from_str(&text).expect("YAML");

    let phases: Vec<&str> = plan["phases"]
        .as_array()
        .expect("phases")
        .iter()
        .filter_map(|phase| phase["name"].as_str())
        .collect();
    assert_eq!(
        phases,
        ["draft", "recovery", "before_you_close_the_ticket"],
        "what only tells is no phase:\n{text}"
    );
    let recovery = steps(&plan, "recovery");
    let ids: Vec<&str> = recovery.iter().filter_map(|step| step["id"].as_str()).collect();
    assert_eq!(
        ids,
        [
            "look_at_the_node",
            "restart_it",
            "wait_5m",
            "run_node_tool_remove_node_id",
            "call_the_data_centre",
            "wait_60s"
        ],
        "{text}"
    );
    let script = recovery[0]["with"]["script"].as_str().expect("a script");
    assert!(
        script.contains("{{ params.node_id }}") && script.contains("{{ '{{' }}.State}}"),
        "{script}"
    );
    assert_eq!(recovery[2]["wait"], "5m");
    assert_eq!(recovery[2]["when"], Value::Null);
    for step in &recovery[3..] {
        assert_eq!(step["when"], "params.if_the_node_is_still_down", "{step}");
    }
    let close = steps(&plan, "before_you_close_the_ticket");
    assert_eq!(
        close[0]["checklist"],
        serde_json::json!(["Alert is silent", "Cause is written down"])
    );
    for line in ["node-failure.md:21", "a block of yaml", "TODO"] {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }

    // Run by mistake, it does nothing but ask.
    sandbox
        .caxplan(&["run", "draft.yaml"])
        .expect_code(5)
        .expect_text("TODO");
}

#[test]
fn an_import_overwrites_nothing_and_says_what_it_cannot_do() {
    let sandbox = Sandbox::new();
    let runbook = runbook("node-failure.md");
    sandbox.file("draft.yaml", "mine");
    sandbox
        .caxplan(&["import", &runbook, "--output", "draft.yaml"])
        .expect_code(2)
        .expect_text("remove it first");
    assert_eq!(sandbox.read("draft.yaml"), "mine");
    sandbox
        .caxplan(&["import", &runbook, "--section", "Detection"])
        .expect_code(2)
        .expect_text("nothing to do");
    sandbox
        .caxplan(&["import", "none.md"])
        .expect_code(2)
        .expect_text("none.md");
    std::fs::write(sandbox.path().join("bytes.md"), b"# a\n\xff\xfe").expect("written");
    sandbox
        .caxplan(&["import", "bytes.md"])
        .expect_code(2)
        .expect_text("UTF-8");
}

/// Whatever stands in a runbook, the draft is a plan.
#[test]
fn a_hostile_runbook_becomes_a_valid_draft_too() {
    let sandbox = Sandbox::new();
    for (number, text) in [
        "# {{ x }}\n\n- [ ] {% if %}\n- [ ] \"quoted\" 'it' \\ # :\n",
        "# a\n\n```sh\n   indented first\n\ttab\n\u{b}odd\n```\n",
        "# a\n# a\n\n1. one\n2. one\n\n# a\n\n1. one\n",
        "no heading\n\n- do this\n- \u{2028}odd\u{85}\n",
        "# 1\n\n```bash\necho <a b> <a-b> ${#x} {{y}} {%z%}\n```\n",
        "# Deep\n\n- a\n  - b\n    - c\n      ```sh\n      ls\n      ```\n",
        "# if\n\nIf {{ evil }}:\n\n- do `rm -rf <path>` now\n",
        "# - id: x\n\n```sh\n|\n- id: y\n# ---\n...\n```\n",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("runbook-{number}.md");
        let draft = format!("draft-{number}.yaml");
        std::fs::write(sandbox.path().join(&name), text).expect("written");
        let end = sandbox.caxplan(&["import", &name, "--output", &draft]);
        assert_eq!(end.code, 0, "{text}\n{}\n{}", end.stderr, sandbox.read(&draft));
        sandbox.caxplan(&["validate", &draft]).expect_code(0);
    }
}
