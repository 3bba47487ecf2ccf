//! Mistakes in plans.

use super::{effects, sandbox};

/// argo-workflows#1574, #14603: arguments with names that the called template does not have passed the linter.
#[test]
fn argo_1574_an_argument_that_an_action_does_not_have_is_an_error_before_anything_runs() {
    let sandbox = sandbox(
        "
phases:
  - name: work
    steps:
      - {id: first, action: shell.run, with: {script: echo first >> effects}}
      - {id: ghost, action: file.write, with: {path: out, contents: wooo}}
",
    );
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(2)
        .expect_text("plan.yaml:6:")
        .expect_text("`contents`")
        .expect_text("`content`");
    assert_eq!(effects(&sandbox), [""; 0]);
}

/// st2#4635: `when: succeeded` (a function's name without its parentheses), and `and` between two expressions, were always true.
#[test]
fn st2_4635_a_condition_that_is_always_true_by_mistake_is_an_error() {
    for (condition, told) in [
        ("succeeded", "`succeeded`"),
        ("\"{{ params.foo }} and {{ params.bar }}\"", "when"),
    ] {
        let sandbox = sandbox(&format!(
            "
params: {{foo: {{type: boolean, default: false}}, bar: {{type: boolean, default: false}}}}
phases:
  - name: work
    steps:
      - {{id: one, action: shell.run, with: {{script: echo one >> effects}}}}
      - {{id: two, action: shell.run, when: {condition}, with: {{script: echo two >> effects}}}}
"
        ));
        sandbox
            .caxplan(&["run", "plan.yaml"])
            .expect_code(2)
            .expect_text("plan.yaml:7:")
            .expect_text(told);
        assert_eq!(effects(&sandbox), [""; 0], "{condition}");
    }
}

/// st2#4590, #3181: values with `{{ … }}` in them, given as parameters or put out by other actions, were read as templates.
#[test]
fn st2_4590_data_that_looks_like_a_template_stays_as_it_is() {
    const DATA: &str = "{{ 6 * 7 }} {% for x in y %} {{.XYZ}} {{ secrets.token }}";
    let sandbox = sandbox(
        r#"
secrets: {token: {file: token}}
params: {note: {type: string, required: true}}
phases:
  - name: work
    steps:
      - {id: read, file.read: {path: data}}
      - {id: param, file.write: {path: from-param, content: "{{ params.note }}"}}
      - {id: output, file.write: {path: from-output, content: "{{ steps.read.output.content }}"}}
      - foreach: {var: item, in: "{{ [steps.read.output.content] }}"}
        steps: [{id: item, file.write: {path: from-item, content: "{{ item }}"}}]
"#,
    );
    sandbox.file("token", "hunter2-hunter2");
    sandbox.file("data", DATA);
    sandbox
        .caxplan(&["run", "plan.yaml", "-p", &format!("note={DATA}")])
        .expect_code(0);
    for file in ["from-param", "from-output", "from-item"] {
        assert_eq!(sandbox.read(file), DATA, "{file}");
    }
}
