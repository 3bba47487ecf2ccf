//! The actions against a small service.

use caxplan_adapter::Context;
use caxplan_adapter::conformance::{Case, call, check};
use caxplan_model::{Cause, FailureKind, Outcome, Value};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const METRICS: &str = "\
# HELP nodes How many.
# TYPE nodes gauge
nodes{state=\"ready\",zone=\"a\"} 2
nodes{state=\"ready\",zone=\"b\"} 3
nodes{state=\"failed\",zone=\"b\"} 1
load 0.25
wait_seconds_bucket{le=\"1\"} 5
wait_seconds_bucket{le=\"+Inf\"} 9
wait_seconds_sum 4.5
wait_seconds_count 9
age NaN
";

/// A service that answers `/N` with status N and echoes what it got, `/metrics` with metrics, `/to/…` with a redirection
/// to what follows, and `/ready-at/N` as not ready until the Nth time.
async fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    let tries = Arc::new(AtomicU32::new(0));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tries = tries.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                let mut length = 0;
                // Small requests: all there when the head is, or with the next packet.
                while !bytes[..length].ends_with(b"\r\n\r\n") && !bytes[..length].ends_with(b"}") {
                    match stream.read(&mut bytes[length..]).await {
                        Ok(0) | Err(_) => return,
                        Ok(more) => length += more,
                    }
                }
                let request = String::from_utf8_lossy(&bytes[..length]).into_owned();
                let answer = answer(&request, &tries);
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

fn answer(request: &str, tries: &AtomicU32) -> String {
    let path = request.split(' ').nth(1).unwrap_or("/");
    let (status, more, body) = if path == "/metrics" {
        (200, String::new(), METRICS.to_owned())
    } else if path == "/large" {
        (200, String::new(), "x".repeat(100_000))
    } else if path == "/endless" {
        (200, String::new(), "x".repeat((8 << 20) + 1))
    } else if let Some(to) = path.strip_prefix("/to/") {
        (302, format!("location: {to}\r\n"), String::new())
    } else if let Some(at) = path.strip_prefix("/ready-at/") {
        let tries = tries.fetch_add(1, Ordering::Relaxed) + 1;
        let ready = tries >= at.parse().unwrap_or(1);
        let state = if ready { "ready" } else { "starting" };
        (
            200,
            String::new(),
            json!({ "status": state, "tries": tries }).to_string(),
        )
    } else {
        let status = path.trim_start_matches('/').parse().unwrap_or(500);
        let nodes = json!([{ "name": "a", "up": true }, { "name": "b", "up": true }]);
        let body = json!({ "got": request, "nodes": nodes, "port": 80 }).to_string();
        (status, "content-type: application/json\r\n".to_owned(), body)
    };
    let head = format!("HTTP/1.1 {status} Whatever\r\nconnection: close\r\n{more}");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len())
}

fn adapters() -> Vec<Arc<dyn caxplan_adapter::Adapter>> {
    crate::adapters()
}

fn set(name: &str) -> Arc<dyn caxplan_adapter::Adapter> {
    let found = adapters().into_iter().find(|adapter| adapter.name() == name);
    found.expect("this package has it")
}

async fn run(action: &str, with: Value) -> Outcome {
    let name = action.split('.').next().unwrap_or_default();
    set(name)
        .perform(&call(action, &with), &Context::detached("."))
        .await
}

async fn cause(action: &str, with: Value) -> Cause {
    let outcome = run(action, with).await;
    outcome.cause().cloned().unwrap_or_else(|| panic!("{outcome:?}"))
}

#[tokio::test]
async fn conforms() {
    let at = service().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let closed_at = format!("http://{}", closed.local_addr().expect("it is bound"));
    drop(closed);
    let to = |path: &str| json!({ "url": format!("{at}/{path}") });
    let with = |path: &str, more: Value| {
        let mut with = to(path);
        for (name, value) in more.as_object().into_iter().flatten() {
            with[name] = value.clone();
        }
        with
    };
    use FailureKind::{Conflict, Denied, Expectation, Invalid, NotFound, Unavailable};
    check(
        &*set("http"),
        &[
            Case::succeeds("http.get", to("200")),
            Case::succeeds("http.get", with("404", json!({ "expect": { "status": 404 } }))),
            Case::succeeds("http.get", with("404", json!({ "expect": { "status": [200, 404] } }))),
            Case::succeeds(
                "http.get",
                with("200", json!({ "expect": {
                    "headers": { "Content-Type": "json" },
                    "json": { "$.port": 80.0, "$.nodes[*].up": [true, true], "$.nodes[?@.name == 'a'].up": true },
                    "body": "port",
                } })),
            ),
            Case::succeeds("http.get", to("to//to//200")),
            Case::succeeds("http.get", to("large")),
            Case::fails("http.get", to("403"), Denied),
            Case::fails("http.get", to("404"), NotFound),
            Case::fails("http.get", to("500"), Expectation),
            Case::fails("http.get", to("503"), Unavailable),
            Case::fails("http.get", to("endless"), Conflict),
            Case::fails("http.get", with("to//200", json!({ "redirects": 0 })), Expectation),
            Case::fails("http.get", json!({ "url": closed_at }), Unavailable),
            Case::fails("http.get", json!({ "url": "no address" }), Invalid),
            Case::fails("http.get", with("200", json!({ "select": { "a": "nodes" } })), Invalid),
            Case::fails("http.get", with("200", json!({ "ca": "no/such/file" })), NotFound),
            Case::fails("http.get", with("200", json!({ "ca": "Cargo.toml" })), Invalid),
            Case::succeeds("http.request", with("201", json!({ "body": { "a": 1 } }))),
            Case::fails("http.request", to("to//200"), Expectation),
            Case::succeeds("http.wait", to("200")),
            Case::fails("http.wait", with("503", json!({ "within": "0s" })), Unavailable),
            Case::fails("http.wait", json!({ "url": "no address" }), Invalid),
            Case::fails(
                "http.wait",
                with("200", json!({ "until": { "json": { "$.port": 81 } }, "every": "10ms", "within": "30ms" })),
                Expectation,
            ),
            Case::runs_until_cancelled("http.wait", with("503", json!({ "within": "1h" }))),
            Case::succeeds("http.metrics", to("metrics")),
            Case::fails("http.metrics", to("200"), Expectation),
            Case::fails("http.metrics", with("metrics", json!({ "select": { "n": "nodes{" } })), Invalid),
            Case::fails("http.metrics", with("metrics", json!({ "select": { "n": "none" } })), NotFound),
        ],
    )
    .await;
    check(
        &*set("notify"),
        &[
            Case::succeeds(
                "notify.webhook",
                with("204", json!({ "json": { "text": "done" } })),
            ),
            Case::fails("notify.webhook", with("403", json!({ "text": "done }" })), Denied),
            Case::fails(
                "notify.webhook",
                with("503", json!({ "text": "done }" })),
                Unavailable,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_request_carries_what_it_was_given() {
    let at = service().await;
    for (action, more) in [
        ("http.request", json!({ "body": { "a": [1, true] } })),
        (
            "notify.webhook",
            json!({ "json": { "a": [1, true] }, "expect": { "status": 500 } }),
        ),
    ] {
        let mut with = json!({
            "method": "PUT",
            "url": format!("{at}/200"),
            "headers": { "X-Retries": 3 },
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            with[name] = value.clone();
        }
        let outcome = run(action, with).await;
        // The webhook puts out nothing of the answer; an unexpected one stands in its cause.
        let answer = outcome
            .output()
            .or_else(|| outcome.cause().map(|cause| &cause.detail))
            .map(|answer| answer["json"]["got"].clone())
            .unwrap_or_default();
        let got = answer.as_str().unwrap_or_default().to_lowercase();
        for part in [
            "put /200 ",
            "x-retries: 3",
            "content-type: application/json",
            "idempotency-key: 01conformance/conformance/step",
            r#"{"a":[1,true]}"#,
        ] {
            assert!(got.contains(part), "no {part:?} in {got:?} of {outcome:?}");
        }
    }
}

#[tokio::test]
async fn headers_are_not_handed_on_to_another_service() {
    let (here, there) = (service().await, service().await);
    let got = |url: String| async move {
        let outcome = run("http.get", json!({ "url": url, "headers": { "X-Token": "abc" } })).await;
        let output = outcome.output().cloned().unwrap_or_default();
        output["json"]["got"]
            .as_str()
            .unwrap_or_default()
            .contains("x-token: abc")
    };
    assert!(got(format!("{here}/to//200")).await);
    assert!(!got(format!("{here}/to/{there}/200")).await);
}

#[tokio::test]
async fn waiting_ends_when_the_service_is_as_wanted_and_says_what_it_saw_last() {
    let at = service().await;
    let wait = |until: &str, within: &str| {
        json!({
            "url": format!("{at}/ready-at/3"),
            "until": { "json": { "$.status": until } },
            "every": "10ms",
            "within": within,
        })
    };
    let outcome = run("http.wait", wait("ready", "1m")).await;
    assert_eq!(
        outcome.output().map(|output| output["tries"].clone()),
        Some(json!(3))
    );
    let cause = cause("http.wait", wait("gone", "0s")).await;
    assert_eq!(
        cause.message,
        format!(
            "not as wanted within 0s (1 try); at last: GET {at}/ready-at/3 answered 200 OK, but `$.status` is \
             \"ready\", not \"gone\""
        )
    );
    assert_eq!(cause.detail["json"]["tries"], json!(4));
}

#[tokio::test]
async fn what_was_not_met_is_said() {
    let at = service().await;
    for (expect, said) in [
        (json!({ "status": 204 }), "answered 200 OK: {"),
        (
            json!({ "headers": { "X-Version": "1" } }),
            "has no header `X-Version`",
        ),
        (
            json!({ "headers": { "content-type": "xml" } }),
            "`content-type` is `application/json`, without `xml`",
        ),
        (json!({ "body": "ready" }), "its body does not hold `ready`"),
        (
            json!({ "json": { "$.ready": true } }),
            "`$.ready` is not there, where true was expected",
        ),
        (
            json!({ "json": { "$.nodes[*].name": ["a"] } }),
            "`$.nodes[*].name` finds [\"a\",\"b\"], not [\"a\"]",
        ),
    ] {
        let cause = cause(
            "http.get",
            json!({ "url": format!("{at}/200"), "expect": expect }),
        )
        .await;
        assert!(cause.message.contains(said), "no {said:?} in {:?}", cause.message);
    }
    let cause = cause(
        "http.get",
        json!({ "url": format!("{at}/metrics"), "expect": { "json": { "$.a": 1 } } }),
    )
    .await;
    assert!(cause.message.contains("its body is no JSON"), "{cause}");
}

#[tokio::test]
async fn values_are_picked_out_of_answers_and_metrics() {
    let at = service().await;
    let select = json!({ "first": "$.nodes[0].name", "names": "$.nodes[*].name", "none": "$.none" });
    let outcome = run(
        "http.get",
        json!({ "url": format!("{at}/200"), "select": select }),
    )
    .await;
    assert_eq!(
        outcome.output().map(|output| output["selected"].clone()),
        Some(json!({ "first": "a", "names": ["a", "b"], "none": null }))
    );

    let url = format!("{at}/metrics");
    let outcome = run("http.metrics", json!({ "url": url })).await;
    let all =
        json!({ "age": null, "load": 0.25, "nodes": 6, "wait_seconds_count": 9, "wait_seconds_sum": 4.5 });
    assert_eq!(outcome, Outcome::Unchanged { output: all });
    let select = json!({
        "failed": "nodes{state=\"failed\"}",
        "ready": "nodes{state=\"ready\"}",
        "gone": "nodes{state=\"gone\"}",
    });
    let outcome = run(
        "http.metrics",
        json!({ "url": url, "select": select, "absent": 0 }),
    )
    .await;
    let selected = json!({ "failed": 1, "gone": 0, "ready": 5 });
    assert_eq!(outcome, Outcome::Unchanged { output: selected });
}
