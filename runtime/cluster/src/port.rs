//! One port for gossip and for requests.

use crate::ClusterError;
use std::net::SocketAddr;
use tokio::net::{TcpListener, UdpSocket};

/// How many free TCP ports are tried for one that is free for UDP too.
const FREE_PORT_TRIES: usize = 16;

/// Binds TCP and UDP to the same address. For port 0, to one that is free for both.
pub(crate) async fn bind(address: SocketAddr) -> Result<(TcpListener, UdpSocket, SocketAddr), ClusterError> {
    let tries = if address.port() == 0 { FREE_PORT_TRIES } else { 1 };
    let mut last = None;
    for _ in 0..tries {
        match try_bind(address).await {
            Ok(bound) => return Ok(bound),
            Err(source) => last = Some(source),
        }
    }
    let source = last.expect("at least one try");
    Err(ClusterError::Bind {
        addr: address,
        source,
    })
}

async fn try_bind(address: SocketAddr) -> std::io::Result<(TcpListener, UdpSocket, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let socket = UdpSocket::bind(bound).await?;
    Ok((listener, socket, bound))
}
