//! Which credentials are found where.

use super::*;
use caxplan_adapter::{OutputSink, Stream};
use std::collections::BTreeMap;
use std::sync::Mutex;

#[derive(Default)]
struct Masked(Mutex<Vec<String>>);

impl OutputSink for Masked {
    fn write(&self, _: Stream, _: &[u8]) {}
    fn mask(&self, secret: &str) {
        self.0.lock().unwrap().push(secret.to_owned());
    }
}

const NOTHING: Reach<'_> = Reach {
    endpoint: None,
    region: None,
    profile: None,
    path_style: None,
    access_key: None,
    secret_key: None,
    session_token: None,
    ca_file: None,
};

const CREDENTIALS: &str = "
# a comment
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = default/secret+with=signs#and;marks

[backup]
aws_access_key_id=AKIABACKUP
aws_secret_access_key=\"quoted\"
aws_session_token=token
";

const CONFIG: &str = "
[default]
region = eu-west-1
s3 =
    max_concurrent_requests = 20
[profile backup]
region = eu-north-1
endpoint_url = http://127.0.0.1:1
[profile  login]
sso_session = corp
[profile program]
credential_process = /bin/keys
[profile assumed]
role_arn = arn:aws:iam::1:role/x
source_profile = default
";

/// Finds credentials with this environment beside the two files; gives them and what was masked.
fn find(reach: Reach<'_>, environment: &[(&str, &str)]) -> (Result<Credentials, Cause>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(".aws")).unwrap();
    std::fs::write(folder.path().join(".aws/credentials"), CREDENTIALS).unwrap();
    std::fs::write(folder.path().join(".aws/config"), CONFIG).unwrap();
    let mut variables: BTreeMap<String, String> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    variables
        .entry("HOME".to_owned())
        .or_insert_with(|| folder.path().display().to_string());
    let masked = Arc::new(Masked::default());
    let context = Context {
        output: masked.clone(),
        ..Context::detached(".")
    };
    let found = Credentials::find(reach, &|name| variables.get(name).cloned(), &context);
    let masked = masked.0.lock().unwrap().clone();
    (found, masked)
}

fn key_of(credentials: &Credentials) -> (String, String, Option<String>) {
    match &credentials.keys {
        Keys::Fixed(keys) => (keys.key_id.clone(), keys.secret_key.clone(), keys.token.clone()),
        Keys::Lent(_) => panic!("{} is no fixed key", credentials.source),
    }
}

#[test]
fn the_first_source_that_has_some_is_used() {
    let given = Reach {
        access_key: Some("AKIAGIVEN1"),
        secret_key: Some("given"),
        ..NOTHING
    };
    let from_environment = [
        ("AWS_ACCESS_KEY_ID", "AKIAENV"),
        ("AWS_SECRET_ACCESS_KEY", "env"),
        ("AWS_SESSION_TOKEN", "t"),
    ];
    let named = Reach {
        profile: Some("backup"),
        ..NOTHING
    };
    let by_variable = [("AWS_PROFILE", "backup")];
    let both = [from_environment[0], from_environment[1], by_variable[0]];
    type Case<'a> = (Reach<'a>, &'a [(&'a str, &'a str)], &'a str, &'a str, &'a str);
    let cases: &[Case<'_>] = &[
        (
            given,
            &from_environment,
            "AKIAGIVEN1",
            "the access key AKIAGIVE… of the step's arguments",
            "eu-west-1",
        ),
        (
            NOTHING,
            &from_environment,
            "AKIAENV",
            "the access key AKIAENV of the environment",
            "eu-west-1",
        ),
        (
            named,
            &from_environment,
            "AKIABACKUP",
            "of the profile `backup`",
            "eu-north-1",
        ),
        (NOTHING, &both, "AKIAENV", "of the environment", "eu-north-1"),
        (
            NOTHING,
            &by_variable,
            "AKIABACKUP",
            "of the profile `backup`",
            "eu-north-1",
        ),
        (
            NOTHING,
            &[],
            "AKIADEFAULT",
            "of the profile `default`",
            "eu-west-1",
        ),
        (
            NOTHING,
            &[("AWS_REGION", "x-1")],
            "AKIADEFAULT",
            "of the profile `default`",
            "x-1",
        ),
        (
            Reach {
                region: Some("y-1"),
                ..NOTHING
            },
            &[("AWS_REGION", "x-1")],
            "AKIADEFAULT",
            "",
            "y-1",
        ),
    ];
    for (reach, environment, key, source, region) in cases {
        let (found, masked) = find(*reach, environment);
        let found = found.unwrap_or_else(|cause| panic!("{key}: {cause}"));
        let (is, secret, token) = key_of(&found);
        assert_eq!(is, *key);
        assert!(found.source.contains(source), "{}", found.source);
        assert_eq!(found.region, *region, "{key}");
        assert!(masked.contains(&secret), "{key}: the secret is not masked");
        assert!(
            token.is_none_or(|token| masked.contains(&token)),
            "{key}: the token is not masked"
        );
    }
}

