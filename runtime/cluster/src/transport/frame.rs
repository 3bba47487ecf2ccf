//! What goes over a connection: a length of four bytes, a header in postcard, and the body to the end.

use crate::Service;
use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// The most bytes of one request or answer between nodes: a module of the largest allowed size fits, and a
/// peer that sends nonsense cannot make a node allocate more.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// How much room a header may take beside the body.
const HEADER_BYTES_MAX: usize = 64;

/// The version of this protocol. A node tells it first on each connection that it accepts.
pub(super) const PROTOCOL: u16 = 1;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Header {
    /// The first frame of the node that was dialled: it has accepted the certificate of who dials.
    Hello {
        /// The protocol that it speaks.
        protocol: u16,
    },
    /// Asks something.
    Request {
        /// What the answer shall name; unique among the open requests of the connection.
        id: RequestId,
        /// What it is about.
        service: Service,
    },
    /// The body is what was asked for.
    Answer {
        /// The request that it answers.
        id: RequestId,
    },
    /// The body is the reason why not, as text.
    Refusal {
        /// The request that it answers.
        id: RequestId,
    },
}

/// Numbers the requests of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct RequestId(pub(super) u64);

pub(super) type Frames<S> = Framed<S, LengthDelimitedCodec>;

/// Wraps a stream of bytes into a stream of frames.
pub(super) fn frames<S: AsyncRead + AsyncWrite>(stream: S) -> Frames<S> {
    LengthDelimitedCodec::builder()
        .max_frame_length(FRAME_BYTES_MAX + HEADER_BYTES_MAX)
        .new_framed(stream)
}

pub(super) fn encode(header: Header, body: &[u8]) -> Bytes {
    let mut buffer = [0; HEADER_BYTES_MAX];
    let header = postcard::to_slice(&header, &mut buffer).expect("a header is three small numbers");
    let mut frame = BytesMut::with_capacity(header.len() + body.len());
    frame.put_slice(header);
    frame.put_slice(body);
    frame.freeze()
}

pub(super) fn decode(frame: BytesMut) -> Result<(Header, Bytes), String> {
    let mut frame = frame.freeze();
    let (header, body) =
        postcard::take_from_bytes(&frame).map_err(|error| format!("not a frame: {error}"))?;
    let body = frame.split_off(frame.len() - body.len());
    Ok((header, body))
}
