//! The adapter against a real systemd, that of a user.

use crate::support::{Heard, STAYS, Systemd};
use caxplan_adapter::Change;
use caxplan_adapter::conformance::{Case, call, check};
use caxplan_model::{FailureEffect, FailureKind, Outcome, Value, Verdict};
use serde_json::json;
use std::sync::Arc;

fn message(outcome: &Outcome) -> &str {
    outcome.cause().map_or("", |cause| cause.message.as_str())
}

#[tokio::test]
async fn conforms() {
    let Some(systemd) = Systemd::start() else { return };
    for name in [
        "stays.service",
        "runs.service",
        "again.service",
        "off.service",
        "on.service",
        "masked.service",
    ] {
        systemd.unit(name, STAYS);
    }
    systemd.unit(
        "fails.service",
        "[Service]\nType=oneshot\nExecStart=sh -c 'exit 3'\n",
    );
    systemd.unit(
        "hangs.service",
        "[Service]\nType=oneshot\nExecStart=sleep infinity\n",
    );
    systemd.systemctl(&["start", "runs.service", "again.service"]);
    systemd.systemctl(&["enable", "on.service"]);
    systemd.systemctl(&["mask", "--runtime", "no-such.service"]);
    let with = |unit: &str| systemd.with(unit, json!({}));
    let more = |unit: &str, more: Value| systemd.with(unit, more);
    let watching = |action: &'static str, unit: &'static str, with: Value| {
        let systemd = &systemd;
        Case::succeeds(action, with).watching(move || systemd.world(unit))
    };
    let cases = [
        watching("systemd.start", "stays.service", with("stays")),
        watching("systemd.stop", "runs.service", with("runs")),
        watching(
            "systemd.restart",
            "again.service",
            more("again", json!({ "settle": "300ms" })),
        ),
        watching("systemd.restart", "stays.service", with("stays")),
        watching("systemd.reload", "again.service", with("again")),
        watching(
            "systemd.enable",
            "off.service",
            more("off", json!({ "now": true })),
        ),
        watching("systemd.disable", "on.service", with("on")),
        watching("systemd.unmask", "off.service", with("off")),
        watching("systemd.status", "runs.service", with("runs")),
        watching(
            "systemd.unit",
            "new.service",
            more("new", json!({ "content": STAYS })),
        ),
        watching(
            "systemd.unit",
            "off.service",
            more(
                "off",
                json!({ "content": STAYS.replace("infinity", "1000"), "mode": "0600" }),
            ),
        ),
        watching(
            "systemd.unit",
            "off.service",
            more("off", json!({ "state": "absent" })),
        ),
        Case::succeeds("systemd.mask", with("vendor-less")).watching(|| systemd.world("vendor-less.service")),
        Case::succeeds("systemd.daemon_reload", json!({ "bus": systemd.bus() })),
        Case::succeeds(
            "systemd.wait",
            more("runs", json!({ "state": "active", "settle": "300ms" })),
        ),
        Case::runs_until_cancelled("systemd.wait", more("runs", json!({ "state": "failed" }))),
        Case::fails(
            "systemd.wait",
            more(
                "runs",
                json!({ "state": "inactive", "for": "300ms", "every": "100ms" }),
            ),
            FailureKind::Expectation,
        ),
        Case::fails("systemd.start", with("fails"), FailureKind::Exit),
        Case::fails("systemd.start", with("no-such-unit"), FailureKind::NotFound),
        Case::fails("systemd.stop", with("no-such-unit"), FailureKind::NotFound),
        Case::fails("systemd.restart", with("no-such-unit"), FailureKind::NotFound),
        Case::fails("systemd.enable", with("no-such-unit"), FailureKind::NotFound),
        Case::fails("systemd.enable", with("fails"), FailureKind::Conflict)
            .watching(|| systemd.world("fails.service")),
        Case::fails("systemd.reload", with("off"), FailureKind::Conflict),
        // A file of the administrator lies where the mask would.
        Case::fails("systemd.mask", with("stays"), FailureKind::Conflict)
            .watching(|| systemd.world("stays.service")),
        Case::runs_until_cancelled("systemd.start", with("hangs")),
        Case::fails(
            "systemd.status",
            json!({ "unit": "x", "bus": "unix:path=/no/such/bus" }),
            FailureKind::Unavailable,
        ),
        // Whether this machine keeps a journal is its own matter; real hosts do.
        Case::fails(
            "systemd.journal",
            json!({ "unit": "x", "since": "yesterday" }),
            FailureKind::Invalid,
        ),
    ];
    check(&*caxplan_systemd::adapter(), &cases).await;
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let Some(systemd) = Systemd::start() else { return };
    systemd.unit(
        "exits.service",
        "[Service]\nType=oneshot\nExecStart=sh -c 'exit 3'\n",
    );
    systemd.unit(
        "missing.service",
        "[Service]\nType=exec\nExecStart=/no/such/program\n",
    );
    systemd.unit(
        "killed.service",
        "[Service]\nType=oneshot\nExecStart=sh -c 'kill -KILL $$$$'\n",
    );
    systemd.unit(
        "slow.service",
        "[Service]\nType=oneshot\nTimeoutStartSec=300ms\nExecStart=sleep 1000\n",
    );
    systemd.unit(
        "needs.service",
        "[Unit]\nRequires=exits.service\nAfter=exits.service\n[Service]\nExecStart=sleep 1000\n",
    );
    for (unit, said) in [
        (
            "exits",
            "start of exits.service failed on this machine: it exited with status 3",
        ),
        (
            "missing",
            "start of missing.service failed on this machine: it exited with status 203: its program is not there, or cannot be run",
        ),
        (
            "killed",
            "start of killed.service failed on this machine: it was killed by SIGKILL (9)",
        ),
        (
            "slow",
            "start of slow.service failed on this machine: it took longer than its unit allows (it was killed by SIGTERM (15))",
        ),
        (
            "needs",
            "start of needs.service failed on this machine: a unit that it needs did not start",
        ),
    ] {
        let outcome = systemd.perform("systemd.start", unit, json!({})).await;
        assert_eq!(message(&outcome), said, "{unit}: {outcome:?}");
        assert!(
            matches!(
                outcome,
                Outcome::Failed {
                    effect: FailureEffect::Possible,
                    ..
                }
            ),
            "{unit}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_unit_that_does_not_stay_is_found_out_by_settle() {
    let Some(systemd) = Systemd::start() else { return };
    let gate = systemd.data().join("gate");
    // It goes when it is told, so that no clock decides.
    let waits = format!(
        "[Service]\nExecStart=sh -c 'while ! [ -e {0} ]; do sleep 0.05; done; exit 4'\n",
        gate.display()
    );
    systemd.unit("leaves.service", &waits);
    let without = systemd.perform("systemd.start", "leaves", json!({})).await;
    assert!(matches!(without, Outcome::Changed { .. }), "{without:?}");

    let watching = systemd.perform("systemd.restart", "leaves", json!({ "settle": "60s" }));
    let open = async {
        // The restart has given it a new life.
        let first = systemd.property("leaves.service", "InvocationID");
        while systemd.property("leaves.service", "InvocationID") == first {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        std::fs::write(&gate, "").expect("written");
    };
    let (outcome, ()) = tokio::join!(watching, open);
    let said = message(&outcome);
    assert!(
        said.starts_with("leaves.service failed ")
            && said.ends_with("after it had started: it exited with status 4 on this machine"),
        "{outcome:?}"
    );
    std::fs::remove_file(&gate).expect("removed");

    systemd.unit(
        "flaps.service",
        &format!("{waits}Restart=always\nRestartSec=1ms\nStartLimitBurst=1000\n"),
    );
    let watching = systemd.perform("systemd.start", "flaps", json!({ "settle": "60s" }));
    let open = async {
        while systemd.property("flaps.service", "ActiveState") != "active" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        std::fs::write(&gate, "").expect("written");
    };
    let (outcome, ()) = tokio::join!(watching, open);
    assert!(!outcome.is_success(), "{outcome:?}");
    systemd.systemctl(&["stop", "flaps.service"]);
}

#[tokio::test]
async fn a_job_that_hangs_is_taken_back() {
    let Some(systemd) = Systemd::start() else { return };
    systemd.unit(
        "hangs.service",
        "[Service]\nType=oneshot\nExecStart=sleep infinity\n",
    );
    let heard = Arc::new(Heard::default());
    let context = heard.context();
    let adapter = caxplan_systemd::adapter();
    let call = call("systemd.start", &systemd.with("hangs", json!({})));
    let starting = adapter.perform(&call, &context);
    let stop = async {
        while systemd.property("hangs.service", "ActiveState") != "activating" {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        context.cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(starting, stop);
    assert_eq!(
        message(&outcome),
        "the job `start hangs.service` was cancelled; hangs.service is activating (start) on this machine"
    );
    assert!(
        heard.text().contains("start hangs.service on this machine"),
        "{}",
        heard.text()
    );
    assert_eq!(systemd.systemctl(&["list-jobs", "--plain", "--no-legend"]), "");
    // What is half way up is brought down by the undo.
    let before = json!({ "unit": "hangs.service", "load_state": "loaded", "active_state": "inactive", "unit_file_state": "static", "invocation_id": "" });
    let undone = systemd.undo("systemd.start", "hangs", json!({}), &before).await;
    assert!(matches!(undone, Outcome::Changed { .. }), "{undone:?}");
    assert_ne!(systemd.property("hangs.service", "ActiveState"), "activating");
}

#[tokio::test]
async fn a_restart_shows_beside_what_ran_before() {
    let Some(systemd) = Systemd::start() else { return };
    systemd.unit("app.service", STAYS);
    systemd.systemctl(&["start", "app.service"]);
    let forecast = systemd.forecast("systemd.restart", "app", json!({})).await;
    assert_eq!(forecast.change, Change::Would);
    let pid = systemd.property("app.service", "MainPID");
    let summary = forecast.summary;
    assert!(
        summary.starts_with("would restart app.service on this machine (active for ")
            && summary.ends_with(&format!("pid {pid})")),
        "{summary}"
    );
    let before = forecast.before;
    let probe = || systemd.probe("systemd.restart", "app", &before);
    assert_eq!(probe().await, Verdict::NotDone);
    systemd.systemctl(&["stop", "app.service"]);
    assert_eq!(probe().await, Verdict::NotDone);
    systemd.systemctl(&["start", "app.service"]);
    assert!(matches!(probe().await, Verdict::Done { .. }));
    let unknown = systemd.probe("systemd.restart", "app", &Value::Null).await;
    assert!(matches!(unknown, Verdict::Unknown { .. }), "{unknown:?}");
}

#[tokio::test]
async fn what_is_not_there_is_foreseen_without_an_error() {
    let Some(systemd) = Systemd::start() else { return };
    for (action, said) in [
        (
            "systemd.start",
            "gone.service does not exist on this machine: to start it fails unless an earlier step creates it",
        ),
        (
            "systemd.enable",
            "gone.service does not exist on this machine: to enable it fails unless an earlier step creates it",
        ),
    ] {
        let forecast = systemd.forecast(action, "gone", json!({})).await;
        assert_eq!(
            (forecast.change, forecast.summary.as_str()),
            (Change::Unknown, said)
        );
    }
    let status = systemd.perform("systemd.status", "gone", json!({})).await;
    let Some(output) = status.output() else {
        panic!("{status:?}")
    };
    assert_eq!(output["load_state"], "not-found");
    assert_eq!(output["active_state"], "inactive");
    assert_eq!(output["since"], Value::Null);
}

#[tokio::test]
async fn a_drop_in_comes_and_goes() {
    let Some(systemd) = Systemd::start() else { return };
    systemd.unit("app.service", STAYS);
    let with = json!({ "drop_in": "limits", "content": "[Service]\nEnvironment=A=1\n" });
    let before = systemd.forecast("systemd.unit", "app", with.clone()).await.before;
    let made = systemd.perform("systemd.unit", "app", with.clone()).await;
    assert!(matches!(made, Outcome::Changed { .. }), "{made:?}");
    assert_eq!(systemd.property("app.service", "Environment"), "A=1");

    let more = json!({ "drop_in": "limits", "content": "[Service]\nEnvironment=A=2\n" });
    let forecast = systemd.forecast("systemd.unit", "app", more).await;
    assert!(
        forecast.summary.contains("\n-Environment=A=1\n+Environment=A=2"),
        "{}",
        forecast.summary
    );

    for _ in 0..2 {
        let undone = systemd.undo("systemd.unit", "app", with.clone(), &before).await;
        assert!(undone.is_success(), "{undone:?}");
        assert_eq!(systemd.property("app.service", "Environment"), "");
        assert!(!systemd.units().join("app.service.d").exists());
    }

    // What was started since the change runs as before again.
    systemd.systemctl(&["start", "app.service"]);
    let before = systemd.forecast("systemd.unit", "app", with.clone()).await.before;
    systemd.perform("systemd.unit", "app", with.clone()).await;
    let first = systemd.property("app.service", "InvocationID");
    let undone = systemd.undo("systemd.unit", "app", with.clone(), &before).await;
    assert!(undone.is_success(), "{undone:?}");
    assert_eq!(systemd.property("app.service", "InvocationID"), first);
    systemd.perform("systemd.unit", "app", with.clone()).await;
    systemd.systemctl(&["restart", "app.service"]);
    let undone = systemd.undo("systemd.unit", "app", with.clone(), &before).await;
    assert!(undone.is_success(), "{undone:?}");
    assert_eq!(systemd.property("app.service", "ActiveState"), "active");
    assert_eq!(systemd.property("app.service", "Environment"), "");

    let path = systemd
        .perform("systemd.unit", "app", json!({ "drop_in": "../x", "content": "" }))
        .await;
    assert!(
        matches!(
            path,
            Outcome::Failed {
                effect: FailureEffect::None,
                ..
            }
        ),
        "{path:?}"
    );
}

#[tokio::test]
async fn what_was_enabled_or_masked_is_so_again() {
    let Some(systemd) = Systemd::start() else { return };
    systemd.unit("app.service", STAYS);
    systemd.systemctl(&["enable", "--now", "app.service"]);
    let before = systemd
        .forecast("systemd.disable", "app", json!({ "now": true }))
        .await
        .before;
    let outcome = systemd
        .perform("systemd.disable", "app", json!({ "now": true }))
        .await;
    assert!(matches!(outcome, Outcome::Changed { .. }), "{outcome:?}");
    assert_eq!(systemd.systemctl(&["is-enabled", "app.service"]), "disabled");
    assert_eq!(systemd.property("app.service", "ActiveState"), "inactive");
    for _ in 0..2 {
        let undone = systemd
            .undo("systemd.disable", "app", json!({ "now": true }), &before)
            .await;
        assert!(undone.is_success(), "{undone:?}");
        assert_eq!(systemd.systemctl(&["is-enabled", "app.service"]), "enabled");
        assert_eq!(systemd.property("app.service", "ActiveState"), "active");
    }

    systemd.systemctl(&["mask", "ghost.service"]);
    let forecast = systemd.forecast("systemd.start", "ghost", json!({})).await;
    assert!(forecast.summary.contains("is masked"), "{}", forecast.summary);
    let refused = systemd.perform("systemd.start", "ghost", json!({})).await;
    assert_eq!(
        refused.cause().map(|cause| cause.kind),
        Some(FailureKind::Conflict),
        "{refused:?}"
    );
    let before = systemd
        .forecast("systemd.unmask", "ghost", json!({}))
        .await
        .before;
    let outcome = systemd.perform("systemd.unmask", "ghost", json!({})).await;
    assert!(matches!(outcome, Outcome::Changed { .. }), "{outcome:?}");
    let undone = systemd.undo("systemd.unmask", "ghost", json!({}), &before).await;
    assert!(undone.is_success(), "{undone:?}");
    assert_eq!(systemd.systemctl(&["is-enabled", "ghost.service"]), "masked");
}
