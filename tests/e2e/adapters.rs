//! Actions, notifications and secrets, as a user sees them.

use caxton_tests::{Sandbox, Service, root, wait_until};
use std::path::Path;
use std::time::Duration;

/// Copies an example with the files beside it into the sandbox.
fn example(sandbox: &Sandbox, name: &str) {
    let features = root().join("examples/features");
    let copy = |from: &Path, to: &Path| {
        std::fs::create_dir_all(to.parent().expect("it lies in the sandbox")).expect("a folder");
        std::fs::copy(from, to).expect("a copy");
    };
    copy(
        &features.join(format!("{name}.yaml")),
        &sandbox.path().join(format!("{name}.yaml")),
    );
    for beside in std::fs::read_dir(features.join(name))
        .into_iter()
        .flatten()
        .flatten()
    {
        copy(
            &beside.path(),
            &sandbox.path().join(name).join(beside.file_name()),
        );
    }
}

#[test]
fn the_example_of_http_waits_reads_watches_and_tells() {
    let service = Service::start(|path, before| match path {
        "/health" if before < 2 => (503, "{}".to_owned()),
        "/health" => (200, r#"{"status": "ready"}"#.to_owned()),
        "/nodes" => (
            200,
            r#"{"nodes": [{"name": "node-1", "up": true}, {"name": "node-2", "up": true}]}"#.to_owned(),
        ),
        "/metrics" => (
            200,
            "# TYPE x gauge\ncaxton_cluster_nodes_failed 0\nqueue_depth{queue=\"a\"} 3\n".to_owned(),
        ),
        "/hook" => (204, String::new()),
        _ => (404, String::new()),
    });
    let sandbox = Sandbox::new();
    example(&sandbox, "http");
    let url = format!("url={}", service.url());
    sandbox.caxplan(&["run", "http.yaml", "-p", &url]).expect_code(0);
    let asked = service.asked();
    let count = |line: &str| asked.iter().filter(|asked| asked.line == line).count();
    assert_eq!(count("GET /health"), 3, "it waited until the service was ready");
    assert!(count("GET /metrics") >= 2, "it watched");
    let told = asked
        .iter()
        .find(|asked| asked.line == "POST /hook")
        .expect("it told");
    assert!(
        told.text
            .contains(r#"{"text":"http is through: node-1, node-2"}"#),
        "{}",
        told.text
    );
}

#[test]
fn metrics_that_are_not_as_wanted_breach_a_watch() {
    let service = Service::start(|_, _| (200, "caxton_cluster_nodes_failed 1\nqueue_depth 0\n".to_owned()));
    let sandbox = Sandbox::new();
    sandbox.file(
        "plan.yaml",
        r#"
params: {url: {}}
phases:
  - name: a
    steps:
      - watch:
          for: 1m
          every: 10ms
          observe: {http.metrics: {url: "{{ params.url }}"}}
          checks: ["caxton_cluster_nodes_failed == 0"]
"#,
    );
    let url = format!("url={}", service.url());
    sandbox
        .caxplan(&["run", "plan.yaml", "-p", &url])
        .expect_code(1)
        .expect_text("caxton_cluster_nodes_failed");
}

#[test]
fn the_example_of_files_is_put_in_place_and_back() {
    let sandbox = Sandbox::new();
    example(&sandbox, "files");
    std::fs::create_dir(sandbox.path().join("etc")).expect("a folder");
    sandbox.file("etc/environment", "APP_ENV=test\n");
    sandbox
        .caxplan(&["run", "files.yaml", "-p", "fails=true"])
        .expect_code(3);
    assert_eq!(sandbox.read("etc/environment"), "APP_ENV=test\n");
    assert!(!sandbox.path().join("etc/app").exists(), "what was made is gone");
    sandbox.caxplan(&["run", "files.yaml"]).expect_code(0);
    assert_eq!(sandbox.read("etc/environment"), "APP_ENV=prod\n");
    assert_eq!(sandbox.read("etc/app/sample.conf"), "port = 8080\n");
    sandbox
        .caxplan(&["preview", "files.yaml"])
        .expect_code(0)
        .expect_text("is as wanted");
}

#[test]
fn the_example_of_notifications_tells_of_its_end() {
    let sandbox = Sandbox::new();
    example(&sandbox, "notify");
    sandbox.caxplan(&["run", "notify.yaml"]).expect_code(0);
    assert_eq!(sandbox.read("told.txt"), "notify ended well, 1 changed\n");
    sandbox
        .caxplan(&["run", "notify.yaml", "-p", "fails=true"])
        .expect_code(1)
        .expect_text("told by shell.run");
    let told = sandbox.read("told.txt");
    assert!(
        told.contains(
            "notify failed: `work/act` failed: `false` ended with exit code 1 (exit); type: caxplan resume "
        ),
        "{told}"
    );
    sandbox
        .caxplan(&["show", "--last"])
        .expect_code(0)
        .expect_text("shell.run: sent");
    // Another end of the same run is told anew, and told once.
    sandbox.caxplan(&["resume", "--last"]).expect_code(1);
    assert_eq!(sandbox.read("told.txt").matches("notify failed").count(), 2);
    sandbox.caxplan(&["verify", "--last"]).expect_code(0);
}

#[test]
fn a_notification_that_fails_changes_no_end_and_leaks_no_secret() {
    let service = Service::start(|_, _| (403, "hunter2-hunter2 is not welcome".to_owned()));
    let sandbox = Sandbox::new();
    sandbox.file("token", "hunter2-hunter2\n");
    sandbox.file(
        "plan.yaml",
        r#"
secrets: {token: {file: token}}
params: {url: {}}
notify:
  notify.webhook:
    url: "{{ params.url }}/{{ secrets.token }}"
    headers: {Authorization: "Bearer {{ secrets.token }}"}
    json: {end: "{{ run.end }}", code: "{{ run.exit_code }}"}
phases: [{name: a, steps: [{noop.run: {}}]}]
"#,
    );
    let url = format!("url={}", service.url());
    let preview = sandbox
        .caxplan(&["preview", "plan.yaml", "-p", &url])
        .expect_code(0)
        .expect_text("every end by notify.webhook");
    assert!(service.asked().is_empty(), "a preview tells nobody");
    let run = sandbox
        .caxplan(&["run", "plan.yaml", "-p", &url])
        .expect_code(0)
        .expect_text("nobody was told by notify.webhook");
    let asked = service.asked();
    assert_eq!(asked.len(), 1, "what is denied is not tried again");
    assert!(asked[0].text.contains("Bearer hunter2-hunter2"), "{:?}", asked[0]);
    assert!(
        asked[0].text.contains(r#"{"end":"succeeded","code":0}"#),
        "{:?}",
        asked[0]
    );
    let show = sandbox
        .caxplan(&["show", "--last", "--output", "json"])
        .expect_code(0);
    let logs = sandbox.caxplan(&["logs", "--last"]).expect_code(0);
    expect_no_secret(
        &sandbox,
        &[preview.stdout, run.stdout, run.stderr, show.stdout, logs.stdout],
    );
}

#[test]
fn the_example_of_secrets_decrypts_a_file_and_shows_nothing_of_it() {
    let sandbox = Sandbox::new();
    example(&sandbox, "secrets");
    sandbox.caxplan(&["run", "secrets.yaml"]).expect_code(0);
    let logs = sandbox
        .caxplan(&["logs", "--last"])
        .expect_code(0)
        .expect_text("logging in with ***");
    assert!(!logs.stdout.contains("correct-horse"), "{}", logs.stdout);
    sandbox.file("secrets/example-identity.txt", "nothing\n");
    sandbox
        .caxplan(&["run", "secrets.yaml"])
        .expect_code(2)
        .expect_text("holds no identity of age");
}

/// While the step runs, no process of this machine has the secret among its arguments.
#[test]
fn rundeck_2627_a_secret_is_not_seen_in_ps() {
    let sandbox = Sandbox::new();
    sandbox.file("token", "hunter2-hunter2\n");
    sandbox.file(
        "plan.yaml",
        r#"
secrets: {token: {file: token}}
phases:
  - name: a
    steps:
      - shell.run:
          script: 'given=$(cat); test "$given" = "$TOKEN"; touch started; while ! test -e go; do sleep 0.05; done'
          env: {TOKEN: "{{ secrets.token }}"}
          stdin: "{{ secrets.token }}"
"#,
    );
    let run = sandbox.start_caxplan(&["run", "plan.yaml"]);
    wait_until("the step", Duration::from_secs(30), || {
        sandbox.path().join("started").exists()
    });
    let seen = std::fs::read_dir("/proc")
        .expect("Linux has /proc")
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .find(|line| line.contains("hunter2-hunter2"));
    sandbox.file("go", "");
    let end = run.wait().expect_code(0);
    assert_eq!(seen, None, "a process shows the secret");
    expect_no_secret(&sandbox, &[end.stdout, end.stderr]);

    sandbox.file(
        "plan.yaml",
        "secrets: {token: {file: token}}\nphases: [{name: a, steps: [{shell.run: {argv: [x, \"{{ secrets.token }}\"]}}]}]\n",
    );
    sandbox
        .caxplan(&["run", "plan.yaml"])
        .expect_code(2)
        .expect_text("hand it over by `env` or `stdin`");
}

/// Whatever a step does with a secret, no form of it is kept or shown.
#[test]
fn a_secret_is_masked_in_every_form_and_everywhere() {
    let sandbox = Sandbox::new();
    sandbox.file("token", "hunter2-hunter2\n");
    sandbox.file("shown.conf", "password = \n");
    sandbox.file(
        "plan.yaml",
        r#"
secrets: {token: {file: token}}
phases:
  - name: a
    steps:
      - id: forms
        shell.run:
          script: |
            printf 'user:%s' "$TOKEN" | base64
            printf '%s' "$TOKEN" | base64 -w0 | tr '+/' '-_'; echo
            printf '{"a": "%s"}\n' "$TOKEN"
            printf 'hunter2-'; sleep 0.3; printf 'hunter2\n'
            printf '%s\n' "$TOKEN" >&2
          env: {TOKEN: "{{ secrets.token }}"}
      - file.write: {path: shown.conf, content: "password = {{ secrets.token }}\n"}
      - id: fail
        shell.run:
          script: 'echo "no $TOKEN" >&2; exit 1'
          env: {TOKEN: "{{ secrets.token }}"}
"#,
    );
    let preview = sandbox.caxplan(&["preview", "plan.yaml"]).expect_code(0);
    let run = sandbox.caxplan(&["run", "plan.yaml", "--verbose"]).expect_code(1);
    assert_eq!(sandbox.read("shown.conf"), "password = hunter2-hunter2\n");
    let json = sandbox
        .caxplan(&["resume", "--last", "--output", "json"])
        .expect_code(1);
    // Now the file that is there holds it.
    let again = sandbox
        .caxplan(&["preview", "plan.yaml", "--output", "json"])
        .expect_code(0);
    let show = sandbox
        .caxplan(&["show", "--last", "--output", "json"])
        .expect_code(0);
    let logs = sandbox
        .caxplan(&["logs", "--last"])
        .expect_code(0)
        .expect_text("***");
    expect_no_secret(
        &sandbox,
        &[
            preview.stdout,
            run.stdout,
            run.stderr,
            json.stdout,
            json.stderr,
            again.stdout,
            show.stdout,
            logs.stdout,
        ],
    );
}

/// No form of `hunter2-hunter2` stands in what was shown, or in a file of the journal.
fn expect_no_secret(sandbox: &Sandbox, shown: &[String]) {
    let mut everything = shown.join("\n");
    for file in std::fs::read_dir(sandbox.path().join("state"))
        .expect("a state folder")
        .flatten()
    {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        everything.push_str(&String::from_utf8_lossy(&bytes));
    }
    for form in [
        "hunter2-hunter2",
        "aHVudGVyMi1odW50ZXIy",
        "odW50ZXIyLWh1bnRlcj",
        "unter2-hunter2",
    ] {
        if let Some(at) = everything.find(form) {
            let around: String = everything[..at].chars().rev().take(80).collect();
            panic!(
                "{form} was leaked after {}",
                around.chars().rev().collect::<String>()
            );
        }
    }
}
