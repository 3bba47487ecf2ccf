//! What a person at a terminal is asked, and that nobody is asked elsewhere.

use caxton_tests::{Sandbox, Terminal, wait_until};
use serde_json::Value;
use std::time::Duration;

const PARAMS: &str = r#"
name: params
params:
  version: {type: version, description: what to install}
  token: {secret: true, pattern: "[a-z]{4,}"}
  size: {type: integer, default: 3}
phases:
  - name: work
    steps:
      - {id: use, action: shell.run, with: {script: 'echo "{{ params.version }} {{ params.size }}" > effects; test -n "$TOKEN"', env: {TOKEN: "{{ params.token }}"}}}
"#;

const ASKS: &str = r"
name: asks
phases:
  - name: work
    steps:
      - parallel:
          - {id: slow, action: shell.run, with: {script: 'while ! test -e go; do sleep 0.05; done; echo slow >> effects'}}
          - {id: sure, approve: 'Canary fine?'}
      - {id: list, checklist: [Backup taken, People told]}
      - {id: after, action: shell.run, with: {script: echo after >> effects}}
";

const DOUBT: &str = r"
name: doubt
phases:
  - name: work
    steps:
      - {id: risky, action: shell.run, with: {script: 'echo begun >> effects; test -e go || sleep 60'}}
      - {id: after, action: shell.run, with: {script: echo after >> effects}}
";

/// Who answered what, as the journal has it.
fn answers(sandbox: &Sandbox) -> Vec<String> {
    let shown = sandbox.caxplan(&["show", "--last", "--output", "json"]).json();
    let events = shown["account"]["events"].as_array().cloned().unwrap_or_default();
    let answered = events.iter().filter(|event| event["kind"] == "answered");
    answered
        .map(|event| event["text"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn parameters_without_a_value_are_asked_for_and_secret_ones_are_not_shown() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", PARAMS);
    let mut terminal = Terminal::caxplan(&sandbox, &["run", "plan.yaml"]);
    terminal
        .expect("version (version): what to install")
        .expect("value: ")
        .type_keys("one\n")
        .expect("expected")
        .expect("value: ")
        .type_keys("1.10.0\n")
        .expect("token (string)")
        .expect("value (not shown): ")
        .type_keys("NO\n")
        .expect("does not match")
        .expect("value (not shown): ")
        .type_keys("sesamx\u{7f}e\n");
    let screen = terminal.expect_code(0);
    assert!(!screen.contains("sesam"), "{screen}");
    assert!(
        !screen.contains("(integer)"),
        "what has a default is not asked for: {screen}"
    );
    assert_eq!(sandbox.read("effects"), "1.10.0 3\n");
}

#[test]
fn a_run_that_is_resumed_asks_for_its_secret_parameters_again() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        r#"
params: {token: {secret: true}, open: {default: x}}
phases:
  - name: main
    steps:
      - {shell.run: {script: "test -e go && printf %s $T > effects", env: {T: "{{ params.token }}"}}, rollback: []}
"#,
    );
    sandbox
        .caxplan(&["run", "plan.yaml", "-p", "token=sesame"])
        .expect_code(1);
    sandbox.file("go", "");
    sandbox
        .caxplan(&["resume", "--last"])
        .expect_code(2)
        .expect_text("token");
    let mut terminal = Terminal::caxplan(&sandbox, &["resume", "--last"]);
    terminal
        .expect("token (secret; the run does not keep its value)")
        .expect("value (not shown): ")
        .type_keys("sesame\n");
    let screen = terminal.expect_code(0);
    assert!(
        !screen.contains("sesame") && !screen.contains("? open"),
        "{screen}"
    );
    assert_eq!(sandbox.read("effects"), "sesame");
}

#[test]
fn nobody_is_asked_where_nobody_looks() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", PARAMS);
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(2)
        .expect_text("the parameter `version` has no value")
        .expect_text("the parameter `token` has no value");
    sandbox.file("go", "");
    sandbox.file("plan.yaml", ASKS);
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(5)
        .expect_text("caxplan approve");
}

#[test]
fn an_interrupt_while_a_secret_is_typed_leaves_a_terminal_that_echoes() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", PARAMS);
    let mut terminal = Terminal::caxplan(&sandbox, &["run", "plan.yaml", "-p", "version=1.0.0"]);
    terminal.expect("value (not shown): ").type_keys("ses\u{3}");
    terminal.expect("interrupted");
    // The terminal itself shows what is typed again.
    terminal.type_keys("visible").expect("visible");
    terminal.expect_code(130);
    assert_eq!(
        sandbox.caxplan(&["runs", "--output", "json"]).json(),
        Value::Array(vec![])
    );
}

