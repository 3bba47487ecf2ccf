//! As whom requests are signed: arguments, a profile, the environment, or the role of the container or machine.

mod profile;

use crate::arguments::Reach;
use crate::authorities::authorities;
use caxplan_adapter::Context;
use caxplan_model::{Cause, FailureKind};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider};
use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};
use profile::Profile;
use std::sync::Arc;
use std::time::Duration;

/// The region if nothing names one: what services other than Amazon's expect, too.
const REGION_DEFAULT: &str = "us-east-1";

/// How long to wait for the machine's metadata service, which is there at once or not at all.
const ROLE_CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long the service that lends a role's keys may take for an answer.
const ROLE_ANSWER_MAX: Duration = Duration::from_secs(10);

/// Where the environment's variables come from: the process, or a test.
pub(crate) type Environment<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// The process's own environment.
pub(crate) fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// As whom requests are signed, where that was found, and for which region.
#[derive(Clone)]
pub(crate) struct Credentials {
    keys: Keys,
    /// For messages: `the access key AKIA… of the profile `backup` (/root/.aws/credentials)`.
    pub(crate) source: String,
    pub(crate) region: String,
    /// The endpoint that the environment or the profile names.
    pub(crate) endpoint: Option<String>,
}

#[derive(Clone)]
enum Keys {
    Fixed(Arc<AwsCredential>),
    /// Lent for a while; the provider fetches new ones when they run out.
    Lent(AwsCredentialProvider),
}

impl Credentials {
    /// Finds them. Does no request yet: a role's keys are fetched when they are first needed.
    pub(crate) fn find(
        reach: Reach<'_>,
        environment: Environment<'_>,
        context: &Context,
    ) -> Result<Self, Cause> {
        let get = |name: &str| environment(name).filter(|value| !value.is_empty());
        let named = reach.profile.map(str::to_owned);
        let is_named = named.is_some() || get("AWS_PROFILE").is_some();
        let profile_name = named
            .clone()
            .or_else(|| get("AWS_PROFILE"))
            .unwrap_or_else(|| "default".to_owned());
        let profile = Profile::read(&profile_name, environment)?;
        if is_named && !profile.exists {
            return Err(Cause::new(
                FailureKind::NotFound,
                format!("there is no profile `{profile_name}` in {}", profile.files()),
            )
            .with_hint("`aws configure list-profiles` shows those that are there"));
        }
        let region = reach
            .region
            .map(str::to_owned)
            .or_else(|| get("AWS_REGION"))
            .or_else(|| get("AWS_DEFAULT_REGION"))
            .or_else(|| profile.get("region"))
            .unwrap_or_else(|| REGION_DEFAULT.to_owned());
        let endpoint = get("AWS_ENDPOINT_URL_S3")
            .or_else(|| get("AWS_ENDPOINT_URL"))
            .or_else(|| profile.get("endpoint_url"));
        let fixed = |key: &str, secret: &str, token: Option<&str>, source: String| {
            context.mask(secret);
            if let Some(token) = token {
                context.mask(token);
            }
            let credential = AwsCredential {
                key_id: key.to_owned(),
                secret_key: secret.to_owned(),
                token: token.map(str::to_owned),
            };
            check(&credential, &source)?;
            Ok(Self {
                source: format!("the access key {} of {source}", shortened(key)),
                keys: Keys::Fixed(Arc::new(credential)),
                region: region.clone(),
                endpoint: endpoint.clone(),
            })
        };
        match (reach.access_key, reach.secret_key) {
            (Some(key), Some(secret)) => {
                return fixed(
                    key,
                    secret,
                    reach.session_token,
                    "the step's arguments".to_owned(),
                );
            }
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                return Err(Cause::new(
                    FailureKind::Invalid,
                    "of `access_key` and `secret_key` only one is given",
                ));
            }
        }
        // As Amazon's own programs have it: a profile that is named goes before the environment's keys, one that the
        // environment names does not.
        if named.is_none() {
            match (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
                (Some(key), Some(secret)) => {
                    return fixed(
                        &key,
                        &secret,
                        get("AWS_SESSION_TOKEN").as_deref(),
                        "the environment".to_owned(),
                    );
                }
                (None, None) => {}
                (Some(_), None) | (None, Some(_)) => {
                    return Err(Cause::new(
                        FailureKind::Denied,
                        "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is in the environment",
                    ));
                }
            }
        }
        let source = format!("the profile `{profile_name}` ({})", profile.files());
        match (
            profile.get("aws_access_key_id"),
            profile.get("aws_secret_access_key"),
        ) {
            (Some(key), Some(secret)) => {
                return fixed(&key, &secret, profile.get("aws_session_token").as_deref(), source);
            }
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                return Err(Cause::new(
                    FailureKind::Denied,
                    format!("{source} has only one of aws_access_key_id and aws_secret_access_key"),
                ));
            }
        }
        profile.refuse_what_needs_a_program(&source)?;
        let authorities = authorities(reach, context)?;
        let (provider, role) = lent(&region, &profile, is_named, authorities, environment)?;
        Ok(Self {
            keys: Keys::Lent(provider),
            source: role,
            region,
            endpoint,
        })
    }

    /// The keys for one request.
    pub(crate) async fn get(&self, context: &Context) -> Result<Arc<AwsCredential>, Cause> {
        match &self.keys {
            Keys::Fixed(credential) => Ok(Arc::clone(credential)),
            Keys::Lent(provider) => {
                let credential = provider.get_credential().await.map_err(|error| {
                    Cause::new(
                        FailureKind::Denied,
                        format!("no credentials: {} does not give any: {}", self.source, reason(&error)),
                    )
                    .with_hint(
                        "give `access_key` and `secret_key` from secrets, or a `profile`, or set AWS_ACCESS_KEY_ID and \
                         AWS_SECRET_ACCESS_KEY; searched were arguments, environment, ~/.aws/credentials and the role of \
                         this machine",
                    )
                })?;
                context.mask(&credential.secret_key);
                if let Some(token) = &credential.token {
                    context.mask(token);
                }
                check(&credential, &self.source)?;
                Ok(credential)
            }
        }
    }
}

