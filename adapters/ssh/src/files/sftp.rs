//! One session of SFTP with a host, with what its server can do.

use super::fault::Fault;
use super::place::{Attributes, Kind, MODE_MASK, Meta};
use caxplan_model::{Cause, FailureKind};
use russh_sftp::client::error::Error;
use russh_sftp::client::{Config, RawSftpSession};
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

/// How long one request may take, in seconds: one may stand behind megabytes on a slow line, or write a gigabyte to a slow
/// disk. Broken connections are noticed by keep-alives, not by this.
const REQUEST_LIMIT_SECS: u64 = 900;

/// How many files are open at a time. The library takes handles for text, and those of OpenSSH are numbers of which the
/// first 128 are.
const HANDLES_MAX: usize = 100;

/// How many bytes one request reads or writes if the server does not say: what each must understand.
const CHUNK_DEFAULT: u64 = 32 << 10;

/// The most bytes that one request reads or writes.
const CHUNK_MAX: u64 = 255 << 10;

/// The largest packet that is taken: as OpenSSH's client.
const PACKET_MAX: u32 = 256 << 10;

/// A session of SFTP.
pub(crate) struct Sftp {
    raw: Arc<RawSftpSession>,
    renames_over: bool,
    links: bool,
    syncs: bool,
    measures: bool,
    /// How many bytes one request reads.
    pub(super) read_max: u32,
    /// How many bytes one request writes.
    pub(super) write_max: usize,
    handles: Arc<Semaphore>,
    home: OnceCell<String>,
    is_broken: AtomicBool,
}