#[test]
fn approvals_and_checklists_are_answered_in_place_while_other_steps_go_on() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", ASKS);
    let mut terminal = Terminal::caxplan(&sandbox, &["run", "plan.yaml"]);
    terminal
        .expect("work/parallel/sure: Canary fine?")
        .expect("[l]ater: ")
        .type_keys("maybe\n")
        .expect("[l]ater: ")
        .type_keys("y\n")
        .expect("was approved by ada@");
    assert_eq!(sandbox.read("effects"), "", "the other step goes on");
    sandbox.file("go", "");
    terminal
        .expect("1/2 Backup taken")
        .type_keys("yes\n")
        .expect("2/2 People told")
        .type_keys("y\n");
    terminal.expect_code(0);
    assert_eq!(sandbox.read("effects"), "slow\nafter\n");
    let answers = answers(&sandbox);
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(
        answers[0].contains("`work/parallel/sure`: approved by ada@"),
        "{answers:?}"
    );
}

#[test]
fn a_no_has_a_reason_and_later_leaves_the_run_waiting() {
    let sandbox = Sandbox::new();
    sandbox.file("go", "");
    sandbox.file("plan.yaml", ASKS);
    let mut terminal = Terminal::caxplan(&sandbox, &["run", "plan.yaml"]);
    terminal.expect("[l]ater: ").type_keys("later\n");
    terminal.expect("caxplan approve");
    terminal.expect_code(5);
    // The same question is asked when the run is resumed.
    let mut terminal = Terminal::caxplan(&sandbox, &["resume", "--last"]);
    terminal
        .expect("work/parallel/sure: Canary fine?")
        .expect("[l]ater: ")
        .type_keys("n\n")
        .expect("why not? ")
        .type_keys("latency\n");
    terminal.expect_code(1);
    let answers = answers(&sandbox);
    assert!(
        answers[0].contains("rejected by ada@") && answers[0].contains("latency"),
        "{answers:?}"
    );
}

#[test]
fn an_answer_from_elsewhere_closes_the_question() {
    let sandbox = Sandbox::new();
    sandbox.file("go", "");
    sandbox.file(
        "plan.yaml",
        &ASKS.replace("      - {id: list, checklist: [Backup taken, People told]}\n", ""),
    );
    let mut terminal = Terminal::caxplan(&sandbox, &["run", "plan.yaml"]);
    terminal.expect("[l]ater: ");
    wait_until("the other step", Duration::from_secs(30), || {
        sandbox.read("effects") == "slow\n"
    });
    sandbox.caxplan(&["approve", "--last", "sure"]).expect_code(0);
    terminal.expect_code(0);
    assert_eq!(sandbox.read("effects"), "slow\nafter\n");
}

#[test]
fn an_interrupt_at_a_prompt_leaves_the_run_waiting() {
    let sandbox = Sandbox::new();
    sandbox.file("go", "");
    sandbox.file("plan.yaml", ASKS);
    let mut terminal = Terminal::caxplan(&sandbox, &["run", "plan.yaml"]);
    terminal.expect("[l]ater: ");
    wait_until("the other step", Duration::from_secs(30), || {
        sandbox.read("effects") == "slow\n"
    });
    wait_until("the end of all else", Duration::from_secs(30), || {
        sandbox
            .caxplan(&["show", "--last"])
            .stdout
            .contains("without a person")
    });
    terminal.type_keys("\u{3}").expect("caxplan approve");
    terminal.expect_code(5);
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
}

#[test]
fn a_person_says_what_became_of_a_step_in_doubt() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", DOUBT);
    let mut run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the step", Duration::from_secs(30), || {
        sandbox.read("effects") == "begun\n"
    });
    run.kill();
    let mut terminal = Terminal::caxplan(&sandbox, &["resume", "--last"]);
    terminal
        .expect("work/risky may or may not have done its work")
        .expect("[l]ater: ")
        .type_keys("d\n");
    terminal.expect_code(0);
    assert_eq!(sandbox.read("effects"), "begun\nafter\n");
    assert!(answers(&sandbox)[0].contains("said that it did its work"));
}
