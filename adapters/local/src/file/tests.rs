//! The actions on real files.

use caxplan_adapter::conformance::{Case, call, check};
use caxplan_adapter::{Adapter, Context};
use caxplan_model::{FailureKind, Value};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// What lies under a path, with its permissions; a folder with all that is in it.
fn picture(path: &Path) -> Value {
    let Ok(metadata) = std::fs::metadata(path) else {
        return Value::Null;
    };
    let mode = metadata.permissions().mode() & 0o7777;
    if !metadata.is_dir() {
        let bytes = std::fs::read(path).unwrap_or_default();
        return json!({ "text": String::from_utf8_lossy(&bytes), "mode": mode });
    }
    let mut entries: Vec<_> = std::fs::read_dir(path)
        .expect("it can be read")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    let inside: caxplan_model::Map = entries
        .iter()
        .map(|path| (path.to_string_lossy().into_owned(), picture(path)))
        .collect();
    json!({ "inside": inside, "mode": mode })
}

fn files() -> Arc<dyn Adapter> {
    let found = crate::adapters()
        .into_iter()
        .find(|adapter| adapter.name() == "file");
    found.expect("this package has it")
}

#[tokio::test]
async fn conforms() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    let at = |name: &str| root.join(name);
    for name in [
        "old", "same", "gone", "read", "moved", "over", "under", "copied", "lines",
    ] {
        std::fs::write(at(name), format!("{name}\n")).expect("writes to a file");
    }
    std::fs::write(at("env"), "A=1\nB=2\nA=3\n").expect("writes to a file");
    std::fs::write(at("binary"), [0xff, 0xfe]).expect("writes to a file");
    std::fs::create_dir(at("folder")).expect("makes a folder");
    std::fs::set_permissions(at("folder"), std::fs::Permissions::from_mode(0o755)).expect("its owner may");
    std::os::unix::fs::symlink("old", at("link")).expect("makes a link");
    let link = at("link");
    let world = || json!([picture(root), link.is_symlink()]);
    let owner = rustix::process::geteuid().as_raw().to_string();
    use FailureKind::{Conflict, NotFound};
    check(
        &*files(),
        &[
            Case::succeeds(
                "file.write",
                json!({ "path": at("new"), "content": "text", "mode": "0600" }),
            )
            .watching(world),
            Case::succeeds(
                "file.write",
                json!({ "path": at("old"), "content": "new", "mode": "0640" }),
            )
            .watching(world),
            Case::succeeds("file.write", json!({ "path": at("same"), "content": "same\n" })).watching(world),
            Case::succeeds(
                "file.write",
                json!({ "path": at("same"), "content": "same\n", "owner": owner }),
            )
            .watching(world),
            Case::succeeds(
                "file.write",
                json!({ "path": &link, "content": "through the link" }),
            )
            .watching(world),
            Case::fails(
                "file.write",
                json!({ "path": at("same"), "content": "", "owner": "no-such-user" }),
                NotFound,
            ),
            Case::fails(
                "file.write",
                json!({ "path": at("no/folder/file"), "content": "" }),
                NotFound,
            ),
            Case::fails("file.write", json!({ "path": root, "content": "" }), Conflict),
            Case::succeeds("file.absent", json!({ "path": at("gone") })).watching(world),
            Case::succeeds("file.absent", json!({ "path": at("never") })).watching(world),
            Case::succeeds("file.read", json!({ "path": at("read") })).watching(world),
            Case::fails("file.read", json!({ "path": at("never") }), NotFound),
            Case::fails("file.read", json!({ "path": at("binary") }), Conflict),
            Case::succeeds("file.directory", json!({ "path": at("a/b/c"), "mode": "0700" })).watching(world),
            Case::succeeds("file.directory", json!({ "path": at("folder"), "mode": "0750" })).watching(world),
            Case::succeeds("file.directory", json!({ "path": at("folder") })).watching(world),
            Case::fails("file.directory", json!({ "path": at("old") }), Conflict),
            Case::succeeds("file.copy", json!({ "from": at("read"), "to": at("copy") })).watching(world),
            Case::succeeds(
                "file.copy",
                json!({ "from": at("binary"), "to": at("copied"), "mode": "0600" }),
            )
            .watching(world),
            Case::succeeds("file.copy", json!({ "from": at("same"), "to": at("same") })).watching(world),
            Case::fails(
                "file.copy",
                json!({ "from": at("never"), "to": at("copy") }),
                NotFound,
            ),
            Case::fails("file.copy", json!({ "from": root, "to": at("copy") }), Conflict),
            Case::succeeds("file.move", json!({ "from": at("moved"), "to": at("elsewhere") }))
                .watching(world),
            Case::succeeds("file.move", json!({ "from": at("folder"), "to": at("renamed") })).watching(world),
            Case::succeeds(
                "file.move",
                json!({ "from": at("over"), "to": at("under"), "replace": true }),
            )
            .watching(world),
            Case::succeeds("file.move", json!({ "from": at("never"), "to": at("same") })).watching(world),
            Case::fails(
                "file.move",
                json!({ "from": at("over"), "to": at("under") }),
                Conflict,
            ),
            Case::fails(
                "file.move",
                json!({ "from": at("never"), "to": at("nowhere") }),
                NotFound,
            ),
            Case::succeeds("file.line", json!({ "path": at("lines"), "line": "more" })).watching(world),
            Case::succeeds("file.line", json!({ "path": at("lines"), "line": "lines" })).watching(world),
            Case::succeeds(
                "file.line",
                json!({ "path": at("lines"), "line": "lines", "state": "absent" }),
            )
            .watching(world),
            Case::succeeds(
                "file.line",
                json!({ "path": at("env"), "line": "A=9", "replace": "A=" }),
            )
            .watching(world),
            Case::succeeds("file.line", json!({ "path": at("fresh"), "line": "first" })).watching(world),
            Case::fails(
                "file.line",
                json!({ "path": at("binary"), "line": "more" }),
                Conflict,
            ),
            Case::fails(
                "file.line",
                json!({ "path": at("no/folder"), "line": "more" }),
                NotFound,
            ),
        ],
    )
    .await;
    let left: Vec<_> = std::fs::read_dir(root)
        .expect("it is there")
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().ends_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "temporary files are left: {left:?}");
}

