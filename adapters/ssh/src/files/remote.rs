//! The files of a host.

use super::fault::Fault;
use super::place::{Attributes, Meta, Place, split};
use super::sftp::{Open, Sftp};
use crate::{Broken, Command, Connections, Finished, Host, Sudo, shell_word};
use caxplan_adapter::{Call, Context, async_trait};
use caxplan_model::{Cause, FailureKind};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Up to this many bytes a file is read to hash it: that is quicker than to start a program there.
const READ_TO_HASH_MAX: u64 = 64 << 10;

/// Prints the SHA-256 of its standard input as the first word, by whatever the host has.
const HASH: &str = "if command -v sha256sum >/dev/null 2>&1; then sha256sum
elif command -v shasum >/dev/null 2>&1; then shasum -a 256
elif command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r
else exit 127; fi";

/// Prints the SHA-256 of each of the files whose names it reads, each ended by a zero byte.
const HASH_MANY: &str = "if command -v sha256sum >/dev/null 2>&1; then xargs -0 sha256sum
elif command -v shasum >/dev/null 2>&1; then xargs -0 shasum -a 256
else exit 127; fi";

/// How long a line of that is, but for the name.
const LINE_MAX: usize = 80;

/// The files of a host, as one user sees them.
pub(super) struct Remote {
    pub(super) host: Arc<Host>,
    pub(super) sftp: Arc<Sftp>,
    pub(super) context: Context,
    sudo: Sudo,
}

impl Remote {
    /// Connects. Nothing is done on the host by that.
    pub(super) async fn open(
        connections: &Connections,
        call: &Call,
        host: Option<&str>,
        sudo: Option<&Sudo>,
        context: &Context,
    ) -> Result<Self, Fault> {
        let host = connections.host(call, host, context)?;
        let sudo = host.sudo(sudo);
        let sftp = host.sftp(&sudo, context).await?;
        Ok(Self {
            host,
            sftp,
            sudo,
            context: context.clone(),
        })
    }

    /// A path as it was written in a plan, whole: what is relative begins at the user's home.
    pub(super) async fn resolve(&self, path: &str) -> Result<String, Fault> {
        if path.is_empty() || path.contains('\0') {
            return Err(Fault::new(FailureKind::Invalid, format!("{path:?} is no path")));
        }
        let relative = match path {
            "~" => "",
            path => path.strip_prefix("~/").unwrap_or(path),
        };
        let whole = if relative.starts_with('/') {
            relative.to_owned()
        } else {
            super::place::join(self.sftp.home().await?, relative)
        };
        // Without `.` and double slashes, for names are put beside it. `..` stays: behind a link it leads elsewhere.
        let names: Vec<&str> = whole
            .split('/')
            .filter(|name| !matches!(*name, "" | "."))
            .collect();
        Ok(format!("/{}", names.join("/")))
    }

    /// Runs something as the user whose files these are.
    pub(super) async fn run(&self, command: Command) -> Result<Finished, Fault> {
        Ok(self
            .host
            .run(&command.sudo(self.sudo.clone()), &self.context)
            .await?)
    }

    /// Runs a helper that may be missing: `None` if the host runs no programs for us, or not this one.
    pub(super) async fn try_run(&self, command: Command) -> Result<Option<Finished>, Fault> {
        match self
            .host
            .run(&command.sudo(self.sudo.clone()), &self.context)
            .await
        {
            Ok(finished) if finished.exit.is_success() => Ok(Some(finished)),
            Ok(_) => Ok(None),
            Err(Broken::NeverStarted(cause)) if cause.kind == FailureKind::Cancelled => {
                Err(Fault::Cancelled(cause))
            }
            Err(Broken::NeverStarted(_)) => Ok(None),
            Err(broken) => Err(broken.into()),
        }
    }

    /// The hash by reading the file over the connection.
    async fn hash_here(&self, path: &str, bytes: Option<u64>) -> Result<String, Fault> {
        let what = format!("cannot read {}", self.shown(path));
        let handle = self.sftp.open(&what, path, Open::Read).await?;
        let mut hash = Sha256::new();
        let mut offset = 0;
        let end = bytes.unwrap_or(u64::MAX);
        while offset < end {
            let length = self
                .sftp
                .read_max
                .min(u32::try_from(end - offset).unwrap_or(u32::MAX));
            let read = self
                .unless_cancelled(self.sftp.read_at(&what, &handle, offset, length))
                .await?;
            if read.is_empty() {
                break;
            }
            hash.update(&read);
            offset += read.len() as u64;
        }
        handle.close().await;
        Ok(hex::encode(hash.finalize()))
    }

