//! Who may call.

use super::error::Refusal;
use crate::node::Shared;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Lets a call through if it shows the token.
pub(super) async fn require_token(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let shown = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    match shown.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) if same(token.trim(), &shared.token) => next.run(request).await,
        Some(_) | None => Refusal::unauthorized().into_response(),
    }
}

/// Compares in a time that tells nothing about where two tokens differ: of digests, and to the end.
fn same(shown: &str, wanted: &str) -> bool {
    let (shown, wanted) = (Sha256::digest(shown), Sha256::digest(wanted));
    let difference = shown.iter().zip(&wanted).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn only_the_same_token_is_the_same() {
        assert!(same("secret", "secret"));
        for other in ["", "secre", "secret ", "Secret", "secretsecret"] {
            assert!(!same(other, "secret"), "{other:?}");
        }
    }
}
