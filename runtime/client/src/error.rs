//! Why a call failed, and whether it may have acted.

use caxton_model::NodeId;
use caxton_model::api::ApiError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer came.
    #[error("no answer from {endpoint}: {}", root_cause(source))]
    Unreachable {
        /// Who was asked last.
        endpoint: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The node refused, or failed.
    #[error("{}", api_text(error))]
    Api {
        /// What it said.
        error: ApiError,
        /// The HTTP status.
        status: u16,
    },
    /// The answer was not what the API promises: another version, or not a Caxton node.
    #[error(
        "{endpoint} answered with status {status} and something that is not the management API's: {reason}"
    )]
    Decode {
        /// Who was asked.
        endpoint: String,
        /// The HTTP status.
        status: u16,
        /// What did not fit.
        reason: String,
    },
    /// The cluster knows no such node.
    #[error("there is no node {node} in this cluster; it has: {}", known.join(", "))]
    UnknownNode {
        /// Which was asked for.
        node: NodeId,
        /// Which there are.
        known: Vec<String>,
    },
    /// An address is no `http://host:port`.
    #[error("{endpoint:?} is not an address of a management API: {reason}")]
    BadEndpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
}

impl ClientError {
    /// Whether the call may have changed something although it failed. If not, it is safe to call again.
    pub fn may_have_acted(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => !(source.is_connect() || source.is_builder()),
            Self::Api { status, .. } => *status >= 500,
            Self::Decode { .. } => true,
            Self::UnknownNode { .. } | Self::BadEndpoint { .. } => false,
        }
    }

    /// Whether another endpoint, or the same one later, may well answer.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Api { status, .. } => matches!(status, 429 | 503 | 504),
            Self::Decode { .. } | Self::UnknownNode { .. } | Self::BadEndpoint { .. } => false,
        }
    }
}

fn api_text(error: &ApiError) -> String {
    match &error.hint {
        Some(hint) => format!("{} ({}). {hint}", error.message, error.code),
        None => format!("{} ({})", error.message, error.code),
    }
}

/// The innermost cause: "Connection refused" says more than "error sending request".
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "timed out".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