    pub(super) async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        tokio::select! {
            biased;
            () = self.context.cancel.cancelled() => Err(cancelled()),
            done = work => done,
        }
    }
}

pub(super) fn cancelled() -> Fault {
    Fault::Cancelled(Cause::new(FailureKind::Cancelled, "the transfer was stopped"))
}

#[async_trait]
impl Place for Remote {
    fn shown(&self, path: &str) -> String {
        format!("{}:{path}", self.host.name())
    }

    async fn look(&self, path: &str) -> Result<Option<Meta>, Fault> {
        self.sftp
            .look(&format!("cannot look at {}", self.shown(path)), path)
            .await
    }

    async fn look_through(&self, path: &str) -> Result<Option<Meta>, Fault> {
        let what = format!("cannot look at {}", self.shown(path));
        self.sftp.look_through(&what, path).await
    }

    async fn target(&self, path: &str) -> Result<String, Fault> {
        self.sftp
            .target(&format!("cannot read the link {}", self.shown(path)), path)
            .await
    }

    async fn list(&self, path: &str) -> Result<Vec<(String, Meta)>, Fault> {
        self.sftp
            .list(&format!("cannot list {}", self.shown(path)), path)
            .await
    }

    async fn read(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, Fault> {
        let what = format!("cannot read {}", self.shown(path));
        let handle = self.sftp.open(&what, path, Open::Read).await?;
        let mut bytes = Vec::new();
        while bytes.len() < bytes_max {
            let length = self
                .sftp
                .read_max
                .min(u32::try_from(bytes_max - bytes.len()).unwrap_or(u32::MAX));
            let read = self
                .sftp
                .read_at(&what, &handle, bytes.len() as u64, length)
                .await?;
            if read.is_empty() {
                break;
            }
            bytes.extend_from_slice(&read);
        }
        handle.close().await;
        Ok(bytes)
    }

    async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Fault> {
        let what = format!("cannot write {}", self.shown(path));
        self.sftp.remove(&what, path).await?;
        let handle = self.sftp.open(&what, path, Open::Create).await?;
        let mut offset = 0;
        for chunk in bytes.chunks(self.sftp.write_max) {
            self.sftp.write_at(&what, &handle, offset, chunk.to_vec()).await?;
            offset += chunk.len() as u64;
        }
        self.sftp.sync(&what, &handle).await?;
        handle.close().await;
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), Fault> {
        let what = format!("cannot rename {} to {to}", self.shown(from));
        self.sftp.rename(&what, from, to).await
    }

    async fn keep(&self, from: &str, to: &str) -> Result<(), Fault> {
        if self.look(to).await?.is_some() {
            return Ok(());
        }
        let what = format!("cannot keep {} as {to}", self.shown(from));
        match self.sftp.hard_link(&what, from, to).await {
            Ok(()) => return Ok(()),
            Err(Fault::Refused(_)) => {}
            Err(fault) => return Err(fault),
        }
        // Some file systems have no second names, and Linux lets nobody give them to files of others.
        let mut copy = String::new();
        let (from, to) = (shell_word(from)?, shell_word(to)?);
        let _ = write!(
            copy,
            "cp -p {from} {to}.new && mv {to}.new {to} || {{ rm -f {to}.new; exit 1; }}"
        );
        match self.run(Command::script(copy)).await? {
            finished if finished.exit.is_success() => Ok(()),
            finished => Err(Fault::new(
                FailureKind::Other,
                format!("{what}: {}", finished.stderr.tail()),
            )),
        }
    }

    async fn remove(&self, path: &str) -> Result<(), Fault> {
        self.sftp
            .remove(&format!("cannot remove {}", self.shown(path)), path)
            .await
    }

    async fn remove_folder(&self, path: &str) -> Result<(), Fault> {
        self.sftp
            .remove_folder(&format!("cannot remove the folder {}", self.shown(path)), path)
            .await
    }

    async fn make_folder(&self, path: &str, mode: u32) -> Result<(), Fault> {
        self.sftp
            .make_folder(
                &format!("cannot make the folder {}", self.shown(path)),
                path,
                mode,
            )
            .await
    }

    async fn link(&self, path: &str, target: &str) -> Result<(), Fault> {
        self.sftp
            .symlink(
                &format!("cannot make the link {}", self.shown(path)),
                path,
                target,
            )
            .await
    }

    async fn set(&self, path: &str, attributes: Attributes) -> Result<(), Fault> {
        let what = format!("cannot set owner, mode or time of {}", self.shown(path));
        self.sftp.set(&what, path, attributes).await
    }

    async fn sha256(&self, path: &str, bytes: Option<u64>) -> Result<String, Fault> {
        let is_small = match bytes {
            Some(bytes) => bytes <= READ_TO_HASH_MAX,
            None => self
                .look(path)
                .await?
                .is_some_and(|meta| meta.bytes <= READ_TO_HASH_MAX),
        };
        if !is_small {
            let path = shell_word(path)?;
            let script = match bytes {
                Some(bytes) => format!("head -c {bytes} <{path} | {{ {HASH}; }}"),
                None => format!("{{ {HASH}; }} <{path}"),
            };
            if let Some(finished) = self.try_run(Command::script(script)).await?
                && let Some(hash) = first_hash(&finished.stdout.text())
            {
                return Ok(hash);
            }
        }
        self.hash_here(path, bytes).await
    }

    async fn sha256_many(&self, folder: &str, paths: &[String]) -> Result<BTreeMap<String, String>, Fault> {
        let mut hashes = BTreeMap::new();
        // A name that the program would print in another way than it is asked for is hashed by itself.
        let plain = |path: &&String| !path.contains(['\\', '\n', '\r']);
        if paths.len() > 1 {
            let names: String = paths
                .iter()
                .filter(plain)
                .map(|path| format!("./{path}\0"))
                .collect();
            let room = paths.iter().map(|path| path.len() + LINE_MAX).sum();
            let script = format!("cd {} && {HASH_MANY}", shell_word(folder)?);
            let command = Command::script(script).stdin(names).capture(room);
            if let Some(finished) = self.try_run(command).await? {
                for line in String::from_utf8_lossy(finished.stdout.bytes()).lines() {
                    if let Some(hash) = first_hash(line)
                        && let Some((_, path)) = line.split_once("./")
                    {
                        hashes.insert(path.to_owned(), hash);
                    }
                }
            }
        }
        for path in paths {
            if hashes.contains_key(path) {
                continue;
            }
            match self.sha256(&super::place::join(folder, path), None).await {
                Ok(hash) => {
                    hashes.insert(path.clone(), hash);
                }
                Err(Fault::Refused(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(hashes)
    }

    async fn settle(&self, folder: &str) {
        // A folder opens like a file with OpenSSH's server. Where it does not, the names are durable a little later.
        if self.sftp.syncs()
            && let Ok(handle) = self.sftp.open("", folder, Open::Read).await
        {
            let _ = self.sftp.sync("", &handle).await;
            handle.close().await;
        }
    }
}

/// The hash at the beginning of what a program such as `sha256sum` prints.
pub(super) fn first_hash(text: &str) -> Option<String> {
    let word = text.split_whitespace().next()?.trim_start_matches('\\');
    (word.len() == 64 && word.chars().all(|char| char.is_ascii_hexdigit())).then(|| word.to_ascii_lowercase())
}

/// Fails unless the folder that a path lies in is there.
pub(super) async fn check_folder_of(place: &dyn Place, path: &str) -> Result<(), Fault> {
    let Some((folder, _)) = split(path) else {
        return Err(Fault::new(
            FailureKind::Invalid,
            format!(
                "{} has no name that could be given to something",
                place.shown(path)
            ),
        ));
    };
    match place.look(folder).await? {
        Some(_) => Ok(()),
        None => Err(Cause::new(
            FailureKind::NotFound,
            format!("there is no folder {}", place.shown(folder)),
        )
        .with_hint(
            "make it first: `ssh.file` with `state: directory` on a host, `file.directory` on this machine",
        )
        .into()),
    }
}
