//! Previews: three values and where they come from, the saved preview, and comparisons of plans.

use caxton_tests::Sandbox;

/// A step that reads, one that depends on it, and so on: see [`nothing_is_claimed_that_is_not_known`].
const PLAN: &str = r#"
name: demo
env: [MODE]
params:
  version: {type: string, default: "1.1"}
  canary: {type: boolean, default: false}
phases:
  - name: look
    steps:
      - id: pick
        action: shell.run
        with: {script: echo node-2, changes: false}
      - id: mark
        action: file.write
        with: {path: mark, content: "{{ steps.pick.output.stdout }}"}
  - name: work
    steps:
      - id: config
        action: file.write
        with: {path: config, content: "v={{ params.version }}"}
      - id: canary
        when: params.canary
        action: file.write
        with: {path: canary, content: x}
      - id: maybe
        when: steps.pick.output.exit_code == 0
        action: file.write
        with: {path: maybe, content: x}
      - id: defaulted
        action: file.write
        with: {path: "{{ steps.mark.output.path | default('x') }}", content: x}
"#;

/// The line of a preview's tree that shows a step.
fn line<'a>(preview: &'a str, step: &str) -> &'a str {
    let shows = |line: &&str| line.split_whitespace().any(|word| word == step);
    preview
        .lines()
        .find(shows)
        .unwrap_or_else(|| panic!("{step} is not shown in\n{preview}"))
}

/// ansible/ansible#6108, #31113, #8753: a check mode that reports as skipped what will run, because it takes the output of a
/// step that has not run for nothing.
#[test]
fn nothing_is_claimed_that_is_not_known() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", PLAN);
    let shown = sandbox.caxplan(&["preview", "plan.yaml"]).expect_code(0).stdout;
    for (step, sign, reason) in [
        ("pick", "·", ""),
        ("mark", "?", "[unknown: argument `content` ← look/pick]"),
        ("config", "~", "would create config"),
        ("canary", "-", "[skipped: `when: params.canary` is false]"),
        ("maybe", "?", "[unknown: `when` ← look/pick]"),
        (
            "defaulted",
            "?",
            "[unknown: argument `path` ← look/mark ← look/pick]",
        ),
    ] {
        let line = line(&shown, step);
        assert!(line.contains(sign) && line.contains(reason), "{step}: {line}");
    }
    assert!(
        !sandbox.path().join("config").exists(),
        "a preview changes nothing"
    );
}

#[test]
fn what_an_earlier_step_may_change_is_not_called_as_wanted() {
    let sandbox = Sandbox::new();
    sandbox.file("here", "x");
    sandbox.file(
        "plan.yaml",
        "phases:\n  - name: work\n    steps:\n      - {id: before, file.write: {path: here, content: x}}\n      - {id: remove, shell.run: {script: rm here}}\n      - {id: after, file.write: {path: here, content: x}}\n",
    );
    let shown = sandbox.caxplan(&["preview", "plan.yaml"]).expect_code(0).stdout;
    assert!(line(&shown, "before").contains('='), "{shown}");
    assert!(
        line(&shown, "after").contains("[unknown: what it would find ← work/remove]"),
        "{shown}"
    );
}

#[test]
fn what_a_phase_undoes_as_a_whole_can_be_rolled_back() {
    let sandbox = Sandbox::new();
    let plan = "name: x\nphases:\n  - name: alone\n    steps:\n      - shell.run: {script: \"true\"}\n  - name: whole\n    \
                rollback: [{shell.run: {script: \"true\"}}]\n    steps:\n      - shell.run: {script: \"true\"}\n";
    sandbox.file("plan.yaml", plan);
    let shown = sandbox.caxplan(&["preview", "plan.yaml"]).expect_code(0).stdout;
    let listed = shown
        .lines()
        .find(|line| line.starts_with("Cannot be rolled back"))
        .expect("a line");
    assert!(
        listed.contains("alone/") && !listed.contains("whole/"),
        "{listed}"
    );
}