#[tokio::test]
async fn a_line_is_put_where_it_belongs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    for (before, with, after) in [
        ("a\nb", json!({ "line": "c" }), "a\nb\nc\n"),
        ("a\nb", json!({ "line": "b" }), "a\nb"),
        (
            "A=1\nB=2\nA=3\n",
            json!({ "line": "A=9", "replace": "A=" }),
            "A=9\nB=2\n",
        ),
        ("B=2\n", json!({ "line": "A=9", "replace": "A=" }), "B=2\nA=9\n"),
        ("a\nb\na\n", json!({ "line": "a", "state": "absent" }), "b\n"),
    ] {
        std::fs::write(&path, before).expect("writes to a file");
        let mut with = with;
        with["path"] = json!(path);
        let outcome = files()
            .perform(&call("file.line", &with), &Context::detached("."))
            .await;
        assert!(outcome.is_success(), "{outcome:?}");
        assert_eq!(
            std::fs::read_to_string(&path).expect("it is there"),
            after,
            "{before:?} {with}"
        );
    }
}

#[tokio::test]
async fn a_preview_shows_what_would_change_unless_only_the_owner_may_read_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    std::fs::write(&path, "a\nb\nc\n").expect("writes to a file");
    for (mode, more, summary) in [
        (
            0o644,
            json!({}),
            "would change file: 1 lines out, 1 in\n a\n-b\n+B\n c",
        ),
        (
            0o644,
            json!({ "diff": false }),
            "would change file: 1 lines out, 1 in",
        ),
        (0o600, json!({}), "would change file: 1 lines out, 1 in"),
        (
            0o600,
            json!({ "mode": "0640", "diff": false }),
            "would change file: mode 0600 to 0640, 1 lines out, 1 in",
        ),
    ] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its owner may");
        let mut with = json!({ "path": "file", "content": "a\nB\nc\n" });
        for (name, value) in more.as_object().into_iter().flatten() {
            with[name] = value.clone();
        }
        let forecast = files()
            .forecast(&call("file.write", &with), &Context::detached(folder.path()))
            .await
            .expect("it can be read");
        assert_eq!(forecast.summary, summary);
    }
}
