//! Objects put, got, listed, copied, verified, pruned and deleted.

use crate::world::{World, with_each};
use caxplan_adapter::Change;
use caxplan_model::{FailureKind, Outcome, Value, Verdict};
use serde_json::json;

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_is_got_again() {
    with_each(async |world, _| {
        for (name, bytes) in [("empty", 0), ("small", 1000), ("parts", 12 * MIB + 1), ("ü b+c&d.txt", 10)] {
            let content = world.file("file", bytes);
            let url = format!("s3://bkt/d/{name}");
            let put = json!({ "src": "file", "to": url, "part_size": "5MiB", "metadata": { "Owner": "ops" } });
            assert_eq!(world.foresees("s3.put", put.clone()).await.0, Change::Would);
            assert_eq!(world.probe("s3.put", put.clone()).await, Verdict::NotDone);
            let (changed, output) = world.does("s3.put", put.clone()).await;
            assert!(changed);
            assert_eq!(output["bytes"], bytes);
            assert_eq!(world.foresees("s3.put", put.clone()).await.0, Change::WouldNot);
            let (changed, again) = world.does("s3.put", put.clone()).await;
            assert!(!changed, "the same content was put again");
            assert_eq!(again["sha256"], output["sha256"]);
            assert!(matches!(world.probe("s3.put", put.clone()).await, Verdict::Done { .. }));

            let get = json!({ "from": url, "dest": "got", "sha256": output["sha256"] });
            let (changed, got) = world.does("s3.get", get.clone()).await;
            assert!(changed);
            assert_eq!(got["etag"], output["etag"]);
            assert!(std::fs::read(world.path("got")).unwrap() == content, "{name} came back as something else");
            assert!(!world.does("s3.get", get).await.0, "the same file was got again");
            std::fs::remove_file(world.path("got")).unwrap();

            let verify = json!({ "url": url, "sha256": output["sha256"], "bytes": bytes, "deep": true, "newer_than": "1h" });
            world.does("s3.verify", verify).await;
        }
        let mut keys = world.keys("s3://bkt/d/").await;
        keys.sort();
        assert_eq!(keys, ["d/empty", "d/parts", "d/small", "d/ü b+c&d.txt"]);
        let (_, some) = world.does("s3.list", json!({ "prefix": "s3://bkt/d/", "limit": 2 })).await;
        assert_eq!((some["count"].as_u64(), some["truncated"].as_bool()), (Some(2), Some(true)));
        let left: Vec<_> = std::fs::read_dir(world.folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["file"], "something was left lying about");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_are_kept() {
    with_each(async |world, server| {
        let (_, first) = world
            .does(
                "s3.put",
                json!({ "content": "one", "to": "s3://bkt/k", "if_absent": true }),
            )
            .await;
        // The same content is what was wanted.
        assert!(
            !world
                .does(
                    "s3.put",
                    json!({ "content": "one", "to": "s3://bkt/k", "if_absent": true })
                )
                .await
                .0
        );
        let (cause, acted) = world
            .fails(
                "s3.put",
                json!({ "content": "two", "to": "s3://bkt/k", "if_absent": true }),
            )
            .await;
        assert_eq!((cause.kind, acted), (FailureKind::Conflict, false), "{cause}");
        assert!(
            cause.message.contains("s3://bkt/k exists already (3 B"),
            "{server}: {cause}"
        );
        let replace = |etag: &Value| json!({ "content": "two", "to": "s3://bkt/k", "if_match": etag });
        let (cause, acted) = world.fails("s3.put", replace(&json!("0123"))).await;
        assert_eq!((cause.kind, acted), (FailureKind::Conflict, false), "{cause}");
        assert!(world.does("s3.put", replace(&first["etag"])).await.0);
        assert!(
            !world.does("s3.put", replace(&first["etag"])).await.0,
            "a second attempt sees its own work"
        );
        assert_eq!(world.text("s3://bkt/k").await.as_deref(), Some("two"));
        let (cause, _) = world
            .fails(
                "s3.put",
                json!({ "content": "x", "to": "s3://bkt/k", "sha256": "0".repeat(64) }),
            )
            .await;
        assert_eq!(cause.kind, FailureKind::Conflict, "{cause}");
        let (cause, _) = world
            .fails(
                "s3.get",
                json!({ "from": "s3://bkt/k", "dest": "k", "sha256": "0".repeat(64) }),
            )
            .await;
        assert_eq!(cause.kind, FailureKind::Expectation, "{cause}");
        assert!(!world.path("k").exists());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_without_versions_is_undone_by_what_was_kept_aside() {
    with_each(async |world, _| {
        world.put("s3://bkt/k", "old").await;
        world.put("s3://bkt/other", "other").await;
        for (step, action, arguments) in [
            ("1", "s3.put", json!({ "content": "new", "to": "s3://bkt/k" })),
            ("2", "s3.put", json!({ "content": "new", "to": "s3://bkt/fresh" })),
            (
                "3",
                "s3.copy",
                json!({ "from": "s3://bkt/other", "to": "s3://bkt/k" }),
            ),
            ("4", "s3.delete", json!({ "url": "s3://bkt/k" })),
            ("5", "s3.delete", json!({ "prefix": "s3://bkt/o" })),
        ] {
            world.does_and_undoes(action, step, arguments).await;
            assert_eq!(
                world.text("s3://bkt/k").await.as_deref(),
                Some("old"),
                "step {step}"
            );
            assert_eq!(world.keys("s3://bkt").await, ["k", "other"], "step {step}");
            assert!(
                world.keys("s3://bkt/.caxplan-undo/").await.is_empty(),
                "step {step} left its copy"
            );
        }
        // What someone else wrote since is not undone.
        let call = world.call("s3.put", "6", json!({ "content": "new", "to": "s3://bkt/k" }));
        let before = world.forecast_call(&call).await.before;
        assert!(world.perform_call(&call).await.is_success());
        world.put("s3://bkt/k", "someone else's").await;
        let undone = world.undo(&call, &before).await;
        assert_eq!(
            undone.cause().map(|cause| cause.kind),
            Some(FailureKind::Conflict),
            "{undone:?}"
        );
        assert_eq!(world.text("s3://bkt/k").await.as_deref(), Some("someone else's"));
        // What was not kept is said before.
        let put = json!({ "content": "x", "to": "s3://bkt/k", "undo_copy": false });
        let (_, summary) = world.foresees("s3.put", put).await;
        assert!(summary.contains("cannot be undone"), "{summary}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_object_is_found_by_a_deep_look() {
    let server = crate::servers::Strict::start().await;
    let world = World::new(&server.endpoint);
    world.put("s3://bkt/k", "content").await;
    std::fs::write(server.bucket().join("k"), "c0ntent").unwrap();
    world.does("s3.verify", json!({ "url": "s3://bkt/k" })).await;
    let (cause, _) = world
        .fails("s3.verify", json!({ "url": "s3://bkt/k", "deep": true }))
        .await;
    assert_eq!(cause.kind, FailureKind::Expectation, "{cause}");
    std::fs::write(world.path("dest"), "as it was").unwrap();
    let (cause, acted) = world
        .fails("s3.get", json!({ "from": "s3://bkt/k", "dest": "dest" }))
        .await;
    assert_eq!((cause.kind, acted), (FailureKind::Expectation, false), "{cause}");
    assert_eq!(std::fs::read_to_string(world.path("dest")).unwrap(), "as it was");
    assert_eq!(
        std::fs::read_dir(world.folder.path()).unwrap().count(),
        1,
        "half a file was left"
    );
    // An older one.
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    std::fs::File::options()
        .write(true)
        .open(server.bucket().join("k"))
        .unwrap()
        .set_modified(hour_ago)
        .unwrap();
    let (cause, _) = world
        .fails("s3.verify", json!({ "url": "s3://bkt/k", "newer_than": "1h" }))
        .await;
    assert!(cause.message.contains("longer ago than 1h"), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_objects_are_pruned() {
    let server = crate::servers::Strict::start().await;
    let world = World::new(&server.endpoint);
    let now = std::time::SystemTime::now();
    for day in 0..10 {
        for file in ["data", "SUMS"] {
            let key = format!("db/backup-{day}/{file}");
            world.put(&format!("s3://bkt/{key}"), "x").await;
            let file = std::fs::File::options()
                .write(true)
                .open(server.bucket().join(key))
                .unwrap();
            file.set_modified(now - std::time::Duration::from_secs(day * 86400 + 60))
                .unwrap();
        }
    }
    world.put("s3://bkt/db/README", "x").await;
    let prune = json!({ "prefix": "s3://bkt/db/", "each": "folder", "keep_last": 2, "older_than": "5d", "only": ["backup-*"] });
    let (change, summary) = world.foresees("s3.prune", prune.clone()).await;
    assert_eq!(change, Change::Would);
    assert!(
        summary.starts_with("would remove 5 of 10 below s3://bkt/db/ (10 B)"),
        "{summary}"
    );
    assert!(summary.contains("\n- backup-5 ("), "{summary}");
    assert!(
        summary.contains("): one of the last 2, not old enough"),
        "{summary}"
    );
    let (changed, output) = world.does("s3.prune", prune.clone()).await;
    assert!(changed);
    let removed: Vec<String> = serde_json::from_value(output["removed"].clone()).unwrap();
    assert_eq!(
        removed,
        ["backup-5", "backup-6", "backup-7", "backup-8", "backup-9"]
    );
    assert_eq!(world.keys("s3://bkt/db/").await.len(), 11);
    assert!(!world.does("s3.prune", prune).await.0);
    // However old: one is left.
    world
        .does(
            "s3.prune",
            json!({ "prefix": "s3://bkt/db/backup", "older_than": "0" }),
        )
        .await;
    assert_eq!(world.keys("s3://bkt/db/").await.len(), 2);
    let (cause, _) = world
        .fails("s3.prune", json!({ "prefix": "s3://bkt", "keep_last": 1 }))
        .await;
    assert_eq!(cause.kind, FailureKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_refused_is_said() {
    let server = crate::servers::Strict::start().await;
    let world = World::new(&server.endpoint);
    for (key, secret, hint) in [
        (
            crate::servers::KEY,
            "wrong",
            "the secret key that belongs to the access key AKIATEST… of the step's arguments",
        ),
        ("UNKNOWN", "wrong", ""),
    ] {
        let list = json!({ "prefix": "s3://bkt/", "access_key": key, "secret_key": secret });
        let (cause, _) = world.fails("s3.list", list).await;
        assert_eq!(cause.kind, FailureKind::Denied, "{cause:?}");
        assert!(
            cause.hint.as_deref().unwrap_or_default().contains(hint),
            "{cause:?}"
        );
        assert!(!format!("{cause:?}").contains(secret), "{cause:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_is_not_put() {
    let server = crate::servers::Strict::start().await;
    let world = World::new(&server.endpoint);
    world.file("file", 11 * MIB);
    let path = world.path("file");
    // While the first part is on its way, the file is written to.
    let relay = crate::relay::Relay::start(&server.endpoint, move |what, _| {
        if what.contains("partNumber=1&") {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"changed", 0).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        }
        crate::relay::Harm::None
    })
    .await;
    let put = json!({ "src": "file", "to": "s3://bkt/k", "part_size": "5MiB", "endpoint": relay.endpoint });
    let outcome = world.perform("s3.put", put).await;
    assert!(
        matches!(&outcome, Outcome::Failed { .. }) && !outcome.may_have_acted(),
        "{outcome:?}"
    );
    assert!(
        outcome
            .cause()
            .unwrap()
            .message
            .contains("changed while it was read"),
        "{outcome:?}"
    );
    assert!(
        relay
            .seen()
            .iter()
            .any(|seen| seen.starts_with("DELETE /bkt/k?uploadId=")),
        "{:?}",
        relay.seen()
    );
    assert_eq!(world.text("s3://bkt/k").await, None);
}
