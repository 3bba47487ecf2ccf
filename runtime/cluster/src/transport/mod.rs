//! Requests and answers between nodes, over mutual TLS.
//!
//! A node keeps two connections to each peer that it asks: one for consensus and one for everything else, so
//! that a large module never delays a heartbeat. Requests of one connection run at the same time; answers
//! come as they are ready.

mod connection;
mod frame;
mod pool;
mod server;

pub use frame::FRAME_BYTES_MAX;
pub(crate) use pool::Pool;
pub(crate) use server::serve;

use bytes::Bytes;
use futures_util::{Sink, SinkExt as _};
use rustls::CertificateError;
use tokio::sync::mpsc;

/// Writes what is queued, and flushes when nothing more is; returns why it ended.
async fn write_queued(
    mut sink: impl Sink<Bytes, Error = std::io::Error> + Unpin,
    mut queue: mpsc::Receiver<Bytes>,
) -> String {
    while let Some(frame) = queue.recv().await {
        if let Err(error) = sink.feed(frame).await {
            return error.to_string();
        }
        while let Ok(frame) = queue.try_recv() {
            if let Err(error) = sink.feed(frame).await {
                return error.to_string();
            }
        }
        if let Err(error) = sink.flush().await {
            return error.to_string();
        }
    }
    // Nobody can queue any more. Saying good-bye is a courtesy.
    let _ = sink.close().await;
    "it is not needed any more".to_owned()
}

/// Why a handshake failed, for a person. Two authorities often have the same name; then what is wrong is the
/// signature.
fn tls_reason(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => "the peer's certificate is not of this cluster's authority".to_owned(),
        _ => error.to_string(),
    }
}
