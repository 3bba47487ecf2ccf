//! The client: endpoints, token, one request with failover.

use crate::{ClientError, ContextError, context::load_context};
use caxton_model::NodeId;
use caxton_model::api::ApiError;
use reqwest::{Method, Response, Url};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long it may take to open a connection. A dead host must not eat the whole time of a call that could go elsewhere.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A client of a cluster, or of one node of it. Cheap to clone; clones share connections.
///
/// A call that only reads tries one endpoint after the other until one answers. A call that changes something goes to
/// another endpoint only if nothing can have reached the first one.
#[derive(Clone, Debug)]
pub struct Client {
    endpoints: Arc<[Url]>,
    token: Arc<str>,
    /// Opened at the first call, so that a client costs nothing until it is used.
    http: Arc<OnceLock<reqwest::Client>>,
    /// The endpoint that answered last; the next call begins there.
    favourite: Arc<AtomicUsize>,
    timeout: Option<Duration>,
}

impl Client {
    /// A client of the cluster that a context file names.
    pub fn from_context(path: impl AsRef<Path>) -> Result<Self, FromContextError> {
        let (endpoints, token) = load_context(path.as_ref())?;
        Ok(Self::new(endpoints, token)?)
    }

    /// A client of the cluster whose management APIs answer at `endpoints`: `http://host:port` or `host:port`.
    pub fn new<E: AsRef<str>>(
        endpoints: impl IntoIterator<Item = E>,
        token: impl Into<String>,
    ) -> Result<Self, ClientError> {
        let endpoints: Vec<Url> = endpoints
            .into_iter()
            .map(|endpoint| parse_endpoint(endpoint.as_ref()))
            .collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            return Err(ClientError::BadEndpoint {
                endpoint: String::new(),
                reason: "at least one is needed".to_owned(),
            });
        }
        Ok(Self {
            endpoints: endpoints.into(),
            token: token.into().into(),
            http: Arc::new(OnceLock::new()),
            favourite: Arc::new(AtomicUsize::new(0)),
            timeout: None,
        })
    }

    /// The same client with one limit for each attempt of each call, instead of [`crate::READ_TIMEOUT`] and its like.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
            ..self.clone()
        }
    }

    /// A client of one node only, found through the cluster's members; `node` may also be an address.
    ///
    /// A call to it never goes to another node.
    pub async fn node(&self, node: &NodeId) -> Result<Self, ClientError> {
        if node.as_str().contains(':') {
            return self.pinned(node.as_str());
        }
        let members = self.members().await?;
        match members.iter().find(|member| member.id == *node) {
            Some(member) => self.pinned(&member.api_addr),
            None => Err(ClientError::UnknownNode {
                node: node.clone(),
                known: members.into_iter().map(|member| member.id.0).collect(),
            }),
        }
    }

    /// A client of the node at an address only, with the same token and connections.
    pub fn pinned(&self, endpoint: &str) -> Result<Self, ClientError> {
        Ok(Self {
            endpoints: [parse_endpoint(endpoint)?].into(),
            favourite: Arc::new(AtomicUsize::new(0)),
            ..self.clone()
        })
    }

    /// Lets the next call begin with another endpoint than the one that was asked last. For calls that the caller knows to
    /// be safe to repeat elsewhere, such as sending messages with the same ids.
    pub fn avoid_last(&self) {
        self.favourite.fetch_add(1, Ordering::Relaxed);
    }

    /// The addresses that this client asks, in their given order.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.endpoints.iter().map(Url::as_str)
    }

    /// Makes a call and reads its answer as JSON. Cancel safe for reads; a cancelled change may have happened.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, ClientError> {
        let (endpoint, response) = self.send(call).await?;
        let status = response.status().as_u16();
        let body = read_body(&endpoint, response).await?;
        decode(&endpoint, status, &body)
    }

    /// Makes a call whose answer has no content.
    pub(crate) async fn empty(&self, call: Call<'_>) -> Result<(), ClientError> {
        self.send(call).await.map(|_| ())
    }

    async fn send(&self, call: Call<'_>) -> Result<(Url, Response), ClientError> {
        let first = self.favourite.load(Ordering::Relaxed) % self.endpoints.len();
        let count = self.endpoints.len();
        let mut last_error = None;
        for offset in 0..count {
            let index = (first + offset) % count;
            match self.send_to(&self.endpoints[index], &call).await {
                Ok(response) => {
                    self.favourite.store(index, Ordering::Relaxed);
                    return Ok((self.endpoints[index].clone(), response));
                }
                Err(error) if error.is_transient() && (call.repeatable || !error.may_have_acted()) => {
                    tracing::debug!(endpoint = %self.endpoints[index], %error, "trying the next endpoint");
                    last_error = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(last_error.expect("a client has at least one endpoint"))
    }

    async fn send_to(&self, endpoint: &Url, call: &Call<'_>) -> Result<Response, ClientError> {
        let mut url = endpoint.clone();
        url.path_segments_mut()
            .expect("an http address can have a path")
            .pop_if_empty()
            .extend(call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let unreachable = |source| ClientError::Unreachable {
            endpoint: trimmed(endpoint),
            source,
        };
        let mut request = self
            .http()
            .map_err(unreachable)?
            .request(call.method.clone(), url)
            .timeout(self.timeout.unwrap_or(call.timeout))
            .bearer_auth(&self.token);
        request = match &call.body {
            Body::None => request,
            Body::Json(value) => request.json(value),
            Body::Bytes(bytes) => request
                .header("content-type", "application/octet-stream")
                .body(bytes.clone()),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() || call.answers_with.contains(&status.as_u16()) {
            return Ok(response);
        }
        let body = read_body(endpoint, response).await?;
        let error: ApiError = decode(endpoint, status.as_u16(), &body)?;
        Err(ClientError::Api {
            error,
            status: status.as_u16(),
        })
    }

    fn http(&self) -> Result<&reqwest::Client, reqwest::Error> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        // Addresses of nodes are direct: a proxy for the web knows nothing of them. No address here is https, so the
        // system's certificates, which are slow to load, are left out.
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .connect_timeout(CONNECT_TIMEOUT)
            .build()?;
        Ok(self.http.get_or_init(|| client))
    }
}

/// A context could not be read, or names no usable address.
#[derive(Debug, thiserror::Error)]
pub enum FromContextError {
    /// The file.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// An address in it.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// One call, before it goes to an endpoint.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Raw segments; they are escaped one by one, so that `client/NAME` stays one segment.
    pub(crate) path: &'a [&'a str],
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    pub(crate) timeout: Duration,
    /// Whether making the call twice is the same as making it once.
    pub(crate) repeatable: bool,
    /// Statuses of 400 and above that carry an ordinary answer.
    pub(crate) answers_with: &'static [u16],
}

/// What a call carries.
pub(crate) enum Body {
    None,
    Json(serde_json::Value),
    Bytes(Vec<u8>),
}

fn parse_endpoint(text: &str) -> Result<Url, ClientError> {
    let bad = |reason: String| ClientError::BadEndpoint {
        endpoint: text.to_owned(),
        reason,
    };
    let address = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = Url::parse(&address).map_err(|error| bad(error.to_string()))?;
    if url.scheme() != "http" {
        return Err(bad(format!(
            "{} is not spoken yet; use http on loopback or behind a proxy that ends TLS",
            url.scheme()
        )));
    }
    if url.host_str().is_none() {
        return Err(bad("it has no host".to_owned()));
    }
    Ok(url)
}

async fn read_body(endpoint: &Url, response: Response) -> Result<Vec<u8>, ClientError> {
    match response.bytes().await {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(source) => Err(ClientError::Unreachable {
            endpoint: trimmed(endpoint),
            source,
        }),
    }
}

fn decode<T: DeserializeOwned>(endpoint: &Url, status: u16, body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Decode {
        endpoint: trimmed(endpoint),
        status,
        reason: error.to_string(),
    })
}

fn trimmed(endpoint: &Url) -> String {
    endpoint.as_str().trim_end_matches('/').to_owned()
}
