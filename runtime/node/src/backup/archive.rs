//! A backup's file: a tar archive, maybe compressed, that begins with its manifest.

use super::BackupError;
use crate::release::sha256_of_file;
use caxton_model::{NodeId, Version};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// The format of the archive; a later one is refused.
const FORMAT: u32 = 1;
/// The manifest's name; it is the first entry.
const MANIFEST: &str = "manifest.json";
/// The largest manifest.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;
/// The first bytes of a compressed archive.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) id: String,
    pub(super) node: NodeId,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) version: Version,
    pub(super) created_ms: u64,
    pub(super) components: Vec<String>,
    /// By their path in the archive.
    pub(super) files: BTreeMap<String, FileEntry>,
}

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

impl Manifest {
    /// A manifest without files.
    pub(super) fn new(id: String, node: NodeId, version: Version, created_ms: u64) -> Self {
        Self {
            format: FORMAT,
            id,
            node,
            kind: "full".to_owned(),
            version,
            created_ms,
            components: Vec::new(),
            files: BTreeMap::new(),
        }
    }
}

/// Writes an archive of the files, by their path in it; completes the manifest with their digests. Blocks.
pub(super) fn write(
    path: &Path,
    manifest: &mut Manifest,
    files: &BTreeMap<String, PathBuf>,
    compress: bool,
) -> Result<(), BackupError> {
    for (name, source) in files {
        let (sha256, bytes) = sha256_of_file(source).map_err(BackupError::io("read", source))?;
        manifest.files.insert(name.clone(), FileEntry { sha256, bytes });
    }
    let file = File::create(path).map_err(BackupError::io("create", path))?;
    let written = if compress {
        append_all(GzEncoder::new(file, Compression::fast()), manifest, files)
            .and_then(GzEncoder::finish)
            .and_then(|file| file.sync_all())
    } else {
        append_all(file, manifest, files).and_then(|file| file.sync_all())
    };
    written.map_err(BackupError::io("write", path))
}

fn append_all<W: Write>(
    target: W,
    manifest: &Manifest,
    files: &BTreeMap<String, PathBuf>,
) -> std::io::Result<W> {
    let mut archive = tar::Builder::new(target);
    let text = serde_json::to_vec_pretty(manifest).expect("a manifest is JSON");
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o600);
    header.set_cksum();
    archive.append_data(&mut header, MANIFEST, text.as_slice())?;
    for (name, source) in files {
        archive.append_path_with_name(source, name)?;
    }
    archive.into_inner()
}

/// Reads an archive and compares every file with the manifest. `take` gets each file that the manifest names, before it
/// is known to fit. Everything that does not fit is one error. Blocks.
pub(super) fn read(
    path: &Path,
    take: &mut dyn FnMut(&str, &mut dyn Read) -> Result<(), BackupError>,
) -> Result<Manifest, BackupError> {
    let damaged = |problems: Vec<String>| BackupError::Damaged {
        path: path.to_owned(),
        problems,
    };
    let unreadable = |error: std::io::Error| damaged(vec![format!("it cannot be read: {error}")]);
    let mut archive = tar::Archive::new(open(path)?);
    let mut entries = archive.entries().map_err(unreadable)?;
    let first = entries.next().transpose().map_err(unreadable)?;
    let manifest = read_manifest(first).map_err(|problem| damaged(vec![problem]))?;

    let mut problems = Vec::new();
    let mut missing = manifest.files.clone();
    for entry in entries {
        let mut entry = entry.map_err(unreadable)?;
        let name = entry.path().map_err(unreadable)?.to_string_lossy().into_owned();
        let Some(expected) = missing.remove(&name) else {
            problems.push(format!("{name} is not in the manifest, or is there twice"));
            continue;
        };
        let mut content = Hashed::new(&mut entry);
        take(&name, &mut content)?;
        let found = content.finish().map_err(unreadable)?;
        if found.bytes != expected.bytes {
            problems.push(format!(
                "{name} has {} bytes, the manifest says {}",
                found.bytes, expected.bytes
            ));
        } else if found.sha256 != expected.sha256 {
            problems.push(format!("{name} has another SHA-256 than the manifest says"));
        }
    }
    problems.extend(missing.keys().map(|name| format!("{name} is missing")));
    if problems.is_empty() {
        Ok(manifest)
    } else {
        Err(damaged(problems))
    }
}

/// Counts and hashes what is read through it.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Hashed<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// Reads what is left and says what all of it was.
    fn finish(mut self) -> std::io::Result<FileEntry> {
        std::io::copy(&mut self, &mut std::io::sink())?;
        Ok(FileEntry {
            sha256: hex::encode(self.hash.finalize()),
            bytes: self.bytes,
        })
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

fn open(path: &Path) -> Result<Box<dyn Read>, BackupError> {
    let file = File::open(path).map_err(BackupError::io("read", path))?;
    let mut reader = BufReader::new(file);
    let start = std::io::BufRead::fill_buf(&mut reader).map_err(BackupError::io("read", path))?;
    Ok(if start.starts_with(&GZIP_MAGIC) {
        Box::new(GzDecoder::new(reader))
    } else {
        Box::new(reader)
    })
}

fn read_manifest<R: Read>(entry: Option<tar::Entry<'_, R>>) -> Result<Manifest, String> {
    let entry = entry.ok_or("it is empty")?;
    let name = entry.path().map_err(|error| error.to_string())?.into_owned();
    if name != Path::new(MANIFEST) {
        return Err(format!("it begins with {} instead of {MANIFEST}", name.display()));
    }
    let mut text = Vec::new();
    entry
        .take(MANIFEST_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| format!("{MANIFEST}: {error}"))?;
    if manifest.format != FORMAT {
        return Err(format!(
            "its format is {}, this version knows {FORMAT}",
            manifest.format
        ));
    }
    Ok(manifest)
}
