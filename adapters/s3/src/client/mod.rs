//! One request to the service: signed, repeated where that is safe, its failure explained.

mod failure;
mod send;
pub(crate) mod xml;

pub(crate) use failure::Failure;
pub(crate) use send::Request;

use crate::arguments::Reach;
use crate::authorities::authorities;
use crate::credentials::{Credentials, process_environment};
use crate::place::{Place, encoded};
use caxplan_adapter::{Call, Context};
use caxplan_model::{Cause, FailureKind};
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector as _, ReqwestConnector};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long the service may be silent. A part of an upload goes out in one such time, so a line of 100 kB/s must do.
const SILENCE_MAX: Duration = Duration::from_secs(180);

/// How long to go on cleaning up for a step that was told to stop: less than it is given to end.
pub(crate) const CLEAN_UP_MAX: Duration = Duration::from_secs(3);

/// A service, and as whom to speak to it. Lives as long as one action.
#[derive(Clone)]
pub(crate) struct Client {
    http: HttpClient,
    credentials: Credentials,
    address: Address,
    context: Context,
}

/// How addresses of buckets are made.
#[derive(Clone)]
struct Address {
    scheme: String,
    /// With the port, if it has one.
    host: String,
    path_style: bool,
}

impl Client {
    /// Finds credentials and makes ready. Sends nothing yet.
    pub(crate) fn new(reach: Reach<'_>, context: &Context) -> Result<Self, Cause> {
        // Before anything can be said of it.
        for secret in [reach.secret_key, reach.session_token].into_iter().flatten() {
            context.mask(secret);
        }
        let credentials = Credentials::find(reach, &process_environment, context)?;
        let endpoint = reach
            .endpoint
            .map(str::to_owned)
            .or_else(|| credentials.endpoint.clone());
        let address = Address::new(endpoint.as_deref(), &credentials.region, reach.path_style)?;
        let mut options = ClientOptions::new()
            .with_allow_http(true)
            .with_connect_timeout(CONNECT_MAX)
            .with_read_timeout(SILENCE_MAX)
            .with_timeout_disabled();
        for certificate in authorities(reach, context)? {
            options = options.with_root_certificate(certificate);
        }
        let http = ReqwestConnector::default()
            .connect(&options)
            .map_err(|error| Cause::new(FailureKind::Invalid, format!("cannot make connections: {error}")))?;
        Ok(Self {
            http,
            credentials,
            address,
            context: context.clone(),
        })
    }

    /// The same, for cleaning up after the step was told to stop: it is not cancelled with it, so its user sets a time
    /// limit.
    pub(crate) fn unstoppable(&self) -> Self {
        let mut client = self.clone();
        client.context.cancel = CancellationToken::new();
        client
    }

    pub(crate) fn note(&self, line: &str) {
        self.context.note(line);
    }

    pub(crate) fn cancel(&self) -> &CancellationToken {
        &self.context.cancel
    }

    /// The address of a bucket, or of an object in it.
    fn url(&self, place: &Place, query: &[(&str, String)]) -> String {
        let Address {
            scheme,
            host,
            path_style,
        } = &self.address;
        let key = encoded(&place.key, true);
        let mut url = if *path_style || !is_host_name(&place.bucket) {
            format!("{scheme}://{host}/{}/{key}", place.bucket)
        } else {
            format!("{scheme}://{}.{host}/{key}", place.bucket)
        };
        if place.key.is_empty() && *path_style {
            url.pop();
        }
        for (at, (name, value)) in query.iter().enumerate() {
            url.push(if at == 0 { '?' } else { '&' });
            url.push_str(name);
            // Signers read `x` and `x=` alike; some servers tell a subresource only by the latter.
            url.push('=');
            url.push_str(&encoded(value, false));
        }
        url
    }
}

impl Address {
    fn new(endpoint: Option<&str>, region: &str, path_style: Option<bool>) -> Result<Self, Cause> {
        if region.is_empty()
            || !region
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!("`{region}` is no region such as `eu-west-1`"),
            ));
        }
        let Some(endpoint) = endpoint else {
            return Ok(Self {
                scheme: "https".to_owned(),
                host: format!("s3.{region}.amazonaws.com"),
                path_style: path_style.unwrap_or(false),
            });
        };
        let wrong = |why: &str| {
            Cause::new(
                FailureKind::Invalid,
                format!("`{endpoint}` is no endpoint: {why}"),
            )
            .with_hint("write `https://host` or `http://host:port`, without a path")
        };
        let uri: http::Uri = endpoint.parse().map_err(|_| wrong("it is no address"))?;
        let scheme = uri
            .scheme_str()
            .filter(|scheme| matches!(*scheme, "http" | "https"));
        let scheme = scheme.ok_or_else(|| wrong("it begins with neither `https://` nor `http://`"))?;
        if uri.path() != "/" || uri.query().is_some() {
            return Err(wrong("it has a path"));
        }
        let host = uri
            .authority()
            .map(http::uri::Authority::as_str)
            .filter(|host| !host.contains('@'));
        let host = host.ok_or_else(|| wrong("it has a user's name, or no host"))?;
        // The signer reads addresses by stricter rules, and does not expect to fail.
        url::Url::parse(&format!("{scheme}://{host}/")).map_err(|error| wrong(&error.to_string()))?;
        Ok(Self {
            scheme: scheme.to_owned(),
            host: host.to_ascii_lowercase(),
            path_style: path_style.unwrap_or(true),
        })
    }
}

/// Whether a bucket's name can stand before the host's: one with a dot would not fit the certificate.
fn is_host_name(bucket: &str) -> bool {
    bucket
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// What tells objects that this step of this run wrote from all others: kept in their metadata.
pub(crate) fn marker(call: &Call) -> String {
    encoded(&call.idempotency_key(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let address =
            |endpoint, style| Address::new(endpoint, "eu-west-1", style).map_err(|cause| cause.kind);
        let amazon = address(None, None).unwrap();
        assert_eq!(
            (amazon.host.as_str(), amazon.path_style),
            ("s3.eu-west-1.amazonaws.com", false)
        );
        let own = address(Some("http://[::1]:9000/"), None).unwrap();
        assert_eq!(
            (own.scheme.as_str(), own.host.as_str(), own.path_style),
            ("http", "[::1]:9000", true)
        );
        for wrong in [
            "host",
            "ftp://host",
            "http://host/path",
            "http://u:p@host",
            "http://",
            "http://a b",
            "http://1.2.3.999",
            "http://a:99999",
        ] {
            assert!(address(Some(wrong), None).is_err(), "{wrong}");
        }
        assert!(Address::new(None, "eu/west", None).is_err());
    }
}