#[test]
fn a_saved_preview_runs_as_long_as_nothing_has_moved() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", PLAN);
    let save = |name: &str| {
        sandbox
            .caxplan(&["preview", "plan.yaml", "-p", "version=2.0", "--save", name])
            .expect_code(0);
    };
    save("seen.json");
    // Comments and the order of keys are no change.
    sandbox.file("plan.yaml", &format!("# reviewed\n{PLAN}"));
    sandbox.caxplan(&["run", "--preview", "seen.json"]).expect_code(0);
    assert_eq!(
        sandbox.read("config"),
        "v=2.0",
        "with the parameters of the preview"
    );
    // The run itself has moved the targets.
    let refused = sandbox.caxplan(&["run", "--preview", "seen.json"]).expect_code(2);
    assert!(
        refused
            .stderr
            .contains("work/config: it was \"would change: would create config\""),
        "{}",
        refused.stderr
    );
    save("seen.json");
    sandbox.file("plan.yaml", &PLAN.replace("path: maybe", "path: other"));
    let refused = sandbox.caxplan(&["run", "--preview", "seen.json"]).expect_code(2);
    assert!(
        refused
            .stderr
            .contains("work/maybe: with.path: \"maybe\" → \"other\""),
        "{}",
        refused.stderr
    );
    assert!(!sandbox.path().join("other").exists());
}

#[test]
fn the_output_as_json_is_a_saved_preview_and_a_hostile_file_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", PLAN);
    let json = sandbox
        .caxplan(&["preview", "plan.yaml", "--output", "json"])
        .expect_code(0)
        .stdout;
    sandbox.file("seen.json", &json);
    sandbox.caxplan(&["run", "--preview", "seen.json"]).expect_code(0);
    let broken = |change: &str, text: String, expected: &str| {
        sandbox.file("seen.json", &text);
        let refused = sandbox.caxplan(&["run", "--preview", "seen.json"]).expect_code(2);
        assert!(refused.stderr.contains(expected), "{change}: {}", refused.stderr);
    };
    broken(
        "a value",
        json.replacen("node-2", "node-3", 1),
        "altered after it was made",
    );
    broken("cut off", json[..json.len() / 2].to_owned(), "no saved preview");
    broken("nothing", String::new(), "no saved preview");
    broken("deep", "[".repeat(100_000), "no saved preview");
    let future = json.replacen("\"caxplan_preview\": 1", "\"caxplan_preview\": 9", 1);
    broken("a later version", future, "version 9 of the format");
    sandbox
        .caxplan(&["run", "--preview", "."])
        .expect_code(2)
        .expect_text("it is no file");
}

#[test]
fn a_saved_preview_holds_no_secret_and_offline_fetches_none() {
    let sandbox = Sandbox::new();
    sandbox.file("token", "hunter2-hunter2");
    sandbox.file(
        "plan.yaml",
        "secrets: {token: {file: token}}\nparams: {key: {type: string, secret: true}}\nphases:\n  - name: work\n    steps:\n      - {id: use, shell.run: {script: 'true', env: {A: '{{ secrets.token }}', B: '{{ params.key }}'}}}\n",
    );
    sandbox
        .caxplan(&[
            "preview",
            "plan.yaml",
            "-p",
            "key=swordfish-7",
            "--save",
            "seen.json",
        ])
        .expect_code(0);
    let saved = sandbox.read("seen.json");
    assert!(
        !saved.contains("hunter2") && !saved.contains("swordfish"),
        "{saved}"
    );
    sandbox
        .caxplan(&["run", "--preview", "seen.json", "-p", "key=swordfish-7"])
        .expect_code(0);
    std::fs::remove_file(sandbox.path().join("token")).expect("it is there");
    sandbox
        .caxplan(&["preview", "plan.yaml", "-p", "key=x", "--offline"])
        .expect_code(0);
    sandbox
        .caxplan(&["preview", "plan.yaml", "-p", "key=x"])
        .expect_code(2);
}

#[test]
fn offline_contacts_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let port = listener.local_addr().expect("bound").port();
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        &format!(
            "phases:\n  - name: work\n    steps:\n      - {{id: ask, http.request: {{method: PUT, url: 'http://127.0.0.1:{port}/'}}}}\n      - {{id: read, http.get: {{url: 'http://127.0.0.1:{port}/'}}}}\n      - {{id: put, file.write: {{path: there, content: x}}}}\n"
        ),
    );
    let shown = sandbox
        .caxplan(&["preview", "plan.yaml", "--offline"])
        .expect_code(0)
        .stdout;
    assert!(line(&shown, "put").contains('?'), "nobody was asked: {shown}");
    let connected = listener.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(connected, Err(std::io::ErrorKind::WouldBlock));
}

const OLD: &str = r#"
vars: {version: "1.1"}
phases:
  - name: prepare
    steps:
      - {id: fetch, action: file.write, with: {path: a, content: "v{{ vars.version }}"}, timeout: 1m}
      - {id: check, action: file.read, with: {path: a}, timeout: 1m}
  - name: apply
    steps:
      - {id: one, action: file.write, with: {path: one, content: x}, timeout: 1m}
      - {id: two, action: file.write, with: {path: two, content: x}, timeout: 1m}
      - {id: three, action: file.write, with: {path: three, content: x}, timeout: 1m}
