//! One file.

use super::support::Stage;
use caxplan_adapter::Change;
use caxplan_model::{FailureKind, Outcome, Verdict};
use caxton_tests::{Account, SshdOptions};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

const NAMES: [&str; 6] = [
    "two words",
    "it's \"quoted\" `id` $(id) \\",
    "a\nnewline",
    "ünïcödé 🚀",
    "-dash",
    "*?[x]~#",
];

#[tokio::test]
async fn any_name_and_any_content_arrives_and_comes_back() {
    let Some(stage) = Stage::new() else { return };
    for (number, name) in NAMES.iter().enumerate() {
        // From nothing to more than is read to hash it, and more than one request.
        let content = vec![b'x'; [0, 1, 70_000, 300_000, 1_000_000, 5][number]];
        stage.write(&format!("from/{name}"), &content);
        let up = json!({ "src": format!("from/{name}"), "dest": stage.at(name) });
        let before = stage.succeed("ssh.upload", &up).await;
        assert_eq!(
            fs::read(stage.path(name)).expect("it is there"),
            content,
            "{name:?}"
        );
        let down = json!({ "src": stage.at(name), "dest": format!("back {name}") });
        stage.succeed("ssh.download", &down).await;
        assert_eq!(
            fs::read(stage.path(&format!("back {name}"))).expect("it is there"),
            content,
            "{name:?}"
        );
        stage.undo("ssh.upload", &up, &before).await;
        assert!(!stage.path(name).exists(), "{name:?}");
    }
    assert_eq!(stage.leftovers(), [""; 0]);
}

#[tokio::test]
async fn what_was_replaced_comes_back_with_its_mode_and_a_link_as_a_link() {
    let Some(stage) = Stage::new() else { return };
    stage.write("new", "new content");
    stage.write("old", "old content");
    fs::set_permissions(stage.path("old"), fs::Permissions::from_mode(0o640)).expect("ours");
    symlink("old", stage.path("link")).expect("made");
    let picture = stage.picture();

    let with = json!({ "src": "new", "dest": stage.at("link") });
    let before = stage.succeed("ssh.upload", &with).await;
    assert_eq!(
        stage.read("old"),
        "old content",
        "the link is replaced, not followed"
    );
    stage.undo("ssh.upload", &with, &before).await;
    assert_eq!(stage.picture(), picture);

    let with = json!({ "src": "new", "dest": stage.at("old"), "mode": "0600" });
    let before = stage.succeed("ssh.upload", &with).await;
    assert_eq!(
        stage.leftovers().len(),
        1,
        "the old one is kept: {:?}",
        stage.leftovers()
    );
    stage.undo("ssh.upload", &with, &before).await;
    assert_eq!(stage.picture(), picture);
    assert_eq!(stage.leftovers(), [""; 0]);
}

#[tokio::test]
async fn a_later_run_tidies_up_what_an_earlier_one_kept() {
    let Some(stage) = Stage::new() else { return };
    stage.write("new", "1");
    stage.write("old", "old");
    let with = json!({ "src": "new", "dest": stage.at("old") });
    stage.succeed("ssh.upload", &with).await;
    stage.write("new", "22");
    let mut call = stage.call("ssh.upload", &with);
    call.run = caxplan_model::RunId::from("02run");
    let outcome = stage.adapter.perform(&call, &stage.context()).await;
    assert!(matches!(outcome, Outcome::Changed { .. }), "{outcome:?}");
    assert_eq!(stage.leftovers().len(), 1, "{:?}", stage.leftovers());
}

