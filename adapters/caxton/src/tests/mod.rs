//! The adapter against the contract's suite. The cluster here remembers what it is told and does nothing else; real ones
//! are driven by the end-to-end tests.

mod stand_in;

use caxplan_adapter::Context;
use caxplan_adapter::conformance::{Case, call, check};
use caxplan_model::{FailureEffect, FailureKind, Outcome};
use serde_json::json;
use stand_in::StandIn;

#[tokio::test]
async fn conforms() {
    let cluster = StandIn::start("1.0.0").await;
    let at = cluster.context();
    let archive = cluster.archive("1.1.0");
    let far = cluster.archive("1.3.0");
    let world = || cluster.world();
    let node = json!({ "cluster": at, "node": "node-2" });
    let with = |more: serde_json::Value| {
        let mut with = node.as_object().cloned().unwrap_or_default();
        with.extend(more.as_object().cloned().unwrap_or_default());
        serde_json::Value::Object(with)
    };
    let upgrade = |version: &str, release: &str| with(json!({ "version": version, "release": release }));
    let check_release =
        |version: &str, release: &str| json!({ "cluster": at, "version": version, "release": release });

    check(
        &*crate::adapter(),
        &[
            Case::succeeds("caxton.cluster.verify", json!({ "cluster": at, "within": "1s" })).watching(world),
            Case::succeeds("caxton.cluster.status", json!({ "cluster": at })).masking(stand_in::TOKEN),
            Case::succeeds("caxton.cluster.members", json!({ "cluster": at })).masking(stand_in::TOKEN),
            Case::succeeds(
                "caxton.cluster.consistency",
                json!({ "cluster": at, "version": "1.0.0" }),
            ),
            Case::fails(
                "caxton.cluster.consistency",
                json!({ "cluster": at, "version": "1.1.0", "within": "0s" }),
                FailureKind::Expectation,
            ),
            Case::succeeds("caxton.backup.create", json!({ "cluster": at })),
            Case::succeeds("caxton.backup.verify", with(json!({ "id": "backup-node-2" }))),
            // They drive the program `caxton`: the end-to-end tests do that.
            Case::fails_somehow(
                "caxton.dev.up",
                json!({ "name": "no-such-cluster", "release": "no/such/archive" }),
            ),
            Case::fails_somehow("caxton.dev.traffic", json!({ "name": "no-such-cluster" })),
            Case::succeeds("caxton.release.check", check_release("1.1.0", &archive)),
            Case::fails(
                "caxton.release.check",
                check_release("1.2.0", &archive),
                FailureKind::Conflict,
            ),
            Case::fails(
                "caxton.release.check",
                check_release("1.3.0", &far),
                FailureKind::Conflict,
            ),
            Case::succeeds("caxton.node.select", json!({ "cluster": at })).watching(world),
            Case::succeeds("caxton.node.drain", node.clone()).watching(world),
            Case::succeeds("caxton.node.undrain", node.clone()).watching(world),
            Case::succeeds("caxton.node.undrain", json!({ "cluster": at, "node": "node-3" })).watching(world),
            Case::succeeds("caxton.node.checkpoint", node.clone()),
            Case::succeeds("caxton.node.upgrade", upgrade("1.1.0", &archive)).watching(world),
            Case::fails(
                "caxton.node.upgrade",
                upgrade("6.6.6", &archive),
                FailureKind::Conflict,
            ),
            Case::fails(
                "caxton.node.upgrade",
                upgrade("1.1.0", "no/such/archive"),
                FailureKind::NotFound,
            ),
            Case::succeeds("caxton.node.health", node.clone()),
            Case::succeeds("caxton.node.version", with(json!({ "is": "1.0.0" }))),
            Case::succeeds("caxton.node.metrics", node.clone()),
            Case::succeeds("caxton.message.exchange", json!({ "cluster": at, "count": 30 })),
            Case::fails(
                "caxton.message.exchange",
                json!({ "cluster": at, "count": 3, "receivers": ["mute"], "within": "100ms" }),
                FailureKind::Expectation,
            ),
            Case::succeeds(
                "caxton.agent.deploy",
                json!({ "cluster": at, "name": "new", "module": archive }),
            )
            .watching(world),
            Case::fails(
                "caxton.node.drain",
                json!({ "cluster": at, "node": "node-9" }),
                FailureKind::NotFound,
            ),
            Case::fails(
                "caxton.node.health",
                json!({ "cluster": at, "node": "node-4", "within": "0s" }),
                FailureKind::Expectation,
            ),
            Case::runs_until_cancelled(
                "caxton.node.health",
                json!({ "cluster": at, "node": "node-4", "within": "1h" }),
            ),
        ],
    )
    .await;
}

/// A cluster that cannot be found or reached is told from one that refuses, and nothing was done in each case.
#[tokio::test]
async fn an_unreachable_cluster_is_said_to_be_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("token"), "none").expect("writes to a file");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let closed = listener.local_addr().expect("it is bound");
    drop(listener);
    let text = format!("endpoints: [\"http://{closed}\"]\ntoken_file: token\n");
    std::fs::write(folder.path().join("context.yaml"), text).expect("writes to a file");

    for (cluster, kind, words) in [
        ("context.yaml", FailureKind::Unavailable, closed.to_string()),
        ("none.yaml", FailureKind::NotFound, "none.yaml".to_owned()),
        (
            "dev:no-such-cluster",
            FailureKind::NotFound,
            "no-such-cluster".to_owned(),
        ),
    ] {
        let call = call(
            "caxton.node.drain",
            &json!({ "cluster": cluster, "node": "node-1" }),
        );
        let outcome = crate::adapter()
            .perform(&call, &Context::detached(folder.path()))
            .await;
        let Outcome::Failed { cause, effect } = outcome else {
            panic!("{cluster}: {outcome:?}")
        };
        assert_eq!((cause.kind, effect), (kind, FailureEffect::None), "{cause}");
        assert!(
            cause.message.contains(&words) && cause.hint.is_some(),
            "{cause:?}"
        );
    }
}
