//! Objects of an S3 service: the example, backups that are kept there, and an engine that dies in the middle.

use caxton_tests::{Finished, ObjectStore, Sandbox, root};

/// Runs `caxplan` with the service and its keys in the environment.
fn caxplan(sandbox: &Sandbox, store: &ObjectStore, arguments: &[&str]) -> Finished {
    let endpoint = store.endpoint();
    let mut environment = store.environment().to_vec();
    environment.push(("AWS_ENDPOINT_URL", &endpoint));
    sandbox.caxplan_with(&environment, arguments)
}

#[test]
fn the_example_publishes_and_undoes() {
    let store = ObjectStore::start();
    let sandbox = Sandbox::new();
    let file = root().join("examples/features/s3.yaml").display().to_string();
    let endpoint = format!("endpoint={}", store.endpoint());
    caxplan(&sandbox, &store, &["preview", &file, "-p", &endpoint])
        .expect_code(0)
        .expect_text("would put 14 B at s3://backups/example/releases/1.4.2, where nothing is");
    assert!(store.keys().is_empty(), "a preview changed something");
    caxplan(
        &sandbox,
        &store,
        &["run", &file, "-p", &endpoint, "-p", "break=true"],
    )
    .expect_code(3);
    assert_eq!(store.keys(), Vec::<String>::new(), "something was not undone");
    caxplan(&sandbox, &store, &["run", &file, "-p", &endpoint]).expect_code(0);
    let keys = store.keys();
    assert!(keys.contains(&"example/releases/current".to_owned()), "{keys:?}");
    assert!(
        keys.iter().any(|key| key.starts_with("example/data/")),
        "{keys:?}"
    );
    // Once more, nothing changes, so nothing is undone.
    caxplan(
        &sandbox,
        &store,
        &["run", &file, "-p", &endpoint, "-p", "break=true"],
    );
    assert_eq!(store.keys(), keys);
}

#[test]
fn the_policy_of_the_seed_keeps_its_backups_in_the_object_store() {
    let store = ObjectStore::start();
    store.make_bucket("caxton-backups");
    let sandbox = Sandbox::new();
    let here = sandbox.path().display().to_string();
    for component in [
        "agent_registry",
        "agent_state",
        "message_queues",
        "configuration",
        "certificates",
    ] {
        std::fs::create_dir_all(sandbox.path().join("root").join(component)).expect("made");
        sandbox.file(&format!("root/{component}/file"), component);
    }
    let library = root().join("plans/actions/backup-files.yaml");
    let seed = std::fs::read_to_string(root().join("tests/fixtures/seeds/backup.yaml")).expect("a seed");
    sandbox.file(
        "backup.yaml",
        &format!(
            "use: {}\nvars:\n  backup_root: {here}/root\n  backup_staging: {here}/staging\n  destination_root: {here}\n{seed}",
            library.display()
        ),
    );
    let back_up = || caxplan(&sandbox, &store, &["run", "backup.yaml#full_backup"]).expect_code(0);
    back_up();
    let keys = store.keys_of("caxton-backups");
    let names: Vec<&str> = keys.iter().filter_map(|key| key.rsplit('/').next()).collect();
    assert_eq!(names, ["SHA256SUMS", "files.tar.gz", "since"], "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("full_backup/")), "{keys:?}");
    // Both are younger than the retention.
    back_up();
    assert_eq!(store.keys_of("caxton-backups").len(), 6);
}
