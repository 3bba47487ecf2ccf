//! Whom a connection trusts besides the system's authorities.

use crate::arguments::Reach;
use caxplan_adapter::Context;
use caxplan_model::{Cause, FailureKind};
use object_store::Certificate;

/// The certificates of `ca_file`.
pub(crate) fn authorities(reach: Reach<'_>, context: &Context) -> Result<Vec<Certificate>, Cause> {
    let Some(file) = reach.ca_file else {
        return Ok(Vec::new());
    };
    let file = context.plan_dir.join(file);
    let wrong = |why: String| {
        Cause::new(
            FailureKind::Invalid,
            format!("cannot use the certificates of {}: {why}", file.display()),
        )
        .with_hint("`ca_file` is a file of certificates in PEM (-----BEGIN CERTIFICATE-----)")
    };
    let pem = std::fs::read(&file).map_err(|error| wrong(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))?;
    match certificates.is_empty() {
        true => Err(wrong("there is none in it".to_owned())),
        false => Ok(certificates),
    }
}
