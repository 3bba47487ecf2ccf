//! A backup goes round; damage is found.

use super::{BackupError, Backups, RESTORED_CATALOG, Sources, restore};
use crate::config::Layers;
use caxton_host::Store;
use caxton_model::api::{BackupInfo, BackupRequest};
use std::fs;
use std::path::Path;

async fn back_up(folder: &Path, compress: bool) -> (Backups, BackupInfo) {
    fs::write(
        folder.join("config.yaml"),
        "node: {id: node-1}\nstorage: {data_dir: data}\n",
    )
    .unwrap();
    let config = Layers::new().file(&folder.join("config.yaml")).load().unwrap();
    let data = &config.storage.data_dir;
    fs::create_dir_all(data.join("certs")).unwrap();
    fs::write(data.join("certs/ca.crt"), "a certificate").unwrap();
    let store = Store::open(data.join("store")).unwrap();
    store.put_module(b"a module".to_vec()).await.unwrap();
    let backups = Backups::new(&config);
    let request = BackupRequest {
        kind: "full".to_owned(),
        destination: None,
        compress,
    };
    let catalog = br#"{"agents": {}}"#.to_vec();
    let sources = Sources {
        store: &store,
        catalog,
    };
    let info = backups.create(&request, sources).await.unwrap();
    (backups, info)
}

#[tokio::test]
async fn what_was_backed_up_comes_back() {
    for compress in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (backups, info) = back_up(folder.path(), compress).await;
        assert_eq!(backups.list().unwrap(), std::slice::from_ref(&info));
        assert_eq!(backups.verify(&info.id).unwrap(), info);
        assert_eq!(
            info.components,
            [
                "agent_registry",
                "agent_state",
                "message_queues",
                "certificates",
                "configuration"
            ]
        );

        let target = folder.path().join("restored");
        assert_eq!(restore(Path::new(&info.path), &target).unwrap(), info);
        assert_eq!(fs::read(target.join("certs/ca.crt")).unwrap(), b"a certificate");
        assert_eq!(
            fs::read(target.join(RESTORED_CATALOG)).unwrap(),
            br#"{"agents": {}}"#
        );
        let store = Store::open(target.join("store")).unwrap();
        let digest = caxton_model::ModuleDigest::of(b"a module");
        assert_eq!(
            store.module(&digest).await.unwrap().as_deref(),
            Some(&b"a module"[..])
        );
        drop(store);

        let again = restore(Path::new(&info.path), &target);
        assert!(matches!(again, Err(BackupError::NotEmpty { .. })), "{again:?}");
    }
}

#[tokio::test]
async fn damage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (backups, info) = back_up(folder.path(), false).await;
    let mut bytes = fs::read(&info.path).unwrap();
    let position = bytes
        .windows(13)
        .position(|window| window == b"a certificate")
        .unwrap();
    bytes[position] ^= 1;
    fs::write(&info.path, bytes).unwrap();

    let error = backups.verify(&info.id).unwrap_err().to_string();
    assert!(error.contains("certs/ca.crt has another SHA-256"), "{error}");
    assert!(restore(Path::new(&info.path), &folder.path().join("restored")).is_err());
    assert!(!folder.path().join("restored").exists());
    assert!(matches!(
        backups.verify("backup-2"),
        Err(BackupError::NotFound { .. })
    ));
}

#[tokio::test]
async fn what_is_not_done_yet_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (backups, _) = back_up(folder.path(), false).await;
    let store = Store::open(folder.path().join("other")).unwrap();
    for (kind, destination, expected) in [
        ("incremental", None, "not made yet"),
        ("full", Some("s3://bucket/"), "not supported yet"),
        ("full", Some("relative"), "absolute path"),
    ] {
        let request = BackupRequest {
            kind: kind.to_owned(),
            destination: destination.map(str::to_owned),
            compress: false,
        };
        let sources = Sources {
            store: &store,
            catalog: Vec::new(),
        };
        let error = backups.create(&request, sources).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
