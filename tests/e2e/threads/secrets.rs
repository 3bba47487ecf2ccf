//! Secrets.

use super::sandbox;
use caxton_tests::{Sandbox, wait_until};

const TOKEN: &str = "hunter2-correct-horse";

/// A sandbox with a secret and one step that has it in its environment.
fn with_secret(script: &str) -> Sandbox {
    let sandbox = sandbox(&format!(
        r#"
secrets: {{token: {{file: token}}}}
phases:
  - name: work
    steps:
      - id: use
        action: shell.run
        with:
          env: {{TOKEN: "{{{{ secrets.token }}}}"}}
          script: '{script}'
"#
    ));
    sandbox.file("token", TOKEN);
    sandbox
}

/// Fails if anything that a user can ask for, or the state folder, holds the secret.
fn nothing_holds_it(sandbox: &Sandbox, end: &caxton_tests::Finished) {
    let holds = |text: &str| text.contains(TOKEN);
    assert!(!holds(&end.stdout) && !holds(&end.stderr), "the terminal");
    for arguments in [
        &["show", "--last"][..],
        &["show", "--last", "--steps"],
        &["show", "--last", "work/use"],
        &["show", "--last", "--output", "json"],
        &["logs", "--last"],
        &["logs", "--last", "--output", "json"],
        &["preview", "plan.yaml"],
        &["preview", "plan.yaml", "--output", "json"],
        &["graph", "plan.yaml"],
    ] {
        let end = sandbox.caxplan(arguments);
        assert!(!holds(&end.stdout) && !holds(&end.stderr), "{arguments:?}");
    }
    let state = sandbox.path().join("state");
    for file in std::fs::read_dir(state).expect("state").flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        assert!(
            !bytes
                .windows(TOKEN.len())
                .any(|window| window == TOKEN.as_bytes()),
            "{}",
            file.path().display()
        );
    }
}

/// rundeck#2627: a stored password was to be seen in `ps -ef` while a step ran.
#[test]
fn rundeck_2627_a_secret_is_in_no_process_list() {
    let sandbox = with_secret("test -n $TOKEN; touch begun; until test -e go; do sleep 0.02; done");
    let run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the step", super::LIMIT, || sandbox.path().join("begun").exists());
    for process in std::fs::read_dir("/proc").expect("Linux").flatten() {
        let words = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        assert!(!words.contains(TOKEN), "{words:?}");
    }
    sandbox.file("go", "");
    run.wait().expect_code(0);
    // And who would hand it to a program as an argument is told so before anything runs.
    let arguments = sandbox
        .read("plan.yaml")
        .replace("touch begun", "curl -u {{ secrets.token }} host");
    sandbox.file("plan.yaml", &arguments);
    sandbox
        .caxplan(&["validate", "plan.yaml"])
        .expect_code(2)
        .expect_text("secret");
}

/// rundeck#1780, #3344: in debug mode the variables of a step were logged with the passwords in them.
#[test]
fn rundeck_1780_the_most_talkative_output_holds_no_secret() {
    let sandbox = with_secret("set -x; env; echo $TOKEN");
    let end = sandbox
        .caxplan(&["run", "plan.yaml", "--output", "json"])
        .expect_code(0)
        .expect_text("TOKEN=***");
    nothing_holds_it(&sandbox, &end);
}

/// rundeck#5455: passwords were masked only where somebody had remembered to add a filter to the job.
#[test]
fn rundeck_5455_masking_needs_no_setting() {
    let sandbox = with_secret("echo the token is $TOKEN");
    let end = sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    sandbox
        .caxplan(&["logs", "--last"])
        .expect_code(0)
        .expect_text("the token is ***");
    nothing_holds_it(&sandbox, &end);
}

/// ansible#18184: the error of a task that failed showed the password that a vault had kept.
#[test]
fn ansible_18184_the_error_of_a_failed_step_holds_no_secret() {
    let sandbox = with_secret("echo login with $TOKEN refused >&2; exit 3");
    let end = sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(1)
        .expect_text("login with *** refused");
    nothing_holds_it(&sandbox, &end);
}

/// dagu#1317: the wish that secrets, and only they, are masked in standard output and standard error.
#[test]
fn dagu_1317_both_streams_are_masked_whole_or_in_pieces_and_nothing_else_is() {
    let sandbox = with_secret(
        "echo out $TOKEN; echo err $TOKEN >&2; printf hunter2-; sleep 0.1; echo correct-horse; echo $TOKEN | base64; echo horse",
    );
    let end = sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    let logs = sandbox.caxplan(&["logs", "--last"]).expect_code(0).stdout;
    for text in ["out ***", "err ***", "horse"] {
        assert!(logs.contains(text), "no {text:?} in\n{logs}");
    }
    assert!(!logs.contains("correct-horse"), "{logs}");
    assert!(!logs.contains("aHVudGVyMi1jb3JyZWN0"), "{logs}");
    nothing_holds_it(&sandbox, &end);
}
