//! Objects of an S3 service: the example, backups that are kept there, and an engine that dies in the middle.

use caxton_tests::{Finished, ObjectStore, Sandbox, Service, Tls, root};

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

/// The keys that a role gets, as the services of a machine and of a container hand them out.
const LENT: &str = r#"{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIALENT", "SecretAccessKey": "lent-secret-key",
    "Token": "lent-session-token", "LastUpdated": "2026-01-01T00:00:00Z", "Expiration": "2099-01-01T00:00:00Z"}"#;

/// A plan puts an object with the keys of a role, which stand nowhere else; what it prints holds none of them.
#[track_caller]
fn put_by_role(store: &ObjectStore, arguments: &str, environment: &[(&str, &str)], role: &str) {
    let sandbox = Sandbox::new();
    sandbox.file("plan.yaml", &format!(
        "phases:\n  - {{name: one, steps: [{{id: put, action: s3.put, with: {{content: hello, to: s3://backups/by-role, endpoint: '{}'{arguments}}}}}]}}\n",
        store.endpoint()
    ));
    let home = sandbox.path().display().to_string();
    let environment: Vec<_> = [("HOME", home.as_str())]
        .into_iter()
        .chain(environment.iter().copied())
        .collect();
    let run = sandbox
        .caxplan_with(&environment, &["run", "plan.yaml"])
        .expect_code(0);
    for secret in ["lent-secret-key", "lent-session-token"] {
        assert!(
            !run.stdout.contains(secret) && !run.stderr.contains(secret),
            "{role}: {secret} is shown"
        );
    }
    assert_eq!(store.keys(), ["by-role"], "{role}");
}

#[test]
fn the_role_of_a_machine_signs() {
    let metadata = Service::start(|path, _| match path {
        "/latest/api/token" => (200, "token-of-the-machine".to_owned()),
        "/latest/meta-data/iam/security-credentials/" => (200, "backup-role".to_owned()),
        "/latest/meta-data/iam/security-credentials/backup-role" => (200, LENT.to_owned()),
        _ => (404, String::new()),
    });
    let store = ObjectStore::start();
    put_by_role(
        &store,
        "",
        &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url())],
        "machine",
    );
    let asked = metadata.asked();
    assert_eq!(
        asked[0].line, "PUT /latest/api/token",
        "the second version of the service is asked"
    );
    assert!(
        asked[1].text.contains("token-of-the-machine"),
        "{}",
        asked[1].text
    );
}

#[test]
fn a_service_with_an_authority_of_its_own_is_trusted_by_ca_file_alone() {
    let store = ObjectStore::start();
    let https = Tls::before(store.endpoint().trim_start_matches("http://"));
    let sandbox = Sandbox::new();
    let plan = |ca_file: &str| {
        format!(
            "phases:\n  - {{name: one, steps: [{{id: put, action: s3.put, with: {{content: hello, to: s3://backups/secret, endpoint: '{}'{ca_file}}}}}]}}\n",
            https.url()
        )
    };
    sandbox.file("plan.yaml", &plan(""));
    caxplan(&sandbox, &store, &["run", "plan.yaml"])
        .expect_code(1)
        .expect_text("a service with its own authority needs `ca_file`");
    assert!(store.keys().is_empty());
    sandbox.file(
        "plan.yaml",
        &plan(&format!(", ca_file: {}", https.ca_file().display())),
    );
    caxplan(&sandbox, &store, &["run", "plan.yaml"]).expect_code(0);
    assert_eq!(store.keys(), ["secret"]);
}

#[test]
fn a_web_identity_signs() {
    let tokens = Service::start(|_, _| {
        (
            200,
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
             <AccessKeyId>ASIALENT</AccessKeyId><SecretAccessKey>lent-secret-key</SecretAccessKey>\
             <SessionToken>lent-session-token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
             </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
                .to_owned(),
        )
    });
    let https = Tls::before(tokens.url().trim_start_matches("http://"));
    let trusting = format!(", ca_file: {}", https.ca_file().display());
    let store = ObjectStore::start();
    let token = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(token.path(), "token-of-the-job").expect("written");
    let file = token.path().display().to_string();
    let environment = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.as_str()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/backup"),
        ("AWS_ENDPOINT_URL_STS", https.url()),
    ];
    put_by_role(&store, &trusting, &environment, "web identity");
    let asked = &tokens.asked()[0];
    for word in ["AssumeRoleWithWebIdentity", "role%2Fbackup", "token-of-the-job"] {
        assert!(asked.text.contains(word), "no {word} in {}", asked.text);
    }
}

#[test]
fn the_role_of_a_container_signs() {
    let service = Service::start(|_, _| (200, LENT.to_owned()));
    let store = ObjectStore::start();
    let token = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(token.path(), "token-of-the-container").expect("written");
    let (uri, file) = (
        format!("{}/v1/credentials", service.url()),
        token.path().display().to_string(),
    );
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.as_str()),
    ];
    put_by_role(&store, "", &environment, "container");
    assert!(
        service.asked()[0].text.contains("token-of-the-container"),
        "{}",
        service.asked()[0].text
    );
}
