//! Commands: what they get, what they give, how they end.

use crate::support::{World, message, stdout, watched};
use caxplan_adapter::Context;
use caxplan_model::{FailureEffect, FailureKind, Outcome};
use caxton_tests::{Account, Sshd};
use futures_util::future::join_all;
use serde_json::json;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

#[tokio::test]
async fn a_command_gets_what_it_is_given_and_gives_what_it_says() {
    let Some(world) = World::new(1) else { return };
    let call = world.call(
        0,
        "ssh.run",
        &json!({
            "script": "cat; echo \"$WHO in $PWD\" >&2; exit 3",
            "stdin": "read me",
            "env": { "WHO": "it's\n\"me\" $(id)", "PORT": 80 },
            "cwd": "/tmp",
            "ok_codes": [3],
        }),
    );
    let (context, output) = watched();
    let outcome = world.adapter.perform(&call, &context).await;
    let expected = json!({ "stdout": "read me", "stderr": "it's\n\"me\" $(id) in /tmp\n", "exit_code": 3 });
    assert_eq!(outcome, Outcome::Changed { output: expected });
    assert!(output.text().contains("read me"), "{}", output.text());

    let folder = world.account.home().display().to_string();
    assert_eq!(stdout(&world.script(0, "pwd").await), format!("{folder}\n"));
    let bash = json!({ "script": "set -o | grep -c 'pipefail.*on'; tty || true", "shell": ["bash", "-euo", "pipefail"], "changes": false });
    let outcome = world
        .adapter
        .perform(&world.call(0, "ssh.run", &bash), &Context::detached("."))
        .await;
    assert_eq!(stdout(&outcome), "1\nnot a tty\n");
}

#[tokio::test]
async fn failures_say_what_was_done() {
    let Some(world) = World::new(1) else { return };
    for (with, kind, effect, says) in [
        (
            json!({ "argv": ["false"] }),
            FailureKind::Exit,
            FailureEffect::Possible,
            "`false` on h1 ended with exit code 1",
        ),
        (
            json!({ "script": "kill -KILL $$; :" }),
            FailureKind::Exit,
            FailureEffect::Possible,
            "exit code 137 (as if by signal 9)",
        ),
        (
            json!({ "argv": ["no-such-program"] }),
            FailureKind::NotFound,
            FailureEffect::None,
            "there is no program `no-such-program` on h1",
        ),
        (
            json!({ "argv": ["true"], "cwd": "/no/such" }),
            FailureKind::NotFound,
            FailureEffect::None,
            "in /no/such on h1",
        ),
        (
            json!({ "argv": ["true"], "sudo": true }),
            FailureKind::Denied,
            FailureEffect::None,
            "sudo on h1 refuses: sudo: a password is required",
        ),
        (
            json!({ "argv": ["true"], "host": "127.0.0.2:1" }),
            FailureKind::Unavailable,
            FailureEffect::None,
            "Connection refused",
        ),
    ] {
        let outcome = world
            .adapter
            .perform(&world.call(0, "ssh.run", &with), &Context::detached("."))
            .await;
        let Outcome::Failed { cause, effect: was } = &outcome else {
            panic!("{with}: {outcome:?}")
        };
        assert_eq!((cause.kind, *was), (kind, effect), "{with}: {outcome:?}");
        assert!(cause.message.contains(says), "{with}: {}", cause.message);
    }
    // A long output is kept in part, all of it goes to the log.
    let text = stdout(&world.script(0, "head -c 1000000 /dev/zero | tr '\\0' x").await);
    assert!(
        text.ends_with("x\n[934464 more bytes are in the log]\n"),
        "{}",
        &text[text.len() - 60..]
    );
    // What stays in the background does not hold the step.
    assert_eq!(
        stdout(&world.script(0, "sleep 7 & echo started").await),
        "started\n"
    );
}

#[tokio::test]
async fn sudo_makes_it_somebody_else() {
    if !Sshd::is_there() || !Account::can_be_made() {
        return;
    }
    let world = World::of(Sshd::start(1), Account::sudoer());
    for (sudo, who) in [
        (json!(false), "caxplan-sudo"),
        (json!(true), "root"),
        (json!("nobody"), "nobody"),
    ] {
        let with = json!({ "script": "id -un; echo $V; cat", "sudo": sudo, "env": { "V": "a 'b'" }, "stdin": "in\n" });
        let call = world.call(0, "ssh.run", &with);
        let outcome = world.adapter.perform(&call, &Context::detached(".")).await;
        assert_eq!(stdout(&outcome), format!("{who}\na 'b'\nin\n"));
    }
    let outcome = world.script_with(0, "id -un", &json!({ "sudo": true })).await;
    assert_eq!(stdout(&outcome), "root\n");
}

