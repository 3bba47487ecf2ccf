//! Why a request failed, in words that say what to do.

use super::xml::ErrorDocument;
use caxplan_model::{Cause, FailureEffect, FailureKind, Outcome};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;

/// The clocks may differ by this much before a service refuses signatures, in seconds.
const CLOCK_SKEW_MAX_S: i64 = 15 * 60;

/// Why a request failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// The service's own code, such as `NoSuchKey`; empty if it gave none.
    pub(crate) code: String,
    pub(crate) status: Option<StatusCode>,
    /// Whether it is not known if the request was carried out: it was sent, and no answer came.
    pub(crate) in_doubt: bool,
}

impl From<Cause> for Failure {
    /// A failure before anything was sent.
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            code: String::new(),
            status: None,
            in_doubt: false,
        }
    }
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        failure.cause
    }
}

impl Failure {
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == Some(StatusCode::NOT_FOUND)
    }

    /// A condition of the request (`If-Match`, `If-None-Match`) was not met.
    pub(crate) fn is_unmet_condition(&self) -> bool {
        // 409: another conditional write to the same key was under way, and won.
        self.status == Some(StatusCode::PRECONDITION_FAILED) || self.code == "ConditionalRequestConflict"
    }

    pub(crate) fn is_denied(&self) -> bool {
        self.status == Some(StatusCode::FORBIDDEN)
    }

    /// As the end of an attempt: `effect` is what had been done before this request.
    pub(crate) fn outcome(self, effect: FailureEffect) -> Outcome {
        if self.in_doubt {
            Outcome::Unknown { cause: self.cause }
        } else {
            Outcome::Failed {
                cause: self.cause,
                effect,
            }
        }
    }
}

