//! Where an object lies: `s3://bucket/key`.

use caxplan_model::{Cause, FailureKind};
use std::fmt;

/// The longest key, in bytes: the protocol's limit.
const KEY_BYTES_MAX: usize = 1024;

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

/// What [`encoded`] made, or a service's own encoding of keys in listings (where `+` is a space).
pub(crate) fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes
            .get(at + 1..at + 3)
            .and_then(|two| std::str::from_utf8(two).ok());
        match (byte, digits.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = Place::parse("s3://b/a/c d").unwrap();
        assert_eq!((place.bucket.as_str(), place.key.as_str()), ("b", "a/c d"));
        assert_eq!(place.to_string(), "s3://b/a/c d");
        assert_eq!(Place::parse("s3://b").unwrap().key, "");
        assert_eq!(Place::parse("s3://b/a").unwrap().folder().key, "a/");
        for wrong in [
            "b/a",
            "s3:///a",
            "s3://b c/a",
            "s3://b/../c",
            "s3://b/a/./c",
            "s3://b/a\0",
            "http://b/a",
        ] {
            assert_eq!(
                Place::parse(wrong).unwrap_err().kind,
                FailureKind::Invalid,
                "{wrong}"
            );
        }
        for wrong in ["s3://b", "s3://b/", "s3://b/a/"] {
            assert_eq!(
                Place::object(wrong).unwrap_err().kind,
                FailureKind::Invalid,
                "{wrong}"
            );
        }
    }

    #[test]
    fn encoding_and_back() {
        assert_eq!(encoded("a b/ü+%", true), "a%20b/%C3%BC%2B%25");
        assert_eq!(encoded("a/b", false), "a%2Fb");
        assert_eq!(decoded("a%20b/%C3%BC%2B%25"), "a b/ü+%");
        assert_eq!(decoded("a+b%zz%"), "a b%zz%");
    }
}
