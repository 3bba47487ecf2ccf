//! Where an object lies: `s3://bucket/key`.

use caxplan_model::{Cause, FailureKind};
use std::fmt;

/// The longest key, in bytes: the protocol's limit.
const KEY_BYTES_MAX: usize = 1024;

/// How long a bucket's name is, in bytes: likewise.
const BUCKET_BYTES: std::ops::RangeInclusive<usize> = 3..=63;

/// A bucket and a key in it; the key is empty for the bucket itself, and may be the begin of keys (a prefix).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl Place {
    /// Reads `s3://bucket/key`.
    pub(crate) fn parse(text: &str) -> Result<Self, Cause> {
        let wrong = |why: &str| {
            Cause::new(
                FailureKind::Invalid,
                format!("`{text}` is no place in an object store: {why}"),
            )
            .with_hint("write `s3://bucket/key`")
        };
        let rest = text
            .strip_prefix("s3://")
            .ok_or_else(|| wrong("it does not begin with `s3://`"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(wrong("the bucket's name is missing"));
        }
        if !BUCKET_BYTES.contains(&bucket.len()) {
            return Err(wrong("a bucket's name has 3 to 63 characters"));
        }
        if !bucket
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
            || bucket.starts_with('.')
        {
            return Err(wrong("the bucket's name has a character that none may have"));
        }
        let place = Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        };
        place.check()?;
        Ok(place)
    }

    /// Reads the place of one object: the key may be neither empty nor a folder's.
    pub(crate) fn object(text: &str) -> Result<Self, Cause> {
        let place = Self::parse(text)?;
        if place.key.is_empty() || place.key.ends_with('/') {
            return Err(Cause::new(
                FailureKind::Invalid,
                format!("`{text}` names no object: the key is missing"),
            )
            .with_hint("write `s3://bucket/folder/name`, with the object's own name at the end"));
        }
        Ok(place)
    }

    /// Another key of the same bucket.
    pub(crate) fn at(&self, key: impl Into<String>) -> Self {
        Self {
            bucket: self.bucket.clone(),
            key: key.into(),
        }
    }

    /// As the prefix of a folder: what begins with it lies in the folder, not beside it.
    pub(crate) fn folder(mut self) -> Self {
        if !self.key.is_empty() && !self.key.ends_with('/') {
            self.key.push('/');
        }
        self
    }

    /// Refuses keys that cannot be asked for safely: in an address, `..` would climb out of the bucket.
    pub(crate) fn check(&self) -> Result<(), Cause> {
        let why = if self.key.len() > KEY_BYTES_MAX {
            format!("it has more than {KEY_BYTES_MAX} bytes")
        } else if self.key.split('/').any(|part| part == "." || part == "..") {
            "a part of it is `.` or `..`".to_owned()
        } else if self.key.contains('\0') {
            "it has a zero byte".to_owned()
        } else {
            return Ok(());
        };
        Err(Cause::new(
            FailureKind::Invalid,
            format!("the key of {self} cannot be used: {why}"),
        ))
    }
}

/// The text as a part of an address: everything but letters, digits and `-._~` as `%XX`; `/` too unless it is to stay.
pub(crate) fn encoded(text: &str, keep_slash: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slash && byte == b'/') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = Place::parse("s3://bkt/a/c d").unwrap();
        assert_eq!((place.bucket.as_str(), place.key.as_str()), ("bkt", "a/c d"));
        assert_eq!(place.to_string(), "s3://bkt/a/c d");
        assert_eq!(Place::parse("s3://bkt").unwrap().key, "");
        assert_eq!(Place::parse("s3://bkt/a").unwrap().folder().key, "a/");
        for wrong in [
            "b/a",
            "s3://b/a",
            "s3:///a",
            "s3://b c/a",
            "s3://bkt/../c",
            "s3://bkt/a/./c",
            "s3://bkt/a\0",
            "http://b/a",
        ] {
            assert_eq!(
                Place::parse(wrong).unwrap_err().kind,
                FailureKind::Invalid,
                "{wrong}"
            );
        }
        for wrong in ["s3://bkt", "s3://bkt/", "s3://bkt/a/"] {
            assert_eq!(
                Place::object(wrong).unwrap_err().kind,
                FailureKind::Invalid,
                "{wrong}"
            );
        }
    }

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(encoded("a b/ü+%", true), "a%20b/%C3%BC%2B%25");
        assert_eq!(encoded("a/b", false), "a%2Fb");
    }
}
