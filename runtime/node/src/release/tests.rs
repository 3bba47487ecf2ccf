//! Staging, switching and going back, with small scripts as binaries.

use super::{Layout, ReleaseError, Releases, before_start, give_up, pack, sha256_of_file};
use crate::config::{Layers, NodeConfig};
use caxton_model::Version;
use caxton_model::api::UpgradeRequest;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// A node that runs 1.0.0, and a folder for archives.
struct Node {
    folder: tempfile::TempDir,
    config: NodeConfig,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        fs::write(&file, "storage: {data_dir: data}\n").unwrap();
        let config = Layers::new().file(&file).load().unwrap();
        fs::create_dir_all(&config.storage.data_dir).unwrap();
        let mut node = Self { folder, config };
        node.run_version("1.0.0");
        node
    }

    fn data_dir(&self) -> &Path {
        &self.config.storage.data_dir
    }

    fn run_version(&mut self, version: &str) {
        self.config.version.0 = Version::from(version);
    }

    fn releases(&self) -> Releases {
        Releases::new(&self.config)
    }

    fn layout(&self) -> Layout {
        Layout::new(self.data_dir())
    }

    /// A release whose binary is a script.
    fn archive(&self, version: &str, script: &str) -> (PathBuf, String) {
        let binary = self.folder.path().join("script");
        fs::write(&binary, format!("#!/bin/sh\n{script}\n")).unwrap();
        super::archive::make_executable(&binary).unwrap();
        pack(
            &binary,
            &Version::from(version),
            json!(null),
            &self.folder.path().join("archives"),
        )
        .unwrap()
    }

    fn request(&self, version: &str, script: &str) -> UpgradeRequest {
        let (path, sha256) = self.archive(version, script);
        UpgradeRequest {
            version: Version::from(version),
            source: path.display().to_string(),
            sha256,
        }
    }
}

/// Answers as a release must.
const GOOD: &str = r#"case "$1" in --version) echo "caxton 1.1.0" ;; config) exit 0 ;; esac"#;

#[tokio::test]
async fn an_upgrade_switches_and_a_rollback_goes_back() {
    let mut node = Node::new();
    let releases = node.releases();
    let request = node.request("1.1.0", GOOD);
    assert_eq!(releases.status().unwrap().phase, "none");
    assert_eq!(releases.upgrade(&request).await.unwrap().phase, "switching");
    releases.switch_requested().await;
    assert_eq!(node.layout().current(), Some(Version::from("1.1.0")));
    assert_eq!(node.layout().previous(), Some(Version::from("1.0.0")));
    assert!(matches!(
        releases.upgrade(&request).await,
        Err(ReleaseError::Busy { .. })
    ));

    node.run_version("1.1.0");
    let releases = node.releases();
    releases.confirm().unwrap();
    assert_eq!(releases.status().unwrap().phase, "active");
    assert_eq!(releases.upgrade(&request).await.unwrap().phase, "active");
    assert_eq!(releases.rollback().await.unwrap().phase, "switching");
    assert_eq!(node.layout().current(), Some(Version::from("1.0.0")));

    node.run_version("1.0.0");
    let releases = node.releases();
    releases.confirm().unwrap();
    assert_eq!(releases.status().unwrap().phase, "rolled_back");
    assert_eq!(releases.rollback().await.unwrap().phase, "rolled_back");
    assert_eq!(releases.previous(), None);
}

#[tokio::test]
async fn what_is_not_right_is_not_taken() {
    let node = Node::new();
    let releases = node.releases();
    let good = node.request("1.1.0", GOOD);
    let wrong_digest = UpgradeRequest {
        sha256: "0".repeat(64),
        ..good.clone()
    };
    let wrong_version = UpgradeRequest {
        version: Version::from("1.2.0"),
        ..good.clone()
    };
    let nowhere = UpgradeRequest {
        source: "s3://bucket/caxton.tar.gz".to_owned(),
        ..good
    };
    let mut cases = vec![
        (wrong_digest, "the archive has the SHA-256"),
        (wrong_version, "says it is version 1.1.0, but 1.2.0"),
        (nowhere, "s3:// is not supported yet"),
    ];
    cases.push((node.request("1.3.0", GOOD), "says it is version 1.1.0, but 1.3.0"));
    cases.push((
        node.request(
            "1.4.0",
            "[ $1 = --version ] && echo caxton 1.4.0 || { echo unknown key >&2; exit 1; }",
        ),
        "the new binary failed at `caxton config check",
    ));
    for (request, expected) in cases {
        let error = releases.upgrade(&request).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        let status = releases.status().unwrap();
        assert_eq!((status.phase.as_str(), status.error), ("failed", Some(error)));
        assert_eq!(node.layout().current(), None);
        assert!(!node.layout().folder(&request.version).exists());
        assert_eq!(releases.rollback().await.unwrap().phase, "failed");
    }
}

#[tokio::test]
async fn a_release_that_does_not_come_up_is_given_up() {
    let node = Node::new();
    node.releases()
        .upgrade(&node.request("1.1.0", GOOD))
        .await
        .unwrap();
    let new = Version::from("1.1.0");
    assert!(give_up(node.data_dir(), &new, "the port is taken").unwrap());
    assert_eq!(node.layout().current(), Some(Version::from("1.0.0")));
    let status = node.releases().status().unwrap();
    assert_eq!(status.phase, "failed");
    assert!(status.error.unwrap().contains("the port is taken"));
    assert!(!give_up(node.data_dir(), &new, "again").unwrap());
    // This test is not the binary of the current release: that one has to go on.
    let next = before_start(node.data_dir(), &Version::from("1.0.0")).unwrap();
    assert_eq!(next, super::Handover::Exec);
}

#[test]
fn a_packed_release_is_what_it_says() {
    let node = Node::new();
    let (path, digest) = node.archive("1.1.0", GOOD);
    assert_eq!(sha256_of_file(&path).unwrap().0, digest);
    let beside = fs::read_to_string(path.with_extension("gz.sha256")).unwrap();
    assert_eq!(beside, format!("{digest}  caxton-1.1.0.tar.gz\n"));
    assert_eq!(node.layout().install(&path).unwrap(), Version::from("1.1.0"));
    assert!(node.layout().binary(&Version::from("1.1.0")).is_file());
}