"#;

#[test]
fn plans_are_compared_by_what_would_run() {
    let sandbox = Sandbox::new();
    sandbox.file("old.yaml", OLD);
    let check = |change: &str, new: &str, code: i32, expected: &[&str]| {
        assert!(code == 0 || new != OLD, "{change} changes nothing");
        sandbox.file("new.yaml", new);
        let shown = sandbox
            .caxplan(&["diff", "old.yaml", "new.yaml"])
            .expect_code(code)
            .stdout;
        for text in expected {
            assert!(shown.contains(text), "{change}: no {text:?} in\n{shown}");
        }
    };
    check("nothing", OLD, 0, &["no difference"]);
    check(
        "comments, order of keys, an anchor, a literal for a variable",
        &OLD.replace("vars: {version: \"1.1\"}", "# reviewed\ndescription: words")
            .replace("v{{ vars.version }}", "v1.1")
            .replace(
                "with: {path: one, content: x}, timeout: 1m",
                "timeout: &long 1m, with: {content: x, path: one}",
            )
            .replace(
                "path: two, content: x}, timeout: 1m",
                "path: two, content: x}, timeout: *long",
            ),
        0,
        &["no difference"],
    );
    check(
        "an argument",
        &OLD.replace("version: \"1.1\"", "version: \"1.2\""),
        1,
        &["~ prepare/fetch", "with.content: \"v1.1\" → \"v1.2\""],
    );
    check(
        "a step gone, a step new that nobody can undo",
        &OLD.replace(
            "{id: two, action: file.write, with: {path: two, content: x}, timeout: 1m}",
            "{id: four, shell.run: {script: ls}}",
        ),
        1,
        &[
            "- apply/two",
            "+ apply/four",
            "apply/four is new and cannot be rolled back",
            "apply/four is new and would be in doubt",
        ],
    );
    check(
        "a renamed phase and step",
        &OLD.replace("name: apply", "name: rollout")
            .replace("id: two", "id: second"),
        1,
        &["→ rollout  was apply", "→ rollout/second  was apply/two"],
    );
    check(
        "an undo that is taken away: a rollback leaves the step, where it did not",
        &format!(
            "on_failure: rollback{}",
            OLD.replace(
                "path: one, content: x}, timeout: 1m",
                "path: one, content: x}, timeout: 1m, rollback: {shell.run: {script: ls}}"
            )
            .replace(
                "{id: three, action: file.write, with: {path: three, content: x}, timeout: 1m}",
                "{id: three, shell.run: {script: ls}}"
            )
        ),
        1,
        &[
            "! a run can now end as",
            "apply/three",
            "· a run can no longer end as failed",
        ],
    );
    check(
        "a longer time limit and a lock",
        &format!(
            "lock: deploy{}",
            OLD.replace("path: a}, timeout: 1m", "path: a}, timeout: 1h")
        ),
        1,
        &[
            "takes at most 5m → 1h4m",
            "takes the lock `deploy`",
            "timeout: \"1m\" → \"1h\"",
        ],
    );
    check(
        "another order",
        &OLD.replace(
            "      - {id: one, action: file.write, with: {path: one, content: x}, timeout: 1m}\n",
            "",
        )
        .replace(
            "path: three, content: x}, timeout: 1m}\n",
            "path: three, content: x}, timeout: 1m}\n      - {id: one, action: file.write, with: {path: one, content: x}, timeout: 1m}\n",
        ),
        1,
        &["↕ apply/one  comes after apply/three now"],
    );
    sandbox.file("new.yaml", "phases: 7\n");
    sandbox.caxplan(&["diff", "old.yaml", "new.yaml"]).expect_code(2);
}

#[test]
fn runs_and_saved_previews_are_compared_too() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", OLD);
    sandbox
        .caxplan(&["preview", "plan.yaml", "--save", "seen.json"])
        .expect_code(0);
    let run = sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    let id = run.stderr.split_whitespace().nth(1).expect("run ID").to_owned();
    sandbox.file("plan.yaml", &OLD.replace("path: two", "path: second"));
    sandbox.caxplan(&["diff", "seen.json", &id]).expect_code(0);
    for old in ["seen.json", id.as_str()] {
        let diff = sandbox
            .caxplan(&["diff", old, "plan.yaml", "--output", "json"])
            .expect_code(1);
        let diff: serde_json::Value = serde_json::from_str(&diff.stdout).expect("JSON");
        assert_eq!(diff["steps"][0]["id"], "apply/two");
        assert_eq!(diff["steps"][0]["fields"][0]["field"], "with.path");
    }
}
