//! What reviewers are shown: bounded renderings that nothing in a plan can break out of, and the job that posts them.

use caxton_tests::{Sandbox, root};
use std::path::Path;
use std::process::{Command, Stdio};

/// A plan whose every text tries to be more than text.
const HOSTILE: &str = r#"
name: "demo</details><script>x</script> | @team `#1`"
description: "**bold** <img src=x> [link](http://x) @team"
phases:
  - name: "work"
    steps:
      - id: say
        action: shell.run
        with: {script: "echo ``` \"quoted\" </details> | @team \\ end"}
      - {id: ask, approve: "Sure? </summary> <b>@team</b> \"]; n1 --> n2"}
      - wait: 1s
"#;

/// A plan of so many steps, in phases of a hundred.
fn large(steps: usize) -> String {
    let mut text = String::from("name: large\nphases:\n");
    for step in 0..steps {
        if step % 100 == 0 {
            text.push_str(&format!(
                "  - name: phase-{}\n    order: dag\n    steps:\n",
                step / 100
            ));
        }
        text.push_str(&format!(
            "      - {{id: s{step}, noop.run: {{output: {{n: {step}}}}}}}\n"
        ));
    }
    text
}

/// A line of Markdown without what stands between backticks, which is shown as it is.
fn without_code(line: &str) -> String {
    let mut outside = String::new();
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].len() - rest[start..].trim_start_matches('`').len();
        let fence = "`".repeat(ticks);
        let inside = &rest[start + ticks..];
        // A backtick behind a backslash is a backtick.
        if rest[..start].ends_with('\\') {
            outside.push_str(&rest[..start + 1]);
            rest = &rest[start + 1..];
            continue;
        }
        outside.push_str(&rest[..start]);
        let end = inside
            .match_indices(&fence)
            .map(|(at, _)| at)
            .find(|at| !inside[..*at].ends_with('`') && !inside[at + ticks..].starts_with('`'));
        rest = end.map_or("", |end| &inside[end + ticks..]);
    }
    outside + rest
}

