//! `resume --with-edited-plan`: a run follows another version of its plan, as far as nothing that has started changes.

use caxton_tests::{Finished, Sandbox, Terminal, root};

const PLAN: &str = r"
name: edited
vars: {word: hello, late: soon}
phases:
  - name: prepare
    steps:
      - {id: first, action: shell.run, with: {script: 'echo first {{ vars.word }} >> effects'}, rollback: [{shell.run: {script: echo unfirst >> effects}}]}
      - {id: gate, action: shell.run, with: {script: 'echo gate >> effects; test -e go'}}
      - {id: third, action: shell.run, with: {script: 'echo third {{ vars.late }} >> effects'}}
  - name: finish
    steps:
      - {id: last, action: shell.run, with: {script: echo last >> effects}}
";

/// What is edited: texts of the plan, and what takes their place.
type Edits<'a> = &'a [(&'a str, &'a str)];

fn edited(edits: Edits) -> String {
    edits.iter().fold(PLAN.to_owned(), |plan, (old, new)| {
        assert!(plan.contains(old), "nothing to edit: {old}");
        plan.replace(old, new)
    })
}

/// A run of which `prepare/gate` has failed, and that can go on.
fn failed() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", PLAN);
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    sandbox.file("go", "");
    sandbox.file("effects", "");
    sandbox
}

fn resume(sandbox: &Sandbox, more: &[&str]) -> Finished {
    let mut arguments = vec!["resume", "--last", "--with-edited-plan"];
    arguments.extend_from_slice(more);
    sandbox.caxplan(&arguments)
}

/// The plan is edited so, and the run follows it: its steps leave this behind.
fn check(edits: Edits, effects: &str) {
    let sandbox = failed();
    sandbox.file("plan.yaml", &edited(edits));
    resume(&sandbox, &["--yes"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), effects, "{edits:?}");
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
    sandbox
        .caxplan(&["show", "--last"])
        .expect_code(0)
        .expect_text("the plan was replaced by ");
}

/// The plan is edited so, and refused for exactly these reasons; the run has not changed, and goes on with its own plan.
fn check_refused(edits: Edits, reasons: &[&str]) {
    let sandbox = failed();
    sandbox.file("plan.yaml", &edited(edits));
    let end = resume(&sandbox, &["--yes"]).expect_code(2);
    let said: Vec<&str> = end
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("  because: "))
        .collect();
    assert_eq!(said, reasons, "{edits:?}\n{}", end.stderr);
    assert!(
        end.stderr
            .contains("error: the edited plan changes what has started")
    );
    assert_eq!(sandbox.read("effects"), "");
    sandbox.caxplan(&["resume", "--last"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), "gate\nthird soon\nlast\n");
}

#[test]
fn what_has_not_started_may_change_be_added_removed_and_moved() {
    let last = "      - {id: last, action: shell.run, with: {script: echo last >> effects}}\n";
    check(&[("echo last", "echo changed")], "gate\nthird soon\nchanged\n");
    check(&[("late: soon", "late: later")], "gate\nthird later\nlast\n");
    let added =
        format!("{last}      - {{id: more, action: shell.run, with: {{script: echo more >> effects}}}}\n");
    check(&[(last, &added)], "gate\nthird soon\nlast\nmore\n");
    let third =
        "      - {id: third, action: shell.run, with: {script: 'echo third {{ vars.late }} >> effects'}}\n";
    check(&[(third, "")], "gate\nlast\n");
    let both = format!("{last}{third}");
    check(&[(third, ""), (last, &both)], "gate\nlast\nthird soon\n");
    let phase =
        "      - {id: new, action: shell.run, with: {script: echo new >> effects}}\n  - name: finish\n";
    check(&[("  - name: finish\n", phase)], "gate\nthird soon\nnew\nlast\n");
    let phases = "  - name: between\n    steps:\n      - {id: b, action: shell.run, with: {script: echo b >> effects}}\n  - name: finish\n";
    check(&[("  - name: finish\n", phases)], "gate\nthird soon\nb\nlast\n");
}

#[test]
fn what_has_started_must_stay_and_every_reason_is_told() {
    check_refused(
        &[("echo gate", "echo other")],
        &[
            "`prepare/gate` has failed and would change: with.script: \"echo gate >> effects; test -e go\" → \"echo other >> effects; test -e go\"",
        ],
    );
    check_refused(
        &[("echo unfirst", "echo other")],
        &[
            "`prepare/first` has ended and would change: undo: {\"calls\":[{\"action\":\"shell.run\",\"with\":{\"script\":\"echo unfirst >> effects\"}}]} → {\"calls\":[{\"action\":\"shell.run\",\"with\":{\"script\":\"echo other >> effects\"}}]}",
        ],
    );
    check_refused(
        &[("word: hello", "word: bye")],
        &[
            "`prepare/first` has ended and reads `vars.word`, which would change: vars.word: \"hello\" → \"bye\"",
        ],
    );
    check_refused(
        &[("id: first", "id: renamed"), ("id: gate", "id: door")],
        &[
            "`prepare/first` has ended and would be gone",
            "`prepare/gate` has failed and would be gone",
        ],
    );
    check_refused(
        &[(
            "      - {id: gate",
            "      - {id: new, action: shell.run, with: {script: echo new >> effects}}\n      - {id: gate",
        )],
        &[
            "`prepare` has failed and the order in it would change up to what has started: prepare/first, prepare/gate → prepare/first, prepare/new",
        ],
    );
}

