//! The address of a host, as plans and configurations write it.

use caxplan_model::{Cause, FailureKind};

/// `user@host:port` as somebody wrote it; an IPv6 address with a port stands in brackets.
#[derive(Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) user: Option<String>,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Written {
    /// # Errors
    /// Of kind `invalid` if it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, Cause> {
        let invalid = || {
            Cause::new(FailureKind::Invalid, format!("`{text}` is no address of a host")).with_hint(
                "write `host`, `host:port` or `user@host:port`; an IPv6 address with a port as `[::1]:22`",
            )
        };
        let rest = text.strip_prefix("ssh://").unwrap_or(text).trim_end_matches('/');
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(invalid)?;
            (host, rest.strip_prefix(':'))
        } else {
            match rest.split_once(':') {
                Some((_, more)) if more.contains(':') => (rest, None),
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        let port = port.map(str::parse).transpose().map_err(|_| invalid())?;
        // A name that begins with a dash, or holds a space, is a mistake in every place that it could be passed to.
        let bad = |text: &str| text.is_empty() || text.starts_with('-') || text.contains(char::is_whitespace);
        if bad(host) || user.as_deref().is_some_and(bad) || port == Some(0) {
            return Err(invalid());
        }
        Ok(Self {
            user,
            host: host.to_owned(),
            port,
        })
    }
}
