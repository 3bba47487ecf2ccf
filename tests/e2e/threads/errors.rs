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
      - foreach: {var: item, in: ["{{ params.note }}"]}
        steps: [{id: listed, file.write: {path: from-list, content: "{{ item }}"}}]
"#,
    );
    sandbox.file("token", "hunter2-hunter2");
    sandbox.file("data", DATA);
    sandbox
        .caxplan(&["run", "plan.yaml", "-p", &format!("note={DATA}")])
        .expect_code(0);
    for file in ["from-param", "from-output", "from-item", "from-list"] {
        assert_eq!(sandbox.read(file), DATA, "{file}");
    }
}

/// argo-workflows#14603: a template of another file was called with a parameter that it does not have, without the one that it needs,
/// and the linter found no errors.
#[test]
fn argo_14603_the_parameters_of_another_plan_are_checked_where_it_is_called() {
    let sandbox = sandbox(
        "
phases:
  - name: work
    steps:
      - {id: first, action: shell.run, with: {script: echo first >> effects}}
      - id: call
        run: print.yaml
        params: {wrong-param-name: hello}
",
    );
    sandbox.file(
        "print.yaml",
        "params: {message: {}}\nphases: [{name: print, steps: [{shell.run: {script: 'echo {{ params.message }} >> effects'}}]}]\n",
    );
    for command in ["validate", "run"] {
        sandbox
            .caxplan(&[command, "plan.yaml"])
            .expect_code(2)
            .expect_text("plan.yaml:8:18")
            .expect_text("`print.yaml` has no parameter `wrong-param-name`")
            .expect_text("plan.yaml:7:14")
            .expect_text("the parameter `message` of `print.yaml` has no value");
    }
    assert_eq!(effects(&sandbox), [""; 0]);
}

/// st2#5956: an input that held `<% @ %>` was taken for a broken expression where a condition and a later task read it.
#[test]
fn st2_5956_data_that_looks_like_a_broken_template_is_compared_and_handed_on() {
    let sandbox = sandbox(
        r#"
params: {data: {type: map, required: true}}
phases:
  - name: work
    steps:
      - {id: two, action: file.write, when: params.data.name == '2', with: {path: two, content: "{{ params.data.name }}"}}
      - {id: other, action: file.write, when: params.data.name != '2', with: {path: other, content: "{{ params.data.name }}"}}
      - {id: child, run: child.yaml, params: {name: "{{ params.data.name }}"}}
"#,
    );
    sandbox.file(
        "child.yaml",
        "params: {name: {}}\nphases: [{name: work, steps: [{file.write: {path: in-child, content: 'so: {{ params.name }}'}}]}]\n",
    );
    for data in [
        "<% @% >",
        "{{ @ }",
        "{% if",
        "{{ }}",
        "}}",
        "{{ 6 * 7 }}",
        "{{ run.id }}",
    ] {
        let given = serde_json::json!({ "name": data });
        sandbox
            .caxplan(&["run", "plan.yaml", "-p", &format!("data={given}")])
            .expect_code(0);
        assert_eq!(sandbox.read("other"), data);
        assert_eq!(sandbox.read("in-child"), format!("so: {data}"));
        assert!(!sandbox.path().join("two").exists());
    }
}

/// st2#5956: what a person is asked shows such data, and what must be a duration refuses it.
#[test]
fn st2_5956_data_that_looks_like_a_template_is_shown_or_refused_and_never_evaluated() {
    let with = |step: &str| {
        sandbox(&format!(
            "params: {{data: {{type: string, required: true}}}}\nphases: [{{name: work, steps: [{step}]}}]\n"
        ))
    };
    with("{id: ask, approve: 'Go on with {{ params.data }}?'}")
        .caxplan(&["run", "plan.yaml", "-p", "data={{ 6 * 7 }}"])
        .expect_code(5)
        .expect_text("Go on with {{ 6 * 7 }}?");
    with("{id: pause, wait: '{{ params.data }}'}")
        .caxplan(&["run", "plan.yaml", "-p", "data={{ 1 }}ms"])
        .expect_code(2)
        .expect_text("expected a duration");
}

/// orquesta#184: a task over a list whose action was indented too far, so that it belonged to the list, passed the inspection.
#[test]
fn orquesta_184_an_action_that_is_indented_into_the_loop_s_list_is_an_error() {
    let sandbox = sandbox(
        "
phases:
  - name: work
    steps:
      - foreach:
          in: [fee, fi]
          steps:
            - {id: say, shell.run: {script: 'echo {{ item }} >> effects'}}
",
    );
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(2)
        .expect_text("plan.yaml:5:9")
        .expect_text("a foreach needs `steps` beside it")
        .expect_text("plan.yaml:7:11")
        .expect_text("a foreach has no key `steps`");
    assert_eq!(effects(&sandbox), [""; 0]);
}