/// Feeds a graph to Graphviz, which says what is wrong with it.
fn check_dot(graph: &str) {
    use std::io::Write as _;
    let mut dot = Command::new("dot")
        .args(["-Tplain", "-o", "/dev/null"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("graphviz is installed by `cargo xtask test`");
    let mut stdin = dot.stdin.take().expect("piped");
    stdin.write_all(graph.as_bytes()).expect("dot reads");
    drop(stdin);
    let end = dot.wait_with_output().expect("dot ends");
    let errors = String::from_utf8_lossy(&end.stderr);
    assert!(
        end.status.success() && !errors.contains("rror"),
        "{errors}\n{graph}"
    );
}

/// Checks a flowchart by the few forms of lines that it is made of. Each label stands between quotes and holds none; each
/// subgraph has its end; arrows lead from and to what is there.
fn check_mermaid(graph: &str) {
    assert!(
        graph.len() <= 50_000,
        "{} characters are too many for Mermaid",
        graph.len()
    );
    let mut lines = graph.lines();
    assert_eq!(lines.next(), Some("flowchart TD"));
    let mut ids = std::collections::BTreeSet::new();
    let (mut open, mut arrows) = (0, 0);
    let box_of = |line: &str| -> Option<String> {
        let (id, rest) = line.split_once("[\"")?;
        let label = rest.strip_suffix("\"]")?;
        let plain = |c: char| !matches!(c, '"' | '<' | '>' | '`') && !c.is_control();
        (label.chars().all(plain) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
            .then(|| id.to_owned())
    };
    for line in lines.map(str::trim) {
        if line == "end" {
            open -= 1;
        } else if let Some((from, to)) = line.split_once(" --> ").filter(|_| !line.contains('"')) {
            arrows += 1;
            assert!(ids.contains(from) && ids.contains(to), "{line}");
        } else {
            let rest = line.strip_prefix("subgraph ");
            open += i32::from(rest.is_some());
            let id = box_of(rest.unwrap_or(line)).unwrap_or_else(|| panic!("what is {line}?"));
            assert!(ids.insert(id), "twice: {line}");
        }
    }
    assert_eq!(open, 0, "each subgraph has its end");
    assert!(arrows <= 500, "{arrows} arrows are too many for Mermaid");
}

#[test]
fn diagrams_are_valid_whatever_a_plan_says_and_however_large_it_is() {
    let sandbox = Sandbox::new();
    sandbox.file("hostile.yaml", HOSTILE);
    sandbox.file("small.yaml", &large(20));
    sandbox.file("large.yaml", &large(3_000));
    for plan in ["hostile.yaml", "small.yaml", "large.yaml"] {
        let draw = |language: &str| {
            let shown = sandbox.caxplan(&["preview", plan, "--offline", "--output", language]);
            shown.expect_code(0).stdout
        };
        check_dot(&draw("dot"));
        check_mermaid(&draw("mermaid"));
        assert_eq!(draw("mermaid").contains("are left out"), plan == "large.yaml");
        assert_eq!(draw("dot").contains("are left out"), plan == "large.yaml");
    }
}

#[test]
fn a_review_comment_is_bounded_and_nothing_breaks_out_of_it() {
    let sandbox = Sandbox::new();
    sandbox.file("hostile.yaml", HOSTILE);
    sandbox.file("large.yaml", &large(5_000));
    let markdown = |plan: &str| {
        let shown = sandbox.caxplan(&["preview", plan, "--offline", "--output", "markdown"]);
        shown.expect_code(0).stdout
    };
    let large = markdown("large.yaml");
    assert!(large.len() <= 48_000, "{} bytes", large.len());
    assert!(large.contains("more lines left out"));
    assert_eq!(
        large.matches("<details>").count(),
        large.matches("</details>").count()
    );
    let hostile = markdown("hostile.yaml");
    assert_eq!(hostile.matches("<details>").count(), 1);
    for line in hostile
        .lines()
        .filter(|line| !line.starts_with("<details>") && *line != "</details>")
    {
        let outside = without_code(line);
        assert!(!outside.contains('<') && !outside.contains("@team"), "{outside}");
    }
    let difference = sandbox
        .caxplan(&["diff", "hostile.yaml", "large.yaml", "--output", "markdown"])
        .expect_code(1);
    assert!(
        difference.stdout.len() <= 16_000,
        "{} bytes",
        difference.stdout.len()
    );
}

#[test]
fn a_preview_says_what_earlier_runs_took_once_there_are_some() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        "phases:\n  - name: work\n    steps:\n      - {id: nap, shell.run: {script: sleep 0.02}}\n",
    );
    let preview = || sandbox.caxplan(&["preview", "plan.yaml"]).expect_code(0).stdout;
    assert!(!preview().contains("sually"), "nothing is known of it");
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(0);
    let shown = preview();
    assert!(
        shown.contains("Usually takes") && shown.contains("median of 2 earlier runs"),
        "{shown}"
    );
}

/// Runs the shell steps of the job in a repository of its own, as a CI would; only the one that posts is left out.
#[test]
fn the_review_job_works_as_it_is_written() {
    let sandbox = Sandbox::new();
    let job =
        std::fs::read_to_string(root().join("examples/ci/preview-plan.yml")).expect("the example is there");
    let job: serde_json::Value = serde_saphyr::from_str(&job).expect("the example is YAML");
    let repository = sandbox.path();
    let shell = |script: &str, base: &str| {
        let program = std::env::current_exe().expect("a test knows its path");
        let programs = program
            .parent()
            .and_then(Path::parent)
            .expect("target/PROFILE/deps");
        let path = format!(
            "{}:{}",
            programs.display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let end = Command::new("bash")
            .args(["-e", "-c", script])
            .current_dir(repository)
            .env("PATH", path)
            .env("BASE", base)
            .env("CAXPLAN_STATE_DIR", repository.join(".git/state"))
            .output()
            .expect("bash starts");
        let (out, error) = (
            String::from_utf8_lossy(&end.stdout),
            String::from_utf8_lossy(&end.stderr),
        );
        assert!(end.status.success(), "{script}\n{out}\n{error}");
        out.into_owned()
    };
    let git = "git -c user.name=test -c user.email=test@localhost -c init.defaultBranch=main";
    let plan = |content: &str| {
        format!(
            "phases:\n  - name: work\n    steps:\n      - {{id: put, file.write: {{path: a, content: {content}}}, timeout: 1m}}\n"
        )
    };
    std::fs::create_dir(repository.join("plans")).expect("a folder");
    sandbox.file("plans/a.yaml", &plan("old"));
    sandbox.file("plans/same.yaml", &plan("same"));
    shell(
        &format!("{git} init -q && {git} add -A && {git} commit -qm base"),
        "",
    );
    let base = shell("git rev-parse HEAD", "").trim().to_owned();
    sandbox.file("plans/a.yaml", &plan("new"));
    sandbox.file("plans/b.yaml", &plan("fresh"));
    shell(&format!("{git} add -A && {git} commit -qm change"), "");
    let steps = job["jobs"]["preview"]["steps"].as_array().expect("steps");
    let mut done = Vec::new();
    for step in steps {
        if let (Some(name), Some(script)) = (step["name"].as_str(), step["run"].as_str()) {
            if name != "post" {
                shell(script, &base);
            }
            done.push(name);
        }
    }
    assert_eq!(done, ["validate", "preview", "post"]);
    let changed = sandbox.read("comments/a.yaml.md");
    assert!(changed.contains("## Preview of `a`"), "{changed}");
    assert!(changed.contains("`with.content: \"old\" → \"new\"`"), "{changed}");
    let fresh = sandbox.read("comments/b.yaml.md");
    assert!(
        fresh.contains("content=fresh") && !fresh.contains("differently"),
        "{fresh}"
    );
    assert_eq!(sandbox.read("comments/same.yaml.md"), "", "it did not change");
}
