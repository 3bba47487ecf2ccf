//! D-Bus over any pair of streams: what `systemd-stdio-bridge` speaks on its standard input and output.

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zbus::conn::AuthMechanism;
use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};

/// How much of what a bridge says on its standard error is kept, in bytes.
const SAID_MAX: usize = 2 << 10;

/// A bridge's standard output and input.
pub(crate) struct Bridge {
    /// What the bridge writes.
    pub(crate) output: Box<dyn AsyncRead + Send + Unpin>,
    /// What the bridge reads.
    pub(crate) input: Box<dyn AsyncWrite + Send + Unpin>,
    /// What must live as long as the connection: a child that ends when this is dropped, say.
    pub(crate) keeper: Box<dyn Send>,
}

impl Bridge {
    /// Reads a line of at most `length_max` bytes, and nothing beyond it.
    pub(crate) async fn first_line(&mut self, length_max: usize) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            match self.output.read_u8().await? {
                b'\n' => return Ok(String::from_utf8_lossy(&line).into_owned()),
                byte if line.len() < length_max => line.push(byte),
                _ => return Err(io::Error::other("the bridge's first line is too long")),
            }
        }
    }
}

impl Socket for Bridge {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        Split::new(
            Reader {
                stream: Mutex::new(self.output),
                _keeper: Mutex::new(self.keeper),
            },
            Writer {
                stream: Mutex::new(self.input),
            },
        )
    }
}

/// The half that answers come through. (A mutex makes a stream `Sync`, and costs nothing where it is owned.)
pub(crate) struct Reader {
    stream: Mutex<Box<dyn AsyncRead + Send + Unpin>>,
    _keeper: Mutex<Box<dyn Send>>,
}

/// The half that questions go through.
pub(crate) struct Writer {
    stream: Mutex<Box<dyn AsyncWrite + Send + Unpin>>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

#[caxplan_adapter::async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let stream = self.stream.get_mut().unwrap_or_else(PoisonError::into_inner);
        Ok((stream.read(buffer).await?, Vec::new()))
    }

    fn auth_mechanism(&self) -> AuthMechanism {
        // The bridge asks the bus as the user that it runs as; who speaks to the bridge has been checked by SSH or sudo.
        AuthMechanism::Anonymous
    }
}

#[caxplan_adapter::async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, buffer: &[u8], _: &[BorrowedFd<'_>]) -> io::Result<usize> {
        let stream = self.stream.get_mut().unwrap_or_else(PoisonError::into_inner);
        stream.write(buffer).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        let stream = self.stream.get_mut().unwrap_or_else(PoisonError::into_inner);
        stream.flush().await
    }

    async fn close(&mut self) -> io::Result<()> {
        let stream = self.stream.get_mut().unwrap_or_else(PoisonError::into_inner);
        stream.shutdown().await
    }
}

/// What a bridge said on its standard error, as far as it is kept.
#[derive(Clone, Default)]
pub(crate) struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    /// Reads a stream to its end.
    pub(crate) async fn listen(self, mut stream: impl AsyncRead + Unpin) {
        let mut buffer = [0; 512];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let room = SAID_MAX.saturating_sub(said.len());
            said.extend_from_slice(&buffer[..length.min(room)]);
        }
    }

    /// On one line.
    pub(crate) fn text(&self) -> String {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said).trim().replace('\n', "; ")
    }
}
