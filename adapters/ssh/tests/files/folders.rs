//! Folders.

use super::support::{Stage, picture};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

fn fill(stage: &Stage) {
    for (name, text) in [
        ("src/same", "same"),
        ("src/changed", "new!"),
        ("src/longer", "longer than before"),
        ("src/new/deep/er", "new"),
        ("src/em\npty 'x'", ""),
        ("dst/same", "same"),
        ("dst/changed", "old!"),
        ("dst/longer", "short"),
        ("dst/extra", "extra"),
        ("dst/extra-too/a/b", "b"),
        ("dst/extra-too-not", "x"),
    ] {
        stage.write(name, text);
    }
    // Of the same length and the same second, it would be taken for the same.
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let changed = fs::File::options()
        .write(true)
        .open(stage.path("dst/changed"))
        .expect("ours");
    changed.set_modified(hour_ago).expect("ours");
    symlink("same", stage.path("src/link")).expect("made");
    symlink("changed", stage.path("dst/link")).expect("made");
    symlink("nowhere", stage.path("dst/lost")).expect("made");
    fs::set_permissions(stage.path("src/same"), fs::Permissions::from_mode(0o755)).expect("ours");
}

#[tokio::test]
async fn a_folder_becomes_as_another_and_back_either_way() {
    for action in ["ssh.upload", "ssh.download"] {
        let Some(stage) = Stage::new() else { return };
        fill(&stage);
        let picture_before = stage.picture();
        let (src, dest) = (stage.at("src"), stage.at("dst"));

        // Without `delete`, what is there beside stays.
        let with = json!({ "src": src, "dest": dest });
        let before = stage.succeed(action, &with).await;
        assert_eq!(stage.read("dst/extra"), "extra");
        assert_eq!(stage.read("dst/changed"), "new!");
        stage.undo(action, &with, &before).await;
        assert_eq!(stage.picture(), picture_before, "{action}");

        let with = json!({ "src": src, "dest": dest, "delete": true });
        let before = stage.succeed(action, &with).await;
        assert_eq!(
            picture(&stage.path("src")),
            picture(&stage.path("dst")),
            "{action}"
        );
        stage.undo(action, &with, &before).await;
        assert_eq!(stage.picture(), picture_before, "{action}");
        assert_eq!(stage.leftovers(), [""; 0], "{action}");

        // One that is not there appears as a whole.
        let with = json!({ "src": src, "dest": stage.at("fresh") });
        let before = stage.succeed(action, &with).await;
        assert_eq!(
            picture(&stage.path("src")),
            picture(&stage.path("fresh")),
            "{action}"
        );
        stage.undo(action, &with, &before).await;
        assert_eq!(stage.picture(), picture_before, "{action}");
    }
}

#[tokio::test]
async fn many_files_arrive_and_only_changes_are_sent_again() {
    let Some(stage) = Stage::new() else { return };
    for number in 0..400 {
        stage.write(&format!("src/{}/{number}", number % 7), format!("file {number}"));
    }
    stage.write("src/large", vec![7; 3 << 20]);
    let with = json!({ "src": "src", "dest": stage.at("dst") });
    stage.succeed("ssh.upload", &with).await;
    assert_eq!(picture(&stage.path("src")), picture(&stage.path("dst")));
    stage.write("src/3/3", "another");
    let outcome = stage.perform("ssh.upload", &with).await;
    assert_eq!(outcome.output().expect("it succeeds")["files"], 1, "{outcome:?}");
    assert_eq!(picture(&stage.path("src")), picture(&stage.path("dst")));
}

#[tokio::test]
async fn what_only_looks_the_same_is_sent_if_contents_are_compared() {
    for action in ["ssh.upload", "ssh.download"] {
        let Some(stage) = Stage::new() else { return };
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        for (name, text) in [("src/file", "new!"), ("dst/file", "old!")] {
            stage.write(name, text);
            let file = fs::File::options().write(true).open(stage.path(name));
            file.expect("ours").set_modified(hour_ago).expect("ours");
        }
        let with = json!({ "src": stage.at("src"), "dest": stage.at("dst") });
        stage.perform(action, &with).await;
        assert_eq!(stage.read("dst/file"), "old!", "{action}");
        let with = json!({ "src": stage.at("src"), "dest": stage.at("dst"), "checksum": true });
        stage.succeed(action, &with).await;
        assert_eq!(stage.read("dst/file"), "new!", "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_its_folder_is_fetched_is_not_taken_for_whole() {
    let Some(stage) = Stage::new() else { return };
    stage.write("src/busy", vec![7; 3 << 20]);
    stage.write("src/calm", "calm");
    stage.write("dst/calm", "old");
    let busy = fs::File::options().write(true).open(stage.path("src/busy"));
    let busy = busy.expect("ours");
    let is_over = AtomicBool::new(false);
    let with = json!({ "src": stage.at("src"), "dest": stage.at("dst") });
    let outcome = std::thread::scope(|scope| {
        // Its length stays.
        scope.spawn(|| {
            let mut number: u64 = 0;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                busy.write_all_at(&number.to_be_bytes(), 0).expect("written");
            }
        });
        let fetched = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(stage.perform("ssh.download", &with))
        });
        is_over.store(true, Ordering::Relaxed);
        fetched
    });
    let cause = outcome.cause().expect("it failed");
    assert!(cause.message.contains("changed while it was"), "{outcome:?}");
    assert_eq!(stage.read("dst/calm"), "old");
    assert_eq!(stage.leftovers(), [""; 0]);
}