/// ansible#7572: "with is not a legal parameter in an Ansible task or handler", and no word of the file or line among many roles.
#[test]
fn ansible_7572_an_error_in_another_file_names_that_file_and_the_line() {
    let sandbox = sandbox(
        "
use: [roles/library.yaml]
phases:
  - name: work
    steps:
      - restart
      - {id: test, run: roles/test.yaml}
",
    );
    std::fs::create_dir(sandbox.path().join("roles")).expect("made");
    sandbox.file(
        "roles/library.yaml",
        "actions:\n  restart:\n    shell.run: {script: 'true'}\n    notify: web\n",
    );
    sandbox.file(
        "roles/test.yaml",
        "phases:\n  - name: main\n    steps:\n      - id: example\n        action: command.run\n        with: {argv: [echo, hello]}\n        loop: [some, value]\n",
    );
    for command in ["validate", "run", "preview"] {
        sandbox
            .caxplan(&[command, "plan.yaml"])
            .expect_code(2)
            .expect_text("roles/library.yaml:4:5")
            .expect_text("`notify`")
            .expect_text("roles/test.yaml:7:9")
            .expect_text("`loop`")
            .expect_text("7 |         loop: [some, value]");
    }
}

/// ansible#13628: in a file that begins with `---` every error was said to be one line off.
#[test]
fn ansible_13628_an_error_is_said_to_be_in_the_line_where_it_is() {
    const WRONG: &str = "      - fetch: ^";
    let body = format!(
        "# what comes before\n\nphases:\n  - name: work\n    steps:\n      # about the next one\n      - {{id: one, shell.run: {{script: ls}}}}\n\n{WRONG}\n"
    );
    for begin in ["", "---\n", "\n---\n\n", "# first\n---\n", "%YAML 1.2\n---\n"] {
        for end in ["", "\n", "\n# last\n", "...\n"] {
            let text = format!("{begin}{body}{end}");
            for text in [
                text.clone(),
                text.replace('\n', "\r\n"),
                format!("\u{feff}{text}"),
            ] {
                let sandbox = sandbox(&text);
                let line = text.lines().position(|line| line == WRONG).expect("it is there") + 1;
                sandbox
                    .caxplan(&["validate", "plan.yaml"])
                    .expect_code(2)
                    .expect_text(&format!("plan.yaml:{line}:9"))
                    .expect_text(&format!("{line} | {WRONG}"));
            }
        }
    }
}

/// ansible#16456: of a mistake in the last line it was said to be in a line after the end: "specified line no longer in file, maybe it
/// changed?"
#[test]
fn ansible_16456_a_mistake_in_the_last_line_is_shown_with_that_line() {
    for last in [
        r#"      - {id: b, shell.run: {script="{{ "foo" }}"} }"#,
        r#"      - {id: b, shell.run: {script: {{ "foo" }}}}"#,
        r#"      - {id: b, shell.run: {script: "echo {{ params.foo""#,
        r#"      - {id: b, shell.run: {script: "echo {{ params.foo }"#,
        r#"      - {id: b, shell.run: {script: "echo {{ params.foo"}}"#,
        r#"      - {id: b, shell.run: [{"#,
        r#"      - "echo {{ params.foo }}"#,
        "      - &",
        "      - id: b:",
    ] {
        for end in ["", "\n", "\n\n\n", "\r\n"] {
            let sandbox = sandbox(&format!("phases:\n  - name: work\n    steps:\n{last}{end}"));
            sandbox
                .caxplan(&["validate", "plan.yaml"])
                .expect_code(2)
                .expect_text("plan.yaml:4:")
                .expect_text(&format!("4 | {last}"));
        }
    }
}

/// A concurrency of 0 left a workflow running for ever, with nothing at work.
#[test]
fn orquesta_259_no_limit_of_what_runs_at_once_keeps_a_plan_from_its_end() {
    let batch = |size: &str| {
        sandbox(&format!(
            "
phases:
  - name: work
    steps:
      - foreach: [a, b]
        batch_size: {size}
        steps: [{{shell.run: {{script: 'echo {{{{ item }}}} >> effects'}}}}]
"
        ))
    };
    for size in ["0", "0%", "\"{{ 1 - 1 }}\""] {
        let sandbox = batch(size);
        sandbox
            .caxplan(&["run", "plan.yaml"])
            .expect_code(2)
            .expect_text("plan.yaml:6:21")
            .expect_text("is no batch size; write a number from 1");
        assert_eq!(effects(&sandbox), [""; 0]);
    }
    // A share of less than one element is one.
    let shares = batch("1%");
    shares.caxplan(&["run", "plan.yaml"]).expect_code(0);
    assert_eq!(effects(&shares), ["a", "b"]);

    // For steps beside each other 0 is what it says: no limit.
    let sandbox = sandbox(
        "
max_parallel: 0
phases:
  - name: work
    max_parallel: 0
    steps:
      - max_parallel: 0
        parallel: [{shell.run: {script: 'echo one >> effects'}}, {shell.run: {script: 'echo one >> effects'}}]
",
    );
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    assert_eq!(effects(&sandbox), ["one", "one"]);
}
