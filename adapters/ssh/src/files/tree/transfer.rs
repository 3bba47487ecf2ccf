//! Many files over one connection: several at a time, each with few round trips.

use super::listing::New;
use super::{Job, Way};
use crate::Command;
use crate::files::fault::Fault;
use crate::files::local::Local;
use crate::files::place::{Attributes, Place, join};
use crate::files::remote::Remote;
use crate::files::sftp::Open;
use crate::files::stream::{Progress, Source, blocking, local_fault, receive, send, unreadable};
use crate::shell_word;
use caxplan_model::FailureKind;
use futures_util::future::BoxFuture;
use futures_util::stream;
use futures_util::{FutureExt as _, StreamExt as _};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// How many small files are under way at a time.
const PARALLEL: usize = 32;

/// A file of at most this many bytes goes over as a whole; larger ones go one after the other, in many requests.
const SMALL_MAX: u64 = 1 << 20;

/// Transfers files to numbered names in a folder of their own, and verifies them there.
pub(super) async fn stage(way: Way<'_>, job: &Job, files: &[New], staging: &str) -> Result<(), Fault> {
    let names: Vec<String> = (0..files.len()).map(|number| number.to_string()).collect();
    transfer(way, job, files, staging, &names).await
}

/// Transfers files to their own names in a folder that nobody looks into yet.
pub(super) async fn in_place(way: Way<'_>, job: &Job, files: &[New], root: &str) -> Result<(), Fault> {
    let names: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    transfer(way, job, files, root, &names).await
}

async fn transfer(
    way: Way<'_>,
    job: &Job,
    files: &[New],
    folder: &str,
    names: &[String],
) -> Result<(), Fault> {
    if files.is_empty() {
        return Ok(());
    }
    let remote = way.remote();
    let bytes = files.iter().map(|file| file.item.bytes).sum();
    let mut progress = Progress::new(way.dest().shown(&job.to), 0, bytes);
    let mut so_far = 0;
    let (small, large): (Vec<usize>, Vec<usize>) =
        (0..files.len()).partition(|at| files[*at].item.bytes <= SMALL_MAX);
    let mut hashes = vec![String::new(); files.len()];
    let mut works = Vec::new();
    for at in small {
        let file = &files[at];
        let (from, to) = (join(&job.from, &file.path), join(folder, &names[at]));
        let work = async move {
            let hash = match way {
                Way::Up(remote) => send_small(remote, job, file, &from, &to).await?,
                Way::Down(remote) => receive_small(remote, file, &from, &to).await?,
            };
            Ok::<_, Fault>((at, hash))
        };
        works.push(work.boxed());
    }
    let mut under_way = stream::iter(works).buffer_unordered(PARALLEL);
    while let Some(done) = under_way.next().await {
        let (at, hash) = done?;
        hashes[at] = hash;
        so_far += files[at].item.bytes;
        progress.note(&remote.context, so_far);
    }
    drop(under_way);
    for at in large {
        let file = &files[at];
        let (from, to) = (join(&job.from, &file.path), join(folder, &names[at]));
        hashes[at] = match way {
            Way::Up(remote) => send_large(remote, job, file, &from, &to).await?,
            Way::Down(remote) => receive_large(remote, file, &from, &to).await?,
        };
        so_far += file.item.bytes;
        progress.note(&remote.context, so_far);
    }
    // One flush for all.
    match way {
        Way::Up(remote) => {
            verify(remote, folder, names, &hashes).await?;
            // Where the host cannot, the kernel does it within half a minute.
            let sync = format!("sync -f {0} 2>/dev/null || sync", shell_word(folder)?);
            remote.try_run(Command::script(sync)).await?;
        }
        Way::Down(remote) => {
            verify_source(remote, job, files, &hashes).await?;
            let folder = folder.to_owned();
            blocking(move || {
                File::open(&folder)
                    .and_then(|file| Ok(rustix::fs::syncfs(file)?))
                    .map_err(|error| local_fault(&format!("cannot write {folder}"), &error))
            })
            .await?;
        }
    }
    Ok(())
}

/// Compares what was fetched with what is there now, by one program there for all files.
async fn verify_source(remote: &Remote, job: &Job, files: &[New], hashes: &[String]) -> Result<(), Fault> {
    let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let there = remote.sha256_many(&job.from, &paths).await?;
    let moved = paths
        .iter()
        .zip(hashes)
        .find(|(path, hash)| there.get(*path) != Some(*hash));
    match moved {
        Some((path, _)) => Err(changed(&remote.shown(&join(&job.from, path)))),
        None => Ok(()),
    }
}

/// Compares what arrived, by one program there for all files.
async fn verify(remote: &Remote, folder: &str, names: &[String], hashes: &[String]) -> Result<(), Fault> {
    let there = remote.sha256_many(folder, names).await?;
    for (name, hash) in names.iter().zip(hashes) {
        if there.get(name) != Some(hash) {
            return Err(Fault::new(
                FailureKind::Other,
                format!(
                    "{} arrived with another hash than it was sent with: its disk or the connection is broken",
                    remote.shown(&join(folder, name))
                ),
            ));
        }
    }
    Ok(())
}

fn changed(what: &str) -> Fault {
    Fault::new(
        FailureKind::Conflict,
        format!("{what} changed while it was transferred"),
    )
}