#[tokio::test]
async fn a_preview_shows_the_difference_of_a_text_and_hides_what_only_its_owner_may_read() {
    let Some(stage) = Stage::new() else { return };
    stage.write("template", "a\n{{ target.name }} {{ on }} {{ list }}\nc\n");
    stage.write("conf", "a\nb\nc\n");
    let with = json!({ "src": "template", "dest": stage.at("conf"), "vars": { "on": true, "list": [1] } });
    let forecast = stage.forecast("ssh.template", &with).await;
    assert_eq!(forecast.change, Change::Would);
    let shown = format!(
        "would change h1:{}: 1 lines out, 1 in\n a\n-b\n+h1 true [1]\n c",
        stage.at("conf")
    );
    assert_eq!(forecast.summary, shown);
    fs::set_permissions(stage.path("conf"), fs::Permissions::from_mode(0o600)).expect("ours");
    let forecast = stage.forecast("ssh.template", &with).await;
    assert!(!forecast.summary.contains('\n'), "{}", forecast.summary);
    assert_eq!(stage.read("conf"), "a\nb\nc\n");
    stage.succeed("ssh.template", &with).await;
    assert_eq!(stage.read("conf"), "a\nh1 true [1]\nc\n");
}

#[tokio::test]
async fn a_host_that_runs_no_programs_takes_files_all_the_same() {
    let options = SshdOptions {
        config: vec!["ForceCommand internal-sftp".to_owned()],
        ..SshdOptions::default()
    };
    let Some(stage) = Stage::with(&options, &Account::own()) else {
        return;
    };
    let content = "y".repeat(300_000);
    stage.write("from/a", &content);
    stage.write("from/b/c", "c");
    stage
        .succeed(
            "ssh.upload",
            &json!({ "src": "from/a", "dest": stage.at("file") }),
        )
        .await;
    assert_eq!(stage.read("file"), content);
    stage
        .succeed(
            "ssh.upload",
            &json!({ "src": "from", "dest": stage.at("folder") }),
        )
        .await;
    assert_eq!(stage.read("folder/b/c"), "c");
}

#[tokio::test]
async fn sudo_writes_where_the_user_may_not_and_gives_files_away() {
    if !Account::can_be_made() {
        return;
    }
    let account = Account::sudoer();
    let Some(stage) = Stage::with(&SshdOptions::default(), &account) else {
        return;
    };
    let roots = tempfile::tempdir().expect("a folder of root's");
    let dest = roots.path().join("file").to_str().expect("UTF-8").to_owned();
    stage.write("src", "secret");
    let denied = stage
        .perform("ssh.upload", &json!({ "src": "src", "dest": dest }))
        .await;
    assert_eq!(
        denied.cause().map(|cause| cause.kind),
        Some(FailureKind::Denied),
        "{denied:?}"
    );
    let with = json!({ "src": "src", "dest": dest, "sudo": true, "owner": account.name(), "group": "root", "mode": "0600" });
    let before = stage.succeed("ssh.upload", &with).await;
    let meta = fs::metadata(&dest).expect("it is there");
    let home = fs::metadata(account.home()).expect("it is there");
    assert_eq!(
        (meta.uid(), meta.gid(), meta.mode() & 0o7777),
        (home.uid(), 0, 0o600)
    );
    stage.undo("ssh.upload", &with, &before).await;
    assert!(!roots.path().join("file").exists());
    let unknown = stage
        .perform(
            "ssh.upload",
            &json!({ "src": "src", "dest": dest, "sudo": true, "owner": "nobody-of-this-name" }),
        )
        .await;
    assert_eq!(
        unknown.cause().map(|cause| cause.kind),
        Some(FailureKind::NotFound),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_probe_tells_by_the_content() {
    let Some(stage) = Stage::new() else { return };
    stage.write("src", "content");
    let with = json!({ "src": "src", "dest": stage.at("dest") });
    let probe = async || {
        stage
            .adapter
            .probe(&stage.call("ssh.upload", &with), &stage.context())
            .await
    };
    assert_eq!(probe().await, Verdict::NotDone);
    stage.write("dest", "CONTENT");
    fs::set_permissions(
        stage.path("dest"),
        fs::metadata(stage.path("src")).expect("there").permissions(),
    )
    .expect("ours");
    assert_eq!(probe().await, Verdict::NotDone);
    stage.write("dest", "content");
    assert!(matches!(probe().await, Verdict::Done { .. }));
}