#[test]
fn nobody_agrees_where_nobody_is_and_a_person_may_say_no() {
    let sandbox = failed();
    let plan = edited(&[("echo last", "echo changed")]);
    sandbox.file("plan.yaml", &plan);
    let end = resume(&sandbox, &[]).expect_code(2);
    for text in [
        "~ finish/last",
        "error: nobody is there to agree to the edited plan",
        "hint: look at the difference above, then add `--yes`",
    ] {
        assert!(end.stderr.contains(text), "{}", end.stderr);
    }
    let mut terminal = Terminal::caxplan(&sandbox, &["resume", "--last", "--with-edited-plan"]);
    terminal
        .expect("~ finish/last")
        .expect("Go on with the edited plan?")
        .type_keys("no\n");
    terminal.expect_code(130);
    assert_eq!(sandbox.read("effects"), "");
    let mut terminal = Terminal::caxplan(&sandbox, &["resume", "--last", "--with-edited-plan"]);
    terminal.expect("Go on with the edited plan?").type_keys("yes\n");
    terminal.expect_code(0);
    assert_eq!(sandbox.read("effects"), "gate\nthird soon\nchanged\n");
}

#[test]
fn an_edited_plan_may_be_another_file_with_more_parameters_and_locks() {
    let sandbox = failed();
    let plan = edited(&[
        (
            "name: edited\n",
            "name: edited\nparams: {extra: {}, key: {secret: true}}\nlock: [door]\n",
        ),
        (
            "script: echo last >> effects",
            "script: 'echo last {{ params.extra }} >> effects; test \"$KEY\" = hush', env: {KEY: '{{ params.key }}'}",
        ),
    ]);
    sandbox.file("other.yaml", &plan);
    let resume = ["--yes", "-p", "extra=more", "-p", "key=hush"];
    // Somebody else has the new plan's lock.
    sandbox.file(
        "holder.yaml",
        "lock: [door]\nphases: [{name: hold, steps: [{id: hold, action: shell.run, with: {script: 'touch held; while ! test -e let_go; do sleep 0.05; done'}}]}]\n",
    );
    let id = sandbox.caxplan(&["runs", "--output", "json"]).json()[0]["id"].clone();
    let id = id.as_str().expect("an id");
    let holder = sandbox.start_caxplan(&["run", "holder.yaml"]);
    caxton_tests::wait_until("the lock", std::time::Duration::from_secs(20), || {
        sandbox.path().join("held").exists()
    });
    let mut arguments = vec!["resume", id, "--with-edited-plan", "other.yaml"];
    arguments.extend_from_slice(&resume);
    sandbox.caxplan(&arguments).expect_code(6).expect_text("door");
    assert_eq!(sandbox.read("effects"), "", "the run still follows its own plan");
    sandbox.file("let_go", "");
    holder.wait().expect_code(0);
    sandbox.caxplan(&arguments).expect_code(0);
    assert_eq!(sandbox.read("effects"), "gate\nthird soon\nlast more\n");
    let shown = sandbox.caxplan(&["show", id, "--output", "json"]).expect_code(0);
    assert!(!shown.stdout.contains("hush"), "{}", shown.stdout);
}

#[test]
fn a_kill_around_the_replacement_leaves_one_plan_or_the_other() {
    let plan = edited(&[("echo last", "echo changed")]);
    let number = |sandbox: &Sandbox| {
        let end = sandbox.caxplan(&["verify", "--last"]).expect_code(0);
        let words: Vec<&str> = end.stdout.split_whitespace().collect();
        words
            .iter()
            .find_map(|word| word.parse::<u64>().ok())
            .expect("a number")
            + 1
    };
    // Where the engine dies, and what the run leaves when it is resumed without a word of an edited plan.
    for (when, after, effects) in [
        ("before", 0, "gate\nthird soon\nlast\n"),
        ("after", 0, "gate\nthird soon\nchanged\n"),
        ("before", 1, "gate\nthird soon\nchanged\n"),
        ("after", 1, "gate\nthird soon\nchanged\n"),
    ] {
        let sandbox = failed();
        sandbox.file("plan.yaml", &plan);
        let at = format!("{when}:{}", number(&sandbox) + after);
        let arguments = ["resume", "--last", "--with-edited-plan", "--yes"];
        let died = sandbox.caxplan_with(&[("CAXPLAN_CRASH_AT", &at)], &arguments);
        assert!(
            ![0, 1, 2].contains(&died.code),
            "{at} did not die: {}",
            died.stderr
        );
        sandbox.caxplan(&["show", "--last"]).expect_code(0);
        sandbox.caxplan(&["verify", "--last"]).expect_code(0);
        sandbox.caxplan(&["resume", "--last"]).expect_code(0);
        assert_eq!(sandbox.read("effects"), effects, "{at}");
        sandbox.caxplan(&["verify", "--last"]).expect_code(0);
    }
}

