//! What file actions answer.

use super::fault::Fault;
use caxplan_model::{Value, Verdict};
use serde_json::json;

/// The output of a transfer. `files` is how many were transferred.
pub(super) fn transferred(path: &str, bytes: u64, sha256: Option<&str>, files: u64) -> Value {
    json!({ "path": path, "bytes": bytes, "sha256": sha256, "files": files })
}

pub(super) fn transfer_schema(path: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": path },
            "bytes": { "type": "integer", "description": "The length of all of it." },
            "sha256": { "type": ["string", "null"], "description": "The SHA-256 of a file; null of a folder." },
            "files": { "type": "integer", "description": "How many files were transferred: those that differed." },
        },
        "required": ["path", "bytes", "sha256", "files"],
    })
}

/// A verdict, where what could not be looked at cannot be told.
pub(super) fn verdict(looked: Result<Verdict, Fault>) -> Verdict {
    looked.unwrap_or_else(|fault| Verdict::Unknown {
        reason: fault.into_cause().message,
    })
}
