//! The actions, one file each.

mod copy;
mod delete;
mod get;
mod globs;
mod list;
mod prune;
mod put;
mod sync;
mod verify;

pub(crate) use copy::S3Copy;
pub(crate) use delete::S3Delete;
pub(crate) use get::S3Get;
pub(crate) use list::S3List;
pub(crate) use prune::S3Prune;
pub(crate) use put::S3Put;
pub(crate) use sync::S3Sync;
pub(crate) use verify::S3Verify;

use caxplan_model::{Cause, FailureEffect, FailureKind, Outcome, Value};
use serde::de::DeserializeOwned;

/// A failure before anything was done.
fn nothing_done(cause: impl Into<Cause>) -> Outcome {
    Outcome::Failed {
        cause: cause.into(),
        effect: FailureEffect::None,
    }
}

/// The state before a step, as its forecast recorded it.
fn remembered<T: DeserializeOwned>(before: &Value) -> Result<T, Cause> {
    serde_json::from_value(before.clone()).map_err(|error| {
        Cause::new(
            FailureKind::Invalid,
            format!("what was there before is not known: {error}"),
        )
    })
}

/// Refuses what is no SHA-256.
fn check_sha256(sha256: Option<&str>) -> Result<Option<String>, Cause> {
    let Some(sha256) = sha256 else { return Ok(None) };
    if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Cause::new(
            FailureKind::Invalid,
            format!("`{sha256}` is no SHA-256: that has 64 hexadecimal digits"),
        ));
    }
    Ok(Some(sha256.to_ascii_lowercase()))
}