/// What a file shall have when it gets its name.
async fn attributes(remote: &Remote, job: &Job, file: &New, to: &str) -> Result<Attributes, Fault> {
    // The protocol sets both or none.
    let owner = match (job.owner.user, job.owner.group) {
        (None, None) => None,
        (Some(user), Some(group)) => Some((user, group)),
        (Some(_), None) | (None, Some(_)) => remote.look(to).await?.map(|now| job.owner.over(now.owner)),
    };
    Ok(Attributes {
        mode: Some(file.item.mode),
        owner,
        modified: Some(file.item.modified),
    })
}

async fn send_small(remote: &Remote, job: &Job, file: &New, from: &str, to: &str) -> Result<String, Fault> {
    let path = PathBuf::from(from);
    let bytes_expected = file.item.bytes;
    let reading = blocking(move || {
        let bytes = std::fs::read(&path).map_err(|error| unreadable(&path.display().to_string(), &error))?;
        let hash = hex::encode(Sha256::digest(&bytes));
        Ok((bytes, hash))
    });
    let what = format!("cannot write {}", remote.shown(to));
    let opening = create(remote, &what, to);
    let (read, opened) = tokio::join!(reading, opening);
    let (handle, (bytes, hash)) = (opened?, read?);
    if bytes.len() as u64 != bytes_expected {
        return Err(changed(from));
    }
    // The server does one after the other, so none waits for the answer to the one before.
    let writes = async {
        let mut offset = 0;
        let mut requests: Vec<BoxFuture<'_, Result<(), Fault>>> = Vec::new();
        for chunk in bytes.chunks(remote.sftp.write_max) {
            requests.push(
                remote
                    .sftp
                    .write_at(&what, &handle, offset, chunk.to_vec())
                    .boxed(),
            );
            offset += chunk.len() as u64;
        }
        futures_util::future::try_join_all(requests).await
    };
    let attributes = attributes(remote, job, file, to).await?;
    let (written, set) = tokio::join!(writes, remote.sftp.set_open(&what, &handle, attributes));
    written?;
    set?;
    handle.close().await;
    // A write after the time was set would have changed it; only several chunks may come that late.
    if bytes.len() > remote.sftp.write_max {
        let time = Attributes {
            modified: attributes.modified,
            ..Attributes::default()
        };
        remote.sftp.set(&what, to, time).await?;
    }
    Ok(hash)
}

async fn create(remote: &Remote, what: &str, path: &str) -> Result<crate::files::sftp::Handle, Fault> {
    match remote.sftp.open(what, path, Open::Create).await {
        Err(Fault::Refused(_)) if remote.look(path).await?.is_some() => {
            remote.remove(path).await?;
            remote.sftp.open(what, path, Open::Create).await
        }
        opened => opened,
    }
}

async fn send_large(remote: &Remote, job: &Job, file: &New, from: &str, to: &str) -> Result<String, Fault> {
    let what = format!("cannot write {}", remote.shown(to));
    let handle = create(remote, &what, to).await?;
    let mut progress = Progress::new(remote.shown(&join(&job.to, &file.path)), 0, file.item.bytes);
    let source = Source::File(from.into());
    let sent = send(remote, &handle, to, &source, 0, Sha256::new(), &mut progress).await?;
    if sent.bytes != file.item.bytes {
        return Err(changed(from));
    }
    remote
        .sftp
        .set_open(&what, &handle, attributes(remote, job, file, to).await?)
        .await?;
    handle.close().await;
    Ok(sent.sha256)
}

async fn receive_small(remote: &Remote, file: &New, from: &str, to: &str) -> Result<String, Fault> {
    let what = format!("cannot read {}", remote.shown(from));
    let handle = remote.sftp.open(&what, from, Open::Read).await?;
    let mut bytes = Vec::new();
    loop {
        let read = remote
            .sftp
            .read_at(&what, &handle, bytes.len() as u64, remote.sftp.read_max)
            .await?;
        if read.is_empty() {
            break;
        }
        bytes.extend_from_slice(&read);
        if bytes.len() as u64 >= file.item.bytes {
            break;
        }
    }
    handle.close().await;
    if bytes.len() as u64 != file.item.bytes {
        return Err(changed(&remote.shown(from)));
    }
    let path = to.to_owned();
    let hash = blocking(move || {
        use std::io::Write as _;
        let _ = std::fs::remove_file(&path);
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(&bytes))
            .map_err(|error| local_fault(&format!("cannot write {path}"), &error))?;
        Ok(hex::encode(Sha256::digest(&bytes)))
    })
    .await?;
    Local.set(to, of_download(file)).await?;
    Ok(hash)
}

fn of_download(file: &New) -> Attributes {
    Attributes {
        mode: Some(file.item.mode),
        owner: None,
        modified: Some(file.item.modified),
    }
}

async fn receive_large(remote: &Remote, file: &New, from: &str, to: &str) -> Result<String, Fault> {
    let what = format!("cannot read {}", remote.shown(from));
    let handle = remote.sftp.open(&what, from, Open::Read).await?;
    let _ = std::fs::remove_file(to);
    let local = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(|error| local_fault(&format!("cannot write {to}"), &error))?;
    let mut progress = Progress::new(remote.shown(from), 0, file.item.bytes);
    let bytes = (0, file.item.bytes);
    let received = receive(
        remote,
        &handle,
        from,
        bytes,
        (Path::new(to), local),
        Sha256::new(),
        &mut progress,
    )
    .await?;
    handle.close().await;
    Local.set(to, of_download(file)).await?;
    Ok(received.sha256)
}