#[tokio::test]
async fn no_value_stands_in_a_process_list() {
    let Some(world) = World::new(1) else { return };
    let secret = "swordfish-4711";
    let with = json!({
        // The name is taken apart, for the script itself could stand there.
        "script": "ps -eo args | grep -c \"[s]wordfish-${V#*-}\" || true; grep -l swordfish /proc/[0-9]*/cmdline 2>/dev/null || true; : swordfish-4711",
        "env": { "V": secret },
        "stdin": secret,
    });
    for shell in [json!(["sh", "-eu"]), json!(["bash", "-eu"])] {
        let mut with = with.clone();
        with["shell"] = shell;
        let outcome = world
            .adapter
            .perform(&world.call(0, "ssh.run", &with), &Context::detached("."))
            .await;
        assert_eq!(stdout(&outcome), "0\n");
    }
}

#[tokio::test]
async fn a_cancelled_command_ends_with_all_that_it_started() {
    if !Sshd::is_there() || !Account::can_be_made() {
        return;
    }
    let world = World::of(Sshd::start(1), Account::sudoer());
    for (sudo, changes, trap) in [
        (json!(false), true, ""),
        (json!(false), false, ""),
        (json!(true), true, ""),
        (json!("nobody"), false, ""),
        (json!(false), true, "trap '' TERM;"),
    ] {
        let folder = world.account.folder();
        let mark = format!("/proc/self/root{}", folder.path().display());
        let with = json!({
            "script": format!("{trap} sh -c '{trap} tail -f /dev/null {mark} & tail -f /dev/null {mark}' & echo on; wait; sleep 1000"),
            "sudo": sudo,
            "changes": changes,
        });
        let call = world.call(0, "ssh.run", &with);
        let (context, output) = watched();
        let perform = world.adapter.perform(&call, &context);
        tokio::pin!(perform);
        tokio::select! {
            outcome = &mut perform => panic!("it ended by itself: {outcome:?}"),
            () = output.holds("on\n") => {}
        }
        context.cancel.cancel();
        let outcome = tokio::time::timeout(Duration::from_secs(20), perform)
            .await
            .expect("it stops");
        assert!(
            message(&outcome).contains("was stopped before it ended"),
            "{sudo}: {outcome:?}"
        );
        let left = std::process::Command::new("pgrep")
            .args(["-f", &mark])
            .output()
            .expect("pgrep starts");
        assert_eq!(
            String::from_utf8_lossy(&left.stdout),
            "",
            "{sudo} {changes} {trap}"
        );
    }
}

#[tokio::test]
async fn many_calls_share_one_connection_and_its_channels() {
    let Some(world) = World::new(1) else { return };
    let all = (0..50).map(|number| {
        let world = &world;
        async move { stdout(&world.script(0, &format!("sleep 0.05; echo {number}")).await) }
    });
    let said = join_all(all).await;
    for (number, text) in said.iter().enumerate() {
        assert_eq!(*text, format!("{number}\n"));
    }
    let log = world.fleet.log(0);
    assert_eq!(log.matches("Accepted publickey").count(), 1, "{log}");
    // sshd may still count a channel whose end it has told us of; it is then asked again.
    assert!(log.matches("no more sessions").count() < 5, "{log}");
}

#[tokio::test]
async fn a_host_that_allows_fewer_channels_than_usual_is_not_pressed() {
    if !Sshd::is_there() || !Account::can_be_made() {
        return;
    }
    let options = caxton_tests::SshdOptions {
        config: vec!["MaxSessions 2".to_owned()],
        ..Default::default()
    };
    let world = World::of(Sshd::with(1, &options), Account::ordinary());
    let all = (0..12).map(|number| {
        let world = &world;
        async move { stdout(&world.script(0, &format!("sleep 0.05; echo {number}")).await) }
    });
    assert_eq!(join_all(all).await.len(), 12);
}

#[tokio::test]
async fn facts_are_those_of_the_host() {
    let Some(world) = World::new(1) else { return };
    let call = world.call(0, "ssh.facts", &json!({}));
    let outcome = world.adapter.perform(&call, &Context::detached(".")).await;
    let Outcome::Unchanged { output } = outcome else {
        panic!("{outcome:?}")
    };
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux has one");
    assert_eq!(output["boot_id"], boot.trim());
    assert!(
        output["memory"].as_u64() > Some(1 << 20) && output["cpus"].as_u64() >= Some(1),
        "{output}"
    );
    assert!(
        !output["disks"].as_array().expect("a list").is_empty(),
        "{output}"
    );
}

#[tokio::test]
async fn receipts_belong_to_the_user_alone() {
    let Some(world) = World::new(1) else { return };
    stdout(&world.script(0, "true").await);
    let folder = world.account.home().join(".local/state/caxplan/receipts");
    let run = world.call(0, "ssh.run", &json!({})).run;
    let mode = std::fs::metadata(folder.join(run.as_str()))
        .expect("it is there")
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}
