//! The command line itself: listings, filters, pipes, completions, manuals.

use caxton_tests::{Finished, Sandbox};
use serde_json::Value;
use std::process::{Command, Stdio};

const GOOD: &str = "name: good\nphases:\n  - name: work\n    steps:\n      - {id: talk, action: shell.run, with: {script: 'echo hello; echo oops >&2'}}\n";
const BAD: &str = "name: bad\nphases:\n  - name: work\n    steps:\n      - {id: gate, action: shell.run, with: {script: 'echo why >&2; exit 3'}}\n";
const ASK: &str = "name: ask\nphases:\n  - name: work\n    steps:\n      - {id: sure, approve: 'Really?'}\n";

/// A sandbox with a run that succeeded, one that failed, and one that waits.
fn three_runs() -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, text, code) in [("good.yaml", GOOD, 0), ("bad.yaml", BAD, 1), ("ask.yaml", ASK, 5)] {
        sandbox.file(name, text);
        sandbox.caxplan(&["run", name]).expect_code(code);
    }
    sandbox
}

fn yaml(end: &Finished) -> Value {
    serde_saphyr::from_str(&end.stdout).unwrap_or_else(|error| panic!("{error} in\n{}", end.stdout))
}

#[test]
fn every_listing_says_the_same_in_json_and_yaml() {
    let sandbox = three_runs();
    for listing in [
        &["runs"][..],
        &["show", "--last"],
        &["verify"],
        &["adapters"],
        &["adapters", "describe", "shell.run"],
    ] {
        let with = |format| {
            let arguments = [listing, &["--output", format]].concat();
            sandbox.caxplan(&arguments).expect_code(0)
        };
        assert_eq!(with("json").json(), yaml(&with("yaml")), "{listing:?}");
        assert!(with("table").stdout.lines().count() > 1, "{listing:?}");
    }
    let runs = sandbox.caxplan(&["runs", "--state", "succeeded", "--output", "json"]);
    let run = runs.json()[0]["id"].as_str().expect("an id").to_owned();
    let as_json = sandbox
        .caxplan(&["logs", &run, "--output", "json"])
        .expect_code(0);
    let lines: Vec<Value> = as_json
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("one object per line"))
        .collect();
    let as_yaml = sandbox
        .caxplan(&["logs", &run, "--output", "yaml"])
        .expect_code(0);
    assert_eq!(Value::Array(lines.clone()), yaml(&as_yaml));
    let said = |stream: &str| {
        lines
            .iter()
            .find(|line| line["stream"] == stream)
            .map(|line| line["text"].clone())
    };
    assert_eq!(said("stdout"), Some("hello\n".into()));
    assert_eq!(said("stderr"), Some("oops\n".into()));
}

#[test]
fn runs_are_filtered_by_plan_state_and_age() {
    let sandbox = three_runs();
    let check = |arguments: &[&str], expected: &[&str]| {
        let end = sandbox.caxplan(&[&["runs", "--output", "json"], arguments].concat());
        let names: Vec<Value> = end
            .expect_code(0)
            .json()
            .as_array()
            .expect("a list")
            .iter()
            .map(|run| run["name"].clone())
            .collect();
        assert_eq!(names, expected, "{arguments:?}");
    };
    check(&[], &["ask", "bad", "good"]);
    check(&["--limit", "2"], &["ask", "bad"]);
    check(&["--state", "failed"], &["bad"]);
    check(&["--state", "failed,waiting"], &["ask", "bad"]);
    check(&["--state", "running"], &[]);
    check(&["--plan", "good"], &["good"]);
    check(&["--plan", "good.yaml"], &["good"]);
    check(&["--since", "1h"], &["ask", "bad", "good"]);
    check(&["--since", "0s"], &[]);
    sandbox
        .caxplan(&["runs", "--since", "yesterday"])
        .expect_code(2)
        .expect_text("such as");
    sandbox
        .caxplan(&["runs", "--state", "faild"])
        .expect_code(2)
        .expect_text("failed");
}

