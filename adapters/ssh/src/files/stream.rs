//! The content of one file over the connection: many requests are under way at a time, in the order of the file.

use super::fault::Fault;
use super::remote::{Remote, cancelled};
use super::sftp::Handle;
use caxplan_adapter::Context;
use caxplan_model::{Cause, FailureKind};
use futures_util::StreamExt as _;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Cursor, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How many bytes are under way at a time: what a line of 1 Gbit/s with a round trip of 30 ms holds.
const WINDOW_BYTES: usize = 4 << 20;

/// The most requests under way at a time, where the server takes only small ones.
const REQUESTS_MAX: usize = 128;

/// How many chunks are read ahead of the connection, or wait for the disk.
const AHEAD_MAX: usize = 8;

/// How often a transfer says how far it is.
const NOTE_EVERY: Duration = Duration::from_secs(5);

/// What is put on a host.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A file of this machine.
    File(PathBuf),
    /// A text that is small.
    Bytes(Arc<[u8]>),
}

impl Source {
    fn open(&self) -> std::io::Result<Box<dyn ReadSeek>> {
        Ok(match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Bytes(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        })
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Bytes(_) => "the content".to_owned(),
        }
    }

    /// The state of its hash after its first `bytes`; shorter sources give that of all they have.
    pub(super) async fn hash_until(&self, bytes: u64) -> Result<Sha256, Fault> {
        let source = self.clone();
        blocking(move || {
            let mut hash = Sha256::new();
            let opened = source
                .open()
                .and_then(|file| std::io::copy(&mut file.take(bytes), &mut hash));
            opened.map_err(|error| unreadable(&source.shown(), &error))?;
            Ok(hash)
        })
        .await
    }

    /// Its SHA-256 in hexadecimal digits.
    pub(super) async fn sha256(&self) -> Result<String, Fault> {
        Ok(hex::encode(self.hash_until(u64::MAX).await?.finalize()))
    }
}

trait ReadSeek: Read + std::io::Seek + Send {}
impl<T: Read + std::io::Seek + Send> ReadSeek for T {}

pub(super) fn unreadable(what: &str, error: &std::io::Error) -> Fault {
    local_fault(&format!("cannot read {what}"), error)
}

/// What an error of this machine's file system means. `what` is such as `cannot read /etc/motd`.
pub(super) fn local_fault(what: &str, error: &std::io::Error) -> Fault {
    use std::io::ErrorKind;
    let kind = match error.kind() {
        ErrorKind::NotFound => FailureKind::NotFound,
        ErrorKind::PermissionDenied => FailureKind::Denied,
        ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            FailureKind::Conflict
        }
        _ => FailureKind::Other,
    };
    Fault::new(kind, format!("{what}: {error}"))
}

/// Runs what blocks on a thread of its own kind.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Fault::new(
            FailureKind::Other,
            format!("a helper thread ended: {error}"),
        ))
    })
}

