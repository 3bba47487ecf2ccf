//! Faults on the way: what is said, what is tried again, and what is left.

use crate::relay::{Count, Harm, Relay, refusal};
use crate::servers::Strict;
use crate::world::{World, files};
use caxplan_model::{FailureKind, Outcome};
use serde_json::json;

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_busy_is_asked_again() {
    let server = Strict::start().await;
    for (status, code) in [
        (500, "InternalError"),
        (503, "SlowDown"),
        (429, "TooManyRequests"),
    ] {
        let count = Count::default();
        let relay = Relay::start(&server.endpoint, move |what, _| {
            if what.starts_with("PUT") && count.next() < 2 {
                refusal(status, code, "")
            } else {
                Harm::None
            }
        })
        .await;
        let world = World::new(&relay.endpoint);
        world.put(&format!("s3://bkt/{status}"), "text").await;
        assert!(
            world.said.text().contains(&format!("{code}: said the relay")),
            "{}",
            world.said.text()
        );
        assert_eq!(
            World::new(&server.endpoint)
                .text(&format!("s3://bkt/{status}"))
                .await
                .as_deref(),
            Some("text")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stays_busy_is_given_up() {
    let server = Strict::start().await;
    let relay = Relay::start(&server.endpoint, |what, _| {
        if what.starts_with("PUT") {
            refusal(503, "SlowDown", "")
        } else {
            Harm::None
        }
    })
    .await;
    let world = World::new(&relay.endpoint);
    let (cause, acted) = world
        .fails("s3.put", json!({ "content": "x", "to": "s3://bkt/k" }))
        .await;
    assert_eq!((cause.kind, acted), (FailureKind::Unavailable, false), "{cause}");
    assert_eq!(
        relay.seen().iter().filter(|seen| seen.starts_with("PUT")).count(),
        6
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_body_is_completed() {
    let server = Strict::start().await;
    let direct = World::new(&server.endpoint);
    let content = direct.file("file", 20 * MIB);
    direct
        .does("s3.put", json!({ "src": "file", "to": "s3://bkt/k" }))
        .await;
    let count = Count::default();
    let relay = Relay::start(&server.endpoint, move |what, _| {
        if what.starts_with("GET") && count.next() < 3 {
            Harm::Half
        } else {
            Harm::None
        }
    })
    .await;
    let world = World::new(&relay.endpoint);
    world
        .does("s3.get", json!({ "from": "s3://bkt/k", "dest": "got" }))
        .await;
    assert!(std::fs::read(world.path("got")).unwrap() == content);
    assert!(
        world.said.text().contains("the answer broke off after"),
        "{}",
        world.said.text()
    );

    // Always half: given up, and nothing half-written is left under any name.
    let relay = Relay::start(&server.endpoint, |what, _| {
        if what.starts_with("GET") {
            Harm::Half
        } else {
            Harm::None
        }
    })
    .await;
    let world = World::new(&relay.endpoint);
    std::fs::write(world.path("got"), "as it was").unwrap();
    let (cause, acted) = world
        .fails("s3.get", json!({ "from": "s3://bkt/k", "dest": "got" }))
        .await;
    assert_eq!((cause.kind, acted), (FailureKind::Unavailable, false), "{cause}");
    assert_eq!(
        files(world.folder.path()),
        [("got".to_owned(), b"as it was".to_vec())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_looked_for() {
    let server = Strict::start().await;
    let relay = Relay::start(&server.endpoint, |what, seen| {
        if what.starts_with("PUT") && seen == 0 {
            Harm::LostAnswer
        } else {
            Harm::None
        }
    })
    .await;
    let world = World::new(&relay.endpoint);
    // It had been carried out.
    let put = json!({ "content": "text", "to": "s3://bkt/k", "if_absent": true });
    let (changed, _) = world.does("s3.put", put).await;
    assert!(changed);
    assert_eq!(
        relay.seen().iter().filter(|seen| seen.starts_with("PUT")).count(),
        1,
        "it was put twice"
    );

    // It had not been carried out, so it is put again.
    let relay = Relay::start(&server.endpoint, |what, seen| {
        if what.starts_with("PUT") && seen == 0 {
            Harm::LostRequest
        } else {
            Harm::None
        }
    })
    .await;
    let world = World::new(&relay.endpoint);
    world.put("s3://bkt/again", "text").await;
    assert!(
        world.said.text().contains("it is not there, so it is put again"),
        "{}",
        world.said.text()
    );

    // It had not, as far as can be seen; but it might come through yet.
    let relay = Relay::start(&server.endpoint, |what, _| {
        if what.starts_with("PUT") {
            Harm::LostRequest
        } else {
            Harm::None
        }
    })
    .await;
    let world = World::new(&relay.endpoint);
    let put = json!({ "content": "text", "to": "s3://bkt/lost" });
    let outcome = world.perform("s3.put", put.clone()).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(world.probe("s3.put", put).await, caxplan_model::Verdict::NotDone);

    // Nor can it be looked for.
    let relay = Relay::start(&server.endpoint, |what, seen| match what {
        _ if what.starts_with("PUT") => Harm::LostAnswer,
        _ if what.starts_with("HEAD /bkt/doubt") && seen > 0 => refusal(503, "SlowDown", ""),
        _ => Harm::None,
    })
    .await;
    let world = World::new(&relay.endpoint);
    let outcome = world
        .perform("s3.put", json!({ "content": "text", "to": "s3://bkt/doubt" }))
        .await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_is_left_of_an_upload_that_failed() {
    let server = Strict::start().await;
    let before = files(server.root.path());
    for harm in ["denied", "complete", "lost"] {
        let relay = Relay::start(&server.endpoint, move |what, _| match harm {
            "denied" if what.contains("partNumber=2&") => refusal(403, "AccessDenied", ""),
            "complete" if what.starts_with("POST /bkt/k?uploadId=") => refusal(400, "InvalidPart", ""),
            "lost" if what.starts_with("PUT") && what.contains("partNumber=1&") => Harm::LostAnswer,
            _ => Harm::None,
        })
        .await;
        let world = World::new(&relay.endpoint);
        world.file("file", 11 * MIB);
        let (cause, acted) = world
            .fails(
                "s3.put",
                json!({ "src": "file", "to": "s3://bkt/k", "part_size": "5MiB" }),
            )
            .await;
        assert!(!acted, "{harm}: {cause}");
        assert!(
            relay
                .seen()
                .iter()
                .any(|seen| seen.starts_with("DELETE /bkt/k?uploadId=")),
            "{harm}: {:?}",
            relay.seen()
        );
        let is_part = |name: &str| name.contains("part");
        let left: Vec<_> = files(server.root.path())
            .into_iter()
            .filter(|file| !before.contains(file))
            .map(|(name, _)| name)
            .collect();
        assert!(!left.iter().any(|name| is_part(name)), "{harm} left {left:?}");
    }
    assert_eq!(World::new(&server.endpoint).text("s3://bkt/k").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_completion_is_looked_for() {
    let server = Strict::start().await;
    let relay = Relay::start(&server.endpoint, |what, _| {
        if what.starts_with("POST /bkt/k?uploadId=") {
            Harm::LostAnswer
        } else {
            Harm::None
        }
    })
    .await;
    let world = World::new(&relay.endpoint);
    world.file("file", 11 * MIB);
    let (changed, _) = world
        .does(
            "s3.put",
            json!({ "src": "file", "to": "s3://bkt/k", "part_size": "5MiB" }),
        )
        .await;
    assert!(changed);
    World::new(&server.endpoint)
        .does("s3.verify", json!({ "url": "s3://bkt/k", "deep": true }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_stopped_removes_its_parts() {
    let server = Strict::start().await;
    let relay = Relay::start(&server.endpoint, |what, _| {
        if what.contains("partNumber=2&") {
            Harm::Silence
        } else {
            Harm::None
        }
    })
    .await;
    let world = World::new(&relay.endpoint);
    world.file("file", 11 * MIB);
    let put = world.perform(
        "s3.put",
        json!({ "src": "file", "to": "s3://bkt/k", "part_size": "5MiB", "concurrency": 1 }),
    );
    tokio::pin!(put);
    tokio::select! {
        outcome = &mut put => panic!("it ended by itself: {outcome:?}"),
        () = relay.silent.notified() => world.context.cancel.cancel(),
    }
    let outcome = put.await;
    assert_eq!(
        outcome.cause().map(|cause| cause.kind),
        Some(FailureKind::Cancelled),
        "{outcome:?}"
    );
    assert!(!outcome.may_have_acted(), "{outcome:?}");
    assert!(
        relay
            .seen()
            .last()
            .unwrap()
            .starts_with("DELETE /bkt/k?uploadId="),
        "{:?}",
        relay.seen()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_recognised() {
    let server = Strict::start().await;
    let relay = Relay::start(&server.endpoint, |_, _| {
        refusal(
            403,
            "RequestTimeTooSkewed",
            "Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n",
        )
    })
    .await;
    let world = World::new(&relay.endpoint);
    let (cause, _) = world.fails("s3.list", json!({ "prefix": "s3://bkt/" })).await;
    assert_eq!(cause.kind, FailureKind::Denied, "{cause}");
    let hint = cause.hint.unwrap();
    assert!(
        hint.contains("this machine's clock is ") && hint.contains("00:00:00Z there"),
        "{hint}"
    );
    assert_eq!(relay.seen().len(), 1, "asking again does not help");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_object_store_is_recognised() {
    let relay = Relay::start("http://127.0.0.1:1", |_, _| {
        Harm::Answer("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>".to_owned())
    })
    .await;
    let world = World::new(&relay.endpoint);
    let (cause, _) = world.fails("s3.list", json!({ "prefix": "s3://bkt/" })).await;
    assert!(
        cause
            .hint
            .unwrap()
            .contains("is the endpoint that of an object store?")
    );
}
