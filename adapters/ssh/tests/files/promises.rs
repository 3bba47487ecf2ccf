//! What every adapter promises.

use super::support::{OnTarget, Stage, picture};
use caxplan_adapter::ActionSet;
use caxplan_adapter::conformance::{Case, check};
use caxplan_model::FailureKind::{Conflict, Expectation, NotFound, Template};
use caxplan_ssh::{Connections, SshDownload, SshFile, SshTemplate, SshUpload};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::sync::Arc;

#[tokio::test]
async fn file_actions_conform() {
    let Some(stage) = Stage::new() else { return };
    let root = stage.folder.path();
    for (name, text) in [
        ("src", "new\n"),
        ("same", "new\n"),
        ("old", "old\n"),
        ("gone", "x"),
        ("moved", "m"),
        ("tree/a", "a"),
        ("tree/b/c", "c"),
        ("there/a", "A"),
        ("there/d", "d"),
    ] {
        stage.write(name, text);
    }
    symlink("old", stage.path("link")).expect("made");
    let at = |name: &str| stage.at(name);
    let world = || json!(picture(root));
    let connections = Arc::new(Connections::new());
    let adapter = OnTarget {
        adapter: ActionSet::new("ssh")
            .with_through::<SshUpload, Connections>(&connections)
            .with_through::<SshDownload, Connections>(&connections)
            .with_through::<SshTemplate, Connections>(&connections)
            .with_through::<SshFile, Connections>(&connections),
        target: stage.target.clone(),
    };
    let good = |action, with| Case::succeeds(action, with).watching(world);
    let bad = |action, with, kind| Case::fails(action, with, kind).watching(world);
    check(
        &adapter,
        &[
            good("ssh.upload", json!({ "src": at("src"), "dest": at("fresh") })),
            good("ssh.upload", json!({ "src": at("src"), "dest": at("old"), "mode": "0600" })),
            good("ssh.upload", json!({ "src": at("src"), "dest": at("link") })),
            good("ssh.upload", json!({ "src": at("tree"), "dest": at("tree2") })),
            good("ssh.upload", json!({ "src": at("tree"), "dest": at("there"), "delete": true })),
            bad("ssh.upload", json!({ "src": at("no"), "dest": at("x") }), NotFound),
            bad("ssh.upload", json!({ "src": at("src"), "dest": at("no/x") }), NotFound),
            bad("ssh.upload", json!({ "src": at("src"), "dest": at("tree") }), Conflict),
            bad("ssh.upload", json!({ "src": at("src"), "dest": at("x"), "sha256": "0".repeat(64) }), Conflict),
            good("ssh.download", json!({ "src": at("src"), "dest": at("fetched") })),
            good("ssh.download", json!({ "src": at("src"), "dest": at("old"), "mode": "0640" })),
            good("ssh.download", json!({ "src": at("tree"), "dest": at("tree3") })),
            good("ssh.download", json!({ "src": at("tree"), "dest": at("there"), "delete": true })),
            bad("ssh.download", json!({ "src": at("no"), "dest": at("x") }), NotFound),
            good(
                "ssh.template",
                json!({ "content": "port {{ port }}\n", "vars": { "port": 1 }, "dest": at("old"), "validate": ["grep", "-q", "port", "{file}"] }),
            ),
            bad("ssh.template", json!({ "content": "{{ nobody }}", "dest": at("old") }), Template),
            bad("ssh.template", json!({ "content": "x", "dest": at("old"), "validate": ["grep", "-q", "y", "{file}"] }), Expectation),
            good("ssh.file", json!({ "path": at("made"), "state": "present", "content": "text" })),
            good("ssh.file", json!({ "path": at("src"), "state": "present", "mode": "0600" })),
            good("ssh.file", json!({ "path": at("gone"), "state": "absent" })),
            good("ssh.file", json!({ "path": at("tree"), "state": "absent", "recurse": true })),
            good("ssh.file", json!({ "path": at("x/y/z"), "state": "directory", "mode": "0750" })),
            good("ssh.file", json!({ "path": at("moved"), "state": "moved", "to": at("moved.2") })),
            good("ssh.file", json!({ "path": at("link"), "state": "link", "target": "src" })),
            good("ssh.file", json!({ "path": at("old"), "state": "link", "target": "src" })),
            bad("ssh.file", json!({ "path": at("there"), "state": "absent" }), Conflict),
        ],
    )
    .await;
}