impl Sftp {
    /// Begins a session on a stream that leads to a server.
    pub(crate) async fn start(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, Error> {
        let raw = RawSftpSession::new_with_config(
            stream,
            Config {
                max_packet_len: PACKET_MAX,
                request_timeout_secs: REQUEST_LIMIT_SECS,
                ..Config::default()
            },
        );
        let version = raw.init().await?;
        let offers = |name: &str| version.extensions.contains_key(name);
        let (mut read_max, mut write_max, mut handles) = (None, None, None);
        if offers("limits@openssh.com")
            && let Ok(limits) = raw.limits().await
        {
            let known = |limit: u64| (limit > 0).then_some(limit);
            read_max = known(limits.max_read_len);
            write_max = known(limits.max_write_len);
            handles = known(limits.max_open_handles);
        }
        let chunk = |limit: Option<u64>| limit.unwrap_or(CHUNK_DEFAULT).min(CHUNK_MAX);
        // Some are left to what opens none for long.
        let handles = handles.map_or(HANDLES_MAX, |handles| {
            usize::try_from(handles / 2)
                .unwrap_or(HANDLES_MAX)
                .clamp(1, HANDLES_MAX)
        });
        Ok(Self {
            renames_over: offers("posix-rename@openssh.com"),
            links: offers("hardlink@openssh.com"),
            syncs: offers("fsync@openssh.com"),
            measures: offers("statvfs@openssh.com"),
            read_max: u32::try_from(chunk(read_max)).unwrap_or(u32::MAX),
            write_max: usize::try_from(chunk(write_max)).unwrap_or(usize::MAX),
            handles: Arc::new(Semaphore::new(handles)),
            home: OnceCell::new(),
            is_broken: AtomicBool::new(false),
            raw: Arc::new(raw),
        })
    }

    /// Whether its connection or its server has ended.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Whether files can be made durable.
    pub(super) fn syncs(&self) -> bool {
        self.syncs
    }

    /// What an error means. `what` is such as `cannot write web-1:/etc/motd`.
    fn explain(&self, what: &str, error: Error) -> Fault {
        let (kind, why) = match error {
            Error::Status(status) => match status.status_code {
                StatusCode::NoSuchFile => (FailureKind::NotFound, "no such file or folder".to_owned()),
                StatusCode::PermissionDenied => (FailureKind::Denied, "permission denied".to_owned()),
                StatusCode::OpUnsupported => {
                    (FailureKind::Other, "its SFTP server cannot do that".to_owned())
                }
                StatusCode::Failure if status.error_message == "Failure" => {
                    (FailureKind::Other, "its SFTP server gives no reason".to_owned())
                }
                StatusCode::Ok
                | StatusCode::Eof
                | StatusCode::Failure
                | StatusCode::BadMessage
                | StatusCode::NoConnection
                | StatusCode::ConnectionLost => (FailureKind::Other, status.error_message),
            },
            Error::Limited(reason) => (FailureKind::Other, reason),
            Error::IO(_) | Error::Timeout | Error::UnexpectedPacket | Error::UnexpectedBehavior(_) => {
                self.is_broken.store(true, Ordering::Relaxed);
                return Fault::Lost(Cause::new(
                    FailureKind::Lost,
                    format!("{what}: the file transfer broke off: {error}"),
                ));
            }
        };
        let mut cause = Cause::new(kind, format!("{what}: {why}"));
        if kind == FailureKind::Denied {
            cause = cause.with_hint("`sudo: true` acts as root");
        }
        Fault::Refused(cause)
    }

    /// The folder that relative paths are relative to: the user's home.
    pub(super) async fn home(&self) -> Result<&str, Fault> {
        let home = self.home.get_or_try_init(|| async {
            let name = self.raw.realpath(".").await?;
            let first = name.files.into_iter().next().ok_or(Error::UnexpectedPacket)?;
            Ok(first.filename)
        });
        home.await
            .map(String::as_str)
            .map_err(|error| self.explain("cannot find the user's home", error))
    }

    pub(super) async fn look(&self, what: &str, path: &str) -> Result<Option<Meta>, Fault> {
        match self.raw.lstat(path).await {
            Ok(attrs) => Ok(Some(meta(&attrs.attrs))),
            Err(error) => match self.explain(what, error) {
                fault if fault.is_not_found() => Ok(None),
                fault => Err(fault),
            },
        }
    }

    pub(super) async fn look_through(&self, what: &str, path: &str) -> Result<Option<Meta>, Fault> {
        match self.raw.stat(path).await {
            Ok(attrs) => Ok(Some(meta(&attrs.attrs))),
            Err(error) => match self.explain(what, error) {
                fault if fault.is_not_found() => Ok(None),
                fault => Err(fault),
            },
        }
    }

    pub(super) async fn target(&self, what: &str, path: &str) -> Result<String, Fault> {
        let name = self
            .raw
            .readlink(path)
            .await
            .map_err(|error| self.explain(what, error))?;
        let first = name.files.into_iter().next();
        first
            .map(|file| file.filename)
            .ok_or_else(|| self.explain(what, Error::UnexpectedPacket))
    }

    pub(super) async fn list(&self, what: &str, path: &str) -> Result<Vec<(String, Meta)>, Fault> {
        let permit = self.permit().await;
        let handle = self
            .raw
            .opendir(path)
            .await
            .map_err(|error| self.explain(what, error))?;
        let handle = self.handle(handle.handle, permit);
        let mut found = Vec::new();
        loop {
            match self.raw.readdir(&*handle.name).await {
                Ok(name) => found.extend(
                    name.files
                        .into_iter()
                        .filter(|file| file.filename != "." && file.filename != "..")
                        .map(|file| (file.filename, meta(&file.attrs))),
                ),
                Err(Error::Status(status)) if status.status_code == StatusCode::Eof => break,
                Err(error) => return Err(self.explain(what, error)),
            }
        }
        handle.close().await;
        Ok(found)
    }

    /// Opens a file.
    pub(super) async fn open(&self, what: &str, path: &str, how: Open) -> Result<Handle, Fault> {
        let permit = self.permit().await;
        let (flags, mode) = match how {
            Open::Read => (OpenFlags::READ, None),
            Open::Write => (OpenFlags::WRITE, None),
            Open::Create => (
                OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE,
                Some(0o600),
            ),
        };
        let attributes = FileAttributes {
            permissions: mode,
            ..FileAttributes::empty()
        };
        let opened = self.raw.open(path, flags, attributes).await;
        opened
            .map(|handle| self.handle(handle.handle, permit))
            .map_err(|error| self.explain(what, error))
    }

    pub(super) async fn read_at(
        &self,
        what: &str,
        handle: &Handle,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, Fault> {
        match self.raw.read(&*handle.name, offset, length).await {
            Ok(data) => Ok(data.data),
            Err(Error::Status(status)) if status.status_code == StatusCode::Eof => Ok(Vec::new()),
            Err(error) => Err(self.explain(what, error)),
        }
    }

    pub(super) async fn write_at(
        &self,
        what: &str,
        handle: &Handle,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<(), Fault> {
        match self.raw.write(&*handle.name, offset, bytes).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(what, error)),
        }
    }

    /// Makes an open file durable. Does nothing where the server cannot.
    pub(super) async fn sync(&self, what: &str, handle: &Handle) -> Result<(), Fault> {
        if !self.syncs {
            return Ok(());
        }
        let synced = self.raw.fsync(&*handle.name).await;
        synced.map(|_| ()).map_err(|error| self.explain(what, error))
    }

    pub(super) async fn rename(&self, what: &str, from: &str, to: &str) -> Result<(), Fault> {
        if self.renames_over {
            return self.extended(what, "posix-rename@openssh.com", from, to).await;
        }
        let renamed = self.raw.rename(from, to).await;
        renamed.map(|_| ()).map_err(|error| self.explain(what, error))
    }

    /// Gives a file a second name; an error of kind `other` where the server or the file system cannot.
    pub(super) async fn hard_link(&self, what: &str, from: &str, to: &str) -> Result<(), Fault> {
        if !self.links {
            return Err(Fault::new(FailureKind::Other, format!("{what}: no hard links")));
        }
        self.extended(what, "hardlink@openssh.com", from, to).await
    }

    async fn extended(&self, what: &str, request: &str, from: &str, to: &str) -> Result<(), Fault> {
        let mut data = Vec::with_capacity(from.len() + to.len() + 8);
        for text in [from, to] {
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            data.extend_from_slice(&length.to_be_bytes());
            data.extend_from_slice(text.as_bytes());
        }
        match self.raw.extended(request, data).await {
            Ok(Packet::Status(status)) if status.status_code == StatusCode::Ok => Ok(()),
            Ok(Packet::Status(status)) => Err(self.explain(what, Error::Status(status))),
            Ok(_) => Err(self.explain(what, Error::UnexpectedPacket)),
            Err(error) => Err(self.explain(what, error)),
        }
    }

    pub(super) async fn symlink(&self, what: &str, path: &str, target: &str) -> Result<(), Fault> {
        // OpenSSH has the two the other way round than the protocol's text, and everybody follows OpenSSH.
        let linked = self.raw.symlink(target, path).await;
        linked.map(|_| ()).map_err(|error| self.explain(what, error))
    }

    pub(super) async fn remove(&self, what: &str, path: &str) -> Result<(), Fault> {
        self.unless_gone(what, self.raw.remove(path).await)
    }

    pub(super) async fn remove_folder(&self, what: &str, path: &str) -> Result<(), Fault> {
        self.unless_gone(what, self.raw.rmdir(path).await)
    }

    fn unless_gone<T>(&self, what: &str, done: Result<T, Error>) -> Result<(), Fault> {
        match done {
            Ok(_) => Ok(()),
            Err(error) => match self.explain(what, error) {
                fault if fault.is_not_found() => Ok(()),
                fault => Err(fault),
            },
        }
    }

    pub(super) async fn make_folder(&self, what: &str, path: &str, mode: u32) -> Result<(), Fault> {
        let attributes = FileAttributes {
            permissions: Some(mode),
            ..FileAttributes::empty()
        };
        let made = self.raw.mkdir(path, attributes).await;
        made.map(|_| ()).map_err(|error| self.explain(what, error))
    }

    pub(super) async fn set(&self, what: &str, path: &str, attributes: Attributes) -> Result<(), Fault> {
        for attributes in separate(attributes) {
            let set = self.raw.setstat(path, attributes).await;
            set.map_err(|error| self.explain(what, error))?;
        }
        Ok(())
    }

    /// The same for an open file.
    pub(super) async fn set_open(
        &self,
        what: &str,
        handle: &Handle,
        attributes: Attributes,
    ) -> Result<(), Fault> {
        for attributes in separate(attributes) {
            let set = self.raw.fsetstat(&*handle.name, attributes).await;
            set.map_err(|error| self.explain(what, error))?;
        }
        Ok(())
    }

    /// How many bytes are free for this user where `path` lies; `None` if that cannot be told.
    pub(super) async fn free(&self, path: &str) -> Option<u64> {
        if !self.measures {
            return None;
        }
        let disk = self.raw.statvfs(path).await.ok()?;
        Some(disk.blocks_avail.saturating_mul(disk.fragment_size))
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.handles).acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }

    fn handle(&self, name: String, permit: OwnedSemaphorePermit) -> Handle {
        Handle {
            name: name.into(),
            raw: Arc::clone(&self.raw),
            permit: Some(permit),
        }
    }
}

/// How a file is opened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Open {
    /// One that is there, or a folder.
    Read,
    /// One that is there, as it is.
    Write,
    /// One that must not be there; only its owner may read it.
    Create,
}

/// An open file or folder. It is closed when the value is dropped.
pub(super) struct Handle {
    name: Arc<str>,
    raw: Arc<RawSftpSession>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Handle {
    /// Closes it, and waits for that. What can go wrong has been seen when it was made durable.
    pub(super) async fn close(mut self) {
        let permit = self.permit.take();
        let _ = self.raw.close(&*self.name).await;
        drop(permit);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let (raw, name) = (Arc::clone(&self.raw), Arc::clone(&self.name));
        // Whoever had it was cancelled. Without a runtime there is no connection either.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = raw.close(&*name).await;
                drop(permit);
            });
        }
    }
}

/// The attributes as requests: the owner first, for a change of it takes special bits of the mode away.
fn separate(attributes: Attributes) -> impl Iterator<Item = FileAttributes> {
    let owner = attributes.owner.map(|(user, group)| FileAttributes {
        uid: Some(user),
        gid: Some(group),
        ..FileAttributes::empty()
    });
    let rest = (attributes.mode.is_some() || attributes.modified.is_some()).then(|| FileAttributes {
        permissions: attributes.mode,
        atime: attributes.modified,
        mtime: attributes.modified,
        ..FileAttributes::empty()
    });
    owner.into_iter().chain(rest)
}

fn meta(attrs: &FileAttributes) -> Meta {
    let bits = attrs.permissions.unwrap_or_default();
    Meta {
        kind: match bits & 0o170_000 {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Folder,
            0o120_000 => Kind::Link,
            _ => Kind::Other,
        },
        bytes: attrs.size.unwrap_or_default(),
        mode: bits & MODE_MASK,
        owner: (attrs.uid.unwrap_or_default(), attrs.gid.unwrap_or_default()),
        modified: attrs.mtime.unwrap_or_default(),
    }
}