/// Explains an answer that is no success. `what` is the request, for a person: `GET s3://b/k`; `whose` the credentials.
pub(super) fn explain(
    what: &str,
    whose: &str,
    region: &str,
    status: StatusCode,
    headers: &HeaderMap,
    document: &ErrorDocument,
) -> Failure {
    let code = document.code.clone();
    let said = match (code.as_str(), document.message.as_str()) {
        ("", _) => format!("status {status}"),
        (code, "") => format!("{code} (status {})", status.as_u16()),
        (code, message) => format!(
            "{code}: {} (status {})",
            message.trim_end_matches('.'),
            status.as_u16()
        ),
    };
    let bucket_region = headers
        .get("x-amz-bucket-region")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
        .or_else(|| document.region.clone())
        .filter(|of| !of.is_empty() && of != region);
    let (kind, hint) = match (status.as_u16(), code.as_str()) {
        (_, "RequestTimeTooSkewed" | "RequestExpired") => {
            (FailureKind::Denied, clock_hint(headers, Timestamp::now(), true))
        }
        (301 | 307 | 400 | 403, _) if bucket_region.is_some() => (
            FailureKind::Invalid,
            bucket_region.map(|of| {
                format!("the bucket lies in the region `{of}`, not `{region}`: set `region: {of}`")
            }),
        ),
        (_, "InvalidAccessKeyId") => (
            FailureKind::Denied,
            Some(format!(
                "{whose} is not known to the service: is it of another service, or was it deleted?"
            )),
        ),
        (_, "SignatureDoesNotMatch") => (
            FailureKind::Denied,
            Some(format!("the secret key that belongs to {whose} is another one")),
        ),
        (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => (
            FailureKind::Denied,
            Some(format!(
                "the session token of {whose} is no longer good: get new ones"
            )),
        ),
        (401 | 403, _) => (
            FailureKind::Denied,
            clock_hint(headers, Timestamp::now(), false).or_else(|| {
                Some(format!(
                    "used was {whose}: does it have the permission for this, on this bucket?"
                ))
            }),
        ),
        (404, "NoSuchBucket") => (
            FailureKind::NotFound,
            Some("create the bucket first, or correct its name".to_owned()),
        ),
        (404, _) => (FailureKind::NotFound, None),
        (409 | 412, _) => (FailureKind::Conflict, None),
        (408 | 429 | 500..=599, _) | (_, "RequestTimeout" | "SlowDown" | "InternalError") => (
            FailureKind::Unavailable,
            Some("a `retry:` of the step tries again later".to_owned()),
        ),
        (400, _) if status == StatusCode::BAD_REQUEST && code.is_empty() => (
            FailureKind::Invalid,
            Some("without a text, this status often means a wrong region or session token".to_owned()),
        ),
        (400..=499, _) => (FailureKind::Invalid, None),
        _ => (
            FailureKind::Other,
            Some("is the endpoint that of an object store?".to_owned()),
        ),
    };
    let mut cause = Cause::new(kind, format!("{what}: {said}"));
    if let Some(hint) = hint {
        cause = cause.with_hint(hint);
    }
    Failure {
        cause,
        code,
        status: Some(status),
        in_doubt: false,
    }
}

/// What the server's clock says of ours, if they differ too much for signatures (or `always`).
fn clock_hint(headers: &HeaderMap, now: Timestamp, always: bool) -> Option<String> {
    let theirs = headers.get(http::header::DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(theirs).ok()?.timestamp();
    let ahead = now.as_second() - theirs.as_second();
    if !always && ahead.abs() < CLOCK_SKEW_MAX_S {
        return None;
    }
    let by = match ahead.abs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    };
    let way = if ahead >= 0 { "ahead of" } else { "behind" };
    Some(format!(
        "this machine's clock is {by} {way} the service's ({} here, {} there): set it (`timedatectl set-ntp true`)",
        now.strftime("%H:%M:%SZ"),
        theirs.strftime("%H:%M:%SZ"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn explained(status: u16, code: &str, headers: &[(&'static str, &'static str)]) -> Cause {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        let document = ErrorDocument {
            code: code.to_owned(),
            message: "Text.".to_owned(),
            region: None,
        };
        explain(
            "GET s3://b/k",
            "the key AK",
            "us-east-1",
            StatusCode::from_u16(status).unwrap(),
            &headers,
            &document,
        )
        .cause
    }

    #[test]
    fn what_the_service_says_becomes_what_to_do() {
        for (status, code, headers, kind, hint) in [
            (
                403,
                "SignatureDoesNotMatch",
                &[][..],
                FailureKind::Denied,
                "the secret key that belongs to the key AK is another one",
            ),
            (
                403,
                "AccessDenied",
                &[],
                FailureKind::Denied,
                "used was the key AK: does it have the permission",
            ),
            (
                403,
                "",
                &[("date", "Tue, 01 Jan 2030 00:00:00 GMT")],
                FailureKind::Denied,
                "clock is",
            ),
            (
                301,
                "PermanentRedirect",
                &[("x-amz-bucket-region", "eu-west-1")],
                FailureKind::Invalid,
                "set `region: eu-west-1`",
            ),
            (503, "SlowDown", &[], FailureKind::Unavailable, "retry"),
            (
                404,
                "NoSuchBucket",
                &[],
                FailureKind::NotFound,
                "create the bucket",
            ),
            (405, "MethodNotAllowed", &[], FailureKind::Invalid, ""),
        ] {
            let cause = explained(status, code, headers);
            assert_eq!(cause.kind, kind, "{cause}");
            assert!(
                cause.hint.as_deref().unwrap_or_default().contains(hint),
                "{cause:?}"
            );
        }
        assert_eq!(
            explained(404, "NoSuchKey", &[]).message,
            "GET s3://b/k: NoSuchKey: Text (status 404)"
        );
    }

    #[test]
    fn clocks_are_compared() {
        let mut headers = HeaderMap::new();
        headers.insert("date", HeaderValue::from_static("Tue, 01 Jan 2030 00:00:00 GMT"));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let hint = |now, always| clock_hint(&headers, at(now), always);
        assert_eq!(hint("2030-01-01T00:01:00Z", false), None);
        assert!(
            hint("2030-01-01T00:20:00Z", false)
                .unwrap()
                .starts_with("this machine's clock is 20 min ahead of")
        );
        assert!(
            hint("2029-12-31T00:00:00Z", false)
                .unwrap()
                .starts_with("this machine's clock is 24 h behind")
        );
        assert!(hint("2030-01-01T00:00:05Z", true).is_some());
        assert_eq!(
            clock_hint(&HeaderMap::new(), at("2030-01-01T00:00:00Z"), true),
            None
        );
    }
}