#[test]
fn values_are_taken_as_they_are_written() {
    let (found, _) = find(NOTHING, &[]);
    assert_eq!(key_of(&found.unwrap()).1, "default/secret+with=signs#and;marks");
    let (found, _) = find(
        Reach {
            profile: Some("backup"),
            ..NOTHING
        },
        &[],
    );
    let found = found.unwrap();
    assert_eq!(key_of(&found).1, "\"quoted\"");
    assert_eq!(found.endpoint.as_deref(), Some("http://127.0.0.1:1"));
}

#[test]
fn what_cannot_be_used_is_said() {
    let profile = |name| Reach {
        profile: Some(name),
        ..NOTHING
    };
    for (reach, environment, kind, text) in [
        (
            profile("nobody"),
            &[][..],
            FailureKind::NotFound,
            "there is no profile `nobody`",
        ),
        (profile("login"), &[], FailureKind::Denied, "single sign-on"),
        (profile("program"), &[], FailureKind::Denied, "credential_process"),
        (profile("assumed"), &[], FailureKind::Denied, "assumes a role"),
        (
            Reach {
                access_key: Some("a"),
                ..NOTHING
            },
            &[],
            FailureKind::Invalid,
            "only one is given",
        ),
        (
            NOTHING,
            &[("AWS_ACCESS_KEY_ID", "a")],
            FailureKind::Denied,
            "only one is in the environment",
        ),
        (
            Reach {
                access_key: Some("a"),
                secret_key: Some("b"),
                session_token: Some("c\n"),
                ..NOTHING
            },
            &[],
            FailureKind::Denied,
            "session token of the step's arguments",
        ),
        (
            NOTHING,
            &[("HOME", "/nonexistent"), ("AWS_EC2_METADATA_DISABLED", "true")],
            FailureKind::Denied,
            "there are none in the step's arguments, the environment, or /nonexistent/.aws/credentials",
        ),
    ] {
        let (found, _) = find(reach, environment);
        let cause = found.err().unwrap_or_else(|| panic!("{text}: it was taken"));
        assert_eq!(cause.kind, kind, "{cause}");
        assert!(cause.message.contains(text), "{cause}");
    }
}

#[test]
fn a_role_is_the_last_resort() {
    for (environment, source) in [
        (&[("HOME", "/nonexistent")][..], "the role of this machine"),
        (
            &[
                ("HOME", "/nonexistent"),
                ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x"),
            ],
            "the role of this container",
        ),
        (
            &[
                ("HOME", "/nonexistent"),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "/x"),
                ("AWS_ROLE_ARN", "arn:aws:iam::1:role/x"),
            ],
            "the web identity",
        ),
    ] {
        let (found, _) = find(NOTHING, environment);
        let found = found.unwrap();
        assert!(found.source.starts_with(source), "{}", found.source);
        assert!(matches!(found.keys, Keys::Lent(_)));
    }
}
