//! What nodes ask each other, beside what the cluster does by itself.
//!
//! Bodies that hold messages are JSON, as messages are; those that hold agents' state are postcard, since state is bytes.

use crate::node::Shared;
use crate::{checkpoint, deliver, handoff, modules, status};
use bytes::Bytes;
use caxton_cluster::{ClusterError, RequestHandler, Service};
use caxton_model::NodeId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// Asks another node, and reads its answer.
///
/// # Errors
/// As [`caxton_cluster::Cluster::request`]; an answer that cannot be read counts as refused.
pub(crate) async fn ask<Q: Serialize + Sync, A: DeserializeOwned>(
    shared: &Shared,
    node: &NodeId,
    service: Service,
    question: &Q,
    timeout: Duration,
) -> Result<A, ClusterError> {
    let codec = Codec::of(service);
    let answer = shared
        .cluster
        .request(node, service, codec.encode(question), timeout)
        .await?;
    codec.decode(&answer).map_err(|reason| ClusterError::Refused {
        node: node.clone(),
        reason: format!("its answer to a {service} request cannot be read: {reason}"),
    })
}

/// Answers other nodes. Until the node is up it refuses everything.
#[derive(Default)]
pub(crate) struct Answers {
    shared: OnceLock<Weak<Shared>>,
}

impl Answers {
    /// From here on, questions are answered.
    pub(crate) fn open(&self, shared: &Arc<Shared>) {
        // A second call changes nothing: there is one node for each of these.
        let _ = self.shared.set(Arc::downgrade(shared));
    }
}

#[async_trait::async_trait]
impl RequestHandler for Answers {
    async fn handle(&self, _from: NodeId, service: Service, body: Bytes) -> Result<Bytes, String> {
        let shared = self.shared.get().and_then(Weak::upgrade);
        let shared = shared.ok_or_else(|| "this node is starting or stopping".to_owned())?;
        let codec = Codec::of(service);
        match service {
            Service::MESSAGES => Ok(codec.encode(&deliver::receive(&shared, codec.decode(&body)?).await)),
            Service::HANDOFF => Ok(codec.encode(&handoff::answer(&shared, codec.decode(&body)?).await?)),
            Service::CHECKPOINT => Ok(codec.encode(&checkpoint::keep(&shared, codec.decode(&body)?).await?)),
            Service::STATUS => Ok(codec.encode(&status::of(&shared).await)),
            Service::MODULE => modules::answer(&shared, &body).await,
            other => Err(format!("this release does not know {other} requests")),
        }
    }
}

#[derive(Clone, Copy)]
enum Codec {
    Json,
    Postcard,
}

impl Codec {
    fn of(service: Service) -> Self {
        match service {
            Service::HANDOFF | Service::CHECKPOINT => Self::Postcard,
            _ => Self::Json,
        }
    }

    fn encode(self, value: &impl Serialize) -> Bytes {
        let bytes = match self {
            Self::Json => serde_json::to_vec(value).map_err(|error| error.to_string()),
            Self::Postcard => postcard::to_stdvec(value).map_err(|error| error.to_string()),
        };
        bytes.expect("our own types can be encoded").into()
    }

    fn decode<T: DeserializeOwned>(self, body: &[u8]) -> Result<T, String> {
        match self {
            Self::Json => serde_json::from_slice(body).map_err(|error| error.to_string()),
            Self::Postcard => postcard::from_bytes(body).map_err(|error| error.to_string()),
        }
    }
}
