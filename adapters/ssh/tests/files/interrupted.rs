//! Connections that break, disks that are full.

use super::support::Stage;
use caxplan_model::Outcome;
use caxton_tests::Account;
use serde_json::json;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// More than the connection, the server and the test's eye can miss.
const LARGE: usize = 192 << 20;

fn large() -> Vec<u8> {
    (0..LARGE / 8)
        .flat_map(|number: usize| number.to_le_bytes())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_goes_on_where_its_connection_broke() {
    for action in ["ssh.upload", "ssh.download"] {
        let Some(stage) = Stage::new() else { return };
        let content = large();
        stage.write("src", &content);
        let with = json!({ "src": stage.at("src"), "dest": stage.at("dest") });
        let before = stage.forecast(action, &with).await.before;
        let part = || stage.leftovers().into_iter().find(|name| name.ends_with(".part"));
        let cut = async {
            // Not sooner than some of it is there.
            while part()
                .and_then(|part| fs::metadata(part).ok())
                .is_none_or(|meta| meta.len() < 16 << 20)
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stage.fleet.cut(0);
        };
        let (outcome, ()) = tokio::join!(stage.perform(action, &with), cut);
        assert!(!outcome.is_success(), "{action}: {outcome:?}");
        assert!(!outcome.may_have_acted(), "{action}: {outcome:?}");
        assert!(!stage.path("dest").exists(), "nothing half-written has the name");
        let outcome = stage.perform(action, &with).await;
        assert!(
            matches!(outcome, Outcome::Changed { .. }),
            "{action}: {outcome:?}"
        );
        assert!(
            stage.notes.text().contains("goes on with"),
            "{action}: {}",
            stage.notes.text()
        );
        assert!(
            fs::read(stage.path("dest")).expect("it is there") == content,
            "{action}"
        );
        assert_eq!(stage.leftovers(), [""; 0], "{action}");
        stage.undo(action, &with, &before).await;
        assert!(!stage.path("dest").exists());
    }
}

/// A small disk, as long as the value lives.
struct Disk(String);

impl Disk {
    fn new(at: &str, size: &str) -> Self {
        fs::create_dir_all(at).expect("made");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", at])
            .status()
            .expect("mount starts");
        assert!(mounted.success(), "root may mount");
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_leaves_what_was_there() {
    if !Account::can_be_made() {
        return;
    }
    let Some(stage) = Stage::new() else { return };
    let _disk = Disk::new(&stage.at("disk"), "4m");
    stage.write("disk/file", "old");
    stage.write("src/large", vec![1; 12 << 20]);
    for with in [
        json!({ "src": "src/large", "dest": stage.at("disk/file") }),
        json!({ "src": "src", "dest": stage.at("disk") }),
        json!({ "src": "src", "dest": stage.at("disk/fresh") }),
    ] {
        let outcome = stage.perform("ssh.upload", &with).await;
        assert!(
            !outcome.is_success() && !outcome.may_have_acted(),
            "{with}: {outcome:?}"
        );
        assert_eq!(stage.read("disk/file"), "old");
        assert!(!stage.path("disk/fresh").exists());
    }
    let outcome = stage
        .perform(
            "ssh.upload",
            &json!({ "src": "src/large", "dest": stage.at("disk/file") }),
        )
        .await;
    let cause = outcome.cause().expect("it fails");
    assert!(cause.message.contains("no space is left"), "{cause}");
}
