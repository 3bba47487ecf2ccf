//! Runs over HTTP: pages, API, and who is refused.

use caxton_tests::{Background, Sandbox, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const TOKEN: &str = "correct-horse-battery-staple";
const ASK: &str = "name: \"<script>alert(1)</script>\"\nphases:\n  - name: work\n    steps:\n      - {id: talk, action: shell.run, with: {script: 'echo \"<img src=x onerror=alert(2)>\"'}}\n      - {id: sure, approve: 'Sure? <b>\"now\"</b>'}\n";

/// A server that ends with the test.
struct Server {
    process: Background,
    address: String,
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Server {
    fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let log = sandbox.path().join("serve.log");
        let file = std::fs::File::create(&log).expect("a log");
        let mut command = std::process::Command::new("caxplan");
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(file);
        sandbox.prepare(&mut command);
        let process = Background::new(command.spawn().expect("it starts"));
        wait_until("the server", Duration::from_secs(60), || {
            std::fs::read_to_string(&log).is_ok_and(|text| text.ends_with('\n'))
        });
        let said = std::fs::read_to_string(&log).expect("a log");
        let address = said.trim().trim_start_matches("serving on http://").to_owned();
        Self { process, address }
    }

    /// Sends a request, as raw as an attacker would.
    fn send(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("answered");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        Reply {
            status,
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    fn request(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Reply {
        let host = format!("Host: {}", self.address);
        let host = if headers.iter().any(|header| header.starts_with("Host:")) {
            ""
        } else {
            &host
        };
        let mut lines = vec![format!("{method} {path} HTTP/1.1")];
        lines.extend(
            [host]
                .into_iter()
                .chain(headers.iter().copied())
                .filter(|line| !line.is_empty())
                .map(str::to_owned),
        );
        lines.push(format!("Content-Length: {}", body.len()));
        lines.push("Connection: close".to_owned());
        self.send(&format!("{}\r\n\r\n{body}", lines.join("\r\n")))
    }

    fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[], "")
    }
}

fn waiting_run(sandbox: &Sandbox) -> String {
    sandbox.file("plan.yaml", ASK);
    sandbox.caxplan(&["run", "plan.yaml"]).expect_code(5);
    let runs = sandbox.caxplan(&["runs", "--output", "json"]).json();
    runs[0]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn pages_and_api_show_runs_and_nothing_of_a_run_becomes_markup() {
    let sandbox = Sandbox::new();
    let run = waiting_run(&sandbox);
    let server = Server::start(&sandbox, &[]);
    for path in [
        "/".to_owned(),
        format!("/runs/{run}"),
        format!("/runs/{run}/logs"),
    ] {
        let page = server.get(&path);
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        for markup in ["<script", "<img", "<b>\"now"] {
            assert!(!page.body.contains(markup), "{path}: {}", page.body);
        }
        assert!(
            page.head.contains("content-security-policy: default-src 'none'"),
            "{}",
            page.head
        );
        assert!(
            page.head.contains("x-content-type-options: nosniff"),
            "{}",
            page.head
        );
    }
    assert!(server.get("/").body.contains("&lt;script&gt;"));
    let page = server.get(&format!("/runs/{run}"));
    assert!(
        page.body.contains(&format!("caxplan approve {run} work/sure")),
        "{}",
        page.body
    );
    assert!(!page.body.contains("<form"), "read-only: {}", page.body);

    let json = |path: &str| -> Value { serde_json::from_str(&server.get(path).body).expect("JSON") };
    assert_eq!(json("/api/runs")[0]["id"], run);
    let shown = sandbox.caxplan(&["show", &run, "--output", "json"]).json();
    assert_eq!(
        json(&format!("/api/runs/{run}")),
        shown,
        "the API and `show` say the same"
    );
    assert_eq!(
        json(&format!("/api/runs/{run}/logs"))["output"][0]["step"],
        "work/talk"
    );
    let metrics = server.get("/metrics").body;
    assert!(
        metrics.contains("caxplan_runs{status=\"waiting\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("caxplan_plan_last_start_timestamp_seconds{plan="),
        "{metrics}"
    );
    assert_eq!(server.get("/healthz").body, "ok\n");
}

#[test]
fn hostile_requests_are_refused() {
    let sandbox = Sandbox::new();
    let run = waiting_run(&sandbox);
    let server = Server::start(&sandbox, &[]);
    let check = |method: &str, path: &str, headers: &[&str], status: u16| {
        let reply = server.request(method, path, headers, "");
        assert_eq!(
            reply.status, status,
            "{method} {path} {headers:?}: {}",
            reply.body
        );
        assert!(!reply.body.contains("root:"), "{path}");
    };
    check("GET", "/runs/..%2f..%2f..%2fetc%2fpasswd", &[], 404);
    check("GET", "/../../../../etc/passwd", &[], 404);
    check("GET", "/runs/%00", &[], 404);
    check("GET", "/runs/%3Cscript%3E", &[], 404);
    check("GET", "/", &["Host: evil.example"], 421);
    check("GET", "/api/runs", &["Host: evil.example:8920"], 421);
    check("GET", "/", &["Host: localhost"], 200);
    check("GET", "/api/runs?limit=x", &[], 400);
    check(
        "POST",
        &format!("/api/runs/{run}/approve"),
        &["Content-Type: application/json"],
        403,
    );
    check("POST", &format!("/runs/{run}/answer"), &[], 403);
    check("DELETE", &format!("/api/runs/{run}"), &[], 405);
    assert_eq!(
        server.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").status,
        421,
        "no name at all"
    );
    assert_eq!(server.send("nonsense\r\n\r\n").status, 400);
    sandbox
        .caxplan(&["serve", "--listen", "0.0.0.0:0"])
        .expect_code(2)
        .expect_text("--token-file");
    sandbox
        .caxplan(&["serve", "--allow-actions"])
        .expect_code(2)
        .expect_text("--token-file");
    sandbox.file("short", "abc");
    sandbox
        .caxplan(&["serve", "--token-file", "short"])
        .expect_code(2)
        .expect_text("shorter");
}

#[test]
fn actions_need_the_token_and_a_form_of_ours() {
    let sandbox = Sandbox::new();
    let run = waiting_run(&sandbox);
    sandbox.file("token", TOKEN);
    let mut server = Server::start(&sandbox, &["--token-file", "token", "--allow-actions"]);
    assert_eq!(server.get("/").status, 401);
    assert_eq!(server.get("/metrics").status, 401);
    assert_eq!(server.get("/healthz").status, 200);
    let bearer = format!("Authorization: Bearer {TOKEN}");
    // Any name, and the token as password: `ops:correct-horse-battery-staple`.
    let basic = "Authorization: Basic b3BzOmNvcnJlY3QtaG9yc2UtYmF0dGVyeS1zdGFwbGU=";
    assert_eq!(
        server
            .request("GET", "/", &["Authorization: Bearer wrong-wrong-wrong-wrong"], "")
            .status,
        401
    );
    assert_eq!(server.request("GET", "/", &[basic], "").status, 200);

    let form = "Content-Type: application/x-www-form-urlencoded";
    let answer = format!("/runs/{run}/answer");
    let ours = format!("Origin: http://{}", server.address);
    let post = |headers: &[&str], body: &str| server.request("POST", &answer, headers, body).status;
    assert_eq!(
        post(&[basic, form], "csrf=guess&step=work/sure&answer=approve"),
        403,
        "a guessed form"
    );
    assert_eq!(
        post(&[form], "csrf=guess&step=work/sure&answer=approve"),
        401,
        "no token"
    );
    let page = server.request("GET", &format!("/runs/{run}"), &[basic], "").body;
    let csrf = page
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let body = format!(
        "csrf={}&step=work/sure&answer=approve&reason=",
        csrf.expect("a form")
    );
    assert_eq!(
        post(&[basic, form, "Origin: https://evil.example"], &body),
        403,
        "another site"
    );
    assert_eq!(
        post(&[basic, form, "Sec-Fetch-Site: cross-site"], &body),
        403,
        "another site"
    );
    // The API takes no password that a browser sends by itself.
    let api = format!("/api/runs/{run}/approve");
    let json = "Content-Type: application/json";
    assert_eq!(server.request("POST", &api, &[basic, json], "{}").status, 403);
    assert_eq!(
        server
            .request("POST", &api, &[&bearer, json], "{\"step\": \"work/none\"}")
            .status,
        409
    );
    sandbox.caxplan(&["resume", &run]).expect_code(5);

    assert_eq!(post(&[basic, form, &ours], &body), 303);
    sandbox.caxplan(&["resume", &run]).expect_code(0);
    let shown = sandbox.caxplan(&["show", &run]).expect_code(0);
    assert!(shown.stdout.contains("by web"), "{}", shown.stdout);
    // Nothing goes on any more.
    let pause = server.request("POST", &format!("/api/runs/{run}/pause"), &[&bearer], "");
    assert_eq!(pause.status, 409, "{}", pause.body);
    server.process.signal(Signal::TERM);
    wait_until("the server's end", Duration::from_secs(30), || {
        !server.process.is_running()
    });
}
