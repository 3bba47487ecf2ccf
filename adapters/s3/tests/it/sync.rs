//! Folders and prefixes made alike.

use crate::relay::{Harm, Relay, refusal};
use crate::servers::Strict;
use crate::world::{World, files, with_each};
use caxplan_adapter::Change;
use caxplan_model::FailureKind;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_goes_there_and_comes_back() {
    with_each(async |world, _| {
        let folder = world.path("site");
        std::fs::create_dir_all(folder.join("a/b")).unwrap();
        for (name, text) in [
            ("index.html", "<p>"),
            ("a/one", "1"),
            ("a/b/two", "2"),
            ("a/skip.tmp", "tmp"),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let large = world.file("site/large", 9 << 20);
        let up = json!({ "src": "site", "to": "s3://bkt/www", "exclude": ["*.tmp"], "delete": true });
        let (change, summary) = world.foresees("s3.sync", up.clone()).await;
        assert_eq!(change, Change::Would);
        assert!(
            summary.starts_with("would copy 4 objects (9.0 MiB) from "),
            "{summary}"
        );
        let (changed, output) = world.does("s3.sync", up.clone()).await;
        assert!(changed);
        assert_eq!(output["copied"], 4);
        assert!(!world.does("s3.sync", up.clone()).await.0, "nothing had changed");
        assert_eq!(world.foresees("s3.sync", up.clone()).await.0, Change::WouldNot);

        // Of the same size and date, yet other.
        let modified = std::fs::metadata(folder.join("a/one"))
            .unwrap()
            .modified()
            .unwrap();
        std::fs::write(folder.join("a/one"), "I").unwrap();
        std::fs::File::options()
            .write(true)
            .open(folder.join("a/one"))
            .unwrap()
            .set_modified(modified)
            .unwrap();
        std::fs::remove_file(folder.join("a/b/two")).unwrap();
        world.put("s3://bkt/www/a/kept.tmp", "excluded").await;
        world.put("s3://bkt/wwwx", "beside").await;
        let (_, output) = world.does("s3.sync", up).await;
        assert_eq!(
            (output["copied"].as_u64(), output["deleted"].as_u64()),
            (Some(1), Some(1))
        );
        let mut keys = world.keys("s3://bkt/www").await;
        keys.sort();
        assert_eq!(
            keys,
            [
                "www/a/kept.tmp",
                "www/a/one",
                "www/index.html",
                "www/large",
                "wwwx"
            ]
        );

        let down = json!({ "from": "s3://bkt/www", "dest": "copy", "delete": true, "exclude": ["*.tmp"] });
        std::fs::create_dir(world.path("copy")).unwrap();
        std::fs::write(world.path("copy/surplus"), "x").unwrap();
        let (_, output) = world.does("s3.sync", down.clone()).await;
        assert_eq!(
            (output["copied"].as_u64(), output["deleted"].as_u64()),
            (Some(3), Some(1))
        );
        let copied = files(&world.path("copy"));
        assert_eq!(copied.len(), 3);
        assert!(copied.contains(&("a/one".to_owned(), b"I".to_vec())));
        assert!(copied.contains(&("large".to_owned(), large)));
        assert!(!world.does("s3.sync", down).await.0, "nothing had changed");

        let across = json!({ "from": "s3://bkt/www", "to": "s3://bkt/mirror" });
        let (_, output) = world.does("s3.sync", across.clone()).await;
        assert_eq!(output["copied"], 4);
        assert!(!world.does("s3.sync", across).await.0, "nothing had changed");
        assert_eq!(world.keys("s3://bkt/mirror/").await.len(), 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_source_deletes_nothing() {
    let server = Strict::start().await;
    let world = World::new(&server.endpoint);
    world.put("s3://bkt/www/a", "a").await;
    std::fs::create_dir(world.path("unmounted")).unwrap();
    for arguments in [
        json!({ "src": "unmounted", "to": "s3://bkt/www", "delete": true }),
        json!({ "src": "nowhere", "to": "s3://bkt/www", "delete": true }),
        json!({ "from": "s3://bkt/nothing", "to": "s3://bkt/www", "delete": true }),
    ] {
        let (cause, acted) = world.fails("s3.sync", arguments).await;
        assert!(
            matches!(cause.kind, FailureKind::Conflict | FailureKind::NotFound),
            "{cause}"
        );
        assert!(!acted);
    }
    assert_eq!(world.keys("s3://bkt/www").await, ["www/a"]);
    let (cause, _) = world
        .fails(
            "s3.sync",
            json!({ "from": "s3://bkt/www", "to": "s3://bkt/www/in" }),
        )
        .await;
    assert_eq!(cause.kind, FailureKind::Invalid, "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_breaks_off_deletes_nothing() {
    let server = Strict::start().await;
    // Two pages.
    std::fs::create_dir(server.bucket().join("www")).unwrap();
    for number in 0..1001 {
        std::fs::write(server.bucket().join(format!("www/{number:04}")), "").unwrap();
    }
    let relay = Relay::start(&server.endpoint, |what, _| {
        if what.contains("continuation-token=") {
            refusal(403, "AccessDenied", "")
        } else {
            Harm::None
        }
    })
    .await;
    let world = World::new(&relay.endpoint);
    std::fs::create_dir(world.path("site")).unwrap();
    std::fs::write(world.path("site/0000"), "").unwrap();
    let sync = json!({ "src": "site", "to": "s3://bkt/www", "delete": true });
    let (cause, acted) = world.fails("s3.sync", sync.clone()).await;
    assert_eq!((cause.kind, acted), (FailureKind::Denied, false), "{cause}");
    assert!(
        relay
            .seen()
            .iter()
            .any(|seen| seen.contains("continuation-token=")),
        "the second page was not asked for"
    );
    assert!(
        relay.seen().iter().all(|seen| seen.starts_with("GET")),
        "{:?}",
        relay.seen()
    );
    let direct = World::new(&server.endpoint);
    std::fs::create_dir(direct.path("site")).unwrap();
    std::fs::write(direct.path("site/0000"), "").unwrap();
    let (_, output) = direct.does("s3.sync", sync).await;
    assert_eq!(
        (output["unchanged"].as_u64(), output["deleted"].as_u64()),
        (Some(1), Some(1000))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_lead_elsewhere_are_refused() {
    let page = |key: &str| {
        let body = format!(
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>{key}</Key><Size>1</Size>\
             <LastModified>2026-01-01T00:00:00Z</LastModified><ETag>\"x\"</ETag></Contents></ListBucketResult>"
        );
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    for key in ["www/../../../escaped", "www//etc/escaped", "www/./escaped"] {
        let answer = page(key);
        let relay = Relay::start("http://127.0.0.1:1", move |_, _| Harm::Answer(answer.clone())).await;
        let world = World::new(&relay.endpoint);
        let (cause, acted) = world
            .fails(
                "s3.sync",
                json!({ "from": "s3://bkt/www", "dest": "deep/in/here" }),
            )
            .await;
        assert_eq!((cause.kind, acted), (FailureKind::Invalid, false), "{cause}");
        assert_eq!(std::fs::read_dir(world.folder.path()).unwrap().count(), 0);
    }
}
