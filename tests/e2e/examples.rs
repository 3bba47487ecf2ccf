//! Every example under `examples/features` runs as its first lines say.

use caxton_tests::{Sandbox, root};
use std::path::{Path, PathBuf};

/// A file below `examples/features`, arguments, the exit code, and texts that must appear.
const EXAMPLES: &[(&str, &[&str], i32, &[&str])] = &[
    (
        "questions.yaml",
        &[],
        5,
        &[
            "The canary answers in 7 ms: does it look good?",
            "caxplan approve",
        ],
    ),
    (
        "questions.yaml",
        &["--yes"],
        0,
        &["approved by --yes of", "rest/upgrade_rest"],
    ),
    (
        "child-plan.yaml",
        &[],
        0,
        &["keep/backup has 1m", "backup/copy/size", "child-plan succeeded"],
    ),
    (
        "child-plan.yaml",
        &["-p", "break=true"],
        3,
        &["keep/backup/copy/copy undone in", "Undone, in this order"],
    ),
    (
        "child-secrets.yaml",
        &["-v"],
        0,
        &[
            "shows Bearer *** to https://db-1.example",
            "logged in at https://db-1.example",
        ],
    ),
    (
        "child-invariants.yaml",
        &["-v"],
        0,
        &["main/roll/roll/web-3/undrain", "roll/web-1/after~invariant"],
    ),
    (
        "child-invariants.yaml",
        &["-p", "alive=2"],
        1,
        &["alive was 2, expected >= 3"],
    ),
    ("phases.yaml", &[], 0, &["stage has 1m", "finish/finish in"]),
    (
        "inventory.yaml",
        &["-v"],
        0,
        &["web-2 listens on 80", "db-1 listens on 5432", "steps: 3"],
    ),
    (
        "inventory.yaml",
        &["--limit", "rack=r1,!web-*"],
        0,
        &["greet/db-1/hello", "steps: 1 "],
    ),
    ("secrets.yaml", &["-v"], 0, &["logging in with ***"]),
    (
        "invariants.yaml",
        &["-v"],
        0,
        &["web-3/undrain", "web-1/after~invariant"],
    ),
    (
        "invariants.yaml",
        &["-p", "healthy=1"],
        1,
        &["drain~invariant", "alive was 1, expected >= 2"],
    ),
    (
        "invariants.yaml",
        &["-p", "upgrade=false"],
        1,
        &[
            "which `max_unavailable: 34%, targets: group:web (1 of 3)`",
            "does not allow; down now: `web-",
        ],
    ),
    (
        "phases.yaml",
        &["-p", "break=true"],
        3,
        &["stage undone in", "Undone, in this order"],
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/features")
}

#[test]
fn every_example_runs_as_it_says() {
    for (file, arguments, code, texts) in EXAMPLES {
        let sandbox = Sandbox::new();
        let path = folder().join(file);
        let path = path.to_string_lossy();
        let mut all = vec!["run", path.as_ref()];
        all.extend_from_slice(arguments);
        let mut end = sandbox.caxplan(&all);
        assert_eq!(
            end.code, *code,
            "{file} {arguments:?}\n{}\n{}",
            end.stdout, end.stderr
        );
        let show = sandbox.caxplan(&["show", "--last"]);
        end.stdout.push_str(&show.stdout);
        for text in *texts {
            let said = format!("{}\n{}", end.stdout, end.stderr);
            assert!(
                said.contains(text),
                "{file} {arguments:?} does not say `{text}`:\n{said}"
            );
        }
    }
}

/// Examples that need more than a row can say, and the module beside this one that runs them.
const ELSEWHERE: &[&str] = &[
    "http.yaml",  // adapters: it needs a service
    "s3.yaml",    // s3: likewise
    "hosts.yaml", // systemd: it needs hosts
];

#[test]
fn every_example_is_in_the_table() {
    for entry in std::fs::read_dir(folder()).expect("the examples are there") {
        let name = entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned();
        let plan = name.ends_with(".yaml");
        let is_run = EXAMPLES.iter().any(|(file, ..)| *file == name)
            || COMMANDS.iter().any(|(file, ..)| *file == name)
            || ELSEWHERE.contains(&name.as_str());
        assert!(!plan || is_run, "{name} is run by no test");
    }
}

/// As [`EXAMPLES`], with the whole command: `FILE` is the file, `HERE` a folder of its own. They run in this order, so that
/// `--last` is the one before.
type Command = (&'static str, &'static [&'static str], i32, &'static str);

const COMMANDS: &[Command] = &[
    ("bare-names.yaml", &["run", "FILE"], 0, "3 changed nothing"),
    ("bare-names.yaml", &["preview", "FILE"], 0, "good evening, $WHOM"),
    (
        "steps.yaml",
        &["run", "FILE", "-p", "folder=HERE", "-p", "healthy=false"],
        3,
        "work/configure undone",
    ),
    (
        "steps.yaml",
        &["run", "FILE", "-p", "folder=HERE"],
        0,
        "2 changed something, 2 changed nothing",
    ),
    (
        "steps.yaml",
        &["rollback", "--last", "--to", "configured"],
        3,
        "work/flaky undone",
    ),
    ("parallel.yaml", &["run", "FILE"], 0, "5 changed nothing"),
    ("block.yaml", &["run", "FILE"], 0, "after/goes_on in"),
    (
        "block.yaml",
        &["run", "FILE", "-p", "repair=false"],
        1,
        "work/block/always/unlock in",
    ),
    (
        "foreach-node.yaml",
        &["run", "FILE"],
        0,
        "rolling_upgrade/node-2 skipped",
    ),
    ("foreach.yaml", &["run", "FILE"], 0, "words/beta/say in"),
    (
        "foreach.yaml",
        &["run", "FILE", "-p", "broken=all"],
        1,
        "2 failed",
    ),
    ("dag.yaml", &["run", "FILE"], 0, "4 changed nothing"),
    ("dag.yaml", &["graph", "FILE"], 0, "pack"),
    ("waiting.yaml", &["run", "FILE"], 0, "canary/soak watches for 1s"),
    (
        "waiting.yaml",
        &["run", "FILE", "-p", "errors=7"],
        1,
        "error_rate was 7.0 (%), expected < 1%",
    ),
    (
        "params.yaml",
        &["run", "FILE", "-p", "name=web-1"],
        0,
        "1 changed nothing",
    ),
    (
        "params.yaml",
        &["logs", "--last"],
        0,
        "web-1: 2 x full 1.10.0, 0.5",
    ),
    (
        "params.yaml",
        &[
            "run",
            "FILE",
            "-p",
            "name=web-1",
            "-p",
            "replicas=3",
            "-p",
            "tags=[a, b]",
            "-p",
            "window=90m",
        ],
        0,
        "1 changed nothing",
    ),
    (
        "params.yaml",
        &["run", "FILE", "--params", "examples/features/data/params.yaml"],
        0,
        "1 changed nothing",
    ),
    ("params.yaml", &["logs", "--last"], 0, "db-7: 3 x full"),
    (
        "params.yaml",
        &["run", "FILE", "-p", "name=Web!", "-p", "replicas=99"],
        2,
        "`Web!` does not match",
    ),
    (
        "params.yaml",
        &["run", "FILE", "-p", "name=web-1", "-p", "version=1.8.0"],
        2,
        "less than the least",
    ),
    (
        "secret-sources.yaml",
        &["run", "FILE", "-p", "pin=246813"],
        0,
        "2 changed nothing",
    ),
    (
        "secret-sources.yaml",
        &["logs", "--last"],
        0,
        "token=*** pin=*** password=***",
    ),
    ("conditions.yaml", &["run", "FILE"], 0, "decide/skipped skipped"),
    (
        "templates.yaml",
        &["run", "FILE"],
        0,
        "show/use │ plain 2 ports on web-1, web-2, look: succeeded",
    ),
    (
        "templates.yaml",
        &["run", "FILE", "-p", "text={{ 7 * 7 }}"],
        0,
        "4 changed nothing",
    ),
    ("templates.yaml", &["logs", "--last"], 0, "{{ 7 * 7 }} 2 ports"),
    ("locks.yaml", &["run", "FILE"], 0, "1 changed nothing"),
    (
        "on-failure.yaml",
        &["run", "FILE", "-p", "fails=stop"],
        1,
        "caxplan resume",
    ),
    (
        "on-failure.yaml",
        &["run", "FILE", "-p", "fails=continue"],
        0,
        "after/shell.run in",
    ),
    (
        "on-failure.yaml",
        &["run", "FILE", "-p", "fails=pause"],
        5,
        "paused, because three/shell.run failed",
    ),
    (
        "on-failure.yaml",
        &["run", "FILE", "-p", "fails=rollback"],
        3,
        "prepare/change undone",
    ),
    (
        "overrides.yaml",
        &["run", "FILE"],
        0,
        "observe/watch watches for 300ms",
    ),
    // The minute differs from machine to machine: the plan has a jitter.
    ("schedule.yaml", &["schedule", "next", "FILE"], 0, "Europe/Berlin"),
    ("schedule.yaml", &["run", "FILE"], 0, "1 changed nothing"),
    (
        "notify.yaml",
        &["run", "FILE", "-p", "folder=HERE", "-p", "fails=true"],
        1,
        "told by shell.run",
    ),
    (
        "files.yaml",
        &["run", "FILE", "-p", "folder=HERE", "-p", "fails=true"],
        3,
        "rolled back",
    ),
    (
        "edited-plan.yaml",
        &["run", "FILE", "-p", "folder=HERE"],
        1,
        "caxplan resume",
    ),
    (
        "edited-plan-2.yaml",
        &["run", "FILE", "-p", "folder=HERE"],
        1,
        "caxplan resume",
    ),
    (
        "preview.yaml",
        &["preview", "FILE", "-p", "folder=HERE"],
        0,
        "[unknown: argument `content` ← look/weekday]",
    ),
    (
        "preview.yaml",
        &["run", "FILE", "-p", "folder=HERE"],
        0,
        "preview succeeded",
    ),
    (
        "preview.yaml",
        &["diff", "FILE", "examples/features/phases.yaml"],
        1,
        "+ check",
    ),
    (
        "maintenance.yaml",
        &["run", "FILE#daily", "-p", "folder=HERE"],
        0,
        "site/daily succeeded",
    ),
    (
        "maintenance.yaml",
        &["run", "FILE#weekly", "-p", "folder=HERE"],
        0,
        "site/weekly succeeded",
    ),
    (
        "maintenance.yaml",
        &["run", "FILE#quarterly"],
        5,
        "caxplan approve",
    ),
    (
        "maintenance.yaml",
        &["run", "FILE#quarterly", "--yes"],
        0,
        "site/quarterly succeeded",
    ),
    (
        "maintenance.yaml",
        &["run", "FILE"],
        2,
        "`#daily`, `#weekly`, `#quarterly`",
    ),
    (
        "backup.yaml",
        &["run", "FILE#full_backup", "-p", "folder=HERE"],
        0,
        "site-backup/full_backup succeeded",
    ),
    (
        "backup.yaml",
        &["run", "FILE#incremental_backup", "-p", "folder=HERE"],
        0,
        "site-backup/incremental_backup succeeded",
    ),
    (
        "health-checks.yaml",
        &["check", "FILE"],
        0,
        "process_count was 180, expected < max_processes (500)",
    ),
    (
        "alerts.yaml",
        &["check", "FILE", "-p", "to=HERE/calls"],
        1,
        "pending",
    ),
    (
        "alerts.yaml",
        &["run", "FILE#cpu_busy", "-p", "to=HERE/calls"],
        0,
        "site-alerts/cpu_busy succeeded",
    ),
    ("simulate.yaml", &["simulate", "FILE"], 0, "rollback coverage"),
    (
        "simulate.yaml",
        &[
            "simulate",
            "FILE",
            "--pairs",
            "--crashes",
            "--fail-on",
            "twice,not-undone,left-out",
        ],
        1,
        "found: not all undone",
    ),
    (
        "simulate.yaml",
        &["simulate", "FILE", "--fail-on", "in-doubt"],
        1,
        "switch/announce is IN DOUBT",
    ),
    (
        "simulate.yaml",
        &[
            "simulate",
            "FILE",
            "--rollback-coverage",
            "100%",
            "--fail-on",
            "twice",
        ],
        0,
        "100.0%",
    ),
    (
        "simulate.yaml",
        &["simulate", "FILE", "--scenario", "switch/web-2/healthy:breaches"],
        0,
        "undo of switch/web-1/configure succeeds",
    ),
    ("simulate.test.yaml", &["test", "FILE"], 0, "8 passed, 0 failed"),
    (
        "../../plans/rolling-upgrade.test.yaml",
        &["test", "FILE"],
        0,
        "7 passed, 0 failed",
    ),
];

#[test]
fn every_file_of_several_plans_does_what_it_says() {
    let sandbox = Sandbox::new();
    // Where they cannot leave anything in the checkout.
    for folder in ["examples", "plans"] {
        copy(&root().join(folder), &sandbox.path().join(folder));
    }
    let here = sandbox.path().join("here");
    std::fs::create_dir(&here).expect("made");
    let here = here.to_str().expect("UTF-8");
    for (file, words, code, text) in COMMANDS {
        let file = format!("examples/features/{file}");
        let words: Vec<String> = words
            .iter()
            .map(|word| word.replace("FILE", &file).replace("HERE", here))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        eprintln!("caxplan {}", words.join(" "));
        let environment = [("EXAMPLE_TOKEN", "a-long-token"), ("EXAMPLE_REGION", "north")];
        sandbox
            .caxplan_with(&environment, &words)
            .expect_code(*code)
            .expect_text(text);
    }
}

/// Copies the plans of a folder, and of those in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}
