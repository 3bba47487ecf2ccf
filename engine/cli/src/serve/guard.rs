//! Who may ask for what.

use super::Serving;
use super::refusal::Refusal;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN,
    REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caxplan_model::Digest;
use std::sync::Arc;

/// Refuses requests that call this server by a name that is not its own: a page whose name was made to point here
/// (DNS rebinding) would read what it should not.
pub(super) async fn host(
    State(serving): State<Arc<Serving>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let host = text(request.headers(), &HOST).unwrap_or_default();
    if !serving.hosts.contains(&without_port(host).to_ascii_lowercase()) {
        return Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this server has another name; --host adds one",
        ));
    }
    Ok(next.run(request).await)
}

fn without_port(host: &str) -> &str {
    // The colons of an IPv6 address stand between brackets.
    match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Refuses requests without the token, if there is one.
pub(super) async fn token(State(serving): State<Arc<Serving>>, request: Request, next: Next) -> Response {
    let given = bearer(request.headers()).or_else(|| password(request.headers()));
    let given = given.map(|token| Digest::of(token.as_bytes()));
    if serving.token.is_some() && given != serving.token {
        let mut response = Refusal::new(StatusCode::UNAUTHORIZED, "the token is needed").into_response();
        let ask = HeaderValue::from_static("Basic realm=\"caxplan: any name, the token as password\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, ask);
        return response;
    }
    next.run(request).await
}

/// Refuses actions unless they are allowed, and those that another site's page has sent. A browser sends its password by
/// itself, so the API's actions want the token as a bearer token, and forms carry a secret of ours (see
/// [`super::actions`]).
pub(super) async fn actions(
    State(serving): State<Arc<Serving>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let forbidden = |why: &str| Err(Refusal::new(StatusCode::FORBIDDEN, why));
    if !serving.allows_actions || serving.token.is_none() {
        return forbidden("this server only shows; start it with --allow-actions");
    }
    let headers = request.headers();
    let host = text(headers, &HOST).unwrap_or_default();
    let is_ours = |origin: &str| {
        let name = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        name == Some(host)
    };
    let fetch_site = HeaderName::from_static("sec-fetch-site");
    let from_elsewhere = headers.contains_key(ORIGIN) && !text(headers, &ORIGIN).is_some_and(is_ours)
        || text(headers, &fetch_site).is_some_and(|site| !matches!(site, "same-origin" | "none"));
    if from_elsewhere {
        return forbidden("another site's page may not do this");
    }
    if request.uri().path().starts_with("/api/") && bearer(headers).is_none() {
        return forbidden("send the token as `Authorization: Bearer TOKEN`");
    }
    Ok(next.run(request).await)
}

/// Says to browsers what a page of ours may do: show itself, with our style, and send forms to us.
pub(super) async fn headers(mut response: Response) -> Response {
    let policy =
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    Some(
        text(headers, &AUTHORIZATION)?
            .strip_prefix("Bearer ")?
            .trim()
            .to_owned(),
    )
}

/// The password of basic authentication, whatever the name.
fn password(headers: &HeaderMap) -> Option<String> {
    let coded = text(headers, &AUTHORIZATION)?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(coded.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}