/// What lends keys: the token of a web identity, the container's service, or the machine's.
fn lent(
    region: &str,
    profile: &Profile,
    is_named: bool,
    authorities: Vec<Certificate>,
    environment: Environment<'_>,
) -> Result<(AwsCredentialProvider, String), Cause> {
    let get = |name: &str| environment(name).filter(|value| !value.is_empty());
    let mut options = ClientOptions::new()
        .with_connect_timeout(ROLE_CONNECT_MAX)
        .with_timeout(ROLE_ANSWER_MAX);
    for authority in authorities {
        options = options.with_root_certificate(authority);
    }
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name("unused")
        .with_region(region)
        .with_client_options(options)
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 1,
            retry_timeout: ROLE_ANSWER_MAX,
        });
    let web_identity = [
        (
            AmazonS3ConfigKey::WebIdentityTokenFile,
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "web_identity_token_file",
        ),
        (AmazonS3ConfigKey::RoleArn, "AWS_ROLE_ARN", "role_arn"),
        (
            AmazonS3ConfigKey::RoleSessionName,
            "AWS_ROLE_SESSION_NAME",
            "role_session_name",
        ),
    ];
    let mut role = None;
    for (key, variable, setting) in web_identity {
        if let Some(value) = profile
            .get(setting)
            .filter(|_| is_named)
            .or_else(|| get(variable))
        {
            builder = builder.with_config(key, value);
            if key == AmazonS3ConfigKey::WebIdentityTokenFile {
                role = Some("the web identity (AWS_WEB_IDENTITY_TOKEN_FILE)");
            }
        }
    }
    if let Some(endpoint) = get("AWS_ENDPOINT_URL_STS") {
        // The token would go over the wire as it is; the library refuses it, too, and does not say what.
        if !endpoint.starts_with("https://") {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!("AWS_ENDPOINT_URL_STS is {endpoint}: a token is sent by https only"),
            ));
        }
        builder = builder.with_config(AmazonS3ConfigKey::StsEndpoint, endpoint);
    }
    if role.is_none() {
        let container = [
            (
                AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            ),
            (
                AmazonS3ConfigKey::ContainerCredentialsFullUri,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ),
            (
                AmazonS3ConfigKey::ContainerAuthorizationTokenFile,
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            ),
        ];
        for (key, variable) in container {
            if let Some(value) = get(variable) {
                builder = builder.with_config(key, value);
                role = Some("the role of this container");
            }
        }
    }
    if role.is_none() {
        if get("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(Cause::new(
                FailureKind::Denied,
                format!(
                    "no credentials: there are none in the step's arguments, the environment, or {}, and \
                     AWS_EC2_METADATA_DISABLED forbids to ask for the role of this machine",
                    profile.files()
                ),
            )
            .with_hint("give `access_key` and `secret_key` from secrets, or a `profile`"));
        }
        if let Some(endpoint) = get("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
            builder = builder.with_metadata_endpoint(endpoint);
        }
        role = Some("the role of this machine (its metadata service)");
    }
    let store = builder.build().map_err(|error| {
        Cause::new(
            FailureKind::Invalid,
            format!("cannot use these credentials: {error}"),
        )
    })?;
    Ok((
        Arc::clone(store.credentials()),
        role.unwrap_or_default().to_owned(),
    ))
}

/// What a header cannot carry is refused here, where it can be said whose it is.
fn check(credential: &AwsCredential, source: &str) -> Result<(), Cause> {
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let wrong = if !is_plain(&credential.key_id) || credential.key_id.contains(['/', ',']) {
        "access key"
    } else if credential.secret_key.is_empty() {
        "secret key"
    } else if !credential.token.as_deref().is_none_or(is_plain) {
        "session token"
    } else {
        return Ok(());
    };
    Err(Cause::new(
        FailureKind::Denied,
        format!("the {wrong} of {source} is empty or has a character that none may have"),
    )
    .with_hint("a line end at the end of a secret's file is the usual reason"))
}

/// Enough of a key's id to recognise it.
fn shortened(key: &str) -> String {
    let shown: String = key.chars().take(8).collect();
    if shown.len() < key.len() {
        format!("{shown}…")
    } else {
        shown
    }
}

/// The innermost reason of a chain: the outer ones repeat addresses.
pub(crate) fn reason(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests;
