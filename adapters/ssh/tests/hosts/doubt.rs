//! What becomes of a command whose connection, or whose caller, is lost: its receipt tells.

use crate::support::{World, message, stdout, watched};
use caxplan_adapter::Context;
use caxplan_model::{FailureEffect, FailureKind, Outcome, Verdict};
use serde_json::json;
use std::time::Duration;

/// Starts a script that says `on`, breaks the server's connections in its middle, and lets it go on.
async fn broken_in_the_middle(world: &World, rest: &str) -> (Outcome, String) {
    let folder = world.account.folder();
    let go = folder.path().join("go");
    let with =
        json!({ "script": format!("echo on; while [ ! -e {} ]; do sleep 0.05; done; {rest}", go.display()) });
    let call = world.call(0, "ssh.run", &with);
    let (context, output) = watched();
    let perform = world.adapter.perform(&call, &context);
    tokio::pin!(perform);
    tokio::select! {
        outcome = &mut perform => panic!("it ended by itself: {outcome:?}"),
        () = output.holds("on\n") => {}
    }
    world.fleet.cut(0);
    tokio::select! {
        outcome = &mut perform => panic!("it ended by itself: {outcome:?}"),
        () = output.holds("asking h1 what became of it") => {}
    }
    std::fs::write(&go, "").expect("the folder can be written");
    let outcome = tokio::time::timeout(Duration::from_secs(60), perform)
        .await
        .expect("it is decided");
    (outcome, output.text())
}

#[tokio::test]
async fn a_command_outlives_its_connection_and_its_end_is_found() {
    let Some(world) = World::new(1) else { return };
    let (outcome, _) = broken_in_the_middle(&world, "exit 0").await;
    assert!(matches!(outcome, Outcome::Changed { .. }), "{outcome:?}");
    assert_eq!(
        stdout(&outcome),
        "on\n[what it wrote after the connection broke is lost]\n"
    );

    let (outcome, _) = broken_in_the_middle(&world, "exit 7").await;
    let Outcome::Failed { cause, effect } = &outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (cause.kind, *effect),
        (FailureKind::Exit, FailureEffect::Possible)
    );
    assert!(cause.message.contains("exit code 7"), "{}", cause.message);
}

#[tokio::test]
async fn a_command_that_goes_on_writing_to_a_broken_connection_is_not_ended_by_it() {
    let Some(world) = World::new(1) else { return };
    // More than a pipe holds, on both streams, from the shell itself and from another program.
    let writes =
        "echo more; head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; sh -c 'echo end >&2' && exit 0";
    let (outcome, _) = broken_in_the_middle(&world, writes).await;
    assert!(matches!(outcome, Outcome::Changed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_command_that_was_killed_with_its_shell_is_in_doubt() {
    let Some(world) = World::new(1) else { return };
    let (outcome, _) = broken_in_the_middle(&world, "kill -KILL 0").await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert!(message(&outcome).contains("its process is gone"), "{outcome:?}");
}

#[tokio::test]
async fn a_host_that_hangs_is_given_up_and_found_again() {
    let Some(world) = World::new(1) else { return };
    let with = json!({ "script": "echo on; sleep 2" });
    let call = world.call_with(0, "ssh.run", &with, &json!({ "ssh_keepalive": "1s" }));
    let (context, output) = watched();
    let perform = world.adapter.perform(&call, &context);
    tokio::pin!(perform);
    tokio::select! {
        outcome = &mut perform => panic!("it ended by itself: {outcome:?}"),
        () = output.holds("on\n") => {}
    }
    world.fleet.signal_connections(0, rustix::process::Signal::STOP);
    let outcome = tokio::time::timeout(Duration::from_secs(60), perform)
        .await
        .expect("it is decided");
    world.fleet.signal_connections(0, rustix::process::Signal::CONT);
    assert!(matches!(outcome, Outcome::Changed { .. }), "{outcome:?}");
    assert!(
        output.text().contains("does not answer any more"),
        "{}",
        output.text()
    );
}

#[tokio::test]
async fn a_probe_after_a_crash_decides() {
    let Some(world) = World::new(1) else { return };
    let quiet = Context::detached(".");
    // Done.
    let call = world.call(0, "ssh.run", &json!({ "argv": ["true"] }));
    stdout(&world.adapter.perform(&call, &quiet).await);
    let verdict = world.adapter.probe(&call, &quiet).await;
    assert!(
        matches!(&verdict, Verdict::Done { output } if output["exit_code"] == 0),
        "{verdict:?}"
    );
    // Failed.
    let call = world.call(0, "ssh.run", &json!({ "argv": ["false"] }));
    world.adapter.perform(&call, &quiet).await;
    let verdict = world.adapter.probe(&call, &quiet).await;
    assert!(
        matches!(&verdict, Verdict::Unknown { reason } if reason.contains("exit code 1")),
        "{verdict:?}"
    );
    // Never started; and what comes late does not start any more.
    let folder = world.account.folder();
    let file = folder.path().join("file");
    let call = world.call(0, "ssh.run", &json!({ "argv": ["touch", file] }));
    // The run must be younger than the host's boot by more than the margin, as all are but the first of a new machine.
    assert_eq!(world.adapter.probe(&call, &quiet).await, Verdict::NotDone);
    let outcome = world.adapter.perform(&call, &quiet).await;
    assert!(
        matches!(
            &outcome,
            Outcome::Failed {
                effect: FailureEffect::None,
                ..
            }
        ),
        "{outcome:?}"
    );
    assert!(message(&outcome).contains("too late"), "{outcome:?}");
    assert!(!file.exists());
    assert_eq!(world.adapter.probe(&call, &quiet).await, Verdict::NotDone);
}

#[tokio::test]
async fn a_probe_waits_for_what_still_runs() {
    let Some(world) = World::new(1) else { return };
    let call = world.call(0, "ssh.run", &json!({ "script": "echo on; sleep 3" }));
    let (context, output) = watched();
    {
        let perform = world.adapter.perform(&call, &context);
        tokio::pin!(perform);
        tokio::select! {
            outcome = &mut perform => panic!("it ended by itself: {outcome:?}"),
            () = output.holds("on\n") => {}
        }
        // The engine is gone: nobody waits for it any more.
    }
    let verdict = world.adapter.probe(&call, &Context::detached(".")).await;
    assert!(matches!(&verdict, Verdict::Done { .. }), "{verdict:?}");
}

#[tokio::test]
async fn without_a_home_there_is_no_receipt_and_that_is_said() {
    let Some(world) = World::new(1) else { return };
    let call = world.call(0, "ssh.run", &json!({ "script": "echo out" }));
    // A file where the folder should be: nothing can be made in it.
    let options = caxton_tests::SshdOptions {
        config: vec!["SetEnv XDG_STATE_HOME=/dev/null".to_owned()],
        ..Default::default()
    };
    let other = World::of(caxton_tests::Sshd::with(1, &options), world.account.clone());
    let mut call = call;
    call.target = other.call(0, "ssh.run", &json!({})).target;
    let (context, output) = watched();
    assert_eq!(stdout(&other.adapter.perform(&call, &context).await), "out\n");
    assert!(output.text().contains("keeps no receipt"), "{}", output.text());
    let verdict = other.adapter.probe(&call, &context).await;
    assert!(
        matches!(&verdict, Verdict::Unknown { reason } if reason.contains("no receipt")),
        "{verdict:?}"
    );
}
