//! Refusals as an HTTP answer.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use caxton_cluster::ClusterError;
use caxton_host::{HostError, StoreError};
use caxton_model::api::ApiError;

/// Why a call is refused or failed, with the status that says so to machines.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: ApiError,
}

impl Refusal {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            error: ApiError {
                code: code.to_owned(),
                message: message.into(),
                hint: None,
            },
        }
    }

    /// The request cannot be right at any time.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    /// No token, or another one.
    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "the token is missing or wrong",
        )
        .hint("send `Authorization: Bearer TOKEN` with the token that `caxton init` wrote")
    }

    /// There is no such thing.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// The address exists, with another method.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "invalid",
            "this call has another HTTP method",
        )
    }

    /// The request does not fit what is there now.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// More than the node takes at a time.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid", message)
    }

    /// Not now; the same call may succeed later or at another node.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// This node takes no new messages from clients.
    pub(crate) fn draining() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "draining",
            "this node is draining and takes no new messages",
        )
        .hint("send to another node of the cluster")
    }

    /// Without a majority of voters nothing can be changed.
    pub(crate) fn no_quorum(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_quorum", message)
            .hint("bring back enough nodes for a majority of voters; `caxton cluster status` shows them")
    }

    /// What was asked for did not come to an end in time.
    pub(crate) fn timed_out(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", message)
    }

    /// A failure of the node itself.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// With advice.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.error.hint = Some(hint.into());
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.error)).into_response()
    }
}

impl From<ClusterError> for Refusal {
    fn from(error: ClusterError) -> Self {
        let refusal = match &error {
            ClusterError::NoQuorum { .. } => return Self::no_quorum(error.to_string()),
            ClusterError::UnknownNode { .. } => Self::not_found(error.to_string()),
            ClusterError::InvalidProposal { .. } => Self::invalid(error.to_string()),
            ClusterError::Unreachable { .. }
            | ClusterError::TimedOut { .. }
            | ClusterError::Interrupted { .. }
            | ClusterError::Stopped => Self::unavailable(error.to_string()),
            ClusterError::Config { .. }
            | ClusterError::Bind { .. }
            | ClusterError::Security(_)
            | ClusterError::Storage { .. }
            | ClusterError::Join { .. }
            | ClusterError::TooLarge { .. }
            | ClusterError::Refused { .. } => Self::internal(error.to_string()),
        };
        match error.hint() {
            Some(hint) => refusal.hint(hint),
            None => refusal,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::OutboxFull { .. } => {
                Self::unavailable(error.to_string()).hint("send again in a moment")
            }
            StoreError::DiskFull => {
                Self::unavailable(error.to_string()).hint("free some space on the node's disk")
            }
            StoreError::Closed => Self::unavailable("this node is stopping").hint("ask another node"),
            StoreError::Locked { .. }
            | StoreError::Path { .. }
            | StoreError::Format { .. }
            | StoreError::StaleEpoch { .. }
            | StoreError::Database(_)
            | StoreError::Record(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<HostError> for Refusal {
    fn from(error: HostError) -> Self {
        match error {
            HostError::InvalidModule(_) | HostError::Limit { .. } => Self::invalid(error.to_string()),
            HostError::UnknownModule(_) | HostError::UnknownAgent(_) => Self::not_found(error.to_string()),
            HostError::TooManyAgents { .. } | HostError::ShuttingDown => Self::unavailable(error.to_string()),
            HostError::Store(error) => error.into(),
            HostError::Engine(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<caxton_model::Refusal> for Refusal {
    fn from(refusal: caxton_model::Refusal) -> Self {
        match refusal {
            caxton_model::Refusal::UnknownNode { node } => {
                Self::not_found(format!("there is no node {node}"))
            }
            caxton_model::Refusal::UnknownAgent { agent } => {
                Self::not_found(format!("there is no agent {agent}"))
            }
            caxton_model::Refusal::StaleEpoch { current } => Self::conflict(format!(
                "somebody else was faster: the epoch is {} by now",
                current.0
            )),
            caxton_model::Refusal::NotAllowed { reason } => Self::conflict(reason),
        }
    }
}