/// What has been transferred, from the beginning of the file.
pub(super) struct Transferred {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// Writes a source into an open file of a host, from `from` on, whose bytes before that make up `hash`.
///
/// Cancel safe, but that an unknown part is written then.
pub(super) async fn send(
    remote: &Remote,
    handle: &Handle,
    path: &str,
    source: &Source,
    from: u64,
    mut hash: Sha256,
    progress: &mut Progress,
) -> Result<Transferred, Fault> {
    let chunk_length = remote.sftp.write_max;
    let (chunks, mut ahead) = mpsc::channel::<Vec<u8>>(AHEAD_MAX);
    let source = source.clone();
    let reader = blocking(move || {
        let failed = |error: std::io::Error| unreadable(&source.shown(), &error);
        let mut file = source.open().map_err(failed)?;
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
        loop {
            let mut chunk = Vec::with_capacity(chunk_length);
            let length = (&mut file)
                .take(chunk_length as u64)
                .read_to_end(&mut chunk)
                .map_err(failed)?;
            if length == 0 {
                return Ok(hash);
            }
            hash.update(&chunk);
            if chunks.blocking_send(chunk).is_err() {
                return Err(cancelled());
            }
        }
    });
    let what = format!("cannot write {path} on {}", remote.host.name());
    let writer = async move {
        let requests_max = (WINDOW_BYTES / chunk_length).clamp(1, REQUESTS_MAX);
        let mut requests = FuturesUnordered::new();
        let mut offset = from;
        let mut written = from;
        let mut at_end = false;
        loop {
            tokio::select! {
                chunk = ahead.recv(), if !at_end && requests.len() < requests_max => match chunk {
                    Some(chunk) => {
                        let length = chunk.len() as u64;
                        let request = remote.sftp.write_at(&what, handle, offset, chunk);
                        requests.push(async move { request.await.map(|()| length) });
                        offset += length;
                    }
                    None => at_end = true,
                },
                Some(done) = requests.next() => {
                    written += done?;
                    progress.note(&remote.context, written);
                }
                else => return Ok::<_, Fault>(offset),
            }
        }
    };
    let both = async {
        // The writer takes the receiving end with it when it fails, which ends the reader; so its failure is the reason.
        let (written, read) = tokio::join!(writer, reader);
        let bytes = written?;
        Ok(Transferred {
            bytes,
            sha256: hex::encode(read?.finalize()),
        })
    };
    remote.unless_cancelled(both).await
}

/// Reads an open file of a host of `bytes` bytes, from `from` on, to the end of a local file of so many bytes, which make
/// up `hash`.
///
/// Cancel safe, but that an unknown part is written then.
pub(super) async fn receive(
    remote: &Remote,
    handle: &Handle,
    path: &str,
    (from, bytes): (u64, u64),
    (to, mut file): (&Path, File),
    mut hash: Sha256,
    progress: &mut Progress,
) -> Result<Transferred, Fault> {
    let what = format!("cannot read {}:{path}", remote.host.name());
    let (chunks, mut arrived) = mpsc::channel::<Vec<u8>>(AHEAD_MAX);
    let to = to.display().to_string();
    let writer = blocking(move || {
        let failed = |error: std::io::Error| local_fault(&format!("cannot write {to}"), &error);
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
        while let Some(chunk) = arrived.blocking_recv() {
            hash.update(&chunk);
            file.write_all(&chunk).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        Ok(hash)
    });
    let length_max = u64::from(remote.sftp.read_max);
    let requests_max = (WINDOW_BYTES / remote.sftp.read_max as usize).clamp(1, REQUESTS_MAX);
    let reader = async move {
        let mut requests = FuturesOrdered::new();
        let mut asked = from;
        let mut read = from;
        loop {
            while asked < bytes && requests.len() < requests_max {
                let (offset, length) = (asked, length_max.min(bytes - asked));
                let what = &what;
                requests.push_back(async move {
                    // A server may answer less than it was asked for; only no byte at all means the end.
                    let mut chunk = Vec::new();
                    while (chunk.len() as u64) < length {
                        let rest = u32::try_from(length - chunk.len() as u64).unwrap_or(u32::MAX);
                        let more = remote
                            .sftp
                            .read_at(what, handle, offset + chunk.len() as u64, rest)
                            .await?;
                        match chunk.is_empty() {
                            _ if more.is_empty() => break,
                            true => chunk = more,
                            false => chunk.extend_from_slice(&more),
                        }
                    }
                    Ok::<_, Fault>((chunk, length))
                });
                asked += length;
            }
            let Some(chunk) = requests.next().await else {
                return Ok::<_, Fault>(());
            };
            let (chunk, length) = chunk?;
            if (chunk.len() as u64) < length {
                return Err(Cause::new(
                    FailureKind::Conflict,
                    format!("{what}: it became shorter while it was read"),
                )
                .into());
            }
            read += chunk.len() as u64;
            if chunks.send(chunk).await.is_err() {
                // The one who writes has failed and says why.
                return Ok(());
            }
            progress.note(&remote.context, read);
        }
    };
    let both = async {
        let (read, written) = tokio::join!(reader, writer);
        let hash = written?;
        read?;
        Ok(Transferred {
            bytes,
            sha256: hex::encode(hash.finalize()),
        })
    };
    remote.unless_cancelled(both).await
}

/// Says from time to time how far a transfer is.
pub(super) struct Progress {
    name: String,
    bytes: u64,
    from: u64,
    start: Instant,
    last: Instant,
}

impl Progress {
    /// Of a transfer of `bytes`, of which the first `from` are there.
    pub(super) fn new(name: impl Into<String>, from: u64, bytes: u64) -> Self {
        let now = Instant::now();
        Self {
            name: name.into(),
            bytes,
            from,
            start: now,
            last: now,
        }
    }

    /// Takes how many bytes are there now.
    pub(super) fn note(&mut self, context: &Context, bytes: u64) {
        if self.last.elapsed() < NOTE_EVERY {
            return;
        }
        self.last = Instant::now();
        let percent = (bytes * 100).checked_div(self.bytes).unwrap_or(100);
        #[expect(clippy::cast_precision_loss, reason = "it is for people")]
        let speed = (bytes - self.from.min(bytes)) as f64 / self.start.elapsed().as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is for people"
        )]
        let speed = size(speed as u64);
        context.note(&format!(
            "{}: {} of {} ({percent} %), {speed}/s",
            self.name,
            size(bytes),
            size(self.bytes)
        ));
    }
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    let mut unit = "bytes";
    #[expect(clippy::cast_precision_loss, reason = "it is for people")]
    let mut number = bytes as f64;
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if number < 1024.0 {
            break;
        }
        number /= 1024.0;
        unit = larger;
    }
    if unit == "bytes" {
        return format!("{bytes} {unit}");
    }
    format!("{number:.1} {unit}")
}