#[test]
fn a_quiet_run_says_nothing_unless_something_is_wrong() {
    let sandbox = three_runs();
    let good = sandbox.caxplan(&["run", "good.yaml", "--quiet"]).expect_code(0);
    assert_eq!((good.stdout.as_str(), good.stderr.as_str()), ("", ""));
    sandbox
        .caxplan(&["run", "bad.yaml", "--quiet"])
        .expect_code(1)
        .expect_text("gate failed")
        .expect_text("why")
        .expect_text("caxplan resume");
    sandbox
        .caxplan(&["run", "ask.yaml", "--quiet"])
        .expect_code(5)
        .expect_text("Really?");
}

#[test]
fn a_reader_that_goes_away_is_no_error_and_a_full_disk_is_one() {
    let sandbox = three_runs();
    let check = |script: &str, code: i32, text: &str| {
        let end = shell(&sandbox, script);
        assert_eq!(end.code, code, "{script}: {}", end.stderr);
        assert!(end.stderr.contains(text), "{script}: {}", end.stderr);
        assert!(!end.stderr.contains("panic"), "{script}: {}", end.stderr);
        end
    };
    for listing in [
        "runs",
        "show --last",
        "logs --last",
        "adapters",
        "schema plan",
        "man",
    ] {
        let script = format!("set -o pipefail; caxplan {listing} | true");
        assert_eq!(check(&script, 0, "").stderr, "");
    }
    check("caxplan runs > /dev/full", 1, "No space left on device");
    check("caxplan run good.yaml > /dev/full", 1, "No space left on device");
}

#[test]
fn bash_completes_commands_and_flags() {
    let sandbox = Sandbox::new();
    let complete = |line: &str| {
        let script = format!(
            "source <(caxplan completions bash); COMP_WORDS=({line}); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _caxplan caxplan \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let end = shell(&sandbox, &script).expect_code(0);
        end.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("caxplan res"), ["resume"]);
    assert_eq!(complete("caxplan runs --st"), ["--state"]);
    for shell in ["zsh", "fish"] {
        sandbox
            .caxplan(&["completions", shell])
            .expect_code(0)
            .expect_text("rollback");
    }
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let sandbox = Sandbox::new();
    sandbox.caxplan(&["man", "--dir", "man1"]).expect_code(0);
    let help = sandbox.caxplan(&["help"]).expect_code(0).stdout;
    let commands: Vec<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|word| word.chars().all(char::is_alphabetic) && *word != "help")
        .collect();
    assert!(
        commands.contains(&"run") && commands.contains(&"man"),
        "{commands:?}"
    );
    for command in commands {
        let page = sandbox.read(&format!("man1/caxplan-{command}.1"));
        assert!(page.contains(".TH CAXPLAN-"), "{command}: {page}");
        assert!(page.contains("Exit codes"), "{command}: {page}");
        let end = sandbox.caxplan(&["man", command]).expect_code(0);
        assert_eq!(end.stdout, page, "{command}");
    }
    sandbox.caxplan(&["man", "rnu"]).expect_code(2);
}

#[test]
fn a_mistyped_command_or_flag_is_answered_with_the_right_one() {
    let sandbox = Sandbox::new();
    sandbox.caxplan(&["resum"]).expect_code(2).expect_text("'resume'");
    sandbox
        .caxplan(&["runs", "--sicne", "4h"])
        .expect_code(2)
        .expect_text("'--since'");
}

#[test]
fn a_folder_whose_name_is_no_text_is_refused_before_anything_runs() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        "phases: [{name: one, steps: [{file.directory: {path: deep/down}}]}]\n",
    );
    for command in ["validate plan.yaml", "preview plan.yaml", "run plan.yaml", "test"] {
        let script =
            format!("mkdir -p $'d\\xff' && cp plan.yaml $'d\\xff' && cd $'d\\xff' && caxplan {command}");
        shell(&sandbox, &script)
            .expect_code(2)
            .expect_text("the name of a plan's folder must be UTF-8");
    }
    for command in [
        "caxton init --node-id n --config-dir . --data-dir $'d\\xff'",
        "CAXTON_DEV_DIR=$PWD/$'d\\xff' caxton dev up",
    ] {
        shell(&sandbox, command)
            .expect_code(1)
            .expect_text("is not UTF-8");
    }
}

/// Runs a script in a sandbox, where it finds the programs under test.
fn shell(sandbox: &Sandbox, script: &str) -> Finished {
    let mut command = Command::new("bash");
    command.args(["-c", script]).stdin(Stdio::null());
    sandbox.prepare(&mut command);
    Finished::from(command.output().expect("bash is there"))
}
