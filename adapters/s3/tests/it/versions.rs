//! Buckets with versions, and with object lock.

use crate::servers::Moto;
use crate::world::World;
use caxplan_model::FailureKind;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn undo_goes_back_to_the_version_before() {
    let Some(moto) = Moto::start().await else { return };
    let world = World::new(&moto.endpoint);
    world.put("s3://versioned/k", "old").await;
    world.put("s3://versioned/other", "other").await;
    let versions = async || moto.ask("GET", "/versioned?versions&prefix=k", "", "").await;
    let count = |text: &str| {
        (
            text.matches("<Version>").count(),
            text.matches("<DeleteMarker>").count(),
        )
    };
    for (step, action, arguments) in [
        (
            "1",
            "s3.put",
            json!({ "content": "new", "to": "s3://versioned/k" }),
        ),
        (
            "2",
            "s3.copy",
            json!({ "from": "s3://versioned/other", "to": "s3://versioned/k" }),
        ),
        ("3", "s3.delete", json!({ "url": "s3://versioned/k" })),
        ("4", "s3.delete", json!({ "prefix": "s3://versioned/k" })),
        (
            "5",
            "s3.put",
            json!({ "content": "new", "to": "s3://versioned/fresh" }),
        ),
    ] {
        let forecast = world.forecast(action, arguments.clone()).await.unwrap();
        assert!(
            !forecast.summary.contains("cannot be undone"),
            "{}",
            forecast.summary
        );
        world.does_and_undoes(action, step, arguments).await;
        assert_eq!(
            world.text("s3://versioned/k").await.as_deref(),
            Some("old"),
            "step {step}"
        );
        // Nothing is left of it: neither versions nor marks, nor copies.
        assert_eq!(count(&versions().await), (1, 0), "step {step}");
        assert_eq!(world.keys("s3://versioned").await, ["k", "other"], "step {step}");
    }
    // A version by its id.
    let (_, put) = world
        .does("s3.put", json!({ "content": "newer", "to": "s3://versioned/k" }))
        .await;
    let version = put["version"].as_str().unwrap();
    world.put("s3://versioned/k", "newest").await;
    world
        .does(
            "s3.get",
            json!({ "from": "s3://versioned/k", "dest": "v", "version": version }),
        )
        .await;
    assert_eq!(std::fs::read_to_string(world.path("v")).unwrap(), "newer");
    world
        .does(
            "s3.copy",
            json!({ "from": "s3://versioned/k", "to": "s3://versioned/k", "version": version }),
        )
        .await;
    assert_eq!(world.text("s3://versioned/k").await.as_deref(), Some("newer"));
    let delete = json!({ "url": "s3://versioned/k", "version": version });
    assert!(
        world
            .foresees("s3.delete", delete.clone())
            .await
            .1
            .contains("cannot be undone")
    );
    assert!(world.does("s3.delete", delete.clone()).await.0);
    assert!(!world.does("s3.delete", delete).await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_stays() {
    let Some(moto) = Moto::start().await else { return };
    let world = World::new(&moto.endpoint);
    let lock = async |key: &str| {
        let retention = "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>";
        moto.ask("PUT", &format!("/locked/{key}?retention"), "", retention)
            .await;
    };
    let (_, put) = world
        .does("s3.put", json!({ "content": "one", "to": "s3://locked/d/1" }))
        .await;
    lock("d/1").await;
    let version = put["version"].as_str().unwrap();
    let (cause, acted) = world
        .fails(
            "s3.delete",
            json!({ "url": "s3://locked/d/1", "version": version }),
        )
        .await;
    assert_eq!((cause.kind, acted), (FailureKind::Denied, false), "{cause}");
    assert!(
        cause.message.contains("it is locked until 2099-01-01T00:00:00"),
        "{cause}"
    );
    assert!(
        !world.said.text().contains("again in"),
        "it was tried again: {}",
        world.said.text()
    );

    // Retention leaves it, and says so.
    world.put("s3://locked/d/2", "two").await;
    world.put("s3://locked/d/3", "three").await;
    let prune = json!({ "prefix": "s3://locked/d/", "older_than": "0" });
    let (_, summary) = world.foresees("s3.prune", prune.clone()).await;
    assert!(
        summary.contains("\n= 1 (") && summary.contains("locked until 2099"),
        "{summary}"
    );
    let (_, output) = world.does("s3.prune", prune).await;
    assert_eq!(output["locked"], json!(["1"]));
    assert_eq!(
        world.keys("s3://locked/d/").await.len(),
        2,
        "the locked one and the newest"
    );

    // An undo whose own version is locked shows the old content above it.
    let call = world.call(
        "s3.put",
        "replace",
        json!({ "content": "new", "to": "s3://locked/d/1" }),
    );
    let before = world.forecast_call(&call).await.before;
    assert!(world.perform_call(&call).await.is_success());
    lock("d/1").await;
    for _ in 0..2 {
        let undone = world.undo(&call, &before).await;
        assert!(undone.is_success(), "{undone:?}");
        assert_eq!(world.text("s3://locked/d/1").await.as_deref(), Some("one"));
    }
}
