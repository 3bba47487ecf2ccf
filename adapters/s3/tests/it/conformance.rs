//! What every adapter promises.

use crate::servers::Strict;
use crate::world::{World, files};
use caxplan_adapter::conformance::{Case, check};
use caxplan_model::{FailureKind, Value};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn conformance() {
    let server = Strict::start().await;
    let world = World::new(&server.endpoint);
    for (key, text) in [
        ("old", "old text"),
        ("p/1", "one"),
        ("p/2", "two"),
        ("from", "to be copied"),
        ("kept/a", "a"),
    ] {
        world.put(&format!("s3://bkt/{key}"), text).await;
    }
    for (name, text) in [("file", "a file"), ("got", "what was there")] {
        std::fs::write(world.path(name), text).unwrap();
    }
    std::fs::create_dir(world.path("folder")).unwrap();
    std::fs::write(world.path("folder/x"), "x").unwrap();
    let file = |name: &str| world.path(name).display().to_string();
    let bucket = server.bucket();
    let outside = world.folder.path().to_owned();
    let see = || {
        let of = |root| {
            files(root)
                .into_iter()
                .map(|(name, bytes)| json!([name, bytes]))
                .collect::<Vec<Value>>()
        };
        json!([of(&bucket), of(&outside)])
    };
    let with = |arguments| world.with(arguments);
    let nowhere = json!({ "endpoint": "http://127.0.0.1:1", "prefix": "s3://bkt/", "access_key": "a", "secret_key": "b" });
    let secret = crate::servers::SECRET;
    let cases = [
        Case::succeeds(
            "s3.put",
            with(json!({ "src": file("file"), "to": "s3://bkt/new" })),
        )
        .watching(see)
        .masking(secret),
        Case::succeeds(
            "s3.put",
            with(json!({ "content": "new text", "to": "s3://bkt/old" })),
        )
        .watching(see),
        Case::fails(
            "s3.put",
            with(json!({ "content": "x", "to": "s3://bkt/p/1", "if_absent": true })),
            FailureKind::Conflict,
        )
        .watching(see),
        Case::fails(
            "s3.put",
            with(json!({ "content": "x", "to": "s3://none/k" })),
            FailureKind::NotFound,
        )
        .watching(see),
        Case::fails(
            "s3.put",
            with(json!({ "content": "x", "to": "b/k" })),
            FailureKind::Invalid,
        )
        .watching(see),
        Case::succeeds(
            "s3.get",
            with(json!({ "from": "s3://bkt/p/1", "dest": file("new") })),
        )
        .watching(see),
        Case::succeeds(
            "s3.get",
            with(json!({ "from": "s3://bkt/p/1", "dest": file("got") })),
        )
        .watching(see),
        Case::fails(
            "s3.get",
            with(json!({ "from": "s3://bkt/none", "dest": file("new") })),
            FailureKind::NotFound,
        )
        .watching(see),
        Case::succeeds("s3.list", with(json!({ "prefix": "s3://bkt/p/" }))).watching(see),
        Case::fails("s3.list", nowhere, FailureKind::Unavailable),
        Case::succeeds(
            "s3.copy",
            with(json!({ "from": "s3://bkt/from", "to": "s3://bkt/copy" })),
        )
        .watching(see),
        Case::succeeds(
            "s3.copy",
            with(json!({ "from": "s3://bkt/from", "to": "s3://bkt/old" })),
        )
        .watching(see),
        Case::succeeds("s3.delete", with(json!({ "url": "s3://bkt/old" }))).watching(see),
        Case::succeeds("s3.delete", with(json!({ "prefix": "s3://bkt/p/" }))).watching(see),
        Case::fails(
            "s3.delete",
            with(json!({ "url": "s3://bkt/none", "missing_ok": false })),
            FailureKind::NotFound,
        )
        .watching(see),
        Case::succeeds(
            "s3.sync",
            with(json!({ "src": file("folder"), "to": "s3://bkt/www" })),
        )
        .watching(see),
        Case::succeeds(
            "s3.sync",
            with(json!({ "from": "s3://bkt/p", "dest": file("mirror"), "delete": true })),
        )
        .watching(see),
        Case::succeeds(
            "s3.verify",
            with(json!({ "url": "s3://bkt/p/1", "bytes": 3, "deep": true, "newer_than": "1h" })),
        )
        .watching(see),
        Case::fails(
            "s3.verify",
            with(json!({ "url": "s3://bkt/p/1", "bytes": 4 })),
            FailureKind::Expectation,
        )
        .watching(see),
        Case::succeeds(
            "s3.prune",
            with(json!({ "prefix": "s3://bkt/p/", "keep_last": 1 })),
        )
        .watching(see),
        Case::fails(
            "s3.prune",
            with(json!({ "prefix": "s3://bkt/p/" })),
            FailureKind::Invalid,
        )
        .watching(see),
    ];
    check(&*caxplan_s3::adapter(), &cases).await;
}