/// A loop over what only the run learns, of which an element fails; then a step that fails.
const LOOPS: &str = r#"
name: loops
phases:
  - name: work
    steps:
      - {id: list, action: shell.run, with: {script: 'echo a b c', changes: false}}
      - foreach: {var: name, in: "{{ steps.list.output.stdout | trim | split(' ') | list }}", batch_size: 1}
        steps:
          - {id: each, action: shell.run, with: {script: 'test $NAME != b || test -e go; echo $NAME >> effects', env: {NAME: "{{ name }}"}}}
      - {id: one, action: shell.run, with: {script: 'test -e go2; echo one >> effects'}}
      - {id: two, action: shell.run, with: {script: 'echo two >> effects'}}
"#;

#[test]
fn a_plan_is_replaced_several_times_and_loops_go_on() {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", LOOPS);
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(1);
    assert_eq!(sandbox.read("effects"), "a\n");
    sandbox.file("plan.yaml", &LOOPS.replace("batch_size: 1", "batch_size: 2"));
    resume(&sandbox, &["--yes"])
        .expect_code(2)
        .expect_text("has failed and would change: batch_size: 1 → 2");
    sandbox.file("plan.yaml", &LOOPS.replace("echo $NAME", "echo other $NAME"));
    resume(&sandbox, &["--yes"])
        .expect_code(2)
        .expect_text("has failed and would change: what it repeats");
    // The elements that there are go on; the step behind the loop is another.
    let first = LOOPS
        .replace("echo two", "echo second")
        .replace("id: one", "id: uno");
    sandbox.file("plan.yaml", &first);
    sandbox.file("go", "");
    resume(&sandbox, &["--yes"]).expect_code(1);
    assert_eq!(sandbox.read("effects"), "a\nb\nc\n");
    // The edited plan is the run's now: what it has named and started must stay.
    sandbox.file("plan.yaml", LOOPS);
    resume(&sandbox, &["--yes"])
        .expect_code(2)
        .expect_text("`work/uno` has failed and would be gone");
    let third = "      - {id: three, action: shell.run, with: {script: 'echo three >> effects'}}\n";
    let second = first.replace("echo second", "echo deuxième") + third;
    sandbox.file("plan.yaml", &second);
    sandbox.file("go2", "");
    resume(&sandbox, &["--yes"]).expect_code(0);
    assert_eq!(sandbox.read("effects"), "a\nb\nc\none\ndeuxième\nthree\n");
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
    let shown = sandbox.caxplan(&["show", "--last", "--output", "json"]).json();
    let events = shown["account"]["events"].as_array().cloned().unwrap_or_default();
    let replaced: Vec<String> = events
        .iter()
        .filter(|event| event["kind"] == "plan_replaced")
        .filter_map(|event| {
            event["text"]
                .as_str()?
                .split_once(": ")
                .map(|(_, what)| what.to_owned())
        })
        .collect();
    assert_eq!(
        replaced,
        [
            "`work/uno` was `work/one`, `work/two` changed",
            "`work/two` changed, `work/three` is new"
        ]
    );
}

#[test]
fn the_example_goes_on_with_its_edited_plan() {
    let sandbox = Sandbox::new();
    let file = |name: &str| root().join("examples/features").join(name).display().to_string();
    let folder = format!("folder={}", sandbox.path().display());
    sandbox
        .caxplan(&["run", &file("edited-plan.yaml"), "-p", &folder])
        .expect_code(1);
    sandbox.file("room", "");
    let end = resume(&sandbox, &[&file("edited-plan-2.yaml"), "--yes"]).expect_code(0);
    for text in [
        "+ install/clean  new",
        "~ finish/announce",
        "announced 1.0",
        "announced 1.1",
    ] {
        assert!(end.stderr.contains(text), "{}", end.stderr);
    }
    assert_eq!(
        sandbox.read("effects"),
        "fetched\nunpacked\ncleaned\nannounced 1.1\n"
    );
}
