//! Listings: exact keys, whole or up to a limit.

use super::before::ASIDE;
use crate::client::{Client, Failure, Request, xml};
use crate::place::Place;
use caxplan_model::{Cause, FailureKind};
use http::Method;
use jiff::Timestamp;

/// The most objects that are held in memory: some 200 MB.
const OBJECTS_MAX: usize = 1_000_000;

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) bytes: u64,
    pub(crate) modified: Timestamp,
    /// With its quotes.
    pub(crate) etag: String,
}

/// Lists what begins with `prefix`, in the order of the keys; at most `limit`, and whether there is more. What is kept
/// aside for undoing is left out, unless it is asked for.
///
/// Keys are taken as they stand in the document: of services that encode them when they are asked to, some forget to.
///
/// A listing that breaks off is an error, never a shorter listing.
pub(crate) async fn list(
    client: &Client,
    prefix: &Place,
    limit: Option<usize>,
) -> Result<(Vec<Listed>, bool), Failure> {
    let bucket = prefix.at("");
    let is_aside_asked = prefix.key.starts_with(ASIDE);
    let mut objects: Vec<Listed> = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let mut request = Request::new(Method::GET, &bucket)
            .query("list-type", "2")
            .query("prefix", prefix.key.clone());
        if let Some(limit) = limit.filter(|limit| *limit < 1000) {
            // One more tells whether there is more.
            request = request.query("max-keys", (limit + 1).to_string());
        }
        if let Some(token) = &token {
            request = request.query("continuation-token", token.clone());
        }
        let (_, page): (_, xml::ListPage) = client.ask(request).await?;
        for listed in page.contents {
            let key = listed.key;
            if !is_aside_asked && key.starts_with(ASIDE) {
                continue;
            }
            if limit.is_some_and(|limit| objects.len() == limit) {
                return Ok((objects, true));
            }
            if objects.len() == OBJECTS_MAX {
                let cause = Cause::new(
                    FailureKind::Invalid,
                    format!("below {prefix} lie more than {OBJECTS_MAX} objects, too many for one step"),
                );
                return Err(cause.with_hint("give a longer prefix").into());
            }
            let modified = listed.last_modified.parse().map_err(|_| {
                let text = &listed.last_modified;
                Cause::new(
                    FailureKind::Other,
                    format!("listing {prefix}: `{text}` of {key} is no time"),
                )
            })?;
            objects.push(Listed {
                key,
                bytes: listed.size,
                modified,
                etag: listed.etag,
            });
        }
        let next = page.next_continuation_token.filter(|_| page.is_truncated);
        if page.is_truncated && (next.is_none() || next == token) {
            // To go on would be to take a part for the whole.
            let cause = Cause::new(
                FailureKind::Other,
                format!("listing {prefix}: the service breaks off in the middle"),
            );
            return Err(cause.into());
        }
        let Some(next) = next else {
            return Ok((objects, false));
        };
        token = Some(next);
    }
}
